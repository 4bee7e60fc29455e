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

	"github.com/culvert-project/culvert/host/secret"
)

// logical is a logical line of properties.
type logical struct {
	// raw are the natural lines that it is made of, end is the end of the last one, "" at the end of the text.
	raw, end string
	// line counts from 1.
	line int
	// setting: it is no comment, and not blank. key and value are without escapes. wrong: its escapes cannot be read,
	// and key is as it is written.
	setting, wrong bool
	key, value     string
}

// logicalLines are the logical lines of a text, all of its bytes among them.
func logicalLines(text string) iter.Seq[logical] {
	return func(yield func(logical) bool) {
		lines, rest := naturalLines(text), text
		for i := 0; i < len(lines); {
			joined, used := logicalLine(lines[i:])
			l, size := logical{line: i + 1, setting: joined != ""}, 0
			for _, line := range lines[i : i+used] {
				size += len(l.end) + len(line)
				l.end = rest[size:min(size+1, len(rest))]
				if strings.HasPrefix(rest[size:], "\r\n") {
					l.end = "\r\n"
				}
			}
			l.raw, rest = rest[:size], rest[size+len(l.end):]
			if l.setting {
				rawKey, rawValue := splitProperty(joined)
				var err, wrong error
				if l.key, err = unescape(rawKey); err != nil {
					l.key = rawKey
				}
				l.value, wrong = unescape(rawValue)
				l.wrong = err != nil || wrong != nil
			}
			if i += used; !yield(l) {
				return
			}
		}
	}
}

// propertyHead is what stands before a value in the line of its name, with = or : in it.
var propertyHead = regexp.MustCompile(`^[ \t\f]*(?:[^\\=: \t\f\r\n]|\\[^\r\n])+[ \t\f]*[=:][ \t\f]*`)

// with is the line of a setting with another value.
func (l logical) with(value string) string {
	if head := propertyHead.FindString(l.raw); head != "" && !l.wrong {
		return head + escaped(value, false)
	}
	return PropertiesLine(l.key, value)
}

// Edit writes settings into a text of Java properties. Settings that it has already stay byte for byte as they are
// written, as do comments, blank lines and the order. Another value is written in the place of the one before, with the
// name as it stands there; settings that are none any more lose their lines, and new ones come at the end, in the order
// of their names. Of a setting that is given more than once the last one counts, as in Java: where that changes, the
// lines before, which meant nothing, are taken out, since one of them may hold a password that nobody sees. A line that
// cannot be read is taken out, too.
//
// The result is read as these settings. A text of which that cannot be made, such as one that would begin with {, is
// replaced as a whole. The error is for a text that is none of properties, because it is in UTF-16, or holds a byte 0,
// or is JSON.
func Edit(text string, settings map[string]string) (string, error) {
	if _, err := propertiesIn([]byte(text)); err != nil {
		return "", err
	}
	text, marked := strings.CutPrefix(text, byteOrderMark)
	mark := strings.Repeat(byteOrderMark, map[bool]int{true: 1}[marked]) // which Read takes off
	lines, last, eol := slices.Collect(logicalLines(text)), map[string]int{}, ""
	for i, l := range lines {
		eol = cmp.Or(eol, l.end)
		if l.setting {
			last[l.key] = i
		}
	}
	eol = cmp.Or(eol, "\n")
	var b, added strings.Builder
	for i, l := range lines {
		want, wanted := settings[l.key]
		switch {
		case !l.setting, wanted && want == lines[last[l.key]].value && !l.wrong:
			b.WriteString(l.raw + l.end)
		case wanted && i == last[l.key]:
			b.WriteString(l.with(want) + l.end)
		}
	}
	for _, key := range slices.Sorted(maps.Keys(settings)) {
		if _, there := last[key]; !there {
			added.WriteString(PropertiesLine(key, settings[key]) + eol)
		}
	}
	made := b.String()
	between := []string{"", eol, eol + eol} // the last one after a \, by which what follows would be a part of it
	if added.Len() > 0 && made != "" && !strings.ContainsAny(made[len(made)-1:], "\r\n") {
		between = between[1:]
	}
	for _, ends := range between {
		edited := mark + made + ends + added.String()
		entries, problems := Read("x.properties", []byte(edited))
		if problems.Err() == nil && maps.Equal(rawOf(entries), settings) {
			return edited, nil
		}
	}
	return PropertiesText(settings), nil
}

// byteOrderMark is that of UTF-8.
const byteOrderMark = "\ufeff"

// isJSON tells whether a file in UTF-8 is JSON, whatever its name.
func isJSON(data []byte) bool { return bytes.HasPrefix(bytes.TrimLeft(data, " \t\r\n"), []byte("{")) }

// propertiesIn is a text of properties in UTF-8.
func propertiesIn(text []byte) ([]byte, error) {
	text, err := decoded(text)
	if err == nil && isJSON(text) {
		err = errors.New("expected Java properties, found {, with which JSON begins")
	}
	return text, err
}

// PropertiesText are settings as properties, in the order of their names.
func PropertiesText(settings map[string]string) string {
	var b strings.Builder
	for _, key := range slices.Sorted(maps.Keys(settings)) {
		b.WriteString(PropertiesLine(key, settings[key]) + "\n")
	}
	return b.String()
}

// ReadProperties reads a text of properties that somebody has sent: the settings as they are written. commented
// reports whether it has comments. Problems name the place.
func ReadProperties(place string, sent []byte) (settings map[string]string, commented bool, problems Problems) {
	text, err := propertiesIn(sent)
	if err != nil {
		return nil, false, Problems{{File: place, Line: 1, Text: err.Error()}}
	}
	for l := range logicalLines(string(text)) {
		commented = commented || !l.setting && strings.Trim(l.raw, propertyBlanks+"\r\n") != ""
	}
	entries, problems := Read(place, text)
	return rawOf(entries), commented, problems
}

// rawOf are settings as they are written.
func rawOf(entries []Entry) map[string]string {
	settings := make(map[string]string, len(entries))
	for _, e := range entries {
		settings[e.Key] = e.Raw
	}
	return settings
}

// MaskedText is a text of properties with [Mask] in the place of clear passwords, in comments, too: of settings that
// were taken out by #, and what repeats a password of the text. References to config providers stand as they are
// written.
func MaskedText(text string, password func(key string) bool) string {
	var b strings.Builder
	masked := masking(text, password)
	for l := range logicalLines(text) {
		b.WriteString(masked(l) + l.end)
	}
	return b.String()
}

// IsReference tells whether a value is a reference to a config provider and nothing else.
func IsReference(value string) bool { return wholeReference.MatchString(value) }

var wholeReference = regexp.MustCompile(`^\s*` + reference.String() + `\s*$`)

// masking is how lines of a text are masked, without their ends.
func masking(text string, password func(key string) bool) func(logical) string {
	isClear := func(key, value string) bool { return value != "" && password(key) && !IsReference(value) }
	var known secret.Known
	for l := range logicalLines(text) {
		if l.setting && isClear(l.key, l.value) {
			known.Keep(l.value)
		}
	}
	return func(l logical) string {
		switch {
		case l.setting && (isClear(l.key, l.value) || l.wrong && password(l.key)):
			return l.with(Mask)
		case l.setting:
			return l.raw
		}
		const between = "#!=:\\\r\n" + propertyBlanks
		for rest := strings.TrimLeft(l.raw, between); rest != ""; { // after the name of a password
			word, after := rest, ""
			if end := strings.IndexAny(rest, between); end >= 0 {
				word, after = rest[:end], strings.TrimLeft(rest[end:], between)
			}
			if rest = after; isClear(word, rest) {
				return known.Strike(strings.TrimSuffix(l.raw, rest)) + Mask
			}
		}
		return known.Strike(l.raw)
	}
}

// PropertiesLine is a setting as properties have it, so that it is read as it was.
func PropertiesLine(key, value string) string {
	return escaped(key, true) + "=" + escaped(value, false)
}

// escaped is a key or a value as properties have it, so that it is read as it was.
func escaped(text string, key bool) string {
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
		case r == 0 || r == '\ufeff': // no file of text has the first, and the other one is none where a file begins
			b = append(b, []rune(fmt.Sprintf(`\u%04x`, r))...)
		case r == '\\', key && (r == ':' || r == '=' || r == ' '), i == 0 && (r == '#' || r == '!' || r == ' '),
			i == 0 && key && r == '{':
			b = append(b, '\\', r)
		default:
			b = append(b, r)
		}
	}
	return string(b)
}
