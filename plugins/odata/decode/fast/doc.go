// Package fast decodes rows of JSON and Atom pages that resemble earlier rows of the page. It compares and copies eight
// bytes at a time without bounds checks, in loops that are Wasm assembly in a plugin.
//
// Package decode decodes the first rows with its plain parser, and fills a table of [Entry] values from them: one per
// property, with the text before the value (Prefix), the text after it (Suffix), the kind of value, the column, and the
// entry that came next. [Read] compares a page with these entries and writes each value as wit/encoding.md specifies.
// For instance, the row {"ID":7,"Name":"Köln","Changed":"\/Date(1700000000000)\/"} results in
//
//	Prefix                Suffix  Kind        Column  Next
//	,"ID":                        Integer     0       Name
//	,"Name":"             "       JSONString  1       Changed
//	,"Changed":"\/Date(   )\/"    DateTime    2       the end
//	}                             End                 ID
//
// If the text differs from the expected entry, the entry is found in a hash table by the property's name. Properties
// that are not columns have entries of kind [Skip] with a [Template]: text with gaps that end at a byte of [Stops].
// [Match] compares a text with a template; [Sort] restores the schema's order of columns. At any other text, Read stops
// and returns the reason, such as [NoEntry], and package decode continues with its plain parser.
//
// Callers must append [Padding] zero bytes to the page, because every scan stops at 0, which neither format allows, and
// provide the same room after the result.
//
// `make kernels` (plugins/assembler) generates kernel_wasm.s from kernel.go, which other builds compile itself.
package fast
