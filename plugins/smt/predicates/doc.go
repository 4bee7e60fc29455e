// Package predicates contains the conditions of stages.
// Invariants: A predicate never changes a record.
package predicates
