package decode

import "unicode/utf8"

// syntax is where and why a text is not what it should be. For the end of what is there so far, see more.
type syntax struct {
	at              int
	expected, found string
	html            bool
	// said is what the service says in the place of rows, "" for nothing.
	said string
}

// more stands for the end of the text: what follows must be seen first. If nothing follows, the text is cut off.
var more = &syntax{}

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

func wrongByte(b []byte, i int, expected string) *syntax {
	return &syntax{at: i, expected: expected, found: describe(b[i])}
}

// jsonSpace skips white space.
func jsonSpace(b []byte, i int) int {
	for i < len(b) && (b[i] == ' ' || b[i] == '\n' || b[i] == '\t' || b[i] == '\r') {
		i++
	}
	return i
}

// jsonString returns the end of the string that starts at i. What is between the quotes is looked at by unescape only.
func jsonString(b []byte, i int) (end int, err *syntax) {
	if i >= len(b) {
		return 0, more
	}
	if b[i] != '"' {
		return 0, wrongByte(b, i, "a string")
	}
	for i++; i < len(b); i++ {
		switch b[i] {
		case '"':
			return i + 1, nil
		case '\\':
			i++
		}
	}
	return 0, more
}

// jsonName returns a member's name, in quotes, and where its value starts.
func jsonName(b []byte, i int) (nameEnd, value int, err *syntax) {
	if nameEnd, err = jsonString(b, i); err != nil {
		return 0, 0, err
	}
	colon := jsonSpace(b, nameEnd)
	if colon >= len(b) {
		return 0, 0, more
	}
	if b[colon] != ':' {
		return 0, 0, wrongByte(b, colon, "':' after a member's name")
	}
	value = jsonSpace(b, colon+1)
	if value >= len(b) {
		return 0, 0, more
	}
	return nameEnd, value, nil
}

// jsonNext goes on after a member or item: over a comma to the next one, or to the closing bracket, which is passed
// too.
func jsonNext(b []byte, i int, closing byte) (next int, closed bool, err *syntax) {
	i = jsonSpace(b, i)
	if i >= len(b) {
		return 0, false, more
	}
	switch b[i] {
	case closing:
		return i + 1, true, nil
	case ',':
		if i = jsonSpace(b, i+1); i >= len(b) {
			return 0, false, more
		}
		if b[i] == closing {
			return 0, false, wrongByte(b, i, "a member or item after ','")
		}
		return i, false, nil
	}
	return 0, false, wrongByte(b, i, "',' or "+describe(closing))
}

// jsonFirst goes past an opening bracket: to the first member or item, or past the closing bracket.
func jsonFirst(b []byte, i int, closing byte) (next int, closed bool, err *syntax) {
	i = jsonSpace(b, i)
	if i >= len(b) {
		return 0, false, more
	}
	if b[i] == closing {
		return i + 1, true, nil
	}
	return i, false, nil
}

// jsonValue returns the end of the value that starts at i.
func jsonValue(b []byte, i, depth int) (end int, err *syntax) {
	if i >= len(b) {
		return 0, more
	}
	switch c := b[i]; {
	case c == '"':
		return jsonString(b, i)
	case c == '{' || c == '[':
		if depth <= 0 {
			return 0, &syntax{at: i, expected: "less nesting", found: describe(c)}
		}
		return jsonInside(b, i, depth-1)
	case c == '-' || '0' <= c && c <= '9':
		return jsonNumber(b, i)
	case c == 't':
		return jsonWord(b, i, "true")
	case c == 'f':
		return jsonWord(b, i, "false")
	case c == 'n':
		return jsonWord(b, i, "null")
	}
	return 0, wrongByte(b, i, "a value")
}

func jsonInside(b []byte, i, depth int) (end int, err *syntax) {
	object, closing := b[i] == '{', b[i]+2
	i, closed, err := jsonFirst(b, i+1, closing)
	for err == nil && !closed {
		if object {
			if _, i, err = jsonName(b, i); err != nil {
				return 0, err
			}
		}
		if i, err = jsonValue(b, i, depth); err != nil {
			return 0, err
		}
		i, closed, err = jsonNext(b, i, closing)
	}
	return i, err
}

func jsonWord(b []byte, i int, word string) (end int, err *syntax) {
	for k := range len(word) {
		if i+k >= len(b) {
			return 0, more
		}
		if b[i+k] != word[k] {
			return 0, wrongByte(b, i+k, word)
		}
	}
	return i + len(word), nil
}

// jsonNumber: a number ends at the first byte that cannot belong to it, which must have been seen.
func jsonNumber(b []byte, i int) (end int, err *syntax) {
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
		if i++; i < len(b) && (b[i] == '+' || b[i] == '-') {
			i++
		}
		if i, err = jsonDigits(b, i); err != nil {
			return 0, err
		}
	}
	if i >= len(b) {
		return 0, more
	}
	return i, nil
}

func jsonDigits(b []byte, i int) (end int, err *syntax) {
	start := i
	for i < len(b) && '0' <= b[i] && b[i] <= '9' {
		i++
	}
	if i >= len(b) {
		return 0, more
	}
	if i == start {
		return 0, wrongByte(b, i, "a digit")
	}
	return i, nil
}

// unescape appends what a string, given with its quotes, stands for. false: an escape that does not exist, half of a
// surrogate pair, a control character, or bytes that are not UTF-8.
func unescape(dst, quoted []byte) ([]byte, bool) {
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
	return dst, utf8.Valid(dst[start:])
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

// escapedRune reads \uxxxx, or two of them that are a surrogate pair. size 0: neither.
func escapedRune(s []byte) (r rune, size int) {
	high, ok := hex4(s)
	if !ok || 0xdc00 <= high && high < 0xe000 {
		return 0, 0
	}
	if high < 0xd800 || high >= 0xe000 {
		return high, 6
	}
	if low, ok := hex4(s[6:]); ok && 0xdc00 <= low && low < 0xe000 {
		return 0x10000 + (high-0xd800)<<10 + low - 0xdc00, 12
	}
	return 0, 0
}

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
