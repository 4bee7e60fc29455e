// Package decode turns pages of OData v2 (verbose JSON, Atom) into rows in the encoding of wit/encoding.md. A
// [RowSchema], which [NewRowSchema] derives from metadata, describes the rows. A [Decoder] reads a page in pieces of
// any size and adds rows, row errors and requests for nested pages to an [Output].
//
// Each row is decoded in one of two ways. The plain parser can read every row and is what tests compare with. The fast
// path (templateDecoder) reads rows that resemble earlier rows: it learns the text between values from rows of the
// plain parser, and a kernel (package fast), the same for both formats, compares that text and reads the values. The
// plain parser gets the values and rows that the fast path cannot read.
//
// Files:
//
//   - rowschema.go: schemas; fromview.go: schemas from metadata; output.go: results; row.go: a row from its columns;
//     errors.go: errors of pages and rows.
//   - stream.go: pieces of a page, for both formats; nestedpages.go: rows that wait for nested pages.
//   - json.go, jsonrow.go: the plain parser of JSON. atom.go, atomrow.go, atomnamespace.go: the plain parser of Atom.
//   - value.go, number.go and package datetime: values. Each format also accepts the forms of the other.
//   - templates.go: the fast path; templatesjson.go, templatesatom.go: how it learns from each format.
//
// Invariants: the fast path returns exactly what the plain parser would return, in pieces of any size, and a row
// counts only after the text that follows it was validated. Row indexes count everything in the page from 0 without a
// gap. Regular rows allocate nothing.
package decode
