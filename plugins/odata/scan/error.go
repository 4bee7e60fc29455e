// Package scan finds the ends of tokens and values in JSON and XML, in a text that may be incomplete, and resolves
// escapes and entities. Packages decode, jsontext and markup use it.
package scan

import "strconv"

// Error reports where and why a text is not well formed.
type Error struct {
	// At is the offset in the text, in bytes.
	At       int
	Expected string
	Found    string
}

func (e *Error) Error() string {
	if e == ErrNeedMore {
		return "expected the rest of the document, found its end"
	}
	return "byte " + strconv.Itoa(e.At) + ": expected " + e.Expected + ", found " + e.Found
}

// ErrNeedMore reports that the text ends too early: call again with more of it. At the end of the input, the text is
// truncated.
var ErrNeedMore = &Error{}

// UnexpectedByte returns the error of an unexpected byte at i.
func UnexpectedByte(b []byte, i int, expected string) *Error {
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

// Integer reads an integer with an optional sign. ok is false for other texts, and out of the bounds.
func Integer(text []byte, low, high int64) (n int64, ok bool) {
	n, err := strconv.ParseInt(string(text), 10, 64)
	return n, err == nil && low <= n && n <= high
}
