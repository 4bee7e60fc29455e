// Package letter shows and edits the records of dead letters: a key or value that Kafka Connect's JsonConverter or
// another program has written as JSON.
//
// [Parse] returns a [Document], a tree of fields in the form in which people read and type them: decimals as digits,
// dates as RFC 3339. [Document.Edit] replaces fields in the stored text. logical.go converts the logical types of Kafka
// Connect.
//
// Invariant: an edit changes the bytes of the edited fields only.
package letter
