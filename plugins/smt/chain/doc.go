// Package chain implements Kafka Connect's transforms and predicates. The plugin smt exports it; nothing here knows of
// WebAssembly, so it is tested as it is.
//
// A transform on fields is written once: it changes an [object], a structure or map taken apart into fields whose
// values are bytes. The plain way takes a row through one stage after another, as Kafka does; it is the reference, and
// the only one that fails rows. An object also notes where each value comes from. For rows that are alike (of one topic
// and schema, or one sequence of names) the fast lane has one row traced through all stages and makes a program for
// package kernel of what the object then has, which is done to row after row. Rows that the program does not fit go the
// plain way; tests compare the two.
//
// Where to look, from the top down; a file uses nothing of a line above its own:
//
//   - engine.go: a call, the plain way, the result. lane.go: the fast lane. compile.go: the kernel's program of an
//     object.
//   - chain.go: the stages of a context, and the routes that rows take in the fast lane. component.go: the table of
//     transforms and predicates.
//   - insert.go, replace.go, mask.go, cast.go, timestamp.go, key.go (ValueToKey), headers.go, extract.go, flatten.go,
//     metadata.go (SetSchemaMetadata), unwrap.go, coalesce.go: transforms on objects. hoist.go, router.go, stamp.go
//     (TimestampRouter), split.go, tombstone.go: on the row. predicate.go: predicates.
//   - stage.go: a transform with its condition. operation.go: what a transform is. object.go: objects. edit.go: values
//     that become others. scalar.go: numbers as Java casts them.
//   - reader.go: schemas, prepared for reading. view.go: a row on the plain way. headerlist.go: a row's headers.
//     schemas.go: schemas. failure.go: what a row fails by, with Java's names of classes. settings.go: settings.
//
// Invariants: a row depends on no row before it. An engine is a cache: another one makes the same of the same call. The
// fast lane does a row as the plain way does it, or not at all.
package chain
