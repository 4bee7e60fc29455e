package config

import (
	"bytes"
	"errors"
	"fmt"
	"iter"
	"maps"
	"regexp"
	"slices"
	"strings"
	"unicode/utf16"
	"unicode/utf8"

	"github.com/culvert-project/culvert/host/secret"
)

// logical is a logical line of properties.
type logical struct {
	// raw are the natural lines that it is made of, with their ends; end is the last one's, "" at the end of the text.
	raw, end string
	// setting: it is no comment, and not blank. key and value are without escapes. wrong: its escapes cannot be read,
	// and key is as it is written.
	setting, wrong bool
	key, value     string
	// head is what stands before the value in the first natural line; "" where the value begins in another one.
	// divided: there is = or : in it.
	head    string
	divided bool
	// open: the text ends in it with a backslash, by which what is appended would be a part of it.
	open bool
}

// logicalLines are the logical lines of a text, all of its bytes among them.
func logicalLines(text string) iter.Seq[logical] {
	return func(yield func(logical) bool) {
		lines := naturalLines(text)
		for i, at := 0, 0; i < len(lines); {
			joined, used := logicalLine(lines[i:])
			l, begin := logical{setting: joined != ""}, at
			for _, line := range lines[i : i+used] {
				at += len(line)
				l.end = text[at:min(at+1, len(text))]
				if strings.HasPrefix(text[at:], "\r\n") {
					l.end = "\r\n"
				}
				at += len(l.end)
			}
			l.raw = text[begin:at]
			end := lines[i+used-1]
			if _, l.open = continued(end); l.setting {
				l.split(joined, lines[i])
			} else if end = strings.TrimLeft(end, propertyBlanks); end != "" && strings.ContainsAny(end[:1], "#!") {
				l.open = false
			}
			if i += used; !yield(l) {
				return
			}
		}
	}
}

// split finds key, value and head of a setting; first is its first natural line.
func (l *logical) split(joined, first string) {
	rawKey, rawValue := splitProperty(joined)
	var err, wrong error
	l.key, err = unescape(rawKey)
	l.value, wrong = unescape(rawValue)
	if l.wrong = err != nil || wrong != nil; err != nil {
		l.key = rawKey
		return
	}
	body, more := continued(strings.TrimLeft(first, propertyBlanks))
	key, value := splitProperty(body)
	if more && value == "" {
		return
	}
	head := body[:len(body)-len(value)]
	l.divided = strings.ContainsAny(head[len(key):], "=:")
	if head == key {
		head, l.divided = key+"=", true
	}
	l.head = first[:len(first)-len(strings.TrimLeft(first, propertyBlanks))] + head
}

// with is the line of a setting with another value.
func (l logical) with(value string) string {
	text := escaped(value, false)
	switch {
	case l.head == "":
		return PropertiesLine(l.key, value) + l.end
	case !l.divided && text != "" && strings.ContainsAny(text[:1], "=:"): // it would be taken for a divider
		text = `\` + text
	}
	return l.head + text + l.end
}

// Edit writes settings into a text of Java properties. Settings that it has already stay byte for byte as they are
// written, as do comments, blank lines, the order and the encoding: UTF-8, or ISO-8859-1 where it is no UTF-8. Another
// value is written in the place of the one before, with the name as it stands there; settings that are none any more
// lose their lines, and new ones come at the end, in the order of their names. Of a setting that is given more than
// once the last one counts, as in Java: where that changes, the lines before, which meant nothing, are taken out, since
// one of them may hold a password that nobody sees. A line that cannot be read is taken out, too.
//
// The result is read as these settings. The error is for a text that is none of properties, because it is in UTF-16, or
// holds a byte 0, or is JSON.
func Edit(text []byte, settings map[string]string) ([]byte, error) {
	read, err := decoded(text)
	if err != nil {
		return nil, err
	}
	if isJSON(read) {
		return nil, errJSON
	}
	plain := string(read)
	last := map[string]string{}
	count := map[string]int{}
	eol := ""
	for l := range logicalLines(plain) {
		if eol == "" {
			eol = l.end
		}
		if l.setting {
			last[l.key] = l.value
			count[l.key]++
		}
	}
	if eol == "" {
		eol = "\n"
	}
	mark := text[:len(text)-len(bytes.TrimPrefix(text, []byte(byteOrderMark)))]
	latin := !utf8.Valid(text)
	var b strings.Builder
	ended, open := true, false
	write := func(line string) {
		if latin {
			line = inLatin(line)
		}
		b.WriteString(line)
	}
	for l := range logicalLines(plain) {
		want, wanted := settings[l.key]
		if l.setting {
			count[l.key]--
		}
		switch same := want == last[l.key] && !l.wrong; {
		case !l.setting, wanted && same:
			b.WriteString(l.raw)
		case !wanted || count[l.key] > 0:
			continue
		default:
			write(l.with(want))
			l.open = false
		}
		if l.raw != "" {
			// A \n behind a lone \r would be a part of its end of line.
			ended, open = l.end != "", l.open || l.end == "" && strings.HasSuffix(l.raw, "\r")
		}
	}
	for _, key := range slices.Sorted(maps.Keys(settings)) {
		if _, there := count[key]; there {
			continue
		}
		if !ended {
			b.WriteString(eol)
		}
		if open {
			b.WriteString(eol)
		}
		write(PropertiesLine(key, settings[key]) + eol)
		ended, open = true, false
	}
	made := b.String()
	if isJSON([]byte(made)) { // what stood before it was taken out
		made = "#" + eol + made
	}
	forms := [][]byte{append(slices.Clone(mark), made...), []byte(byteOrderMark + made)}
	if latin {
		forms = slices.Insert(forms, 0, append(slices.Clone(mark), toLatin(made)...))
	}
	for _, data := range forms { // what was taken out may have told the encoding
		if back, err := decoded(data); err == nil && string(back) == made {
			return data, nil
		}
	}
	return nil, errors.New("expected characters that a file can hold")
}

// byteOrderMark is that of UTF-8.
const byteOrderMark = "\ufeff"

// isJSON tells whether a file in UTF-8 is JSON, whatever its name.
func isJSON(data []byte) bool { return bytes.HasPrefix(bytes.TrimLeft(data, " \t\r\n"), []byte("{")) }

// toLatin is a text in ISO-8859-1; characters that are not in it are cut off to others.
func toLatin(text string) (data []byte) {
	for _, r := range text {
		data = append(data, byte(r))
	}
	return data
}

// inLatin has characters that are not in ISO-8859-1 escaped, as properties do.
func inLatin(line string) string {
	var b strings.Builder
	for _, r := range line {
		if r <= 0xff {
			b.WriteRune(r)
			continue
		}
		for _, unit := range utf16.Encode([]rune{r}) {
			fmt.Fprintf(&b, `\u%04x`, unit)
		}
	}
	return b.String()
}

// PropertiesText are settings as properties, in the order of their names.
func PropertiesText(settings map[string]string) (data []byte) {
	for _, key := range slices.Sorted(maps.Keys(settings)) {
		data = append(data, PropertiesLine(key, settings[key])+"\n"...)
	}
	return data
}

// ReadProperties reads a text of properties that somebody has sent: it is handed back in UTF-8, with its settings as
// they are written. Problems name the place.
func ReadProperties(place string, sent []byte) (text []byte, settings map[string]string, problems Problems) {
	text, err := decoded(sent)
	if err == nil && isJSON(text) {
		err = errJSON
	}
	if err != nil {
		return nil, nil, Problems{{File: place, Line: 1, Text: err.Error()}}
	}
	entries, problems := Read(place, text)
	settings = make(map[string]string, len(entries))
	for _, e := range entries {
		settings[e.Key] = e.Raw
	}
	return text, settings, problems
}

// Commented tells whether a text of properties has comments.
func Commented(text []byte) bool {
	for l := range logicalLines(string(text)) {
		if !l.setting && strings.TrimSpace(l.raw) != "" {
			return true
		}
	}
	return false
}

var errJSON = errors.New("expected Java properties, found {, with which JSON begins")

// MaskedText is a text of properties in UTF-8, with [Mask] in the place of clear passwords, in comments, too: of
// settings that were taken out by #, and what repeats a password of the text. References to config providers stand as
// they are written.
func MaskedText(text []byte, password func(key string) bool) ([]byte, error) {
	plain, err := decoded(text)
	if err != nil {
		return nil, err
	}
	var b strings.Builder
	m := newMasker(string(plain), password)
	for l := range logicalLines(string(plain)) {
		b.WriteString(m.line(l))
	}
	return []byte(b.String()), nil
}

// UnmaskedComments is a text that comes back from somebody who was shown a [MaskedText] of what is stored: comments
// that were masked are again what they were. Settings are for [Unmasked] and [Edit].
func UnmaskedComments(text, stored []byte, password func(key string) bool) []byte {
	before, err := decoded(stored)
	if err != nil {
		return text
	}
	m, hidden := newMasker(string(before), password), map[string][]string{}
	for l := range logicalLines(string(before)) {
		if masked := m.line(l); !l.setting && masked != l.raw {
			masked = strings.TrimSuffix(masked, l.end)
			hidden[masked] = append(hidden[masked], strings.TrimSuffix(l.raw, l.end))
		}
	}
	if len(hidden) == 0 {
		return text
	}
	var b strings.Builder
	for l := range logicalLines(string(text)) {
		masked := strings.TrimSuffix(l.raw, l.end)
		if was := hidden[masked]; !l.setting && len(was) > 0 {
			hidden[masked], l.raw = was[1:], was[0]+l.end
		}
		b.WriteString(l.raw)
	}
	return []byte(b.String())
}

// masker masks lines of a text.
type masker struct {
	password func(key string) bool
	known    secret.Known // clear passwords of the text
}

func newMasker(text string, password func(key string) bool) *masker {
	m := &masker{password: password}
	for l := range logicalLines(text) {
		if l.setting && m.clear(l.key, l.value) {
			m.known.Keep(l.value)
		}
	}
	return m
}

// IsReference tells whether a value is a reference to a config provider and nothing else.
func IsReference(value string) bool { return wholeReference.MatchString(value) }

var wholeReference = regexp.MustCompile(`^\s*` + reference.String() + `\s*$`)

// clear tells whether a setting is a password that stands there itself.
func (m *masker) clear(key, value string) bool {
	return value != "" && m.password(key) && !IsReference(value)
}

func (m *masker) line(l logical) string {
	if l.setting {
		if m.clear(l.key, l.value) || l.wrong && m.password(l.key) {
			return l.with(Mask)
		}
		return l.raw
	}
	comment := strings.TrimSuffix(l.raw, l.end)
	const between = "#!=:\\\r\n" + propertyBlanks
	for rest := strings.TrimLeft(comment, between); rest != ""; { // after the name of a password
		word, after := rest, ""
		if end := strings.IndexAny(rest, between); end >= 0 {
			word, after = rest[:end], strings.TrimLeft(rest[end:], between)
		}
		if rest = after; m.clear(word, rest) {
			return m.known.Strike(strings.TrimSuffix(comment, rest)) + Mask + l.end
		}
	}
	return m.known.Strike(comment) + l.end
}
