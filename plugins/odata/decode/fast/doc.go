// Package fast reads rows of JSON and Atom that resemble earlier rows. It is fast in a guest because it loads and
// tests eight bytes at once without bounds checks, in loops that are Wasm assembly there.
//
// # Inputs
//
// [Read] gets a [Row]: the page's text (In, from P on), the memory for the result (Arena, from O on), and the table.
// It compares the text with the table, writes values as wit/encoding.md specifies, and advances P and O. Nothing here
// checks bounds: [Padding] zero bytes must follow the text, since every scan stops at 0, which neither format allows;
// and the memory for the result must have [Padding] bytes after the result.
//
// # The table
//
// Package decode fills the table of [Entry] values from rows that its plain parser has read. An entry holds the text
// before a value (Prefix), the text after it (Suffix), the kind of the value, its column, and the entry that followed
// it last. After a row such as
//
//	{"ID":7,"Name":"Köln","Changed":"\/Date(1700000000000)\/"}
//
// the entries of a schema of three columns are
//
//	Prefix                Suffix  Kind        Column  Next
//	,"ID":                        Integer     0       Name
//	,"Name":"             "       JSONString  1       Changed
//	,"Changed":"\/Date(   )\/"    DateTime    2       the end
//	}                             End                 ID
//
// The first byte of Prefix is masked before a row's first member (First), so that an entry works in any position. If
// the text differs from Next's, Table has the entry by the hash of the member's name. Members that are not columns
// have entries of kind [Skip], with a [Template]: text with gaps that end at a byte of [Stops]. [Match] compares a
// text with a template; templates are also used for the text around the properties of an Atom entry. [Sort] restores
// the schema's order of columns.
//
// # The fallback
//
// A kernel stops at text that it does not know and returns why: [NoEntry], [UnexpectedValue], [UnexpectedProperty],
// [UnexpectedRow], [NeedsLength] or [Truncated]. Package decode then reads the value, the member or the whole row by
// its plain parser, which can read every row, learns from it if that pays, and calls again. A kernel that gives up
// more often costs time only. Fuzzing compares with the plain parser (FuzzFastJSON and FuzzFastAtom of package
// decode).
//
// # Assembly
//
// kernel.go is the source. `make kernels` (plugins/assembler; its doc lists the Go that it accepts) generates
// kernel_wasm.s from it, which builds with the tag kernels use; kernel_wasm.go declares it. Builds without the tag and
// for other machines compile the same Go (kernel_other.go). BenchmarkStock of plugins/odata/decode/bench compares
// both.
package fast
