// Package rowvalue reads keys and values of rows in place, without building Go values.
//
// Schemas holds the schemas that the host has declared. Its method Read returns a Value, which is a position in the
// bytes of a row. A Cursor iterates over the fields or items of a Value.
//
// Invariants: Read validates all lengths, union branches and tags, so the other methods do not fail. A Value is valid
// as long as the bytes of its row.
package rowvalue
