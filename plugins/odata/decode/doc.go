// Package decode turns pages of OData v2 (verbose JSON, Atom) and v4 (JSON) into rows in the encoding of
// wit/encoding.md. A [RowSchema], which [NewRowSchema] derives from metadata, describes the rows. A [Decoder] reads a
// page in pieces of any size (stream.go) and adds rows, row errors and requests for nested pages to an [Output].
//
// Each format has two layers. One finds the rows of a page (json.go, atom.go); the other decodes them in one pass,
// driven by the schema (jsonrow.go and jsonobject.go; atomrow.go, atomentry.go, atomproperty.go and atomlink.go). A
// structure (structure.go) decodes the structs of one schema: package kernel reads what is usual and stops at anything
// else, the decoder of the format reads that one value or token, and package kernel continues. Values are written to
// the output in the order of the text, and moved at the end of a struct whose columns have another order. [JSON4]
// embeds [JSON], which calls it through jsonForm (jsonform.go) where the versions of OData differ: in the members
// around rows (json4.go), in annotations, changes and collections (json4row.go, json4context.go), and in the types of
// values (value4.go).
//
// Invariants: a row counts only after its end was read, in JSON with what follows it; until then the output keeps its
// length. A value that does not fit fails its row, with the error of the first such column in schema order, and the
// rest of the row is still read. Row indexes count everything in the page from 0 without a gap. A row that the text
// cuts off is decoded again with more text. Regular rows allocate nothing.
package decode
