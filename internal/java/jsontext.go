package java

import (
	"encoding/binary"
	"math/bits"
	"unicode/utf16"
	"unicode/utf8"
)

// AppendJSONText appends s as a JSON string: quotation mark, backslash and control characters are escaped, characters
// above U+FFFF are escaped as two surrogates, all others are unchanged. ok is false, and out incomplete, if s is not
// UTF-8.
func AppendJSONText(dst, s []byte) (out []byte, ok bool) {
	dst = append(dst, '"')
	if UnescapedPrefix(s) < len(s) {
		return appendEscaped(dst, s)
	}
	dst = append(dst, s...)
	return append(dst, '"'), true
}

// AppendJSONString is [AppendJSONText] for a string, in which it replaces each invalid byte by U+FFFD.
func AppendJSONString(dst []byte, s string) []byte {
	out, ok := AppendJSONText(dst, []byte(s))
	if !ok {
		out, _ = AppendJSONText(dst, []byte(string([]rune(s))))
	}
	return out
}

const hex = "0123456789ABCDEF"

// shortEscapes contains the letters of the control characters with short escapes.
var shortEscapes = [0x20]byte{'\b': 'b', '\t': 't', '\n': 'n', '\f': 'f', '\r': 'r'}

// appendEscaped appends the content of a string whose quotation mark is in dst, and the closing one.
func appendEscaped(dst, s []byte) ([]byte, bool) {
	if !utf8.Valid(s) {
		return dst, false
	}
	from := 0 // the index of the first byte that is not appended yet
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

// appendUnit appends the escape of a UTF-16 code unit.
func appendUnit(dst []byte, u rune) []byte {
	return append(dst, '\\', 'u', hex[u>>12], hex[u>>8&15], hex[u>>4&15], hex[u&15])
}

// ScanJSONString scans the string that starts with the quotation mark data[i]. end is the index after its closing mark.
// expected is empty for a valid string, else it describes what was expected at end.
func ScanJSONString(data []byte, i int) (end int, hasEscapes bool, expected string) {
	from := i + 1
	isASCII := true
	i = from + UnescapedPrefix(data[from:])
	for i < len(data) {
		c := data[i]
		switch {
		case isUnescaped[c]:
			i++
		case c == '"':
			if !isASCII && !utf8.Valid(data[from:i]) {
				return from, hasEscapes, "a string in UTF-8"
			}
			return i + 1, hasEscapes, ""
		case c == '\\':
			hasEscapes = true
			if i, expected = scanEscape(data, i+1); expected != "" {
				return i, hasEscapes, expected
			}
		case c >= utf8.RuneSelf:
			isASCII = false
			i++
		default:
			return i, hasEscapes, "no control character in a string"
		}
	}
	return i, hasEscapes, "the end of a string"
}

// scanEscape scans the escape whose backslash is before data[i], like [ScanJSONString].
func scanEscape(data []byte, i int) (end int, expected string) {
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

func isHex(c byte) bool { return (c >= '0' && c <= '9') || (c|0x20 >= 'a' && c|0x20 <= 'f') }

// HasLoneSurrogate reports whether a string that [ScanJSONString] has read has an escape of an unpaired surrogate.
// Jackson accepts them in strings, but not in names.
func HasLoneSurrogate(s []byte) bool {
	for i := 0; i < len(s); i++ {
		if s[i] != '\\' {
			continue
		}
		i++
		if s[i] == 'u' {
			r, size := decodeUnicode(s[i+1:])
			if r < 0 {
				return true
			}
			i += size
		}
	}
	return false
}

// escapeLetters contains the characters of the short escapes. Other escaped characters mean themselves.
var escapeLetters = [256]byte{'b': '\b', 'f': '\f', 'n': '\n', 'r': '\r', 't': '\t'}

// UnescapeJSON appends the content of a string that [ScanJSONString] has read. An unpaired surrogate, which UTF-8
// cannot encode, becomes a question mark like in Java.
func UnescapeJSON(dst, s []byte) []byte {
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

// decodeUnicode decodes an escape that continues with s after \u. r is -1 for an unpaired surrogate; size is the number
// of bytes of s that belong to the escape and, in a pair of surrogates, to the second escape.
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

// hexUnit returns the value of the four hexadecimal digits at the start of s.
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

// isUnescaped reports for each byte whether it is ASCII that JSON strings contain unescaped.
var isUnescaped = func() (table [256]bool) {
	for c := 0x20; c < 0x80; c++ {
		table[c] = c != '"' && c != '\\'
	}
	return table
}()

// UnescapedPrefix returns the length of the prefix of s that needs no escapes and is ASCII.
func UnescapedPrefix(s []byte) int {
	i := 0
	for ; len(s)-i >= 8; i += 8 {
		if mask := escapedMask(binary.LittleEndian.Uint64(s[i:])) & topBits; mask != 0 {
			return i + bits.TrailingZeros64(mask)/8
		}
	}
	for i < len(s) && isUnescaped[s[i]] {
		i++
	}
	return i
}

// Words with the lowest, and with the top bit of each byte.
const (
	ones    = 0x0101010101010101
	topBits = 0x8080808080808080
)

// escapedMask sets the top bit of the first of 8 bytes for which isUnescaped is false; bits of higher bytes are
// arbitrary. With bit 1 flipped, control characters and the quotation mark are the bytes below 0x21.
func escapedMask(w uint64) uint64 { return w | (w ^ ones*2 - ones*0x21) | (w ^ ones*'\\' - ones) }
