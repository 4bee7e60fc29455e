package decode

import (
	"bytes"
	"unicode/utf8"

	"github.com/culvert-project/culvert/plugins/odata/scan"
)

// xmlTag is a start tag, an end tag or the tag of an empty element.
type xmlTag struct {
	start, end int
	// name is the qualified name; attributes start at its end
	name           textRange
	closing, empty bool
}

// is reports whether the tag has that qualified name.
func (t xmlTag) is(b []byte, name []byte) bool {
	return string(b[t.name.start:t.name.end]) == string(name)
}

// split returns prefix and local name.
func split(qualified []byte) (prefix, local []byte) {
	if i := bytes.IndexByte(qualified, ':'); i >= 0 {
		return qualified[:i], qualified[i+1:]
	}
	return nil, qualified
}

func isXMLSpace(c byte) bool { return c == ' ' || c == '\n' || c == '\t' || c == '\r' }

func xmlSpace(b []byte, i int) int {
	for i < len(b) && isXMLSpace(b[i]) {
		i++
	}
	return i
}

// xmlName returns the end of a name.
func xmlName(b []byte, i int) (end int, err *scan.Error) {
	start := i
	for i < len(b) {
		switch c := b[i]; c {
		case ' ', '\n', '\t', '\r', '/', '>', '=', '<', '"', '\'', '&', '?', '!':
			if i == start {
				return 0, scan.WrongByte(b, i, "a name")
			}
			return i, nil
		}
		i++
	}
	return 0, scan.More
}

// xmlTagAt reads the tag whose '<' is at i, its attributes included.
func xmlTagAt(b []byte, i int) (t xmlTag, err *scan.Error) {
	t.start = i
	i++
	if i < len(b) && b[i] == '/' {
		t.closing = true
		i++
	}
	t.name.start = i
	if t.name.end, err = xmlName(b, i); err != nil {
		return t, err
	}
	for i = t.name.end; ; {
		var a xmlAttribute
		if a, i, err = xmlAttributeAt(b, i); err != nil {
			return t, err
		}
		if a.name.end == 0 {
			break
		}
		if t.closing {
			return t, &scan.Error{At: a.name.start, Expected: "'>' of an end tag", Found: "an attribute"}
		}
	}
	if b[i] == '/' {
		if i+1 >= len(b) {
			return t, scan.More
		}
		if b[i+1] != '>' || t.closing {
			return t, scan.WrongByte(b, i, "'>'")
		}
		t.empty, i = true, i+1
	}
	t.end = i + 1
	return t, nil
}

// xmlAttribute is an attribute; value is what is between the quotes.
type xmlAttribute struct{ name, value textRange }

// xmlAttributeAt reads the next attribute of a tag. With none left name.end is 0, and next is at '>' or '/'.
func xmlAttributeAt(b []byte, i int) (a xmlAttribute, next int, err *scan.Error) {
	space := i
	if i = xmlSpace(b, i); i >= len(b) {
		return a, 0, scan.More
	}
	if b[i] == '>' || b[i] == '/' {
		return a, i, nil
	}
	if i == space {
		return a, 0, scan.WrongByte(b, i, "white space before an attribute")
	}
	a.name.start = i
	if a.name.end, err = xmlName(b, i); err != nil {
		return a, 0, err
	}
	if i = xmlSpace(b, a.name.end); i >= len(b) {
		return a, 0, scan.More
	}
	if b[i] != '=' {
		return a, 0, scan.WrongByte(b, i, "'=' after an attribute's name")
	}
	if i = xmlSpace(b, i+1); i >= len(b) {
		return a, 0, scan.More
	}
	quote := b[i]
	if quote != '"' && quote != '\'' {
		return a, 0, scan.WrongByte(b, i, "a quote before an attribute's value")
	}
	a.value.start = i + 1
	for i++; i < len(b); i++ {
		if b[i] == quote {
			a.value.end = i
			return a, i + 1, nil
		}
		if b[i] == '<' {
			return a, 0, scan.WrongByte(b, i, "the end of an attribute's value")
		}
	}
	return a, 0, scan.More
}

// xmlAside passes a comment, a processing instruction or a CDATA section at i, where '<' is; end 0: it is none of them.
func xmlAside(b []byte, i int) (end int, err *scan.Error) {
	if i+1 >= len(b) {
		return 0, scan.More
	}
	if b[i+1] == '?' {
		return xmlUntil(b, i+2, "?>")
	}
	if b[i+1] != '!' {
		return 0, nil
	}
	if ok, err := xmlHas(b, i, cdata); err != nil || ok {
		if err != nil {
			return 0, err
		}
		return xmlUntil(b, i+len(cdata), "]]>")
	}
	if ok, err := xmlHas(b, i, "<!--"); err != nil || ok {
		if err != nil {
			return 0, err
		}
		return xmlUntil(b, i+4, "-->")
	}
	return 0, &scan.Error{At: i, Expected: "no document type", Found: "'<!'"}
}

const cdata = "<![CDATA["

func xmlUntil(b []byte, i int, stop string) (end int, err *scan.Error) {
	if i <= len(b) {
		if k := bytes.Index(b[i:], []byte(stop)); k >= 0 {
			return i + k + len(stop), nil
		}
	}
	return 0, scan.More
}

// xmlHas reports whether text stands at i; more if it may.
func xmlHas(b []byte, i int, text string) (bool, *scan.Error) {
	for k := range len(text) {
		if i+k >= len(b) {
			return false, scan.More
		}
		if b[i+k] != text[k] {
			return false, nil
		}
	}
	return true, nil
}

// xmlElement returns the end of the element whose start tag is at i.
func xmlElement(b []byte, i, depth int) (end int, err *scan.Error) {
	open, err := xmlTagAt(b, i)
	if err != nil {
		return 0, err
	}
	if open.closing {
		return 0, &scan.Error{At: i, Expected: "a start tag", Found: "an end tag"}
	}
	if open.empty {
		return open.end, nil
	}
	if depth <= 0 {
		return 0, &scan.Error{At: i, Expected: "less nesting", Found: "an element"}
	}
	for i = open.end; ; {
		less := bytes.IndexByte(b[i:], '<')
		if less < 0 {
			return 0, scan.More
		}
		i += less
		if end, err = xmlAside(b, i); err != nil {
			return 0, err
		}
		if end > 0 {
			i = end
			continue
		}
		if b[i+1] != '/' {
			if i, err = xmlElement(b, i, depth-1); err != nil {
				return 0, err
			}
			continue
		}
		tag, err := xmlTagAt(b, i)
		if err != nil {
			return 0, err
		}
		name := b[open.name.start:open.name.end]
		if !tag.is(b, name) {
			return 0, &scan.Error{At: i, Expected: "</" + string(name) + ">",
				Found: "</" + string(b[tag.name.start:tag.name.end]) + ">"}
		}
		return tag.end, nil
	}
}

// xmlContent appends the text of an element's content: entities resolved, CDATA sections taken, comments left out, line
// ends made one. false: elements inside, an unknown entity, characters that XML does not allow, or bytes that are not
// UTF-8.
func xmlContent(dst, b []byte) ([]byte, bool) {
	start := len(dst)
	for i := 0; i < len(b); {
		switch c := b[i]; {
		case c == '<':
			end, err := xmlAside(b, i)
			if err != nil || end == 0 {
				return dst, false
			}
			if bytes.HasPrefix(b[i:], []byte(cdata)) {
				dst = appendLines(dst, b[i+len(cdata):end-len("]]>")])
			}
			i = end
		case c == '&':
			size := 0
			if dst, size = appendEntity(dst, b[i:]); size == 0 {
				return dst, false
			}
			i += size
		default:
			end := i
			for end < len(b) && b[end] != '<' && b[end] != '&' {
				end++
			}
			dst = appendLines(dst, b[i:end])
			i = end
		}
	}
	return dst, xmlAllows(dst[start:])
}

// appendLines appends text with its line ends made \n.
func appendLines(dst, text []byte) []byte {
	for i, c := range text {
		if c == '\r' {
			if i+1 < len(text) && text[i+1] == '\n' {
				continue
			}
			c = '\n'
		}
		dst = append(dst, c)
	}
	return dst
}

// xmlAllows: UTF-8 without the characters that XML 1.0 has no place for.
func xmlAllows(text []byte) bool {
	for i, c := range text {
		if c < 0x20 && c != '\t' && c != '\n' && c != '\r' {
			return false
		}
		if c == 0xef && i+2 < len(text) && text[i+1] == 0xbf && text[i+2] >= 0xbe {
			return false
		}
	}
	return utf8.Valid(text)
}

// appendEntity reads an entity or character reference at the start of b; size 0: it is none.
func appendEntity(dst, b []byte) (out []byte, size int) {
	const longest = 12
	end := bytes.IndexByte(b[:min(len(b), longest)], ';')
	if end < 2 {
		return dst, 0
	}
	name := b[1:end]
	if name[0] == '#' {
		r, ok := characterReference(name[1:])
		if !ok {
			return dst, 0
		}
		return utf8.AppendRune(dst, r), end + 1
	}
	switch string(name) {
	case "amp":
		return append(dst, '&'), end + 1
	case "lt":
		return append(dst, '<'), end + 1
	case "gt":
		return append(dst, '>'), end + 1
	case "quot":
		return append(dst, '"'), end + 1
	case "apos":
		return append(dst, '\''), end + 1
	}
	return dst, 0
}

func characterReference(number []byte) (rune, bool) {
	base := rune(10)
	if len(number) > 0 && number[0] == 'x' {
		base, number = 16, number[1:]
	}
	var r rune
	for _, c := range number {
		digit := rune(99)
		switch {
		case '0' <= c && c <= '9':
			digit = rune(c - '0')
		case 'a' <= c|0x20 && c|0x20 <= 'f':
			digit = rune(c|0x20-'a') + 10
		}
		if digit >= base || r > utf8.MaxRune {
			return 0, false
		}
		r = r*base + digit
	}
	return r, len(number) > 0 && utf8.ValidRune(r)
}
