// Package json is the texts and numbers of JSON as Jackson, which Kafka Connect has, writes and reads them. It is safe
// for guests. Values, and what becomes of them, are its callers' affair.
//
// plain.go finds what stands in a string as it is, text.go writes and reads strings, number.go reads numbers.
package json

import (
	"unicode/utf16"
	"unicode/utf8"
)

// AppendText writes a string as Jackson does: quotation mark, backslash and control characters are escaped, and
// characters beyond U+FFFF as two surrogates; nothing else. ok is false when s is no UTF-8.
func AppendText(dst, s []byte) (out []byte, ok bool) {
	dst = append(dst, '"')
	if UnescapedPrefix(s) < len(s) {
		return appendEscaped(dst, s)
	}
	dst = append(dst, s...)
	return append(dst, '"'), true
}

// AppendString is AppendText for a text of which each byte that is no UTF-8 becomes U+FFFD.
func AppendString(dst []byte, s string) []byte {
	out, ok := AppendText(dst, []byte(s))
	if !ok {
		out, _ = AppendText(dst, []byte(string([]rune(s))))
	}
	return out
}

const hex = "0123456789ABCDEF"

// shortEscapes are the control characters with an escape of one letter.
var shortEscapes = [0x20]byte{'\b': 'b', '\t': 't', '\n': 'n', '\f': 'f', '\r': 'r'}

func appendEscaped(dst, s []byte) ([]byte, bool) {
	if !utf8.Valid(s) {
		return dst, false
	}
	from := 0
	for i, c := range s {
		switch {
		case c >= 0xf0:
			r, size := utf8.DecodeRune(s[i:])
			high, low := utf16.EncodeRune(r)
			dst = appendUnit(appendUnit(append(dst, s[from:i]...), high), low)
			from = i + size
			continue
		case isUnescaped[c] || c >= utf8.RuneSelf:
			continue
		}
		dst = append(dst, s[from:i]...)
		from = i + 1
		switch {
		case c >= 0x20:
			dst = append(dst, '\\', c)
		case shortEscapes[c] != 0:
			dst = append(dst, '\\', shortEscapes[c])
		default:
			dst = appendUnit(dst, rune(c))
		}
	}
	dst = append(dst, s[from:]...)
	return append(dst, '"'), true
}

// appendUnit escapes a UTF-16 code unit.
func appendUnit(dst []byte, u rune) []byte {
	return append(dst, '\\', 'u', hex[u>>12], hex[u>>8&15], hex[u>>4&15], hex[u&15])
}

// ScanString reads the string whose quotation mark is data[i]: end is after its last one, and escapes reports whether
// there are any in it. Where it is none, expected says what should stand at end.
func ScanString(data []byte, i int) (end int, escapes bool, expected string) {
	from, wide := i+1, false
	i = from + UnescapedPrefix(data[from:])
	for i < len(data) {
		c := data[i]
		switch {
		case isUnescaped[c]:
			i++
		case c == '"':
			if wide && !utf8.Valid(data[from:i]) {
				return from, escapes, "a string in UTF-8"
			}
			return i + 1, escapes, ""
		case c == '\\':
			escapes = true
			if i, expected = escape(data, i+1); expected != "" {
				return i, escapes, expected
			}
		case c >= utf8.RuneSelf:
			wide = true
			i++
		default:
			return i, escapes, "no control character in a string"
		}
	}
	return i, escapes, "the end of a string"
}

// escape passes over what stands after a backslash.
func escape(data []byte, i int) (end int, expected string) {
	if i >= len(data) {
		return i, "an escape"
	}
	switch data[i] {
	case '"', '\\', '/', 'b', 'f', 'n', 'r', 't':
		return i + 1, ""
	case 'u':
		for n := 1; n <= 4; n++ {
			if i+n >= len(data) || !isHex(data[i+n]) {
				return i, "u and four hexadecimal digits"
			}
		}
		return i + 5, ""
	}
	return i, "an escape"
}

func isHex(c byte) bool { return c >= '0' && c <= '9' || c|0x20 >= 'a' && c|0x20 <= 'f' }

// HasLoneSurrogate reports whether an escape in a string that [ScanString] has read is half a surrogate pair without
// the other one. Jackson takes such texts, and refuses such names.
func HasLoneSurrogate(s []byte) bool {
	for i := 0; i < len(s); i++ {
		if s[i] != '\\' {
			continue
		}
		if i++; s[i] == 'u' {
			r, size := decodeUnicode(s[i+1:])
			if r < 0 {
				return true
			}
			i += size
		}
	}
	return false
}

// escapeLetters are what escapes of one letter stand for; the others stand for themselves.
var escapeLetters = [256]byte{'b': '\b', 'f': '\f', 'n': '\n', 'r': '\r', 't': '\t'}

// Unescape appends what a string says that [ScanString] has read. Half a surrogate pair, which UTF-8 cannot say,
// becomes a question mark, as Java writes it.
func Unescape(dst, s []byte) []byte {
	for i := 0; i < len(s); i++ {
		c := s[i]
		if c != '\\' {
			dst = append(dst, c)
			continue
		}
		i++
		switch c = s[i]; {
		case c == 'u':
			r, size := decodeUnicode(s[i+1:])
			if r < 0 {
				r = '?'
			}
			dst = utf8.AppendRune(dst, r)
			i += size
		case escapeLetters[c] != 0:
			dst = append(dst, escapeLetters[c])
		default:
			dst = append(dst, c)
		}
	}
	return dst
}

// decodeUnicode is what the digits after \u stand for, -1 for half a surrogate pair, and how many bytes they are,
// together with the second half's escape.
func decodeUnicode(s []byte) (r rune, size int) {
	r = hexUnit(s)
	if !utf16.IsSurrogate(r) {
		return r, 4
	}
	if len(s) >= 10 && s[4] == '\\' && s[5] == 'u' {
		if r = utf16.DecodeRune(r, hexUnit(s[6:])); r != utf8.RuneError {
			return r, 10
		}
	}
	return -1, 4
}

// hexUnit reads four hexadecimal digits.
func hexUnit(s []byte) (r rune) {
	for _, c := range s[:4] {
		if c >= 'a' {
			c -= 'a' - 'A'
		}
		if c >= 'A' {
			c -= 'A' - 10 - '0'
		}
		r = r<<4 | rune(c-'0')
	}
	return r
}
