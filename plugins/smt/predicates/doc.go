// Package predicates contains the conditions of stages. Invariants: a predicate never changes a record.
package predicates
