// Package tree shows and edits keys and values of records as trees of fields.
//
// [Parse] returns a [Document] of a text in JSON: its fields in the form in which people read and type them, with
// decimals as digits and dates as RFC 3339. [Document.Compare] marks what a transform has changed, [Document.Mark] what
// an error names, and [Document.Edit] replaces values in the stored text. logical.go converts the logical types of
// Kafka Connect.
//
// Invariant: an edit changes the bytes of the edited fields only.
package tree
