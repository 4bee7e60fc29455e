// Package shown makes untrusted text of plugins and services safe to print: without control characters, and shortened.
package shown

import (
	"bytes"
	"fmt"
	"io"
	"strings"
	"unicode"
	"unicode/utf8"
)

const (
	MaxLine  = 2000 // characters of a line
	maxLines = 200  // of a text
)

func isPrintable(r rune) bool {
	if r < utf8.RuneSelf {
		return r >= ' ' && r != 0x7f
	}
	return r != utf8.RuneError && !unicode.In(r, unicode.Cc, unicode.Cf, unicode.Zl, unicode.Zp, unicode.Co, unicode.Cs)
}

func isPrintableASCII(s string) bool {
	for i := range len(s) {
		if s[i] < ' ' || s[i] >= 0x7f {
			return false
		}
	}
	return true
}

// Line returns a text in one line of at most [MaxLine] characters. Spaces replace line breaks and tabs, U+FFFD replaces
// unprintable characters. If the text is longer, the number of omitted bytes follows.
func Line(s string) string { return LineUpTo(s, MaxLine) }

// LineUpTo is [Line] with another limit.
func LineUpTo(s string, limit int) string {
	if len(s) <= limit && isPrintableASCII(s) {
		return s
	}
	var b strings.Builder
	n := 0     // characters in b
	marks := 0 // combining marks in succession
	for pos, r := range s {
		if n == limit {
			fmt.Fprintf(&b, "... (%d bytes more)", len(s)-pos)
			break
		}
		switch {
		case r == '\r' && strings.HasPrefix(s[pos:], "\r\n"):
			continue
		case r == '\n' || r == '\t' || r == '\r':
			r = ' '
		case unicode.Is(unicode.Mn, r):
			marks++
			if marks > 4 {
				continue // stacked marks would cover other lines
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

// Prefix returns the first characters of a text, at most limit.
func Prefix(s string, limit int) string {
	n := 0
	for pos := range s {
		if n == limit {
			return s[:pos]
		}
		n++
	}
	return s
}

// ReasonUpTo is [LineUpTo] for messages, which are "what happened: what to do". A longer one ends with its last clause
// that fits, and "(...)", so that it does not end inside the remedy. Single words before the first clause, such as a
// setting, are not clauses.
func ReasonUpTo(s string, limit int) string {
	fits := len(Prefix(s, limit))
	if fits == len(s) {
		return LineUpTo(s, limit)
	}
	end := strings.LastIndex(s[:fits], " (")
	if strings.Contains(s[max(end, 0):fits], ")") {
		end = -1 // the text in brackets fits
	}
	for _, mark := range []string{": ", "; ", ". "} { // a clause may end where the limit is
		end = max(end, strings.LastIndex(s[:min(fits+len(mark), len(s))], mark))
	}
	if end < 0 || !strings.Contains(strings.ReplaceAll(s[:end], ": ", ":"), " ") { // no clause, or only single words
		return LineUpTo(s, limit)
	}
	return LineUpTo(s[:end], limit) + " (...)"
}

// Text applies [Line] to each line, except a tab at its beginning, and shortens the text to maxLines.
func Text(s string) string {
	var b strings.Builder
	lines := 0
	for line := range strings.Lines(s) {
		if lines == maxLines {
			fmt.Fprintf(&b, "... (%d lines more)", strings.Count(strings.TrimSuffix(s, "\n"), "\n")+1-lines)
			break
		}
		content, hasBreak := strings.CutSuffix(line, "\n")
		if indented, ok := strings.CutPrefix(content, "\t"); ok { // as in stack traces of plugins
			b.WriteByte('\t')
			content = indented
		}
		b.WriteString(Line(strings.TrimSuffix(content, "\r")))
		if hasBreak {
			b.WriteByte('\n')
		}
		lines++
	}
	return b.String()
}

// JSON returns a JSON document with unprintable characters escaped. Its values stay the same, except that U+FFFD
// replaces invalid bytes.
func JSON(document []byte) []byte {
	isClean := true
	for i := 0; i < len(document) && isClean; {
		r, size := utf8.DecodeRune(document[i:])
		// Size 3 is U+FFFD itself, not an invalid byte.
		isClean = isPrintable(r) || r == '\n' || r == '\t' || r == '\r' || (r == utf8.RuneError && size == 3)
		i += size
	}
	if isClean {
		return document
	}
	var b bytes.Buffer
	for i := 0; i < len(document); {
		r, size := utf8.DecodeRune(document[i:])
		switch {
		case isPrintable(r) || r == '\n' || r == '\t' || r == '\r' || r == utf8.RuneError:
			b.WriteRune(r)
		case r > 0xffff: // as two UTF-16 surrogates
			high := (r-0x10000)>>10 + 0xd800
			low := (r-0x10000)&0x3ff + 0xdc00
			fmt.Fprintf(&b, "\\u%04x\\u%04x", high, low)
		default:
			fmt.Fprintf(&b, "\\u%04x", r)
		}
		i += size
	}
	return b.Bytes()
}

// Writer replaces unprintable characters except line breaks and tabs. Each Write must contain whole characters.
type Writer struct{ To io.Writer }

// Write writes p with U+FFFD for unprintable characters. It returns len(p) unless the underlying writer fails.
func (w Writer) Write(p []byte) (int, error) {
	printable := strings.Map(func(r rune) rune {
		if r == '\n' || r == '\t' || isPrintable(r) {
			return r
		}
		return utf8.RuneError
	}, string(p))
	if _, err := io.WriteString(w.To, printable); err != nil {
		return 0, err
	}
	return len(p), nil
}

// ShellWord quotes a text as one word of a shell command.
func ShellWord(s string) string {
	const unquoted = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_./:@%+=,"
	if s != "" && strings.Trim(s, unquoted) == "" {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}
