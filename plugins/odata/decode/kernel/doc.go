// Package kernel decodes the usual properties and values of rows in JSON and Atom pages. It compares and copies eight
// bytes at a time without bounds checks, in loops that are Wasm assembly in a plugin.
//
// Package decode describes each struct by a [Struct] and its properties by [Property] values, and calls [Read], which
// writes each value as wit/encoding.md specifies. For instance, the row {"ID":7,"Name":"Köln"} has these properties:
//
//	Prefix      Kind        Column  Next
//	,"ID":      Integer     0       Name
//	,"Name":    JSONString  1       the end
//	}           End
//
// Read expects the property that followed the last time (Next; that of Head comes first). If the text differs, it
// skips white space, tries the next ones, and looks the name up in a hash table. Properties that are no columns have
// the kind [Skip]. In Atom, skipElements skips the elements between the properties of two entries. Services write the
// same elements in each entry, so skipSameElements compares the elements with the previous entry, and skipElements
// reads tag by tag only if more than text and attribute values differ. At the end of a row, Read sorts its columns and
// continues with the next row. At anything unusual it stops with a reason, such as [NoValue], before it has written
// the value at P: package decode reads that value or token and calls Read again.
//
// Callers must append [Padding] zero bytes to the text, because every scan stops at 0, which neither format allows, and
// provide the same room after the output.
//
// `make kernels` (plugins/assembler) generates kernel_wasm.s from these files, which other builds compile themselves.
// They use the part of Go that the assembler supports: it has no slices and no else if, and && and || evaluate both
// sides. In them, p is an offset in the text in, o an offset in the output arena, e a property, and n a length.
package kernel
