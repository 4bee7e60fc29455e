// Package chain is the plugin smt without WebAssembly: an [Engine] sends the rows of a call through a chain of
// transforms. Package fastpath processes rows of the same kind, package interpreter all others. Tests compare the two.
// Invariants: a row depends on no row before it. An engine is only a cache: a new one returns the same results.
package chain
