// Package jsontext reads small JSON documents whole (service documents, error documents) and writes JSON text. Pages
// are read by package decode, which streams. It is here instead of encoding/json because that adds 1.4 MB to a guest
// and reflects over every value.
package jsontext

import (
	"errors"
	"strconv"
	"strings"
	"unicode/utf8"
)

// Kind of a value.
type Kind uint8

const (
	Null Kind = iota
	False
	True
	Number
	String
	Array
	Object
)

// Value is a JSON value.
type Value struct {
	Kind Kind
	// Text of a string, or a number as it was written.
	Text string
	// Items of an array.
	Items []Value
	// Members of an object, in order.
	Members []Member
}

// Member of an object.
type Member struct {
	Name  string
	Value Value
}

// Error is a document that is no JSON.
type Error struct {
	// At is the place in the document, in bytes.
	At   int
	Text string
}

func (e *Error) Error() string { return "JSON, byte " + strconv.Itoa(e.At) + ": " + e.Text }

// maxDepth bounds the nesting: documents come from outside.
const maxDepth = 1000

// Parse reads one document.
func Parse(document []byte) (Value, error) {
	p := parser{text: strings.TrimPrefix(string(document), "\ufeff")}
	v, err := p.value(0)
	if err != nil {
		return Value{}, err
	}
	if p.space(); p.at < len(p.text) {
		return Value{}, p.bad("expected the end of the document")
	}
	return v, nil
}

// At follows names of members; a missing one gives a null.
func (v Value) At(names ...string) Value {
	for _, name := range names {
		found := Value{}
		for i := range v.Members {
			if v.Members[i].Name == name {
				found = v.Members[i].Value
				break
			}
		}
		v = found
	}
	return v
}

// Has reports whether an object has that member.
func (v Value) Has(name string) bool {
	for i := range v.Members {
		if v.Members[i].Name == name {
			return true
		}
	}
	return false
}

type parser struct {
	text string
	at   int
}

func (p *parser) bad(text string) error { return &Error{p.at, text} }

func (p *parser) space() {
	for p.at < len(p.text) && strings.IndexByte(" \t\r\n", p.text[p.at]) >= 0 {
		p.at++
	}
}

func (p *parser) value(depth int) (Value, error) {
	if depth > maxDepth {
		return Value{}, p.bad("values nest more than " + strconv.Itoa(maxDepth) + " deep")
	}
	p.space()
	if p.at >= len(p.text) {
		return Value{}, p.bad("expected a value, found the end of the document")
	}
	switch c := p.text[p.at]; {
	case c == '{':
		return p.object(depth)
	case c == '[':
		return p.array(depth)
	case c == '"':
		s, err := p.str()
		return Value{Kind: String, Text: s}, err
	case c == '-' || c >= '0' && c <= '9':
		return p.number()
	}
	for _, word := range [...]struct {
		text string
		kind Kind
	}{{"null", Null}, {"true", True}, {"false", False}} {
		if strings.HasPrefix(p.text[p.at:], word.text) {
			p.at += len(word.text)
			return Value{Kind: word.kind}, nil
		}
	}
	return Value{}, p.bad("expected a value")
}

func (p *parser) object(depth int) (Value, error) {
	v := Value{Kind: Object}
	p.at++
	for first := true; ; first = false {
		if p.next('}') {
			return v, nil
		}
		if !first && !p.next(',') {
			return Value{}, p.bad("expected ',' or '}'")
		}
		if p.space(); p.at >= len(p.text) || p.text[p.at] != '"' {
			return Value{}, p.bad("expected a member's name")
		}
		name, err := p.str()
		if err != nil {
			return Value{}, err
		}
		if !p.next(':') {
			return Value{}, p.bad("expected ':'")
		}
		member, err := p.value(depth + 1)
		if err != nil {
			return Value{}, err
		}
		v.Members = append(v.Members, Member{name, member})
	}
}

func (p *parser) array(depth int) (Value, error) {
	v := Value{Kind: Array}
	p.at++
	for first := true; ; first = false {
		if p.next(']') {
			return v, nil
		}
		if !first && !p.next(',') {
			return Value{}, p.bad("expected ',' or ']'")
		}
		item, err := p.value(depth + 1)
		if err != nil {
			return Value{}, err
		}
		v.Items = append(v.Items, item)
	}
}

// next takes a character, after white space, if it stands there.
func (p *parser) next(c byte) bool {
	p.space()
	if p.at < len(p.text) && p.text[p.at] == c {
		p.at++
		return true
	}
	return false
}

func (p *parser) number() (Value, error) {
	start := p.at
	for p.at < len(p.text) && strings.IndexByte("+-.eE0123456789", p.text[p.at]) >= 0 {
		p.at++
	}
	text := p.text[start:p.at]
	if _, err := strconv.ParseFloat(text, 64); errors.Is(err, strconv.ErrSyntax) {
		return Value{}, p.bad("expected a number")
	}
	return Value{Kind: Number, Text: text}, nil
}

func (p *parser) str() (string, error) {
	p.at++
	start := p.at
	for p.at < len(p.text) {
		switch c := p.text[p.at]; {
		case c == '"':
			s := p.text[start:p.at]
			p.at++
			return valid(s), nil
		case c == '\\':
			return p.escaped(start)
		case c < 0x20:
			return "", p.bad("a control character inside of a string")
		}
		p.at++
	}
	return "", p.bad("the document ends inside of a string")
}

// escaped goes on with a string at its first escape.
func (p *parser) escaped(start int) (string, error) {
	out := append([]byte(nil), p.text[start:p.at]...)
	for p.at < len(p.text) {
		c := p.text[p.at]
		p.at++
		switch {
		case c == '"':
			return valid(string(out)), nil
		case c < 0x20:
			return "", p.bad("a control character inside of a string")
		case c != '\\':
			out = append(out, c)
			continue
		}
		if p.at >= len(p.text) {
			break
		}
		c = p.text[p.at]
		p.at++
		switch c {
		case '"', '\\', '/':
			out = append(out, c)
		case 'b':
			out = append(out, '\b')
		case 'f':
			out = append(out, '\f')
		case 'n':
			out = append(out, '\n')
		case 'r':
			out = append(out, '\r')
		case 't':
			out = append(out, '\t')
		case 'u':
			r, err := p.unicode()
			if err != nil {
				return "", err
			}
			out = utf8.AppendRune(out, r)
		default:
			return "", p.bad("unknown escape")
		}
	}
	return "", p.bad("the document ends inside of a string")
}

// unicode reads the digits of \u and, after a high surrogate, its partner; an unpaired surrogate becomes U+FFFD.
func (p *parser) unicode() (rune, error) {
	r, ok := p.hex()
	if !ok {
		return 0, p.bad("expected four hexadecimal digits after \\u")
	}
	if r >= 0xd800 && r < 0xdc00 && strings.HasPrefix(p.text[p.at:], "\\u") {
		at := p.at
		p.at += 2
		if low, ok := p.hex(); ok && low >= 0xdc00 && low < 0xe000 {
			return (r-0xd800)<<10 + (low - 0xdc00) + 0x10000, nil
		}
		p.at = at
	}
	return r, nil
}

func (p *parser) hex() (rune, bool) {
	if len(p.text)-p.at < 4 {
		return 0, false
	}
	n, err := strconv.ParseUint(p.text[p.at:p.at+4], 16, 32)
	if err != nil {
		return 0, false
	}
	p.at += 4
	return rune(n), true
}

func valid(s string) string { return strings.ToValidUTF8(s, "\ufffd") }
