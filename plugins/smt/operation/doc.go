// Package operation defines what transforms and predicates are ([Operation], [Predicate]), and the [Stage] of a chain.
// Invariants: An operation depends on no earlier row, except for caches.
package operation
