// Package kernel holds the loops over rows that are alike: they run the program of a chain of transforms, for one
// schema or one sequence of names, on one row after another.
//
// # Inputs
//
// [Pass], [Values] and [Apart] get [Rows]: the rows of a call as they are in memory (In, Count), the bytes of their
// keys, values and headers (Data), memory for the rows of the result (Out, Most) and for their bytes (Dst, Size), and
// the [Program]. Nothing here checks the bounds of memory: callers leave [Room] after input and result. Values are
// checked; the caller handles values that the program does not expect.
//
// # The table
//
// A [Program] is two lists. The first one has the codes of a structure's members (Fields), or keys with choices of tags
// for a map's entries; by it the kernel finds the start of each member and stores it in Ends. The second one writes
// the result: each [Part] is a constant, a run of unchanged members, an attribute of the row, or a value that a
// [Conversion] changes. A chain that drops the second of three optional texts and adds a constant text is
//
//	Fields  OptionalText, OptionalText, OptionalText, Last
//	Parts   Copied from 0 to 1, Copied from 2 to 3, Constant, End
//
// # The fallback
//
// A kernel stops at a row that the program does not expect and returns why; N is the row's index. The caller passes
// that row to the transforms on values, which handle every row, and calls again for the rest. Tests compare both.
//
// # Assembly
//
// kernel.go is the source. `make kernels` (plugins/assembler; its doc lists the Go that it accepts) generates
// kernel_wasm.s from it, which builds with the tag kernels use; kernel_wasm.go declares it. Builds without the tag
// and for other machines compile the same Go (kernel_other.go).
package kernel
