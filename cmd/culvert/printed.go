package main

import (
	"io"
	"strings"
	"unicode"
)

// printed passes text on without characters that steer a terminal: what strange plugins say of themselves is shown, not obeyed.
type printed struct{ to io.Writer }

// Write writes whole characters.
func (p printed) Write(text []byte) (int, error) {
	if _, err := io.WriteString(p.to, visible(string(text))); err != nil {
		return 0, err
	}
	return len(text), nil
}

// visible replaces control characters other than tabs and ends of lines, and those that turn the direction of writing.
func visible(s string) string {
	return strings.Map(func(r rune) rune {
		if r != '\n' && r != '\t' && (unicode.IsControl(r) || unicode.Is(unicode.Bidi_Control, r)) {
			return unicode.ReplacementChar
		}
		return r
	}, s)
}

// inLine is a text that may be long and have several lines, cut so that it fits into a line of a table.
func inLine(s string) string {
	const most = 200
	s = strings.Join(strings.Fields(s[:min(len(s), 4*most)]), " ")
	if short := []rune(s); len(short) > most {
		return string(short[:most]) + "..."
	}
	return s
}
