// Package scan finds the ends of what JSON and XML documents are made of, in a text that may not be whole yet, and
// resolves what their texts stand for. Packages decode, jsontext and markup read by it; the kernels of decode/fast do
// the same for the shapes of rows that they know.
package scan

import "strconv"

// Error is where and why a text is not what it should be.
type Error struct {
	// At is the place in the text, in bytes.
	At              int
	Expected, Found string
}

func (e *Error) Error() string {
	if e == More {
		return "expected the rest of the document, found its end"
	}
	return "byte " + strconv.Itoa(e.At) + ": expected " + e.Expected + ", found " + e.Found
}

// More reports that the text ends here: call again with more of it. If no more comes, the text is cut off.
var More = &Error{}

// WrongByte is the error of the byte at i.
func WrongByte(b []byte, i int, expected string) *Error {
	return &Error{At: i, Expected: expected, Found: describe(b[i])}
}

func describe(c byte) string {
	switch {
	case c == '\n':
		return "a line end"
	case c < 0x20 || c >= 0x7f:
		const hex = "0123456789abcdef"
		return "byte 0x" + string(hex[c>>4]) + string(hex[c&15])
	}
	return "'" + string(rune(c)) + "'"
}
