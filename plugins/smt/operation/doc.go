// Package operation defines what transforms and predicates implement ([Operation], [Predicate]), and the [Stage] of a
// chain. Invariants: an operation depends on no earlier row, except for caches.
package operation
