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

// ranges returns pairs of code points, or all others if negated, for a class in brackets.
func ranges(pairs string, negated bool) string {
	list := []rune(pairs)
	if negated {
		var others []rune
		next := rune(0)
		for i := 0; i < len(list); i += 2 {
			if list[i] > next {
				others = append(others, next, list[i]-1)
			}
			next = list[i+1] + 1
		}
		list = append(others, next, unicode.MaxRune)
	}
	var b strings.Builder
	for i := 0; i < len(list); i += 2 {
		b.WriteString(quoted(list[i]) + "-" + quoted(list[i+1]))
	}
	return b.String()
}

// class translates a class in brackets.
func (t *translator) class() {
	t.i++
	translated := "["
	if t.peek(0) == '^' {
		t.i++
		translated = "[^"
	}
	for any := false; t.err == ""; any = true {
		switch c := t.peek(0); {
		case t.i >= len(t.in):
			t.fail("Unclosed character class")
		case c == '[':
			t.unsupported("a class in a class")
		case c == '&' && t.peek(1) == '&':
			t.unsupported("an intersection of classes")
		case c == ']' && any:
			t.put(translated+"]", 1)
			return
		default:
			translated += t.classRange()
		}
	}
}

// classRange translates a code point, a range, or an escape that is a class.
func (t *translator) classRange() string {
	if set, ok := t.classEscape(); ok {
		return set
	}
	from := t.classRune()
	to := from
	if next := t.peek(1); t.peek(0) == '-' && next != ']' && next != '[' && next != 0 {
		t.i++
		if to = t.classRune(); to < from {
			t.fail("Illegal character range")
		}
	}
	set := quoted(from) + "-" + quoted(to)
	if !t.has(ignoreCase) {
		return set
	}
	for _, first := range "Aa" { // the other case of what the range has of these letters
		if low, high := max(from, first), min(to, first+25); low <= high {
			set += string(low^0x20) + "-" + string(high^0x20)
		}
	}
	return set
}

func (t *translator) classRune() rune {
	if t.peek(0) == '\\' {
		return t.character()
	}
	t.i++
	return t.in[t.i-1]
}

// classEscape translates an escape that is a class, as it stands in brackets.
func (t *translator) classEscape() (set string, ok bool) {
	if t.peek(0) != '\\' {
		return "", false
	}
	c := t.peek(1)
	if c == 'p' || c == 'P' {
		t.i += 2
		return t.property(c == 'P'), true
	}
	pairs, ok := classes[string(unicode.ToLower(c))]
	if !ok || !isASCIILetter(c) {
		return "", false
	}
	t.i += 2
	return ranges(pairs, c < 'a'), true
}

// property translates \p{…} and \pL: the classes of ASCII, general categories and, with Is, scripts.
func (t *translator) property(negated bool) string {
	name := string(t.peek(0))
	size := 1
	if name == "{" {
		inside, _, closed := strings.Cut(string(t.in[t.i+1:]), "}")
		if !closed {
			t.fail("Unclosed character family")
		}
		name = inside
		size = len([]rune(inside)) + 2
	}
	escape := `\p{`
	if negated {
		escape = `\P{`
	}
	pairs, ascii := classes[name]
	bare, ok := strings.CutPrefix(name, "Is")
	cased := t.has(ignoreCase) && slices.Contains([]string{"Lower", "Upper", "Lu", "Ll", "Lt"}, bare)
	defer func() { t.i += size }()
	switch {
	case cased && ascii:
		return ranges(classes["Alpha"], negated)
	case ascii && len(name) > 1:
		return ranges(pairs, negated)
	case cased && negated:
		t.unsupported(`\P{` + name + "} under the flag i")
	case cased && len(bare) == 2:
		return `\p{Lu}\p{Ll}\p{Lt}`
	case len(bare) <= 2 && bare != "C" && bare != "Cn" && unicode.Categories[bare] != nil,
		ok && unicode.Scripts[bare] != nil:
		return escape + bare + "}"
	}
	t.unsupported(`\p{` + name + "}")
	return ""
}
