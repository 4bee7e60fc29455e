// Package pattern reads regular expressions in the syntax of Java's java.util.regex and matches them with regexp2: the
// transforms', predicates' and delta links' in the guests, those of topics' names in the host. class.go has its
// classes, block.go the blocks of Unicode, script.go its scripts, runeset.go sets of code points, replacement.go what
// replaces a match.
package pattern

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/dlclark/regexp2"
)

// Pattern is a Java regular expression.
type Pattern struct {
	// whole must match the whole text, find any part of it.
	whole, find *regexp2.Regexp
	// Groups is how many groups there are, Names are the numbers of those with a name. Java numbers all by where they
	// open.
	Groups int
	Names  map[string]int
	// States is what the expression takes: one for each thing that it matches, a range of code points being one.
	States int
}

// What an expression may have, so that reading it takes a tenth of a second at most: a class of three characters has
// hundreds of ranges.
const (
	maxLength = 1_000
	maxStates = 10_000
)

// Compile reads an expression in Java's syntax. The error says what is wrong with it, or what of it is not supported.
func Compile(text string) (Pattern, error) {
	if n := utf8.RuneCountInString(text); n > maxLength {
		return Pattern{}, fmt.Errorf("expected at most %d characters, found %d", maxLength, n)
	}
	t := translate(text)
	if t.why != "" {
		return Pattern{States: t.states}, errors.New(t.why)
	}
	p := Pattern{Groups: t.count, Names: t.names, States: t.states}
	var err error
	if p.find, err = regexp2.Compile(t.out.String(), regexp2.None); err == nil {
		p.whole, err = regexp2.Compile(`\A(?:`+t.out.String()+`)\z`, regexp2.None)
	}
	return p, err
}

// Within bounds each match by a time; without it a match of an expression that goes back and forth takes as long as it
// takes. A guest needs no such bound: its host ends it.
func (p Pattern) Within(most time.Duration) Pattern {
	p.find.MatchTimeout, p.whole.MatchTimeout = most, most
	return p
}

// Matches tells whether the expression matches the whole text. The error is that of a match that took too long.
func (p Pattern) Matches(text string) (bool, error) { return p.whole.MatchString(text) }

// Find is the first match in a text, with places in code points; nil: there is none. The error is that of a match that
// took too long.
func (p Pattern) Find(text string) (*regexp2.Match, error) { return p.find.FindStringMatch(text) }

// flags are those of java.util.regex.Pattern that expressions set: (?idmsuxU).
type flags uint8

const (
	ignoreCase flags = 1 << iota
	unixLines
	multiline
	dotAll
	unicodeCase
	comments
	unicodeClasses
)

// maxNesting is how deep groups and classes may stand in one another.
const maxNesting = 100

// translator writes a Java regular expression (java.util.regex.Pattern of JDK 17) in regexp2's syntax, which is .NET's.
// Classes are worked out to code points, flags to what they mean, so that nothing is left to .NET's reading of them. It
// says why where it cannot: names of characters, grapheme clusters, canonical equivalence.
type translator struct {
	in  []rune
	i   int
	out strings.Builder
	why string
	flags
	// atom is where in out the last thing that can be repeated begins, -1: none.
	atom int
	// open are the groups that are open here.
	open []openGroup
	// count and names are those of the capturing groups. All are given their number in out, because .NET would number
	// named ones last.
	count int
	names map[string]int
	// referred is the highest number of a group that is referred to.
	referred int
	// depth is how deep classes stand in one another.
	depth int
	// states counts the states so far, families holds the sets of names in \p{…} by flags and name.
	states   int
	families map[string]runeSet
}

// openGroup is what comes back where a group ends.
type openGroup struct {
	start int
	flags flags
	// behind: a look-behind, whose length must be bounded.
	behind bool
}

func translate(java string) *translator {
	t := &translator{in: withoutQuotes([]rune(java)), atom: -1, names: map[string]int{}, families: map[string]runeSet{}}
	for t.skip(); t.i < len(t.in) && t.why == ""; t.skip() {
		t.next()
	}
	if t.why == "" && len(t.open) > 0 {
		t.why = "Unclosed group near index " + strconv.Itoa(len(t.in))
	}
	for group := t.count + 1; group <= t.referred; group++ {
		// Java takes a reference to a group that does not exist, which never matches. Here there is one, never entered.
		t.write("(?:(?!)(?<" + strconv.Itoa(group) + ">))?")
	}
	return t
}

// withoutQuotes writes what stands between \Q and \E with backslashes instead, as Java does before it reads an
// expression.
func withoutQuotes(in []rune) []rune {
	var out []rune
	quoted := false
	for i := 0; i < len(in); i++ {
		switch {
		case quoted && in[i] == '\\' && i+1 < len(in) && in[i+1] == 'E':
			quoted = false
			i++
		case quoted && in[i] < 0x80 && !isASCIILetter(in[i]) && !isDigit(in[i]):
			out = append(out, '\\', in[i])
		case quoted && isDigit(in[i]) && len(out) > 0:
			// not as a part of a number or reference in front of it
			out = append(out, '\\', 'x', '3', in[i])
		case quoted:
			out = append(out, in[i])
		case in[i] == '\\' && i+1 < len(in) && in[i+1] == 'Q':
			quoted = true
			i++
		case in[i] == '\\' && i+1 < len(in):
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

func (t *translator) wrong(why string) {
	if t.why == "" {
		t.why = why + " near index " + strconv.Itoa(min(t.i, len(t.in)))
	}
}

// peek is the rune some places on, 0 after the end.
func (t *translator) peek(on int) rune {
	if t.i+on < len(t.in) {
		return t.in[t.i+on]
	}
	return 0
}

// charge counts the states of a set.
func (t *translator) charge(s runeSet) runeSet {
	if t.states += max(1, len(s)); t.states > maxStates {
		t.wrong("expected an expression of at most " + strconv.Itoa(maxStates) + " states, found more")
	}
	return s
}

// skip passes blanks and comments where the flag x is set.
func (t *translator) skip() {
	for t.has(comments) && t.i < len(t.in) {
		switch c := t.in[t.i]; {
		case c == ' ' || c >= '\t' && c <= '\r':
			t.i++
		case c == '#':
			for t.i < len(t.in) && !t.endsLine(t.in[t.i]) {
				t.i++
			}
		default:
			return
		}
	}
}

func (t *translator) endsLine(r rune) bool {
	return r == '\n' || !t.has(unixLines) && (r == '\r' || r == 0x85 || r == 0x2028 || r == 0x2029)
}

// begin notes that something begins that can be repeated.
func (t *translator) begin() { t.atom = t.out.Len() }

func (t *translator) write(text string) { t.out.WriteString(text) }

// put writes something that can be repeated, and passes what it stands for.
func (t *translator) put(text string, size int) {
	t.begin()
	t.write(text)
	t.i += size
}

// putSet writes a class.
func (t *translator) putSet(s runeSet) {
	t.begin()
	s.write(&t.out)
}

func (t *translator) next() {
	switch c := t.in[t.i]; c {
	case '\\':
		t.escape()
	case '[':
		if s := t.class(true); t.why == "" {
			t.putSet(s)
		}
	case '(':
		t.group()
	case ')':
		if len(t.open) == 0 {
			t.wrong("Unmatched closing ')'")
			return
		}
		last := t.open[len(t.open)-1]
		t.open = t.open[:len(t.open)-1]
		t.write(")")
		t.i++
		t.atom, t.flags = last.start, last.flags
		t.repeat()
		return
	case '|':
		t.write("|")
		t.i++
		t.atom = -1
		return
	case '*', '+', '?':
		t.wrong("Dangling meta character '" + string(c) + "'")
	case '{':
		// Java repeats the nothing that stands in front of it.
		t.begin()
		t.write("(?:)")
	case '.':
		switch {
		case t.has(dotAll):
			t.put(`[\s\S]`, 1)
		case t.has(unixLines):
			t.put(`[^\n]`, 1)
		default:
			t.put(`[^\n\r\u0085\u2028\u2029]`, 1)
		}
	case '^':
		switch {
		case !t.has(multiline):
			t.put(`\A`, 1)
		case t.has(unixLines):
			t.put(`(?:(?:\A|(?<=\n))(?!\z))`, 1)
		default:
			t.put(`(?:(?:\A|(?<=[\n\u0085\u2028\u2029])|(?<=\r)(?!\n))(?!\z))`, 1)
		}
	case '$':
		t.put(t.lineEnd(t.has(multiline)), 1)
	default:
		t.i++
		t.literal(c)
	}
	if t.why == "" && t.atom >= 0 {
		t.repeat()
	}
}

// lineEnd is $, or \Z where it does not mean every line's end.
func (t *translator) lineEnd(every bool) string {
	switch {
	case t.has(unixLines) && every:
		return `(?=\z|\n)`
	case t.has(unixLines):
		return `(?=\n?\z)`
	case every:
		return `(?=\z|\r\n|(?<!\r)\n|[\r\u0085\u2028\u2029])`
	}
	return `(?=\z|\r\n\z|(?<!\r)\n\z|[\r\u0085\u2028\u2029]\z)`
}

func (t *translator) literal(r rune) { t.putSet(t.single(r)) }

// single is a code point with its other cases, where they count.
func (t *translator) single(r rune) runeSet { return t.fold(setOf(r, r)) }

func (t *translator) fold(s runeSet) runeSet {
	if t.has(ignoreCase) {
		s = s.folded(t.has(unicodeCase))
	}
	return t.charge(s)
}

// repeat takes the repetition that follows something, if one does. A possessive one (`a*+`) becomes an atomic
// group.
func (t *translator) repeat() {
	t.skip()
	var text string
	unbounded := false
	switch t.peek(0) {
	case '*', '+':
		unbounded = true
		fallthrough
	case '?':
		text = string(t.in[t.i])
		t.i++
	case '{':
		if text, unbounded = t.counted(); t.why != "" {
			return
		}
	default:
		return
	}
	if unbounded {
		for _, g := range t.open {
			if g.behind {
				t.wrong("a repetition without an upper bound in a look-behind is not supported")
				return
			}
		}
	}
	t.skip()
	switch t.peek(0) {
	case '?':
		t.i++
		t.write(text + "?")
	case '+':
		t.i++
		whole := t.out.String()
		t.out.Reset()
		t.write(whole[:t.atom] + "(?>" + whole[t.atom:] + text + ")")
	default:
		t.write(text)
	}
	t.atom = -1
}

// counted reads {n}, {n,} and {n,m}.
func (t *translator) counted() (text string, unbounded bool) {
	number := func() (n int, any bool) {
		for ; isDigit(t.peek(0)); t.i++ {
			if n = n*10 + int(t.peek(0)-'0'); n > 1<<31-1 {
				t.wrong("Illegal repetition range")
				return 0, true
			}
			any = true
		}
		return n, any
	}
	t.i++
	least, any := number()
	if !any {
		t.i--
		t.wrong("Illegal repetition")
		return "", false
	}
	most := least
	if t.peek(0) == ',' {
		t.i++
		if most, any = number(); !any {
			most = -1
		}
	}
	if t.peek(0) != '}' {
		t.wrong("Unclosed counted closure")
		return "", false
	}
	t.i++
	switch {
	case most < 0:
		return "{" + strconv.Itoa(least) + ",}", true
	case most < least:
		t.wrong("Illegal repetition range")
		return "", false
	}
	return "{" + strconv.Itoa(least) + "," + strconv.Itoa(most) + "}", false
}

// group opens a group, or sets flags.
func (t *translator) group() {
	if len(t.open) == maxNesting {
		t.wrong("more than " + strconv.Itoa(maxNesting) + " groups stand in one another")
		return
	}
	g := openGroup{start: t.out.Len(), flags: t.flags}
	t.atom = -1
	if t.peek(1) != '?' {
		t.i++
		t.capture(g)
		return
	}
	t.i += 2
	switch c := t.peek(0); {
	case c == ':' || c == '=' || c == '!' || c == '>':
		t.i++
		t.write("(?" + string(c))
	case c == '<' && (t.peek(1) == '=' || t.peek(1) == '!'):
		g.behind = true
		t.write("(?<" + string(t.peek(1)))
		t.i += 2
	case c == '<':
		t.i++
		if name := t.name(); t.why == "" {
			if _, twice := t.names[name]; twice {
				t.wrong("Named capturing group <" + name + "> is already defined")
				return
			}
			t.names[name] = t.count + 1
			t.capture(g)
		}
		return
	default:
		t.setFlags(g)
		return
	}
	t.open = append(t.open, g)
}

func (t *translator) capture(g openGroup) {
	t.count++
	t.open = append(t.open, g)
	t.write("(?<" + strconv.Itoa(t.count) + ">")
}

// name reads a group's name and the > after it.
func (t *translator) name() string {
	from := t.i
	if !isASCIILetter(t.peek(0)) {
		t.wrong("capturing group name does not start with a Latin letter")
		return ""
	}
	for isASCIILetter(t.peek(0)) || isDigit(t.peek(0)) {
		t.i++
	}
	if t.peek(0) != '>' {
		t.wrong("named capturing group is missing trailing '>'")
		return ""
	}
	t.i++
	return string(t.in[from : t.i-1])
}

// setFlags reads (?on-off) and (?on-off:.
func (t *translator) setFlags(g openGroup) {
	off := false
	for ; ; t.i++ {
		var f flags
		switch c := t.peek(0); c {
		case 'i':
			f = ignoreCase
		case 'd':
			f = unixLines
		case 'm':
			f = multiline
		case 's':
			f = dotAll
		case 'u':
			f = unicodeCase
		case 'x':
			f = comments
		case 'U':
			f = unicodeClasses | unicodeCase
		case 'c':
			t.wrong("canonical equivalence, (?c), is not supported")
			return
		case '-':
			if off {
				t.wrong("Unknown inline modifier")
				return
			}
			off = true
			continue
		case ')':
			t.i++
			return
		case ':':
			t.i++
			t.write("(?:")
			t.open = append(t.open, g)
			return
		default:
			if c == 0 {
				t.wrong("Unknown group type")
			} else {
				t.wrong("Unknown inline modifier")
			}
			return
		}
		if off {
			t.flags &^= f
		} else {
			t.flags |= f
		}
	}
}

// escape translates a backslash outside of classes, and what belongs to it.
func (t *translator) escape() {
	word := func() string {
		if !t.has(unicodeClasses) {
			// Of letters beyond ASCII, too, before JDK 19; the names of topics have none. By its tables, since regexp2
			// sorts a class again for each of its ranges, which took 100 ms for the eight of this one.
			return `[\p{L}\p{Nd}_]`
		}
		var b strings.Builder
		t.wordSet().write(&b)
		return b.String()
	}
	switch c := t.peek(1); c {
	case 'A', 'G', 'z':
		if c == 'G' { // where a match before ended, and there is none
			c = 'A'
		}
		t.put(`\`+string(c), 2)
	case 'Z':
		t.put(t.lineEnd(false), 2)
	case 'b', 'B':
		if c == 'b' && t.peek(2) == '{' {
			t.wrong(`\b{g} is not supported`)
			return
		}
		w := word()
		at, not := "(?<="+w+")(?!"+w+")|(?<!"+w+")(?="+w+")", "(?<="+w+")(?="+w+")|(?<!"+w+")(?!"+w+")"
		if c == 'B' {
			at = not
		}
		t.put("(?:"+at+")", 2)
	case 'R':
		t.put(`(?:\r\n|[\n\x0B\f\r\u0085\u2028\u2029])`, 2)
		if t.skip(); strings.ContainsRune("*+?{", t.peek(0)) && t.peek(0) != 0 {
			// Where it is repeated, Java does not go back into a pair.
			whole := t.out.String()[t.atom:]
			before := t.out.String()[:t.atom]
			t.out.Reset()
			t.write(before + "(?>" + whole[len("(?:"):])
		}
	case 'X':
		t.wrong(`\X, a grapheme cluster, is not supported`)
	case 'k':
		if t.peek(2) != '<' {
			t.wrong(`\k is not followed by '<' for named capturing group`)
			return
		}
		t.i += 3
		if name := t.name(); t.why == "" {
			group, known := t.names[name]
			if !known {
				t.wrong("named capturing group <" + name + "> does not exist")
				return
			}
			t.refer(group)
		}
	case '1', '2', '3', '4', '5', '6', '7', '8', '9':
		// further digits belong to the number as long as there is such a group so far
		n := int(c - '0')
		for t.i += 2; isDigit(t.peek(0)) && n*10+int(t.peek(0)-'0') <= t.count; t.i++ {
			n = n*10 + int(t.peek(0)-'0')
		}
		t.refer(n)
	default:
		if set, is := t.classEscape(); is {
			t.putSet(set)
		} else if r := t.character(); t.why == "" {
			t.literal(r)
		}
	}
}

// refer writes a reference to a group.
func (t *translator) refer(group int) {
	t.referred = max(t.referred, group)
	for _, g := range t.open {
		if g.behind {
			t.wrong("a reference to a group in a look-behind is not supported")
			return
		}
	}
	t.begin()
	if t.has(ignoreCase) {
		t.write(`(?i:\k<` + strconv.Itoa(group) + ">)")
		return
	}
	t.write(`\k<` + strconv.Itoa(group) + ">")
}

// character reads an escape that stands for one code point, in a class and outside.
func (t *translator) character() rune {
	c := t.peek(1)
	switch c {
	case 0:
		t.wrong("Unexpected internal error")
		return 0
	case '0':
		return t.octal()
	case 'x':
		return t.hexadecimal()
	case 'u':
		return t.codeUnits()
	case 'N':
		t.wrong(`\N, a character by its name, is not supported`)
		return 0
	case 'c':
		if t.i+2 >= len(t.in) {
			t.wrong("Illegal control escape sequence")
			return 0
		}
		t.i += 3
		return t.in[t.i-1] ^ 64
	}
	if at := strings.IndexRune("aefnrt", c); at >= 0 {
		t.i += 2
		return []rune("\a\x1b\f\n\r\t")[at]
	}
	if isASCIILetter(c) || isDigit(c) {
		t.wrong("Illegal/unsupported escape sequence")
		return 0
	}
	t.i += 2
	return c
}

// octal takes \0n, \0nn, \0mnn.
func (t *translator) octal() rune {
	n, size := rune(0), 2
	for size < 5 && t.peek(size) >= '0' && t.peek(size) < '8' && (size < 4 || t.peek(2) <= '3') {
		n = n*8 + t.peek(size) - '0'
		size++
	}
	if size == 2 {
		t.wrong("Illegal octal escape sequence")
		return 0
	}
	t.i += size
	return n
}

// hexadecimal takes \xhh and \x{h…h}.
func (t *translator) hexadecimal() rune {
	if t.peek(2) != '{' {
		n, ok := t.digits(2, 2)
		if !ok {
			t.wrong("Illegal hexadecimal escape sequence")
			return 0
		}
		t.i += 4
		return n
	}
	size := 3
	for size < 12 && t.peek(size) != '}' && t.peek(size) != 0 {
		size++
	}
	n, ok := t.digits(3, size-3)
	if !ok || t.peek(size) != '}' || n > 0x10ffff || size == 3 {
		t.wrong("Illegal hexadecimal escape sequence")
		return 0
	}
	t.i += size + 1
	return n
}

// codeUnits takes \uhhhh, and two of them that make a pair of surrogates.
func (t *translator) codeUnits() rune {
	n, ok := t.digits(2, 4)
	if !ok {
		t.wrong("Illegal Unicode escape sequence")
		return 0
	}
	t.i += 6
	if n < 0xd800 || n > 0xdfff {
		return n
	}
	if low, ok := t.digits(2, 4); ok && n < 0xdc00 && t.peek(0) == '\\' && t.peek(1) == 'u' && low >= 0xdc00 &&
		low <= 0xdfff {
		t.i += 6
		return (n-0xd800)<<10 + low - 0xdc00 + 0x10000
	}
	t.wrong("half a pair of surrogates is not supported")
	return 0
}

// digits reads hexadecimal digits some places on.
func (t *translator) digits(on, size int) (n rune, ok bool) {
	for k := range size {
		d := strings.IndexRune("0123456789abcdef", lower(t.peek(on+k)))
		if d < 0 || t.peek(on+k) == 0 {
			return 0, false
		}
		n = n<<4 + rune(d)
	}
	return n, size > 0
}

func lower(r rune) rune {
	if r >= 'A' && r <= 'Z' {
		return r | 0x20
	}
	return r
}
