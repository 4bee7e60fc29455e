package pattern

import (
	"strconv"
	"strings"

	"github.com/dlclark/regexp2"
)

// Replacement replaces a match. Its syntax is that of java.util.regex.Matcher: $1, ${name}, and a backslash before
// literal characters.
type Replacement struct{ pieces []piece }

// piece is literal text or a reference to a group.
type piece struct {
	text  string
	group int // the number of the group, or -1 for text
}

// ReplacementError is an error of a replacement, in Java's words.
type ReplacementError struct {
	// NoGroup means that the expression has no group with the number, for which Java throws IndexOutOfBoundsException
	// instead of IllegalArgumentException.
	NoGroup bool
	Text    string
}

func (r *ReplacementError) Error() string { return r.Text }

// Replacement parses a replacement for matches of p. Java reports an error at the first match.
func (p Pattern) Replacement(text string) (r Replacement, err *ReplacementError) {
	const digits = "0123456789"
	const nameCharacters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ" + digits
	fail := func(problem string) (Replacement, *ReplacementError) { return r, &ReplacementError{Text: problem} }
	var literal strings.Builder
	flush := func() {
		if literal.Len() > 0 {
			r.pieces = append(r.pieces, piece{text: literal.String(), group: -1})
			literal.Reset()
		}
	}
	for i := 0; i < len(text); i++ {
		switch {
		case text[i] == '\\':
			i++
			if i == len(text) {
				return fail("character to be escaped is missing")
			}
			literal.WriteByte(text[i])
		case text[i] != '$':
			literal.WriteByte(text[i])
		case i+1 < len(text) && text[i+1] == '{': // ${name}
			remaining := text[i+2:]
			afterName := strings.TrimLeft(remaining, nameCharacters)
			name := strings.TrimSuffix(remaining, afterName)
			group, ok := p.Names[name]
			switch {
			case name == "":
				return fail("named capturing group has 0 length name")
			case !strings.HasPrefix(afterName, "}"):
				return fail("named capturing group is missing trailing '}'")
			case strings.ContainsAny(name[:1], digits):
				return fail("capturing group name {" + name + "} starts with digit character")
			case !ok:
				return fail("No group with name {" + name + "}")
			}
			flush()
			r.pieces = append(r.pieces, piece{group: group})
			i += len(name) + 2
		case i+1 < len(text) && isDigit(rune(text[i+1])): // $1
			group := int(text[i+1] - '0')
			if group > p.Groups {
				return r, &ReplacementError{NoGroup: true, Text: "No group " + strconv.Itoa(group)}
			}
			// Further digits belong to the number as long as a group has that number.
			for i++; i+1 < len(text) && isDigit(rune(text[i+1])) && group*10+int(text[i+1]-'0') <= p.Groups; i++ {
				group = group*10 + int(text[i+1]-'0')
			}
			flush()
			r.pieces = append(r.pieces, piece{group: group})
		case i+1 == len(text):
			return fail("Illegal group reference: group index is missing")
		default:
			return fail("Illegal group reference")
		}
	}
	flush()
	return r, nil
}

// ReplaceFirst replaces the first match. It returns an error only after the time limit.
func (p Pattern) ReplaceFirst(text string, r Replacement) (string, error) {
	return p.replace(text, r, 1)
}

// ReplaceAll replaces all matches. It returns an error only after the time limit.
func (p Pattern) ReplaceAll(text string, r Replacement) (string, error) {
	return p.replace(text, r, -1)
}

// replace replaces the first matches up to a limit, or all with the limit -1.
func (p Pattern) replace(text string, r Replacement, limit int) (string, error) {
	m, err := p.find.FindStringMatch(text)
	if err != nil || m == nil {
		return text, err
	}
	runes := []rune(text)
	from := 0 // the end of the previous match
	var b strings.Builder
	for ; m != nil && limit != 0; limit-- {
		b.WriteString(string(runes[from:m.Index]))
		r.write(&b, m)
		from = m.Index + m.Length
		if m, err = p.find.FindNextMatch(m); err != nil {
			return text, err
		}
	}
	b.WriteString(string(runes[from:]))
	return b.String(), nil
}

func (r Replacement) write(b *strings.Builder, m *regexp2.Match) {
	for _, p := range r.pieces {
		if p.group < 0 {
			b.WriteString(p.text)
		} else if g := m.GroupByNumber(p.group); g != nil && len(g.Captures) > 0 {
			b.WriteString(g.String())
		}
	}
}
