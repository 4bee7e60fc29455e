// Package jsontext reads small JSON documents such as service and error documents, and writes JSON text. Pages are read
// by package decode, which streams. encoding/json would add 1.4 MB to a guest and use reflection for each value.
package jsontext

import (
	"bytes"
	"errors"
	"slices"

	"github.com/culvert-project/culvert/plugins/odata/scan"
)

// Kind is the type of a value.
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
	Kind    Kind
	Text    string   // of a string, or a number as it was written
	Items   []Value  // of an array
	Members []Member // of an object, in order
}

// Member is a name and a value in an object.
type Member struct {
	Name  string
	Value Value
}

const maxDepth = 1000 // of nesting, in untrusted documents

// Parse reads one document. Invalid UTF-8 and halves of surrogate pairs become U+FFFD.
func Parse(document []byte) (Value, error) {
	// The space ends a number. Clip makes append copy, so the caller's memory is not written.
	reader := parser{text: append(bytes.TrimPrefix(slices.Clip(document), []byte("\ufeff")), ' ')}
	start := scan.JSONSpace(reader.text, 0)
	end, err := scan.JSONValue(reader.text, start, maxDepth)
	if err == nil {
		if end = scan.JSONSpace(reader.text, end); end < len(reader.text) {
			err = scan.UnexpectedByte(reader.text, end, "the end of the document")
		}
	}
	if err != nil {
		return Value{}, notJSON(err)
	}
	value, _ := reader.value(start)
	if reader.invalid != nil {
		return Value{}, notJSON(reader.invalid)
	}
	return value, nil
}

func notJSON(err *scan.Error) error { return errors.New("JSON, " + err.Error()) }

// Get follows the names of members into an object. It returns null if one is missing. Of equal names the first counts.
func (v Value) Get(names ...string) Value {
	for _, name := range names {
		member := Value{}
		for i := range v.Members {
			if v.Members[i].Name == name {
				member = v.Members[i].Value
				break
			}
		}
		v = member
	}
	return v
}

// Has reports whether an object has a member with the name.
func (v Value) Has(name string) bool {
	for i := range v.Members {
		if v.Members[i].Name == name {
			return true
		}
	}
	return false
}

// parser builds values from a text whose structure is valid; it checks the strings.
type parser struct {
	text    []byte
	buffer  []byte      // of the last string
	invalid *scan.Error // of the first invalid string
}

// value returns the value that starts at i, and its end.
func (p *parser) value(i int) (result Value, end int) {
	switch char := p.text[i]; char {
	case '{', '[':
		result.Kind = Array
		if char == '{' {
			result.Kind = Object
		}
		closing := char + 2 // in ASCII, } is { + 2, and ] is [ + 2
		next, closed, _ := scan.JSONFirst(p.text, i+1, closing)
		for !closed {
			var member Member
			if result.Kind == Object {
				nameEnd, valueStart, _ := scan.JSONName(p.text, next)
				member.Name = p.string(next, nameEnd)
				next = valueStart
			}
			member.Value, next = p.value(next)
			if result.Kind == Object {
				result.Members = append(result.Members, member)
			} else {
				result.Items = append(result.Items, member.Value)
			}
			next, closed, _ = scan.JSONNext(p.text, next, closing)
		}
		return result, next
	case '"':
		end, _ = scan.JSONString(p.text, i)
		return Value{Kind: String, Text: p.string(i, end)}, end
	}
	end, _ = scan.JSONValue(p.text, i, 0)
	switch p.text[i] {
	case 'n': // null, the zero Value
	case 't':
		result.Kind = True
	case 'f':
		result.Kind = False
	default:
		result = Value{Kind: Number, Text: string(p.text[i:end])}
	}
	return result, end
}

func invalidString(start int) *scan.Error {
	return &scan.Error{At: start, Expected: "a string of valid escapes without control characters",
		Found: "another one"}
}

func (p *parser) string(start, end int) string {
	ok := false
	if p.buffer, ok = scan.Unescape(p.buffer[:0], p.text[start:end], true); !ok && p.invalid == nil {
		p.invalid = invalidString(start)
	}
	return string(p.buffer)
}
