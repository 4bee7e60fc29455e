// Package kernel holds the loops over rows that are alike: what a chain of transforms comes to for one schema, or for
// one sequence of names, done to one row after another.
//
// # Inputs
//
// [Pass], [Values] and [Apart] get [Rows]: the rows of a call as they lie in memory (In, Count), the bytes of their
// keys, values and headers (Data), memory for the rows of the result (Out, Most) and for their bytes (Dst, Size), and
// what is done to each ([Program]). Nothing here checks the bounds of memory, since every caller has left [Room] after
// what is read and written. Values are checked: what is not as the program expects is left to the caller.
//
// # The table
//
// A [Program] is two lists. By the first the members of a value are passed over, and where each begins is noted in
// Ends: codes of a structure's members in Fields, or keys with choices of tags for a map's entries. By the second the
// result is written: each [Part] is a constant, a run of members as they were, an attribute of the row, or a value by
// way of a [Conversion]. A chain that drops the second of three optional texts and adds a constant text is
//
//	Fields  OptionalText, OptionalText, OptionalText, Last
//	Parts   Copied from 0 to 1, Copied from 2 to 3, Constant, End
//
// # The fallback
//
// A kernel stops at a row that is not as the program expects and returns why; N says which. The caller has that row
// done by the transforms on values, which can do every row, and calls again for the rest. Tests compare both.
//
// # Assembly
//
// kernel.go is the source. `make kernels` (plugins/assembler, whose doc says which Go it knows) makes kernel_wasm.s of
// it, which the build tag kernels takes; kernel_wasm.go declares it. Without the tag, and on other machines, the same
// Go is compiled (kernel_other.go).
package kernel
