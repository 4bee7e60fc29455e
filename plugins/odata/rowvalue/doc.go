// Package rowvalue reads keys and values of rows in place, without building Go values. Reader.Read validates all
// lengths, union branches and tags of a row and returns a Value, so that the other methods do not fail. A Cursor
// iterates over its fields or items. A Value is valid until the next Read, as long as the bytes of its row.
package rowvalue
