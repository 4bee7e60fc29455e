// Package kernel contains the row loops of the fast path: [Pass] copies rows whose values stay, [Values] runs a
// compiled [Program] on one row after another, and [Separated] checks whether results can be appended in place.
//
// A program first finds where each field of the value starts, by the types of a struct's fields or the keys of a map,
// and stores these offsets in Ends. Then its Ops write the result. A chain that removes the second of three optional
// strings and adds a constant is
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
// Invariants: accesses to memory are not checked here, so callers leave [Room] after input and result. Values are
// checked.
package kernel
