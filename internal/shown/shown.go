// Package shown makes text of others fit to be shown: what plugins and services say of themselves is read on terminals,
// in tables, in logs and in statuses, and must neither steer a terminal, nor look like something else, nor fill the
// screen.
package shown

import (
	"bytes"
	"fmt"
	"io"
	"strings"
	"unicode"
	"unicode/utf8"
)

// MaxLine is how many characters of a line are shown, maxLines how many lines of a text.
const (
	MaxLine  = 2000
	maxLines = 200
)

// isPrintable tells whether a character shows itself and does nothing else: no control character (escape sequences begin
// with one), none that turns the direction of writing, is invisible or ends a line.
func isPrintable(r rune) bool {
	return r < utf8.RuneSelf && r >= ' ' && r != 0x7f ||
		r >= utf8.RuneSelf && r != utf8.RuneError && !unicode.In(r, unicode.Cc, unicode.Cf, unicode.Zl, unicode.Zp,
			unicode.Co, unicode.Cs)
}

// isPrintableASCII tells whether a text of printable ASCII needs no work.
func isPrintableASCII(s string) bool {
	for i := range len(s) {
		if s[i] < ' ' || s[i] >= 0x7f {
			return false
		}
	}
	return true
}

// Line is a text in one line: ends of lines and tabs become a blank, what is not harmless the replacement character,
// and what is longer than MaxLine is counted.
func Line(s string) string { return LineUpTo(s, MaxLine) }

// LineUpTo is [Line] with a bound of its own.
func LineUpTo(s string, most int) string {
	if len(s) <= most && isPrintableASCII(s) {
		return s
	}
	var b strings.Builder
	n, marks := 0, 0
	for at, r := range s {
		if n == most {
			fmt.Fprintf(&b, "... (%d bytes more)", len(s)-at)
			break
		}
		switch {
		case r == '\r' && strings.HasPrefix(s[at:], "\r\n"):
			continue
		case r == '\n' || r == '\t' || r == '\r':
			r = ' '
		case unicode.Is(unicode.Mn, r):
			if marks++; marks > 4 {
				continue // letters under a heap of marks run over the lines above
			}
		case !isPrintable(r):
			r = utf8.RuneError
		}
		if !unicode.Is(unicode.Mn, r) {
			marks = 0
		}
		b.WriteRune(r)
		n++
	}
	return b.String()
}

// Text is [Line] for each line of a text, of which maxLines are shown.
func Text(s string) string {
	var b strings.Builder
	lines := 0
	for line := range strings.Lines(s) {
		if lines == maxLines {
			fmt.Fprintf(&b, "... (%d lines more)", strings.Count(strings.TrimSuffix(s, "\n"), "\n")+1-lines)
			break
		}
		text, ended := strings.CutSuffix(line, "\n")
		if below, indented := strings.CutPrefix(text, "\t"); indented { // as in the stacks of guests
			b.WriteByte('\t')
			text = below
		}
		b.WriteString(Line(strings.TrimSuffix(text, "\r")))
		if ended {
			b.WriteByte('\n')
		}
		lines++
	}
	return b.String()
}

// JSON is a JSON document that says the same in characters that are harmless: the others are written as \u escapes.
// They stand inside of strings, or the document is none; invalid UTF-8 becomes the replacement character, as readers of
// JSON take it.
func JSON(document []byte) []byte {
	clean := true
	for i := 0; i < len(document) && clean; {
		r, size := utf8.DecodeRune(document[i:])
		clean = isPrintable(r) || r == '\n' || r == '\t' || r == '\r' || r == utf8.RuneError && size == 3
		i += size
	}
	if clean {
		return document
	}
	var b bytes.Buffer
	for i := 0; i < len(document); {
		r, size := utf8.DecodeRune(document[i:])
		switch {
		case isPrintable(r) || r == '\n' || r == '\t' || r == '\r' || r == utf8.RuneError:
			b.WriteRune(r)
		case r > 0xffff:
			high, low := (r-0x10000)>>10+0xd800, (r-0x10000)&0x3ff+0xdc00
			fmt.Fprintf(&b, "\\u%04x\\u%04x", high, low)
		default:
			fmt.Fprintf(&b, "\\u%04x", r)
		}
		i += size
	}
	return b.Bytes()
}

// Writer passes text on without what is not harmless, except ends of lines and tabs. It neither cuts nor joins lines:
// who puts the text of others into a line does that by [Line]. Each Write holds whole characters.
type Writer struct{ To io.Writer }

// Write writes p as a whole.
func (w Writer) Write(p []byte) (int, error) {
	text := strings.Map(func(r rune) rune {
		if r == '\n' || r == '\t' || isPrintable(r) {
			return r
		}
		return utf8.RuneError
	}, string(p))
	if _, err := io.WriteString(w.To, text); err != nil {
		return 0, err
	}
	return len(p), nil
}

// ShellWord is a text as one word of a command, as a shell takes it.
func ShellWord(s string) string {
	const plain = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_./:@%+=,"
	if s != "" && strings.Trim(s, plain) == "" { // it has no other characters
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}
