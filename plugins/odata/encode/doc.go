// Package encode writes rows as entities of OData v2 or v4: their bodies in JSON or Atom, and their keys.
//
// Type is an entity type with indexes by name. Writer appends the body of an entity. Type.AppendKeyValues reads its
// key, and Predicate formats the key for a URL. Names and tags are prepared once for a type, and how a field is written
// once for a schema. Values of frequent kinds are written directly from the row's bytes, others are converted by
// package value.
//
// Invariants: both ways have the same result. Keys that a service may treat as the same have the same
// CanonicalPredicate. An error of kind data concerns the row, any other error the task.
package encode
