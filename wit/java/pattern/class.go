package pattern

import (
	"strconv"
	"strings"
	"unicode"
)

// This file reads the classes of Java's regular expressions.

// class reads a class in brackets. consume: its closing bracket is its own; otherwise it is the right side of an
// intersection, which ends in front of the bracket around it.
func (t *translator) class(consume bool) runeSet {
	if t.depth++; t.depth > maxNesting {
		t.wrong("more than " + strconv.Itoa(maxNesting) + " character classes stand in one another")
		return nil
	}
	defer func() { t.depth-- }()
	negated := false
	if consume {
		t.i++
		t.skip()
		if t.peek(0) == '^' && t.in[t.i-1] == '[' {
			negated = true
			t.i++
			t.skip()
		}
	}
	var s runeSet
	any := false // something was read: a bracket ends the class
	for t.why == "" {
		t.skip()
		switch c := t.peek(0); {
		case t.i >= len(t.in):
			t.wrong("Unclosed character class")
			return nil
		case c == '[':
			s, any = s.union(t.class(true)), true
			continue
		case c == '&' && t.peek(1) == '&':
			t.i += 2
			right := t.right()
			switch {
			case t.why != "":
			case right == nil:
				t.wrong("an intersection with nothing on its right side is not supported")
			case any:
				s = s.intersect(*right)
			default:
				s, any = *right, true
			}
			continue
		case c == ']' && any:
			if consume {
				t.i++
			}
			if negated {
				return s.complement()
			}
			return s
		}
		s, any = s.union(t.classRange()), true
	}
	return nil
}

// right is the right side of an intersection, nil when nothing stands there.
func (t *translator) right() *runeSet {
	var s *runeSet
	for t.why == "" {
		t.skip()
		c := t.peek(0)
		if c == ']' || c == '&' || t.i >= len(t.in) {
			break
		}
		part := t.class(c == '[')
		if s != nil {
			part = part.union(*s)
		}
		s = &part
	}
	return s
}

// classRange reads a code point, a range of them, or an escape that is a class.
func (t *translator) classRange() runeSet {
	if t.peek(0) == '\\' {
		if s, is := t.classEscape(); is {
			return s
		}
	}
	from := t.classRune()
	t.skip()
	if t.why != "" || t.peek(0) != '-' {
		return t.single(from)
	}
	switch t.peek(1) {
	case '[', ']', 0:
		return t.single(from)
	}
	t.i++
	t.skip()
	to := t.classRune()
	if t.why == "" && to < from {
		t.wrong("Illegal character range")
	}
	if t.why != "" {
		return nil
	}
	return t.fold(setOf(from, to))
}

func (t *translator) classRune() rune {
	if t.peek(0) == '\\' {
		return t.character()
	}
	if t.i >= len(t.in) { // a comment, under the flag x, went to the end
		t.wrong("Unclosed character class")
		return 0
	}
	t.i++
	return t.in[t.i-1]
}

// Classes of ASCII, by the names that \p knows.
var posix = map[string]runeSet{
	"Lower": setOf('a', 'z'), "Upper": setOf('A', 'Z'), "ASCII": setOf(0, 0x7f), "Alpha": setOf('a', 'z', 'A', 'Z'),
	"Digit": setOf('0', '9'),
	"Alnum": setOf('a', 'z', 'A', 'Z', '0', '9'), "XDigit": setOf('0', '9', 'a', 'f', 'A', 'F'), "Punct": setOf('!',
		'/', ':', '@', '[', '`',
		'{', '~'),
	"Graph": setOf('!', '~'), "Print": setOf(' ', '~'), "Blank": setOf(' ', ' ', '\t', '\t'), "Cntrl": setOf(0, 0x1f,
		0x7f, 0x7f),
	"Space": setOf(' ', ' ', '\t', '\r'),
}

// binary are properties of Unicode's, by their names in lower case without what stands between words.
func binary(name string) (runeSet, bool) {
	tables := func(t ...*unicode.RangeTable) (runeSet, bool) { return setOfTables(t...), true }
	switch strings.ReplaceAll(strings.ToLower(name), "_", "") {
	case "alphabetic":
		return tables(unicode.Letter, unicode.Nl, unicode.Other_Alphabetic)
	case "letter":
		return tables(unicode.Letter)
	case "ideographic":
		return tables(unicode.Ideographic)
	case "lowercase":
		return tables(unicode.Ll, unicode.Other_Lowercase)
	case "uppercase":
		return tables(unicode.Lu, unicode.Other_Uppercase)
	case "titlecase":
		return tables(unicode.Lt)
	case "whitespace":
		return tables(unicode.White_Space)
	case "control":
		return tables(unicode.Cc)
	case "punctuation":
		return tables(unicode.P)
	case "hexdigit":
		return tables(unicode.Nd, unicode.Hex_Digit)
	case "digit":
		return tables(unicode.Nd)
	case "joincontrol":
		return tables(unicode.Join_Control)
	case "noncharactercodepoint":
		return tables(unicode.Noncharacter_Code_Point)
	case "assigned":
		return unassigned().complement(), true
	}
	return nil, false
}

// others are the categories of what is assigned and is no character that is seen. Go's unicode.C is more: since Go 1.25
// it has what is not assigned, too.
func others() runeSet { return setOfTables(unicode.Cc, unicode.Cf, unicode.Co, unicode.Cs) }

// unassigned is the category Cn, by what is left of all others.
func unassigned() runeSet {
	return setOfTables(unicode.L, unicode.M, unicode.N, unicode.P, unicode.S, unicode.Z).union(others()).complement()
}

// javaMethod is the set of one of the methods of java.lang.Character that \p{java…} asks. isMirrored is not among
// them: Go has no table for it.
func javaMethod(name string) (runeSet, bool) {
	switch name {
	case "LowerCase", "UpperCase", "Alphabetic", "Ideographic", "TitleCase", "Digit", "Letter":
		return binary(name)
	case "LetterOrDigit":
		return setOfTables(unicode.Letter, unicode.Nd), true
	case "SpaceChar":
		return setOfTables(unicode.Z), true
	case "Whitespace":
		return setOfTables(unicode.Z).intersect(setOfAll("\u00a0\u2007\u202f").complement()).union(setOf('\t', '\r',
			0x1c, 0x1f)), true
	case "ISOControl":
		return setOf(0, 0x1f, 0x7f, 0x9f), true
	case "Defined":
		return unassigned().complement(), true
	case "IdentifierIgnorable":
		return ignorable(), true
	case "JavaIdentifierStart":
		return setOfTables(unicode.Letter, unicode.Nl, unicode.Sc, unicode.Pc), true
	case "JavaIdentifierPart":
		return setOfTables(unicode.Letter, unicode.Nl, unicode.Sc, unicode.Pc, unicode.Nd, unicode.Mn,
			unicode.Mc).union(ignorable()), true
	case "UnicodeIdentifierStart":
		return setOfTables(unicode.Letter, unicode.Nl, unicode.Other_ID_Start), true
	case "UnicodeIdentifierPart":
		return setOfTables(unicode.Letter, unicode.Nl, unicode.Other_ID_Start, unicode.Other_ID_Continue, unicode.Nd,
			unicode.Mn, unicode.Mc, unicode.Pc).union(ignorable()), true
	}
	return nil, false
}

// ignorable are the characters that java.lang.Character lets stand in names without meaning.
func ignorable() runeSet {
	return setOfTables(unicode.Cf).union(setOf(0, 8, 0x0e, 0x1b, 0x7f, 0x9f))
}

// wordSet is \w.
func (t *translator) wordSet() runeSet {
	if t.has(unicodeClasses) {
		return wideWord()
	}
	return setOf('a', 'z', 'A', 'Z', '0', '9', '_', '_')
}

// wideWord is \w as Unicode has it.
func wideWord() runeSet {
	letters, _ := binary("alphabetic")
	return letters.union(setOfTables(unicode.Mn, unicode.Me, unicode.Mc, unicode.Nd, unicode.Pc, unicode.Join_Control))
}

// classEscape reads an escape that is a class, in brackets and outside.
func (t *translator) classEscape() (s runeSet, is bool) {
	c := t.peek(1)
	wide := t.has(unicodeClasses)
	switch c {
	case 'd', 'D':
		if s = posix["Digit"]; wide {
			s = setOfTables(unicode.Nd)
		}
	case 'w', 'W':
		s = t.wordSet()
	case 's', 'S':
		if s = posix["Space"]; wide {
			s = setOfTables(unicode.White_Space)
		}
	case 'h', 'H':
		s = setOfAll(" \t\u00a0\u1680\u180e\u202f\u205f\u3000").union(setOf(0x2000, 0x200a))
	case 'v', 'V':
		s = setOfAll("\u0085\u2028\u2029").union(setOf('\n', '\r'))
	case 'p', 'P':
		return t.property(c == 'P'), true
	default:
		return nil, false
	}
	t.i += 2
	if c < 'a' {
		s = s.complement()
	}
	return t.charge(s), true
}

// property reads \p{…} and \pL.
func (t *translator) property(negated bool) runeSet {
	t.i += 2
	t.skip()
	name := ""
	if t.peek(0) == '{' {
		end := 1
		for t.peek(end) != '}' {
			if t.i+end >= len(t.in) {
				t.wrong("Unclosed character family")
				return nil
			}
			end++
		}
		if name = string(t.in[t.i+1 : t.i+end]); name == "" {
			t.wrong("Empty character family")
			return nil
		}
		t.i += end + 1
	} else if t.i < len(t.in) {
		name = string(t.peek(0))
		t.i++
	} else {
		t.wrong("Illegal/unsupported escape sequence")
		return nil
	}
	key := strconv.Itoa(int(t.flags)) + name
	s, known := t.families[key]
	if !known {
		var why string
		if s, why = t.family(name); why != "" {
			t.wrong(why)
			return nil
		}
		t.families[key] = s
	}
	t.charge(s)
	if negated {
		return s.complement()
	}
	return s
}

// family is the set of a name in \p{…}.
func (t *translator) family(name string) (s runeSet, why string) {
	known := false
	if key, value, given := strings.Cut(name, "="); given {
		switch strings.ToLower(key) {
		case "sc", "script":
			if s, known = script(value); !known {
				return nil, "Unknown character script name {" + value + "}"
			}
		case "gc", "general_category":
			if s, known = t.category(value); !known {
				return nil, "Unknown Unicode property {name=<" + key + ">, value=<" + value + ">}"
			}
		case "blk", "block":
			if s, known = block(value); !known {
				return nil, "Unknown character block name {" + value + "}"
			}
		default:
			return nil, "Unknown Unicode property {name=<" + key + ">, value=<" + value + ">}"
		}
		return s, ""
	}
	switch {
	case strings.HasPrefix(name, "In"):
		if s, known = block(name[2:]); !known {
			return nil, "Unknown character block name {" + name[2:] + "}"
		}
	case strings.HasPrefix(name, "Is"):
		if s, known = t.cased(name[2:], ofUnicode); !known {
			if s, known = t.category(name[2:]); !known {
				s, known = script(name[2:])
			}
		}
	case strings.HasPrefix(name, "java"):
		if s, known = t.cased(name[4:], javaMethod); !known {
			return nil, `\p{` + name + "} is not known or not supported"
		}
	default:
		if t.has(unicodeClasses) {
			switch lower := strings.ToLower(name); {
			case t.has(ignoreCase) && (lower == "lower" || lower == "upper"):
				s, known = t.cased("uppercase", binary)
			default:
				s, known = wide(name)
			}
		}
		if !known {
			s, known = t.category(name)
		}
	}
	if !known {
		return nil, "Unknown character property name {" + name + "}"
	}
	return s, ""
}

// cased looks a property up; of those of one case, all three count where case is ignored.
func (t *translator) cased(name string, in func(string) (runeSet, bool)) (runeSet, bool) {
	s, known := in(name)
	if known && t.has(ignoreCase) {
		switch strings.ToLower(strings.ReplaceAll(name, "_", "")) {
		case "lowercase", "uppercase", "titlecase", "lower", "upper":
			lower, _ := binary("lowercase")
			upper, _ := binary("uppercase")
			return lower.union(upper).union(setOfTables(unicode.Lt)), true
		}
	}
	return s, known
}

// ofUnicode is a property or class by what follows Is: the names of POSIX mean Unicode's there, with or without
// the flag U.
func ofUnicode(name string) (runeSet, bool) {
	if strings.EqualFold(name, "word") {
		return wideWord(), true
	}
	if s, known := wide(name); known {
		return s, true
	}
	return binary(name)
}

// wide is a class of POSIX's as Unicode has it, under the flag U.
func wide(name string) (runeSet, bool) {
	switch strings.ToLower(name) {
	case "alpha":
		return binary("alphabetic")
	case "lower":
		return binary("lowercase")
	case "upper":
		return binary("uppercase")
	case "space":
		return binary("whitespace")
	case "punct":
		return binary("punctuation")
	case "xdigit":
		return binary("hexdigit")
	case "digit":
		return binary("digit")
	case "cntrl":
		return binary("control")
	case "alnum":
		letters, _ := binary("alphabetic")
		return letters.union(setOfTables(unicode.Nd)), true
	case "blank":
		return setOfTables(unicode.Zs).union(setOf('\t', '\t')), true
	case "graph":
		return setOfTables(unicode.White_Space, unicode.Cc, unicode.Cs).union(unassigned()).complement(), true
	case "print":
		graph, _ := wide("graph")
		blank, _ := wide("blank")
		return graph.union(blank).intersect(setOfTables(unicode.Cc).complement()), true
	}
	return nil, false
}

// category is a general category, or a class of ASCII's.
func (t *translator) category(name string) (runeSet, bool) {
	if s, known := posix[name]; known {
		if t.has(ignoreCase) && (name == "Lower" || name == "Upper") {
			s = posix["Alpha"]
		}
		return s, true
	}
	if t.has(ignoreCase) {
		switch name {
		case "Lu", "Ll", "Lt":
			name = "LC"
		}
	}
	switch name {
	case "Cn":
		return unassigned(), true
	case "C":
		return others().union(unassigned()), true
	case "LC":
		return setOfTables(unicode.Lu, unicode.Ll, unicode.Lt), true
	case "LD":
		return setOfTables(unicode.L, unicode.Nd), true
	case "L1":
		return setOf(0, 0xff), true
	case "all":
		return allRunes, true
	}
	if table := unicode.Categories[name]; table != nil && len(name) <= 2 {
		return setOfTables(table), true
	}
	return nil, false
}
