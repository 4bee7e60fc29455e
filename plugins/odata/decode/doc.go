// Package decode turns pages of OData v2 (verbose JSON, Atom) into rows: Avro binary as wit/encoding.md has it. What it
// needs of an entity type under a projection is a [RowSchema], which [NewRowSchema] makes of metadata. Pages come in
// pieces of any size.
//
// There are two ways through a row. The plain parser can read every row and is what tests compare with. The fast lane
// reads rows that are like rows that the plain parser has read: it has learned from these the text between values, and
// a kernel (package fast), which is the same for both formats, compares that text and reads the values. The lane leaves
// values and rows that it cannot read to the plain parser.
//
// Where to look:
//
//   - layout.go: what a row is; rowlayout.go: that of a view of the metadata. output.go: what comes out; row.go: a row
//     from its columns. fault.go: pages and rows that are not as they should be, and what is said of them.
//   - stream.go: pieces of a page, for both formats; follow.go: rows that wait for further pages of an expanded feed.
//   - json.go, jsonrow.go: the plain parser of JSON: pages, rows. atom.go, atomrow.go, atomscope.go (namespaces): the
//     plain parser of Atom. Both use package scan.
//   - value.go, number.go and package datetime: values; each format accepts the other's forms too.
//   - lane.go: the fast lane; lanejson.go, laneatom.go: what differs between formats, above all how it learns.
//
// Invariants: the lane makes of a page exactly what the plain parser makes of it, in pieces of any size, and no row
// counts before what follows it was seen to be right. Origins count all that stands in the page, from 0, without a gap.
// Rows of a page that is regular allocate nothing.
package decode
