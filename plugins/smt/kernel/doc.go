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
// At a row that does not match the program, a kernel returns the reason. The caller sends that row to the interpreter
// and calls again. The Go code is the source: `make kernels` (plugins/assembler) generates kernel_wasm.s from it, which
// the build tag kernels selects. The comments of the functions that it assembles begin with "kernel" and the variables
// that it keeps in address registers. Memory is accessed without checks, so callers leave [Room] after input and
// result.
package kernel
