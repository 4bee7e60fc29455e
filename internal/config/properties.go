package config

import (
	"strconv"
	"strings"
	"unicode/utf16"
)

// readProperties reads Java's properties exactly as java.util.Properties.load does, with line numbers.
func readProperties(file string, data []byte) (entries []Entry, problems Problems) {
	for l := range logicalLines(string(data)) {
		switch {
		case l.malformed:
			problems = append(problems, l.problem(file))
		case l.isSetting:
			entries = append(entries, NewEntry(l.key, l.value, file, l.line))
		}
	}
	return entries, problems
}

// problem returns the problem of a malformed line.
func (l logicalLine) problem(file string) Problem {
	p := Problem{File: file, Line: l.line, Text: `expected four hexadecimal digits after \u`}
	if !strings.Contains(l.key, `\u`) { // else the key is malformed, too, and may be a part of a password
		p.Setting = l.key
	}
	return p
}

// readKeys returns the values of some keys of Java properties. It fails at the first malformed line.
func readKeys(file string, data []byte, keys map[string]bool) (map[string]string, error) {
	values := make(map[string]string, len(keys))
	for l := range logicalLines(string(data)) {
		if l.malformed {
			return nil, l.problem(file)
		}
		if l.isSetting && keys[l.key] {
			values[l.key] = strings.Clone(l.value) // else the whole file stays in memory
		}
	}
	return values, nil
}

func naturalLines(s string) []string {
	return strings.Split(strings.ReplaceAll(strings.ReplaceAll(s, "\r\n", "\n"), "\r", "\n"), "\n")
}

const propertyBlanks = " \t\f"

// joinLines returns the first logical line, without the backslashes that join its natural lines and without leading
// blanks, and the number of natural lines. A comment or blank line is "".
func joinLines(lines []string) (joined string, used int) {
	isSkipped := func(line string) bool { return line == "" || line[0] == '#' || line[0] == '!' }
	line := strings.TrimLeft(lines[0], propertyBlanks)
	if isSkipped(line) {
		return "", 1
	}
	var b strings.Builder
	for used = 1; ; used++ {
		body, isContinued := cutBackslash(line)
		b.WriteString(body)
		if !isContinued || used == len(lines) {
			return b.String(), used
		}
		line = strings.TrimLeft(lines[used], propertyBlanks)
		if b.Len() == 0 && isSkipped(line) { // as in Java, after lines with nothing but a backslash
			return "", used + 1
		}
	}
}

// cutBackslash removes the backslash that joins the next line, which an even number of backslashes does not do.
func cutBackslash(line string) (body string, ok bool) {
	if n := len(line) - len(strings.TrimRight(line, `\`)); n%2 == 0 {
		return line, false
	}
	return line[:len(line)-1], true
}

func splitProperty(line string) (key, value string) {
	end := len(line)
	for i := 0; i < len(line); i++ {
		if line[i] == '\\' {
			i++
			continue
		}
		if strings.IndexByte(propertyBlanks+"=:", line[i]) >= 0 {
			end = i
			break
		}
	}
	key = line[:end]
	value = strings.TrimLeft(line[end:], propertyBlanks)
	if value != "" && (value[0] == '=' || value[0] == ':') {
		value = strings.TrimLeft(value[1:], propertyBlanks)
	}
	return key, value
}

func unescape(s string) (string, error) {
	if strings.IndexByte(s, '\\') < 0 {
		return s, nil
	}
	var b strings.Builder
	var units []uint16
	flush := func() {
		b.WriteString(string(utf16.Decode(units)))
		units = units[:0]
	}
	for i := 0; i < len(s); i++ {
		if s[i] != '\\' {
			flush()
			b.WriteByte(s[i])
			continue
		}
		i++
		if i == len(s) {
			break
		}
		if s[i] == 'u' {
			if len(s) < i+5 {
				return "", strconv.ErrSyntax
			}
			n, err := strconv.ParseUint(s[i+1:i+5], 16, 16)
			if err != nil {
				return "", err
			}
			units = append(units, uint16(n))
			i += 4
			continue
		}
		flush()
		switch s[i] {
		case 't':
			b.WriteByte('\t')
		case 'n':
			b.WriteByte('\n')
		case 'r':
			b.WriteByte('\r')
		case 'f':
			b.WriteByte('\f')
		default:
			b.WriteByte(s[i])
		}
	}
	flush()
	return b.String(), nil
}
