package pattern

import (
	"slices"
	"strings"
	"unicode"
)

// classes contains the ASCII classes of \p{…} by name and the classes of escapes by letter, as pairs of first and last
// code point.
var classes = map[string]string{
	"Lower": "az", "Upper": "AZ", "ASCII": "\x00\x7f", "Alpha": "AZaz", "Digit": "09", "Alnum": "09AZaz",
	"XDigit": "09AFaf", "Punct": "!/:@[`{~", "Graph": "!~", "Print": " ~", "Blank": "\t\t  ",
	"Cntrl": "\x00\x1f\x7f\x7f", "Space": "\t\r  ",
	"d": "09", "w": "09AZ__az", "s": "\t\r  ", "v": "\n\r\u0085\u0085\u2028\u2029",
	"h": "\t\t  \u00a0\u00a0\u1680\u1680\u180e\u180e\u2000\u200a\u202f\u202f\u205f\u205f\u3000\u3000",
}

// ranges returns ranges for a class in brackets: of the pairs of first and last code point, which are sorted, or of all
// other code points if isNegated is set.
func ranges(pairs string, isNegated bool) string {
	bounds := []rune(pairs)
	if isNegated {
		var complement []rune
		next := rune(0)
		for i := 0; i < len(bounds); i += 2 {
			if bounds[i] > next {
				complement = append(complement, next, bounds[i]-1)
			}
			next = bounds[i+1] + 1
		}
		bounds = append(complement, next, unicode.MaxRune)
	}
	var b strings.Builder
	for i := 0; i < len(bounds); i += 2 {
		b.WriteString(quoted(bounds[i]) + "-" + quoted(bounds[i+1]))
	}
	return b.String()
}

// translateClass translates a class in brackets.
func (t *translator) translateClass() {
	t.i++
	translated := "["
	if t.peek(0) == '^' {
		t.i++
		translated = "[^"
	}
	for isEmpty := true; t.err == ""; isEmpty = false {
		switch c := t.peek(0); {
		case t.i >= len(t.in):
			t.fail("Unclosed character class")
		case c == '[':
			t.unsupported("a class in a class")
		case c == '&' && t.peek(1) == '&':
			t.unsupported("an intersection of classes")
		case c == ']' && !isEmpty: // at the start it is a literal
			t.put(translated+"]", 1)
			return
		default:
			translated += t.translateClassRange()
		}
	}
}

// translateClassRange translates an element of a class: a code point, a range, or an escape that is a class.
func (t *translator) translateClassRange() string {
	if set, ok := t.translateClassEscape(); ok {
		return set
	}
	from := t.readClassRune()
	to := from
	if next := t.peek(1); t.peek(0) == '-' && next != ']' && next != '[' && next != 0 {
		t.i++
		if to = t.readClassRune(); to < from {
			t.fail("Illegal character range")
		}
	}
	set := quoted(from) + "-" + quoted(to)
	if !t.has(ignoreCase) {
		return set
	}
	for _, first := range "Aa" { // adds the other case of the letters in the range
		if low, high := max(from, first), min(to, first+25); low <= high {
			set += string(low^0x20) + "-" + string(high^0x20)
		}
	}
	return set
}

// readClassRune reads a code point of a class.
func (t *translator) readClassRune() rune {
	if t.peek(0) == '\\' {
		return t.readEscape()
	}
	t.i++
	return t.in[t.i-1]
}

// translateClassEscape translates an escape that is a class, such as \d, into elements of a class in brackets. ok is
// false, and nothing is read, if there is no such escape.
func (t *translator) translateClassEscape() (set string, ok bool) {
	if t.peek(0) != '\\' {
		return "", false
	}
	c := t.peek(1)
	if c == 'p' || c == 'P' {
		t.i += 2
		return t.translateProperty(c == 'P'), true
	}
	pairs, ok := classes[string(unicode.ToLower(c))]
	if !ok || !isASCIILetter(c) {
		return "", false
	}
	t.i += 2
	return ranges(pairs, c < 'a'), true
}

// translateProperty translates \p{…} and \pL: the classes of ASCII, general categories and, with Is, scripts.
func (t *translator) translateProperty(isNegated bool) string {
	name := string(t.peek(0))
	size := 1
	if name == "{" {
		braced, _, isClosed := strings.Cut(string(t.in[t.i+1:]), "}")
		if !isClosed {
			t.fail("Unclosed character family")
		}
		name = braced
		size = len([]rune(braced)) + 2
	}
	escape := `\p{`
	if isNegated {
		escape = `\P{`
	}
	pairs, isASCII := classes[name]
	withoutIs, hasIs := strings.CutPrefix(name, "Is")
	ignoresCase := t.has(ignoreCase) && slices.Contains([]string{"Lower", "Upper", "Lu", "Ll", "Lt"}, withoutIs)
	defer func() { t.i += size }()
	switch {
	case ignoresCase && isASCII:
		return ranges(classes["Alpha"], isNegated)
	case isASCII && len(name) > 1: // classes of one letter are escapes, such as \d, not properties
		return ranges(pairs, isNegated)
	case ignoresCase && isNegated:
		t.unsupported(`\P{` + name + "} under the flag i")
	case ignoresCase && len(withoutIs) == 2:
		return `\p{Lu}\p{Ll}\p{Lt}`
	case len(withoutIs) <= 2 && withoutIs != "C" && withoutIs != "Cn" && unicode.Categories[withoutIs] != nil,
		hasIs && unicode.Scripts[withoutIs] != nil:
		return escape + withoutIs + "}"
	}
	t.unsupported(`\p{` + name + "}")
	return ""
}
