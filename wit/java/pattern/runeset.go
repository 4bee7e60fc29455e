package pattern

import (
	"slices"
	"strings"
	"sync"
	"unicode"
)

// runeSet is a set of code points: ranges in order that do not touch.
type runeSet []runeRange

// runeRange is a range of code points, both ends included.
type runeRange struct{ from, to rune }

// allRunes is every code point.
var allRunes = runeSet{{0, unicode.MaxRune}}

// setOf makes a set of pairs of first and last code points.
func setOf(pairs ...rune) runeSet {
	var s runeSet
	for i := 0; i < len(pairs); i += 2 {
		s = append(s, runeRange{pairs[i], pairs[i+1]})
	}
	return s.normal()
}

// setOfAll makes a set of the code points of a text.
func setOfAll(text string) runeSet {
	var s runeSet
	for _, r := range text {
		s = append(s, runeRange{r, r})
	}
	return s.normal()
}

// setOfTables makes a set of tables of Unicode's.
func setOfTables(tables ...*unicode.RangeTable) runeSet {
	var s runeSet
	add := func(lo, hi, stride rune) {
		if stride == 1 {
			s = append(s, runeRange{lo, hi})
			return
		}
		for r := lo; r <= hi; r += stride {
			s = append(s, runeRange{r, r})
		}
	}
	for _, t := range tables {
		for _, x := range t.R16 {
			add(rune(x.Lo), rune(x.Hi), rune(x.Stride))
		}
		for _, x := range t.R32 {
			add(rune(x.Lo), rune(x.Hi), rune(x.Stride))
		}
	}
	return s.normal()
}

// normal sorts the ranges and joins those that touch.
func (s runeSet) normal() runeSet {
	slices.SortFunc(s, func(a, b runeRange) int { return int(a.from) - int(b.from) })
	out := s[:0]
	for _, x := range s {
		if n := len(out); n > 0 && x.from <= out[n-1].to+1 {
			out[n-1].to = max(out[n-1].to, x.to)
			continue
		}
		out = append(out, x)
	}
	return out
}

func (s runeSet) union(o runeSet) runeSet { return append(slices.Clone(s), o...).normal() }

func (s runeSet) complement() runeSet {
	var out runeSet
	next := rune(0)
	for _, x := range s {
		if x.from > next {
			out = append(out, runeRange{next, x.from - 1})
		}
		next = x.to + 1
	}
	if next <= unicode.MaxRune {
		out = append(out, runeRange{next, unicode.MaxRune})
	}
	return out
}

func (s runeSet) intersect(o runeSet) runeSet {
	return s.complement().union(o.complement()).complement()
}

// lastCased is the last code point that has another case.
const lastCased = 0x1e943

// cased are the code points that have another case, in order.
var cased = sync.OnceValue(func() (all []rune) {
	for r := rune(0); r <= lastCased; r++ {
		if unicode.SimpleFold(r) != r || strings.ContainsRune(lettersI, r) {
			all = append(all, r)
		}
	}
	return all
})

// folded adds the other cases of letters: those of ASCII, or with unicode set all.
func (s runeSet) folded(all bool) runeSet {
	out := slices.Clone(s)
	for _, x := range s {
		first, _ := slices.BinarySearch(cased(), x.from)
		for _, r := range cased()[first:] {
			if r > x.to || !all && r > unicode.MaxASCII {
				break
			}
			for f := unicode.SimpleFold(r); f != r; f = unicode.SimpleFold(f) {
				if all && x.takes(f) || !all && f <= unicode.MaxASCII {
					out = append(out, runeRange{f, f})
				}
			}
			if all && strings.ContainsRune(lettersI, r) {
				for _, f := range lettersI {
					if x.takes(f) {
						out = append(out, runeRange{f, f})
					}
				}
			}
		}
	}
	return out.normal()
}

// lettersI are all one letter to Java where case is ignored; to Unicode's own folding the Turkish two are letters of
// their own.
const lettersI = "iI\u0130\u0131"

// takes tells whether a letter is one of the range's where case is ignored by (?iu), as java.util.regex was found
// to do it: a letter of the text is brought to upper case and that to lower case. A single letter of an expression is,
// too, unless it has no other case of its own: ẞ takes ß, and ß, whose upper case is two letters, does not take ẞ. A
// range takes what either case of the letter lies in.
func (x runeRange) takes(r rune) bool {
	upper := unicode.ToUpper(r)
	lower := unicode.ToLower(upper)
	if x.from != x.to {
		return x.from <= upper && upper <= x.to || x.from <= lower && lower <= x.to
	}
	own := unicode.ToUpper(x.from)
	if own == x.from && unicode.ToLower(own) == own {
		return r == own
	}
	return lower == unicode.ToLower(own)
}

// write writes a set in regexp2's syntax.
func (s runeSet) write(b *strings.Builder) {
	switch {
	case len(s) == 0:
		b.WriteString("(?!)")
		return
	case len(s) == 1 && s[0].from == s[0].to:
		writeRune(b, s[0].from)
		return
	}
	b.WriteByte('[')
	for _, x := range s.writeCategories(b) {
		writeRune(b, x.from)
		if x.to > x.from {
			b.WriteByte('-')
			writeRune(b, x.to)
		}
	}
	b.WriteByte(']')
}

// manyRanges is the number of ranges from which on categories are looked for in a set: regexp2 sorts a class again for
// each range that it reads, which takes tens of milliseconds for the 650 of the letters.
const manyRanges = 100

// writeCategories writes what of a set with many ranges is a whole category, by the name that regexp2 has for it and of
// the same tables, and returns what is left.
func (s runeSet) writeCategories(b *strings.Builder) runeSet {
	if len(s) < manyRanges {
		return s
	}
	for _, name := range [...]string{"L", "Ll", "Lu"} {
		set := setOfTables(unicode.Categories[name])
		for _, escape := range [...]string{`\p`, `\P`} {
			if rest := s.without(set); len(rest) < len(s)/2 && len(set.without(s)) == 0 {
				b.WriteString(escape + "{" + name + "}")
				return rest
			}
			set = set.complement()
		}
	}
	return s
}

func (s runeSet) without(o runeSet) runeSet { return s.intersect(o.complement()) }

// writeRune writes a code point that stands for itself, in a class and outside.
func writeRune(b *strings.Builder, r rune) {
	const hex = "0123456789abcdef"
	switch {
	case r >= '0' && r <= '9', r >= 'a' && r <= 'z', r >= 'A' && r <= 'Z', r == '_', r > 0xffff:
		b.WriteRune(r)
	default:
		b.WriteString(`\u`)
		for shift := 12; shift >= 0; shift -= 4 {
			b.WriteByte(hex[r>>shift&15])
		}
	}
}
