package config

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"iter"
	"maps"
	"regexp"
	"slices"
	"strings"

	"github.com/culvert-project/culvert/internal/secret"
)

// logicalLine is a line of properties with the lines that a backslash joins to it.
type logicalLine struct {
	raw     string
	newline string
	line    int
	// isSetting is false for comments and blank lines. malformed lines have invalid escapes; their key is as written.
	isSetting bool
	malformed bool
	key       string
	value     string
}

func logicalLines(text string) iter.Seq[logicalLine] {
	return func(yield func(logicalLine) bool) {
		lines := naturalLines(text)
		remaining := text
		for i := 0; i < len(lines); {
			joined, used := joinLines(lines[i:])
			logical := logicalLine{line: i + 1, isSetting: joined != ""}
			size := 0 // of the natural lines, with the line breaks between them
			for _, line := range lines[i : i+used] {
				size += len(logical.newline) + len(line)
				logical.newline = remaining[size:min(size+1, len(remaining))]
				if strings.HasPrefix(remaining[size:], "\r\n") {
					logical.newline = "\r\n"
				}
			}
			logical.raw = remaining[:size]
			remaining = remaining[size+len(logical.newline):]
			if logical.isSetting {
				rawKey, rawValue := splitProperty(joined)
				var err, valueErr error
				if logical.key, err = unescape(rawKey); err != nil {
					logical.key = rawKey
				}
				logical.value, valueErr = unescape(rawValue)
				logical.malformed = err != nil || valueErr != nil
			}
			i += used
			if !yield(logical) {
				return
			}
		}
	}
}

// propertyHead matches a line up to its value. It does not match a line without = and :.
var propertyHead = regexp.MustCompile(`^[ \t\f]*(?:[^\\=: \t\f\r\n]|\\[^\r\n])+[ \t\f]*[=:][ \t\f]*`)

func (l logicalLine) withValue(value string) string {
	if head := propertyHead.FindString(l.raw); head != "" && !l.malformed {
		return head + escape(value, false)
	}
	return PropertiesLine(l.key, value)
}

// Edit changes a text of Java properties to these settings. Unchanged settings, comments, blank lines and the order
// stay byte for byte; new settings are appended in alphabetical order. Malformed lines, and earlier lines of a repeated
// setting that changes, are removed, because they may contain a password. A text that cannot be edited is replaced. The
// error is for a text that is not properties.
func Edit(content string, settings map[string]string) (string, error) {
	if _, err := decodeProperties([]byte(content)); err != nil {
		return "", err
	}
	content, ok := strings.CutPrefix(content, byteOrderMark)
	bom := ""
	if ok {
		bom = byteOrderMark // Read removes it
	}
	lines := slices.Collect(logicalLines(content))
	last := map[string]int{}
	eol := ""
	for i, l := range lines {
		eol = cmp.Or(eol, l.newline)
		if l.isSetting {
			last[l.key] = i
		}
	}
	eol = cmp.Or(eol, "\n")
	var b, added strings.Builder
	for i, l := range lines {
		value, isSet := settings[l.key]
		switch {
		case !l.isSetting, isSet && value == lines[last[l.key]].value && !l.malformed:
			b.WriteString(l.raw + l.newline)
		case isSet && i == last[l.key]:
			b.WriteString(l.withValue(value) + l.newline)
		}
	}
	for _, key := range slices.Sorted(maps.Keys(settings)) {
		if _, ok := last[key]; !ok {
			added.WriteString(PropertiesLine(key, settings[key]) + eol)
		}
	}
	body := b.String()
	separators := []string{"", eol, eol + eol} // the last one after a \, which would join the next line
	if added.Len() > 0 && body != "" && !strings.ContainsAny(body[len(body)-1:], "\r\n") {
		separators = separators[1:]
	}
	for _, separator := range separators {
		edited := bom + body + separator + added.String()
		entries, problems := Read("x.properties", []byte(edited))
		if problems.Err() == nil && maps.Equal(rawOf(entries), settings) {
			return edited, nil
		}
	}
	return PropertiesText(settings), nil
}

const byteOrderMark = "\ufeff"

func isJSON(data []byte) bool { return bytes.HasPrefix(bytes.TrimLeft(data, " \t\r\n"), []byte("{")) }

func decodeProperties(content []byte) ([]byte, error) {
	content, err := decodeText(content)
	if err == nil && isJSON(content) {
		err = errors.New("expected Java properties, found {, with which JSON begins")
	}
	return content, err
}

// PropertiesText returns settings as properties, sorted.
func PropertiesText(settings map[string]string) string {
	var b strings.Builder
	for _, key := range slices.Sorted(maps.Keys(settings)) {
		b.WriteString(PropertiesLine(key, settings[key]) + "\n")
	}
	return b.String()
}

// ReadProperties reads properties as written. commented reports whether the text has comments.
func ReadProperties(file string, sent []byte) (settings map[string]string, commented bool, problems Problems) {
	content, err := decodeProperties(sent)
	if err != nil {
		return nil, false, Problems{{File: file, Line: 1, Text: err.Error()}}
	}
	for l := range logicalLines(string(content)) {
		commented = commented || (!l.isSetting && strings.Trim(l.raw, propertyBlanks+"\r\n") != "")
	}
	entries, problems := Read(file, content)
	return rawOf(entries), commented, problems
}

func rawOf(entries []Entry) map[string]string {
	settings := make(map[string]string, len(entries))
	for _, entry := range entries {
		settings[entry.Key] = entry.Raw
	}
	return settings
}

// MaskedText replaces clear passwords in a text of properties, also in comments, by [Mask]. References stay.
func MaskedText(text string, password func(key string) bool) string {
	var b strings.Builder
	mask := newMasker(text, password)
	for l := range logicalLines(text) {
		b.WriteString(mask(l) + l.newline)
	}
	return b.String()
}

// IsReference reports whether a value is a single reference to a config provider.
func IsReference(value string) bool { return wholeReference.MatchString(value) }

var wholeReference = regexp.MustCompile(`^\s*` + reference.String() + `\s*$`)

// newMasker returns a function that returns a line of the text without passwords, which comments may repeat.
func newMasker(text string, password func(key string) bool) func(logicalLine) string {
	isClear := func(key, value string) bool { return value != "" && password(key) && !IsReference(value) }
	var redactor secret.Redactor
	for l := range logicalLines(text) {
		if l.isSetting && isClear(l.key, l.value) {
			redactor.Add(l.value)
		}
	}
	return func(l logicalLine) string {
		switch {
		case l.isSetting && (isClear(l.key, l.value) || (l.malformed && password(l.key))):
			return l.withValue(Mask)
		case l.isSetting:
			return l.raw
		}
		// A comment: the text after the name of a password may be an earlier value of it.
		const between = "#!=:\\\r\n" + propertyBlanks
		for remaining := strings.TrimLeft(l.raw, between); remaining != ""; {
			name := remaining
			after := ""
			if end := strings.IndexAny(remaining, between); end >= 0 {
				name = remaining[:end]
				after = strings.TrimLeft(remaining[end:], between)
			}
			if remaining = after; isClear(name, remaining) {
				return redactor.Redact(strings.TrimSuffix(l.raw, remaining)) + Mask
			}
		}
		return redactor.Redact(l.raw)
	}
}

// PropertiesLine returns an escaped line of properties.
func PropertiesLine(key, value string) string {
	return escape(key, true) + "=" + escape(value, false)
}

func escape(text string, key bool) string {
	var b []rune
	for i, r := range []rune(text) {
		switch {
		case r == '\n':
			b = append(b, '\\', 'n')
		case r == '\r':
			b = append(b, '\\', 'r')
		case r == '\t':
			b = append(b, '\\', 't')
		case r == '\f':
			b = append(b, '\\', 'f')
		case r == 0 || r == '\ufeff': // not allowed in text; a byte order mark at the start
			b = append(b, []rune(fmt.Sprintf(`\u%04x`, r))...)
		case r == '\\', key && (r == ':' || r == '=' || r == ' '), i == 0 && (r == '#' || r == '!' || r == ' '):
			b = append(b, '\\', r)
		case i == 0 && key && r == '{': // else the text would be JSON, see isJSON
			b = append(b, '\\', r)
		default:
			b = append(b, r)
		}
	}
	return string(b)
}
