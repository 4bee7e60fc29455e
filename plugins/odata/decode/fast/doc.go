// Package fast reads rows of JSON and Atom that are like rows that were read before. It is what makes decoding fast in
// a guest: loads of eight bytes without bounds checks, tests on eight bytes at once, and loops that a guest has as Wasm
// assembly.
//
// # Inputs
//
// [Read] gets a [Row]: the page's text (In, from P on), the memory for the result (Arena, from O on), and the table.
// It compares the text with the table, writes values as wit/encoding.md has them, and moves P and O after what it has
// done. Nothing here checks bounds: [Room] zero bytes have to follow the text, where every scan stops, since 0 is legal
// in neither format, and [Room] bytes have to follow what is written.
//
// # The table
//
// A table of [Entry] values, which package decode learns from rows that its plain parser has read. An entry holds what
// stands in front of a value (Open), what stands after it (Close), the kind of the value, its column, and the entry
// that came next the last time. After a row such as
//
//	{"ID":7,"Name":"Köln","Changed":"\/Date(1700000000000)\/"}
//
// the entries of a layout of three columns are
//
//	Open                  Close   Kind     Column  Next
//	,"ID":                        Integer  0       Name
//	,"Name":"             "       Quoted   1       Changed
//	,"Changed":"\/Date(   )\/"    Moment   2       the end
//	}                             End              ID
//
// The first byte of Open is masked in front of a row's first member (First), so that an entry serves in any place.
// Where another text stands than Next has, its entry is found in Table by the hash of its name. Members that are no
// columns have entries of kind [Skip], with a [Template]: text with holes that end at a byte of [Stops]. [Match]
// compares a text with a template; templates are also what stands around the properties of an Atom entry. [Sort] puts
// columns that came in another order into that of the layout.
//
// # The fallback
//
// A kernel stops at what it does not know and returns why: [Missed], [OddValue], [OddMember], [OddRow], [Unsealed] or
// [Cut]. Package decode then reads the value, the member or the whole row by its plain parser, which can read every
// row, learns from it if that pays, and calls again. So nothing is wrong if a kernel gives up more often; only time is
// lost. The plain parser is also what fuzzing compares with (FuzzFastJSON and FuzzFastAtom of package decode).
//
// # Assembly
//
// kernel.go is the source. `make kernels` (plugins/assembler, whose doc says which Go it knows) makes kernel_wasm.s of
// it, which the build tag kernels takes; kernel_wasm.go declares it. Without the tag, and on other machines, the same
// Go is compiled (kernel_other.go). BenchmarkStock of plugins/odata/decode/bench compares both.
package fast
