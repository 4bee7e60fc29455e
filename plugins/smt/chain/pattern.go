package chain

import (
	"strconv"
	"strings"

	"github.com/dlclark/regexp2"

	"github.com/culvert-project/culvert/wit"
)

// pattern is a Java regular expression.
type pattern struct {
	// whole must match the whole text, find any part of it.
	whole, find *regexp2.Regexp
	// groups is how many groups there are, names are the numbers of those with a name. Java numbers all by where they open.
	groups int
	names  map[string]int
}

func compile(setting, text string) (pattern, *wit.Fault) {
	t := translate(text)
	if t.why != "" {
		return pattern{}, invalid(setting, text, "Invalid regex: "+t.why)
	}
	p := pattern{groups: t.count, names: t.names}
	var err error
	if p.find, err = regexp2.Compile(t.out.String(), regexp2.None); err == nil {
		p.whole, err = regexp2.Compile(`\A(?:`+t.out.String()+`)\z`, regexp2.None)
	}
	if err != nil {
		return pattern{}, invalid(setting, text, "Invalid regex: "+err.Error())
	}
	return p, nil
}

func (p pattern) matches(topic string) bool {
	ok, err := p.whole.MatchString(topic)
	return ok && err == nil
}

// Classes that Java writes otherwise than regexp2, as the inside of a bracket. Java's are ASCII unless a flag says otherwise.
var classes = map[string]string{
	"d": "0-9", "w": "a-zA-Z_0-9", "s": ` \t\n\x0B\f\r`, "h": ` \t\xA0\u1680\u180e\u2000-\u200a\u202f\u205f\u3000`, "v": `\n\x0B\f\r\x85\u2028\u2029`,
	"Lower": "a-z", "Upper": "A-Z", "ASCII": `\x00-\x7F`, "Alpha": "a-zA-Z", "Digit": "0-9", "Alnum": "a-zA-Z0-9", "XDigit": "0-9a-fA-F",
	"Punct": `!-/:-@\[-` + "`" + `{-~`, "Graph": "!-~", "Print": " -~", "Blank": ` \t`, "Cntrl": `\x00-\x1F\x7F`, "Space": ` \t\n\x0B\f\r`,
}

// complements are the classes' opposites, as ranges where they are needed inside a bracket.
var complements = map[byte]string{
	'D': `\x00-/:-\uFFFF`, 'W': "\\x00-/:-@\\[-^`{-\\uFFFF", 'S': `\x00-\x08\x0E-\x1F!-\uFFFF`,
}

// translate writes a Java regular expression in regexp2's syntax, which is .NET's. It says why it cannot for the constructs that
// only Java has and that nothing stands for there: intersections and nesting of classes, \X, \b{g}, \p{java…}.
func translate(java string) *translator {
	t := &translator{in: java, atom: -1, names: map[string]int{}}
	for t.i < len(t.in) && t.why == "" {
		t.next()
	}
	if t.why == "" && t.bracket {
		t.why = "Unclosed character class"
	}
	return t
}

type translator struct {
	in  string
	i   int
	out strings.Builder
	why string
	// bracket: inside of a character class; first: nothing of it was read yet.
	bracket, first bool
	// atom is where in out the last thing that can be repeated begins, -1: none. groups are those of the open groups.
	atom   int
	groups []int
	// count and names are those of the capturing groups. All are given their number in out, because .NET would number named ones last.
	count int
	names map[string]int
}

func (t *translator) next() {
	c := t.in[t.i]
	switch {
	case c == '\\':
		t.escape()
	case t.bracket:
		t.inBracket(c)
	case c == '[':
		t.begin("[")
		t.bracket, t.first = true, true
		if strings.HasPrefix(t.in[t.i:], "^") {
			t.out.WriteByte('^')
			t.i++
		}
	case c == '(':
		t.group()
	case c == ')':
		t.copy(1)
		if n := len(t.groups); n > 0 {
			t.atom, t.groups = t.groups[n-1], t.groups[:n-1]
		}
	case strings.IndexByte("*+?{", c) >= 0:
		t.repeat()
	default:
		t.begin(t.in[t.i : t.i+1])
	}
}

// group opens a group.
func (t *translator) group() {
	t.groups = append(t.groups, t.out.Len())
	t.atom = -1
	rest := t.in[t.i:]
	if name, _, found := strings.Cut(strings.TrimPrefix(rest, "(?<"), ">"); strings.HasPrefix(rest, "(?<") && found && name != "" && name[0] != '=' && name[0] != '!' {
		t.i += len(name) + 4
		t.count++
		t.names[name] = t.count
	} else if strings.HasPrefix(rest, "(?") {
		t.copy(2)
		return
	} else {
		t.i++
		t.count++
	}
	t.out.WriteString("(?<" + strconv.Itoa(t.count) + ">")
}

// reference takes \1 and the like: further digits belong to the number as long as there is such a group so far.
func (t *translator) reference() {
	n := int(t.in[t.i+1] - '0')
	for t.i += 2; t.i < len(t.in) && t.in[t.i]-'0' < 10 && n*10+int(t.in[t.i]-'0') <= t.count; t.i++ {
		n = n*10 + int(t.in[t.i]-'0')
	}
	t.refer(n)
}

func (t *translator) refer(group int) {
	if group > t.count {
		t.why = "a reference to group " + strconv.Itoa(group) + ", which does not exist so far"
		return
	}
	t.atom = t.out.Len()
	t.out.WriteString(`\k<` + strconv.Itoa(group) + ">")
}

// begin writes something that a repetition behind it belongs to.
func (t *translator) begin(text string) {
	t.atom = t.out.Len()
	t.out.WriteString(text)
	t.i++
	for t.i < len(t.in) && t.in[t.i]&0xc0 == 0x80 {
		// the rest of a character beyond ASCII
		t.copy(1)
	}
}

func (t *translator) copy(n int) {
	t.out.WriteString(t.in[t.i : t.i+n])
	t.i += n
}

// repeat writes a repetition; a possessive one (`a*+`) becomes an atomic group.
func (t *translator) repeat() {
	from := t.i
	if t.in[t.i] == '{' {
		end := strings.IndexByte(t.in[t.i:], '}')
		if end < 0 {
			t.why = "Unclosed counted closure near index " + strconv.Itoa(len(t.in))
			return
		}
		t.i += end
	}
	t.i++
	text := t.in[from:t.i]
	if t.i < len(t.in) && t.in[t.i] == '+' && t.atom >= 0 {
		t.i++
		whole := t.out.String()
		t.out.Reset()
		t.out.WriteString(whole[:t.atom] + "(?>" + whole[t.atom:] + text + ")")
		return
	}
	t.out.WriteString(text)
}

func (t *translator) inBracket(c byte) {
	rest := t.in[t.i:]
	switch {
	case c == ']' && !t.first:
		t.copy(1)
		t.bracket = false
		return
	case c == ']':
		t.out.WriteByte('\\')
	case c == '[':
		t.why = "a character class inside of another is not supported"
		return
	case strings.HasPrefix(rest, "&&"):
		t.why = "an intersection of character classes (&&) is not supported"
		return
	}
	t.copy(1)
	t.first = false
}

// escape translates a backslash and what belongs to it.
func (t *translator) escape() {
	if t.i+1 >= len(t.in) {
		t.why = "Unexpected internal error near index " + strconv.Itoa(len(t.in))
		return
	}
	t.first = false
	switch c := t.in[t.i+1]; c {
	case 'Q':
		t.quote()
	case 'p', 'P':
		t.property(c == 'P')
	case 'd', 'w', 's', 'h', 'v':
		t.class(classes[string(c)], false, 2)
	case 'D', 'W', 'S':
		t.class(complements[c], false, 2)
	case 'H', 'V':
		if t.bracket {
			t.why = `\` + string(c) + " inside of a character class is not supported"
			return
		}
		t.class(classes[strings.ToLower(string(c))], true, 2)
	case 'R':
		t.begin(`(?:\r\n|[\n\x0B\f\r\x85\u2028\u2029])`)
		t.i++
	case 'X', 'N':
		t.why = `\` + string(c) + " is not supported"
	case 'Z':
		t.begin(`\Z`)
		t.i++
	case 'x':
		t.codePoint()
	case '0':
		t.octal()
	case 'b':
		if strings.HasPrefix(t.in[t.i:], `\b{`) {
			t.why = `\b{g} is not supported`
			return
		}
		t.begin(`\b`)
		t.i++
	case '1', '2', '3', '4', '5', '6', '7', '8', '9':
		t.reference()
	case 'k':
		name, _, closed := strings.Cut(strings.TrimPrefix(t.in[t.i+2:], "<"), ">")
		group, known := t.names[name]
		if !closed || !known {
			t.why = "named capturing group <" + name + "> does not exist"
			return
		}
		t.i += len(name) + 4
		t.refer(group)
	default:
		t.begin(t.in[t.i : t.i+2])
		t.i++
	}
}

// quote takes \Q…\E.
func (t *translator) quote() {
	text, _, closed := strings.Cut(t.in[t.i+2:], `\E`)
	t.i += 2 + len(text)
	if closed {
		t.i += 2
	}
	for _, r := range text {
		t.atom = t.out.Len()
		if strings.ContainsRune(`\*+?|{}[]()^$.# -&`, r) {
			t.out.WriteByte('\\')
		}
		t.out.WriteRune(r)
	}
}

// class writes a class by the inside of its bracket.
func (t *translator) class(inside string, negated bool, size int) {
	t.i += size
	if t.bracket {
		t.out.WriteString(inside)
		return
	}
	t.atom = t.out.Len()
	if negated {
		t.out.WriteString("[^" + inside + "]")
		return
	}
	t.out.WriteString("[" + inside + "]")
}

func (t *translator) property(negated bool) {
	name, size := "", 3
	if rest := t.in[t.i+2:]; strings.HasPrefix(rest, "{") {
		end := strings.IndexByte(rest, '}')
		if end < 0 {
			t.why = "Unclosed character family near index " + strconv.Itoa(len(t.in)-1)
			return
		}
		name, size = rest[1:end], 3+end
	} else if rest != "" {
		name = rest[:1]
	}
	inside, ascii := classes[name]
	switch {
	case ascii && len(name) > 1 && !(negated && t.bracket):
		t.class(inside, negated, size)
	case ascii && len(name) > 1 || strings.HasPrefix(name, "java") || strings.Contains(name, "="):
		t.why = `\p{` + name + "} is not supported here"
	default:
		// general categories have the same names, scripts and blocks come with Is and In in front in Java
		t.atom = t.out.Len()
		kind := map[bool]string{false: `\p{`, true: `\P{`}[negated]
		t.out.WriteString(kind + strings.TrimPrefix(name, "Is") + "}")
		t.i += size
	}
}

// codePoint takes \xhh and \x{h…h}.
func (t *translator) codePoint() {
	digits, size := "", 4
	if rest := t.in[t.i+2:]; strings.HasPrefix(rest, "{") {
		end := max(strings.IndexByte(rest, '}'), 1)
		digits, size = rest[1:end], 3+end
	} else if len(rest) >= 2 {
		digits = rest[:2]
	}
	n, err := strconv.ParseUint(digits, 16, 32)
	t.unit(n, err, size)
}

// octal takes \0n, \0nn, \0mnn.
func (t *translator) octal() {
	size := 2
	for size < 5 && t.i+size < len(t.in) && t.in[t.i+size]-'0' < 8 && (size < 4 || t.in[t.i+2] <= '3') {
		size++
	}
	n, err := strconv.ParseUint(t.in[t.i+2:t.i+size], 8, 32)
	t.unit(n, err, size)
}

func (t *translator) unit(n uint64, err error, size int) {
	if err != nil || n > 0xffff {
		t.why = "Illegal or unsupported character number near index " + strconv.Itoa(t.i)
		return
	}
	t.atom = t.out.Len()
	text := strconv.FormatUint(n, 16)
	t.out.WriteString(`\u` + "0000"[:4-len(text)] + text)
	t.i += size
}
