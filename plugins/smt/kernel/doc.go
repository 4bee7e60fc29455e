// Package kernel contains the loops of the fast path: [Pass], [Values] and [Separated] run a compiled [Program] on one
// row after another. A program is two lists. Fields holds the codes of a struct's fields (Keys and Choices those of a
// map's entries), by which the kernel stores the offset of each field in Ends. Ops writes the result. A chain that
// removes the second of three optional strings and adds a constant is
//
//	Fields  OptionalText, OptionalText, OptionalText, Last
//	Ops     Copied from 0 to 1, Copied from 2 to 3, Constant, End
//
// A kernel stops at a row that does not match the program and returns the reason. The caller sends that row to the
// interpreter and calls again.
//
// kernel.go is the source. `make kernels` (plugins/assembler) generates kernel_wasm.s from it for the build tag
// kernels. Other builds compile the Go code.
//
// Invariants: no bounds of memory are checked here, so callers leave [Room] after input and result. Values are checked.
package kernel
