package config

import (
	"regexp"
	"strings"
)

// anyName is the placeholder that is no number.
const anyName = "{name}"

var anyPlaceholder = regexp.MustCompile(`\{[a-z]+\}`)

// A pattern is what a name with placeholders stands for. It is compared by hand: making regular expressions of all templates of all
// plugins took a start longer than what they then found.
type pattern struct {
	// fixed texts are before, between and behind the placeholders.
	fixed        []string
	placeholders []string
}

// patternOf takes a name apart. Plugins give it two placeholders at most, which is checked when they are loaded.
func patternOf(name string) *pattern {
	p := &pattern{}
	from := 0
	for _, at := range anyPlaceholder.FindAllStringIndex(name, -1) {
		p.fixed = append(p.fixed, name[from:at[0]])
		p.placeholders = append(p.placeholders, name[at[0]:at[1]])
		from = at[1]
	}
	p.fixed = append(p.fixed, name[from:])
	return p
}

// match returns what the placeholders stand for in a key, in their order, nil if the key is none that the pattern stands for. Of
// several ways the first placeholder takes as much as it can.
func (p *pattern) match(key string) []string {
	found := make([]string, len(p.placeholders))
	if !p.matches(key, 0, found, false) {
		return nil
	}
	return found
}

// begins tells whether a key begins as the pattern says.
func (p *pattern) begins(key string) bool { return p.matches(key, 0, nil, true) }

// matches compares what is left of a key from a fixed text on. open: more may follow.
func (p *pattern) matches(key string, at int, found []string, open bool) bool {
	rest, ok := strings.CutPrefix(key, p.fixed[at])
	if !ok {
		return false
	}
	if at == len(p.placeholders) {
		return open || rest == ""
	}
	for n := most(p.placeholders[at], rest); n > 0; n-- {
		if p.matches(rest[n:], at+1, found, open) {
			if found != nil {
				found[at] = rest[:n]
			}
			return true
		}
	}
	return false
}

// most is how many bytes at the start of a text a placeholder may stand for: up to three digits, or for a name all of a line.
func most(placeholder, text string) int {
	if placeholder == anyName {
		if end := strings.IndexByte(text, '\n'); end >= 0 {
			return end
		}
		return len(text)
	}
	n := 0
	for n < min(3, len(text)) && text[n] >= '0' && text[n] <= '9' {
		n++
	}
	return n
}
