package jsontext

import (
	"bytes"

	"github.com/culvert-project/culvert/plugins/odata/scan"
)

// Raw is a text that starts with a value, in a document that [Check] accepted. Nil is a missing value.
type Raw []byte

// Check returns the root of a document without reading its strings. The root must be an object or an array.
func Check(document []byte) (Raw, error) {
	document = bytes.TrimPrefix(document, []byte("\ufeff"))
	start := scan.JSONSpace(document, 0)
	end, err := scan.JSONValue(document, start, maxDepth)
	if err == nil {
		if end = scan.JSONSpace(document, end); end < len(document) {
			err = scan.UnexpectedByte(document, end, "the end of the document")
		}
	}
	if err != nil {
		return nil, notJSON(err)
	}
	return document[start:], nil
}

// Member returns the first member with a name, nil if the value is no object or has no such member.
func (r Raw) Member(name string) Raw {
	if len(r) == 0 || r[0] != '{' {
		return nil
	}
	i, closed, _ := scan.JSONFirst(r, 1, '}')
	for !closed {
		nameEnd, value, _ := scan.JSONName(r, i)
		quoted := r[i:nameEnd]
		if string(quoted[1:len(quoted)-1]) == name {
			return r[value:]
		}
		if bytes.IndexByte(quoted, '\\') >= 0 {
			if unescaped, _ := scan.Unescape(nil, quoted, true); string(unescaped) == name {
				return r[value:]
			}
		}
		end, _ := scan.JSONValue(r, value, maxDepth)
		i, closed, _ = scan.JSONNext(r, end, '}')
	}
	return nil
}

// Text returns a string, or a number as it is written. It is "" for other values.
func (r Raw) Text() (string, error) {
	if len(r) == 0 || bytes.IndexByte([]byte(`"-0123456789`), r[0]) < 0 {
		return "", nil
	}
	end, _ := scan.JSONValue(r, 0, 0)
	if r[0] != '"' {
		return string(r[:end]), nil
	}
	unescaped, ok := scan.Unescape(nil, r[:end], true)
	if !ok {
		return "", notJSON(invalidString(0))
	}
	return string(unescaped), nil
}
