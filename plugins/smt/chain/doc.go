// Package chain is the plugin smt without WebAssembly: an [Engine] sends the rows of a call through a chain of
// transforms. The fast path processes rows of the same kind, the interpreter all others. Tests compare the two.
//
// The fast path traces a row that the interpreter has handled and compiles a program for rows like it, which package
// kernel runs: per topic and schema, or per sequence of map keys.
//
// Invariants: a row depends on no row before it. An engine is only a cache: a new one returns the same results. The
// interpreter is the reference, and the only code that fails rows: the fast path processes a row as the interpreter
// does, or not at all.
package chain
