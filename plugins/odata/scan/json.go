package scan

import (
	"bytes"
	"unicode/utf8"
)

// JSONSpace returns the offset of the first byte from i on that is not white space.
func JSONSpace(b []byte, i int) int {
	for i < len(b) && (b[i] == ' ' || b[i] == '\n' || b[i] == '\t' || b[i] == '\r') {
		i++
	}
	return i
}

// JSONString returns the end of the string that starts at i. Only Unescape checks the content.
func JSONString(b []byte, i int) (end int, err *Error) {
	if i >= len(b) {
		return 0, ErrNeedMore
	}
	if b[i] != '"' {
		return 0, UnexpectedByte(b, i, "a string")
	}
	for i++; i < len(b); i++ {
		switch b[i] {
		case '"':
			return i + 1, nil
		case '\\':
			i++
		}
	}
	return 0, ErrNeedMore
}

// JSONName returns the end of the quoted member name at i, and the start of the member's value.
func JSONName(b []byte, i int) (nameEnd, value int, err *Error) {
	if nameEnd, err = JSONString(b, i); err != nil {
		return 0, 0, err
	}
	colon := JSONSpace(b, nameEnd)
	if colon >= len(b) {
		return 0, 0, ErrNeedMore
	}
	if b[colon] != ':' {
		return 0, 0, UnexpectedByte(b, colon, "':' after a member's name")
	}
	value = JSONSpace(b, colon+1)
	if value >= len(b) {
		return 0, 0, ErrNeedMore
	}
	return nameEnd, value, nil
}

// JSONNext returns the start of the member or item after the comma at i, or the offset after the closing bracket.
func JSONNext(b []byte, i int, closing byte) (next int, closed bool, err *Error) {
	i = JSONSpace(b, i)
	if i >= len(b) {
		return 0, false, ErrNeedMore
	}
	switch b[i] {
	case closing:
		return i + 1, true, nil
	case ',':
		if i = JSONSpace(b, i+1); i >= len(b) {
			return 0, false, ErrNeedMore
		}
		if b[i] == closing {
			return 0, false, UnexpectedByte(b, i, "a member or item after ','")
		}
		return i, false, nil
	}
	return 0, false, UnexpectedByte(b, i, "',' or "+describe(closing))
}

// JSONFirst returns the start of the first member or item, or the offset after the closing bracket. i is the offset
// after the opening bracket.
func JSONFirst(b []byte, i int, closing byte) (next int, closed bool, err *Error) {
	i = JSONSpace(b, i)
	if i >= len(b) {
		return 0, false, ErrNeedMore
	}
	if b[i] == closing {
		return i + 1, true, nil
	}
	return i, false, nil
}

// JSONValue returns the end of the value that starts at i, with at most depth levels of nesting. A number at the end of
// b is ErrNeedMore: more digits could follow.
func JSONValue(b []byte, i, depth int) (end int, err *Error) {
	if i >= len(b) {
		return 0, ErrNeedMore
	}
	switch c := b[i]; {
	case c == '"':
		return JSONString(b, i)
	case c == '{' || c == '[':
		if depth <= 0 {
			return 0, &Error{At: i, Expected: "less nesting", Found: describe(c)}
		}
		return jsonInside(b, i, depth-1)
	case c == '-' || ('0' <= c && c <= '9'):
		return jsonNumber(b, i)
	case c == 't':
		return jsonWord(b, i, "true")
	case c == 'f':
		return jsonWord(b, i, "false")
	case c == 'n':
		return jsonWord(b, i, "null")
	}
	return 0, UnexpectedByte(b, i, "a value")
}

// jsonInside returns the end of the object or array that starts at i.
func jsonInside(b []byte, i, depth int) (end int, err *Error) {
	object := b[i] == '{'
	closing := b[i] + 2 // in ASCII, } is { + 2, and ] is [ + 2
	i, closed, err := JSONFirst(b, i+1, closing)
	for err == nil && !closed {
		if object {
			if _, i, err = JSONName(b, i); err != nil {
				return 0, err
			}
		}
		if i, err = JSONValue(b, i, depth); err != nil {
			return 0, err
		}
		i, closed, err = JSONNext(b, i, closing)
	}
	return i, err
}

func jsonWord(b []byte, i int, word string) (end int, err *Error) {
	for k := range len(word) {
		if i+k >= len(b) {
			return 0, ErrNeedMore
		}
		if b[i+k] != word[k] {
			return 0, UnexpectedByte(b, i+k, word)
		}
	}
	return i + len(word), nil
}

// jsonNumber returns the end of a number, or ErrNeedMore without a byte after the number.
func jsonNumber(b []byte, i int) (end int, err *Error) {
	if b[i] == '-' {
		i++
	}
	if i < len(b) && b[i] == '0' {
		i++
	} else if i, err = jsonDigits(b, i); err != nil {
		return 0, err
	}
	if i < len(b) && b[i] == '.' {
		if i, err = jsonDigits(b, i+1); err != nil {
			return 0, err
		}
	}
	if i < len(b) && (b[i] == 'e' || b[i] == 'E') {
		i++
		if i < len(b) && (b[i] == '+' || b[i] == '-') {
			i++
		}
		if i, err = jsonDigits(b, i); err != nil {
			return 0, err
		}
	}
	if i >= len(b) {
		return 0, ErrNeedMore
	}
	return i, nil
}

func jsonDigits(b []byte, i int) (end int, err *Error) {
	start := i
	for i < len(b) && '0' <= b[i] && b[i] <= '9' {
		i++
	}
	if i >= len(b) {
		return 0, ErrNeedMore
	}
	if i == start {
		return 0, UnexpectedByte(b, i, "a digit")
	}
	return i, nil
}

// Unescape appends the value of a quoted string that [JSONString] has delimited. It returns false for unknown escapes,
// control characters, unpaired surrogates and bytes that are not UTF-8. lenient replaces the last two by U+FFFD.
func Unescape(dst, quoted []byte, lenient bool) ([]byte, bool) {
	s := quoted[1 : len(quoted)-1]
	start := len(dst)
	for i := 0; i < len(s); {
		c := s[i]
		if c < 0x20 {
			return dst, false
		}
		if c != '\\' {
			dst = append(dst, c)
			i++
			continue
		}
		if s[i+1] == 'u' {
			r, size := escapedRune(s[i:])
			if _, isHex := hex4(s[i:]); size == 0 && lenient && isHex { // an unpaired surrogate
				r = utf8.RuneError
				size = len(`\u0000`)
			}
			if size == 0 {
				return dst, false
			}
			dst = utf8.AppendRune(dst, r)
			i += size
			continue
		}
		plain := unescaped(s[i+1])
		if plain == 0 {
			return dst, false
		}
		dst = append(dst, plain)
		i += 2
	}
	if utf8.Valid(dst[start:]) {
		return dst, true
	}
	if lenient {
		dst = append(dst[:start], bytes.ToValidUTF8(dst[start:], []byte("\ufffd"))...)
	}
	return dst, lenient
}

func unescaped(c byte) byte {
	switch c {
	case '"', '\\', '/':
		return c
	case 'b':
		return '\b'
	case 'f':
		return '\f'
	case 'n':
		return '\n'
	case 'r':
		return '\r'
	case 't':
		return '\t'
	}
	return 0
}

// escapedRune reads \uxxxx, or two of them that are a surrogate pair. Zero size means neither.
func escapedRune(s []byte) (r rune, size int) {
	// High surrogates are in [0xd800,0xdc00), low ones in [0xdc00,0xe000).
	high, ok := hex4(s)
	if !ok || (0xdc00 <= high && high < 0xe000) {
		return 0, 0
	}
	const escapeSize = len(`\u0000`)
	if high < 0xd800 || high >= 0xe000 {
		return high, escapeSize
	}
	if low, ok := hex4(s[escapeSize:]); ok && 0xdc00 <= low && low < 0xe000 {
		return 0x10000 + (high-0xd800)<<10 + low - 0xdc00, 2 * escapeSize
	}
	return 0, 0
}

// hex4 reads \uxxxx. It returns false for another text.
func hex4(s []byte) (rune, bool) {
	if len(s) < 6 || s[0] != '\\' || s[1] != 'u' {
		return 0, false
	}
	var r rune
	for _, c := range s[2:6] {
		switch {
		case '0' <= c && c <= '9':
			r = r<<4 | rune(c-'0')
		case 'a' <= c|0x20 && c|0x20 <= 'f':
			r = r<<4 | rune(c|0x20-'a'+10)
		default:
			return 0, false
		}
	}
	return r, true
}
