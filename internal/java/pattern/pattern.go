// Package pattern translates Java's regular expressions (java.util.regex of JDK 17) to package regexp2. It supports
// characters and escapes, classes, anchors, groups, references, lookaround, the flags i, m and s, and all quantifiers.
// Compile returns an error for intersections and unions of classes, Unicode blocks, most Unicode properties, other
// flags and grapheme clusters. Guests may import it.
package pattern

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/dlclark/regexp2"
)

// Pattern is a compiled expression. Copies share the time limit of [Pattern.WithTimeout].
type Pattern struct {
	whole  *regexp2.Regexp // matches the whole text
	find   *regexp2.Regexp // matches any part of a text
	Groups int             // the number of capturing groups
	Names  map[string]int  // the numbers of the named groups
}

// maxLength is the maximum length of an expression in characters.
const maxLength = 1_000

// Compile translates an expression. The error names the mistake or the unsupported part.
func Compile(text string) (Pattern, error) {
	if n := utf8.RuneCountInString(text); n > maxLength {
		return Pattern{}, fmt.Errorf("expected at most %d characters, found %d", maxLength, n)
	}
	t := &translator{in: withoutQuotes([]rune(text)), atom: -1, names: map[string]int{}}
	for t.i < len(t.in) && t.err == "" {
		t.translateNext()
	}
	if t.err == "" && len(t.open) > 0 {
		t.fail("Unclosed group")
	}
	for group := t.count + 1; group <= t.maxReference; group++ {
		// Java accepts a reference to a group that does not exist: here the group exists but never matches.
		t.out.WriteString("(?:(?!)(?<" + strconv.Itoa(group) + ">))?")
	}
	if t.err != "" {
		return Pattern{}, errors.New(t.err)
	}
	p := Pattern{Groups: t.count, Names: t.names}
	var err error
	if p.find, err = regexp2.Compile(t.out.String(), regexp2.None); err == nil {
		p.whole, err = regexp2.Compile(`\A(?:`+t.out.String()+`)\z`, regexp2.None)
	}
	return p, err
}

// WithTimeout limits the time of each match of p, which it returns. Without a limit an expression may backtrack for any
// time; guests need no limit, since the host limits their calls.
func (p Pattern) WithTimeout(limit time.Duration) Pattern {
	p.find.MatchTimeout = limit
	p.whole.MatchTimeout = limit
	return p
}

// Matches reports whether the expression matches the whole text. It returns an error only after the time limit.
func (p Pattern) Matches(text string) (bool, error) { return p.whole.MatchString(text) }

// Find returns the first match in a text, with indexes in code points, or nil. The only error is the time limit.
func (p Pattern) Find(text string) (*regexp2.Match, error) { return p.find.FindStringMatch(text) }

// flags are the flags that are supported, i, m and s of (?ims).
type flags uint8

const (
	ignoreCase flags = 1 << iota
	multiline
	dotAll
)

// maxNesting is the maximum depth of groups.
const maxNesting = 100

// translator writes a Java expression in the syntax of regexp2, which is that of .NET. It expands flags and classes,
// whose meaning differs in .NET.
type translator struct {
	in  []rune
	i   int // the index in of the next code point
	out strings.Builder
	err string // the first error, "" for no error
	flags
	atom int // the offset in out of the last element that a quantifier can follow, or -1
	open []openGroup
	// count is the number of capturing groups so far. All groups have their number as a name in out, because .NET
	// numbers named groups last.
	count        int
	names        map[string]int // the numbers of the named groups
	maxReference int            // the highest group number of a reference
}

// openGroup is the state to restore at the end of a group.
type openGroup struct {
	start        int
	flags        flags
	isLookBehind bool // in which Java allows no unbounded repetition
}

// withoutQuotes replaces \Q…\E by escapes, as Java does before it parses.
func withoutQuotes(in []rune) []rune {
	var out []rune
	isQuoted := false
	for i := 0; i < len(in); i++ {
		isEscape := in[i] == '\\' && i+1 < len(in)
		switch {
		case isEscape && ((isQuoted && in[i+1] == 'E') || (!isQuoted && in[i+1] == 'Q')):
			isQuoted = !isQuoted
			i++
		case isQuoted && in[i] < utf8.RuneSelf && !isASCIILetter(in[i]) && !isDigit(in[i]):
			out = append(out, '\\', in[i])
		case isQuoted && isDigit(in[i]): // so that it does not continue a preceding number or reference
			out = append(out, '\\', 'x', '3', in[i])
		case !isQuoted && isEscape:
			out = append(out, in[i], in[i+1])
			i++
		default:
			out = append(out, in[i])
		}
	}
	return out
}

func isDigit(r rune) bool       { return r >= '0' && r <= '9' }
func isASCIILetter(r rune) bool { return r|0x20 >= 'a' && r|0x20 <= 'z' }

func (t *translator) has(f flags) bool { return t.flags&f != 0 }

// fail records the first error with its index.
func (t *translator) fail(problem string) {
	if t.err == "" {
		t.err = problem + " near index " + strconv.Itoa(min(t.i, len(t.in)))
	}
}

func (t *translator) unsupported(construct string) { t.fail(construct + " is not supported") }

// peek returns the code point at an offset from the next one, 0 after the end.
func (t *translator) peek(offset int) rune {
	if t.i+offset < len(t.in) {
		return t.in[t.i+offset]
	}
	return 0
}

// put writes an element that a quantifier can follow, and skips size runes of the input.
func (t *translator) put(text string, size int) {
	t.atom = t.out.Len()
	t.out.WriteString(text)
	t.i += size
}

// translateNext translates the next element with its quantifier, or a part of the syntax of groups.
func (t *translator) translateNext() {
	switch c := t.in[t.i]; c {
	case '\\':
		t.translateEscape()
	case '[':
		t.translateClass()
	case '(':
		t.translateGroup()
	case ')':
		if len(t.open) == 0 {
			t.fail("Unmatched closing ')'")
			return
		}
		group := t.open[len(t.open)-1]
		t.open = t.open[:len(t.open)-1]
		t.put(")", 1)
		t.atom = group.start
		t.flags = group.flags
	case '|':
		t.put("|", 1)
		t.atom = -1
		return
	case '*', '+', '?':
		t.fail("Dangling meta character '" + string(c) + "'")
	case '{':
		t.put("(?:)", 0) // without an element before it, Java repeats an empty one
	case '.':
		if t.has(dotAll) {
			t.put(`[\s\S]`, 1)
		} else {
			t.put(`[^\n\r\u0085\u2028\u2029]`, 1)
		}
	case '^':
		if t.has(multiline) {
			t.put(`(?:(?:\A|(?<=[\n\u0085\u2028\u2029])|(?<=\r)(?!\n))(?!\z))`, 1)
		} else {
			t.put(`\A`, 1)
		}
	case '$':
		if t.has(multiline) {
			t.put(`(?=\z|\r\n|(?<!\r)\n|[\r\u0085\u2028\u2029])`, 1)
		} else {
			t.put(lastLineEnd, 1)
		}
	default:
		t.i++
		t.writeLiteral(c)
	}
	if t.err == "" && t.atom >= 0 {
		t.translateQuantifier()
	}
}

// lastLineEnd is the translation of $ without the flag m, and of \Z.
const lastLineEnd = `(?=\z|\r\n\z|(?<!\r)\n\z|[\r\u0085\u2028\u2029]\z)`

// writeLiteral writes a code point, in both cases under the flag i.
func (t *translator) writeLiteral(r rune) {
	element := quoted(r)
	if t.has(ignoreCase) && isASCIILetter(r) {
		element = "[" + element + string(r^0x20) + "]"
	}
	t.put(element, 0)
}

// quoted returns the escape of a code point, valid inside and outside of classes.
func quoted(r rune) string {
	if isDigit(r) || isASCIILetter(r) || r == '_' || r > 0xffff {
		return string(r)
	}
	return fmt.Sprintf(`\u%04x`, r)
}

// translateQuantifier translates a quantifier, if any. The element of a possessive one (a*+) becomes an atomic group.
func (t *translator) translateQuantifier() {
	var quantifier string
	isUnbounded := false
	switch t.peek(0) {
	case '*', '+', '?':
		quantifier = string(t.peek(0))
		isUnbounded = t.peek(0) != '?'
		t.i++
	case '{':
		if quantifier = countedQuantifier.FindString(string(t.in[t.i:])); quantifier == "" {
			t.fail("Illegal repetition")
		}
		t.i += len(quantifier)
		isUnbounded = strings.HasSuffix(quantifier, ",}")
	default:
		return
	}
	if isUnbounded && t.isInLookBehind() {
		t.unsupported("a repetition without an upper bound in a look-behind")
	}
	switch t.peek(0) {
	case '?':
		t.i++
		t.out.WriteString(quantifier + "?")
	case '+':
		t.i++
		out := t.out.String()
		t.out.Reset()
		t.out.WriteString(out[:t.atom] + "(?>" + out[t.atom:] + quantifier + ")")
	default:
		t.out.WriteString(quantifier)
	}
	t.atom = -1
}

func (t *translator) isInLookBehind() bool {
	return slices.ContainsFunc(t.open, func(g openGroup) bool { return g.isLookBehind })
}

// countedQuantifier matches {n}, {n,} and {n,m}.
var countedQuantifier = regexp.MustCompile(`^\{[0-9]+(,[0-9]*)?\}`)

// translateGroup opens a group, or sets flags.
func (t *translator) translateGroup() {
	if len(t.open) == maxNesting {
		t.fail("more than " + strconv.Itoa(maxNesting) + " nested groups")
		return
	}
	g := openGroup{start: t.out.Len(), flags: t.flags}
	t.atom = -1
	if t.peek(1) != '?' {
		t.i++
		t.beginCapture(g)
		return
	}
	t.i += 2
	switch c := t.peek(0); {
	case c == ':' || c == '=' || c == '!' || c == '>':
		t.i++
		t.out.WriteString("(?" + string(c))
	case c == '<' && (t.peek(1) == '=' || t.peek(1) == '!'):
		g.isLookBehind = true
		t.out.WriteString("(?<" + string(t.peek(1)))
		t.i += 2
	case c == '<':
		t.i++
		name := t.readName()
		if _, ok := t.names[name]; ok {
			t.fail("Named capturing group <" + name + "> is already defined")
		}
		t.names[name] = t.count + 1
		t.beginCapture(g)
		return
	default:
		if !t.setFlags() {
			return
		}
		t.out.WriteString("(?:")
	}
	t.open = append(t.open, g)
}

// beginCapture opens a capturing group.
func (t *translator) beginCapture(g openGroup) {
	t.count++
	t.open = append(t.open, g)
	t.out.WriteString("(?<" + strconv.Itoa(t.count) + ">")
}

// readName reads a group's name and the > after it.
func (t *translator) readName() string {
	from := t.i
	if !isASCIILetter(t.peek(0)) {
		t.fail("capturing group name does not start with a Latin letter")
	}
	for isASCIILetter(t.peek(0)) || isDigit(t.peek(0)) {
		t.i++
	}
	if t.peek(0) != '>' {
		t.fail("named capturing group is missing trailing '>'")
	}
	t.i++
	return string(t.in[from:min(t.i-1, len(t.in))])
}

// setFlags reads flags such as (?im-s) or (?im-s: and applies them. opensGroup reports the second form.
func (t *translator) setFlags() (opensGroup bool) {
	for hasMinus := false; t.err == ""; t.i++ {
		c := t.peek(0)
		bit := strings.IndexRune("ims", c) // in the order of the flags
		switch {
		case c == ')', c == ':':
			t.i++
			return c == ':'
		case c == '-' && !hasMinus:
			hasMinus = true
		case c == 0:
			t.fail("Unknown group type")
		case strings.ContainsRune("cduxU", c):
			t.unsupported("the flag (?" + string(c) + ")")
		case bit < 0:
			t.fail("Unknown inline modifier")
		case hasMinus:
			t.flags &^= 1 << bit
		default:
			t.flags |= 1 << bit
		}
	}
	return false
}

// translateEscape translates an escape outside of classes.
func (t *translator) translateEscape() {
	const word = `[\p{L}\p{Nd}_]` // before JDK 19, \b includes letters beyond ASCII, unlike \w
	switch c := t.peek(1); c {
	case 'A', 'z':
		t.put(`\`+string(c), 2)
	case 'Z':
		t.put(lastLineEnd, 2)
	case 'b', 'B':
		switch {
		case c == 'b' && t.peek(2) == '{':
			t.unsupported(`\b{g}`)
		case c == 'b':
			t.put("(?:(?<="+word+")(?!"+word+")|(?<!"+word+")(?="+word+"))", 2)
		default:
			t.put("(?:(?<="+word+")(?="+word+")|(?<!"+word+")(?!"+word+"))", 2)
		}
	case 'G', 'R', 'X':
		t.unsupported(`\` + string(c))
	case 'k':
		if t.peek(2) != '<' {
			t.fail(`\k is not followed by '<' for named capturing group`)
			return
		}
		t.i += 3
		name := t.readName()
		group, ok := t.names[name]
		if !ok {
			t.fail("named capturing group <" + name + "> does not exist")
		}
		t.writeReference(group)
	case '1', '2', '3', '4', '5', '6', '7', '8', '9':
		// Further digits belong to the number as long as there is such a group so far.
		n := int(c - '0')
		for t.i += 2; isDigit(t.peek(0)) && n*10+int(t.peek(0)-'0') <= t.count; t.i++ {
			n = n*10 + int(t.peek(0)-'0')
		}
		t.writeReference(n)
	default:
		if set, ok := t.translateClassEscape(); ok {
			t.put("["+set+"]", 0)
		} else {
			t.writeLiteral(t.readEscape())
		}
	}
}

// writeReference writes a reference to a group.
func (t *translator) writeReference(group int) {
	t.maxReference = max(t.maxReference, group)
	if t.isInLookBehind() {
		t.unsupported("a reference to a group in a look-behind")
	}
	backreference := `\k<` + strconv.Itoa(group) + ">"
	if t.has(ignoreCase) {
		backreference = "(?i:" + backreference + ")"
	}
	t.put(backreference, 0)
}

// readEscape reads an escape of one code point, in a class and outside, and returns the code point.
func (t *translator) readEscape() rune {
	c := t.peek(1)
	from := t.i + 2
	t.i = min(from, len(t.in))
	switch letter := strings.IndexRune("aefnrt", c); {
	case c == 0:
		t.fail("Unexpected internal error")
	case letter >= 0:
		return []rune("\a\x1b\f\n\r\t")[letter]
	case c == '0':
		end := from
		for end < from+3 && end < len(t.in) && t.in[end] >= '0' && t.in[end] < '8' &&
			(end < from+2 || t.in[from] <= '3') {
			end++
		}
		return t.readCode(from, end, 8, "octal")
	case c == 'x' && t.peek(0) == '{':
		end := from + 1
		for end < len(t.in) && t.in[end] != '}' {
			end++
		}
		if end == len(t.in) {
			t.fail("Unclosed hexadecimal escape sequence")
		}
		r := t.readCode(from+1, end, 16, "hexadecimal")
		t.i++
		return r
	case c == 'x':
		return t.readCode(from, from+2, 16, "hexadecimal")
	case c == 'u':
		r := t.readCode(from, from+4, 16, "Unicode")
		if r >= 0xd800 && r <= 0xdfff {
			t.unsupported("half a pair of surrogates")
		}
		return r
	case c == 'c' && t.i < len(t.in):
		t.i++
		return t.in[t.i-1] ^ 64 // \cA is the character 1
	case c == 'N':
		t.unsupported(`\N, a character by its name,`)
	case isASCIILetter(c) || isDigit(c):
		t.fail("Illegal/unsupported escape sequence")
	}
	return c
}

// readCode reads the code point in digits of a base at in[from:to]. kind names the digits in an error.
func (t *translator) readCode(from, to, base int, kind string) rune {
	n, err := strconv.ParseUint(string(t.in[min(from, len(t.in)):min(to, len(t.in))]), base, 32)
	if err != nil || to > len(t.in) || n > utf8.MaxRune {
		t.fail("Illegal " + kind + " escape sequence")
	}
	t.i = min(to, len(t.in))
	return rune(n)
}
