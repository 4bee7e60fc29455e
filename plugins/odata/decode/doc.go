// Package decode turns pages of OData v2 (verbose JSON, Atom) into rows in the encoding of wit/encoding.md. A
// [RowSchema], which [NewRowSchema] derives from metadata, describes the rows. A [Decoder] reads a page in pieces of
// any size (stream.go) and adds rows, row errors and requests for nested pages to an [Output].
//
// Each row is decoded in one of two ways. The plain parser (json.go, jsonrow.go, atom.go, atomrow.go) can read every
// row and is what tests compare with. The fast path (templates.go and package fast) reads rows that resemble earlier
// rows: it learns the text between values from rows of the plain parser. The plain parser gets the values and rows that
// the fast path cannot read.
//
// Invariants: the fast path returns exactly what the plain parser would return, in pieces of any size, and a row counts
// only after the text that follows it was validated. Row indexes count everything in the page from 0 without a gap.
// Regular rows allocate nothing.
package decode
