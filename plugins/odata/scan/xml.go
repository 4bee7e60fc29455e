package scan

import (
	"bytes"
	"iter"
	"strings"
	"unicode/utf8"
)

// XMLTag is a start tag, an end tag or the tag of an empty element, as offsets in the text. It has at most four fields,
// because Go's compiler for Wasm copies larger structs by a slow instruction.
type XMLTag struct {
	Start int
	End   int
	// NameEnd is the end of the qualified name. The attributes start there.
	NameEnd int
	XMLTagForm
}

// XMLTagForm is the form of a tag.
type XMLTagForm struct {
	Closing bool
	Empty   bool
	// Declares reports an attribute that begins with xml: a namespace or xml:base.
	Declares bool
}

// Name returns the qualified name of a tag in the text b.
func (t XMLTag) Name(b []byte) []byte {
	start := t.Start + 1
	if t.Closing {
		start++
	}
	return b[start:t.NameEnd]
}

// SplitName returns prefix and local name of a qualified name.
func SplitName(qualified []byte) (prefix, local []byte) {
	if i := bytes.IndexByte(qualified, ':'); i >= 0 {
		return qualified[:i], qualified[i+1:]
	}
	return nil, qualified
}

func isXMLSpace(c byte) bool { return c == ' ' || c == '\n' || c == '\t' || c == '\r' }

// XMLSpace returns the offset of the first byte from i on that is not white space.
func XMLSpace(b []byte, i int) int {
	for i < len(b) && isXMLSpace(b[i]) {
		i++
	}
	return i
}

// XMLTrim returns a text without the white space around it.
func XMLTrim(b []byte) []byte {
	for len(b) > 0 && isXMLSpace(b[len(b)-1]) {
		b = b[:len(b)-1]
	}
	return b[XMLSpace(b, 0):]
}

// xmlName returns the end of the name that starts at i.
func xmlName(b []byte, i int) (end int, err *Error) {
	start := i
	for i < len(b) && !endsName[b[i]] {
		i++
	}
	if i >= len(b) {
		return 0, ErrNeedMore
	}
	if i == start {
		return 0, UnexpectedByte(b, i, "a name")
	}
	return i, nil
}

var endsName = [256]bool{' ': true, '\n': true, '\t': true, '\r': true, '/': true, '>': true, '=': true, '<': true,
	'"': true, '\'': true, '&': true, '?': true, '!': true}

// XMLTagAt reads the tag whose '<' is at i, and checks its attributes.
func XMLTagAt(b []byte, i int) (t XMLTag, err *Error) {
	t.Start = i
	i++
	if i < len(b) && b[i] == '/' {
		t.Closing = true
		i++
	}
	if t.NameEnd, err = xmlName(b, i); err != nil {
		return t, err
	}
	if b[t.NameEnd] == '>' {
		t.End = t.NameEnd + 1
		return t, nil
	}
	for i = t.NameEnd; ; {
		var attribute XMLAttribute
		if attribute, i, err = XMLAttributeAt(b, i); err != nil {
			return t, err
		}
		if attribute.NameEnd == 0 {
			break
		}
		if t.Closing {
			return t, &Error{At: attribute.NameAt, Expected: "'>' of an end tag", Found: "an attribute"}
		}
		t.Declares = t.Declares || bytes.HasPrefix(attribute.Name(b), []byte("xml"))
	}
	if b[i] == '/' {
		if i+1 >= len(b) {
			return t, ErrNeedMore
		}
		if b[i+1] != '>' || t.Closing {
			return t, UnexpectedByte(b, i, "'>'")
		}
		t.Empty = true
		i = i + 1
	}
	t.End = i + 1
	return t, nil
}

// XMLAttribute is an attribute, as offsets in the text. The value is the text between the quotes, not resolved.
type XMLAttribute struct {
	NameAt   int
	NameEnd  int
	ValueAt  int
	ValueEnd int
}

// Name returns the qualified name of an attribute in the text b.
func (a XMLAttribute) Name(b []byte) []byte { return b[a.NameAt:a.NameEnd] }

// Value returns the text between the quotes of an attribute in the text b.
func (a XMLAttribute) Value(b []byte) []byte { return b[a.ValueAt:a.ValueEnd] }

// Attributes iterates over the attributes of a tag in the text b. The tag was read by [XMLTagAt], so they are valid.
func (t XMLTag) Attributes(b []byte) iter.Seq[XMLAttribute] {
	return func(yield func(XMLAttribute) bool) {
		if b[t.NameEnd] == '>' {
			return
		}
		for i := t.NameEnd; ; {
			attribute, next, err := XMLAttributeAt(b, i)
			if err != nil || attribute.NameEnd == 0 || !yield(attribute) {
				return
			}
			i = next
		}
	}
}

// XMLAttributeAt reads the next attribute of a tag. After the last one, it is zero and next is at '>' or '/'.
func XMLAttributeAt(b []byte, i int) (attribute XMLAttribute, next int, err *Error) {
	space := i
	if i = XMLSpace(b, i); i >= len(b) {
		return attribute, 0, ErrNeedMore
	}
	if b[i] == '>' || b[i] == '/' {
		return attribute, i, nil
	}
	if i == space {
		return attribute, 0, UnexpectedByte(b, i, "white space before an attribute")
	}
	end, err := xmlName(b, i)
	if err != nil {
		return attribute, 0, err
	}
	attribute.NameAt = i
	attribute.NameEnd = end
	if i = XMLSpace(b, end); i >= len(b) {
		return attribute, 0, ErrNeedMore
	}
	if b[i] != '=' {
		return attribute, 0, UnexpectedByte(b, i, "'=' after an attribute's name")
	}
	if i = XMLSpace(b, i+1); i >= len(b) {
		return attribute, 0, ErrNeedMore
	}
	quote := b[i]
	if quote != '"' && quote != '\'' {
		return attribute, 0, UnexpectedByte(b, i, "a quote before an attribute's value")
	}
	attribute.ValueAt = i + 1
	value := b[i+1:]
	size := bytes.IndexByte(value, quote)
	if size >= 0 {
		value = value[:size]
	}
	if less := bytes.IndexByte(value, '<'); less >= 0 {
		return attribute, 0, UnexpectedByte(b, i+1+less, "the end of an attribute's value")
	}
	if size < 0 {
		return attribute, 0, ErrNeedMore
	}
	attribute.ValueEnd = attribute.ValueAt + size
	return attribute, attribute.ValueEnd + 1, nil
}

// XMLMisc returns the end of the comment, processing instruction or CDATA section whose '<' is at i, or zero if there
// is another token at i.
func XMLMisc(b []byte, i int) (end int, err *Error) {
	if i+1 >= len(b) {
		return 0, ErrNeedMore
	}
	if b[i+1] == '?' {
		return XMLUntil(b, i+2, "?>")
	}
	if b[i+1] != '!' {
		return 0, nil
	}
	if ok, err := XMLHas(b, i, CDATA); err != nil || ok {
		if err != nil {
			return 0, err
		}
		return XMLUntil(b, i+len(CDATA), "]]>")
	}
	if ok, err := XMLHas(b, i, "<!--"); err != nil || ok {
		if err != nil {
			return 0, err
		}
		return XMLUntil(b, i+len("<!--"), "-->")
	}
	return 0, &Error{At: i, Expected: "no document type", Found: "'<!'"}
}

// CDATA starts a CDATA section.
const CDATA = "<![CDATA["

// XMLRoot returns the qualified name of the root element, nil if the document does not start with one. It may follow a
// byte order mark, comments and instructions.
func XMLRoot(document []byte) []byte {
	document = bytes.TrimPrefix(document, []byte("\ufeff"))
	for i := XMLSpace(document, 0); i < len(document) && document[i] == '<'; i = XMLSpace(document, i) {
		end, err := XMLMisc(document, i)
		if err == nil && end == 0 {
			if end, err = xmlName(document, i+1); err == nil {
				return document[i+1 : end]
			}
		}
		if err != nil {
			return nil
		}
		i = end
	}
	return nil
}

// XMLUntil returns the end of the first stop from i on.
func XMLUntil(b []byte, i int, stop string) (end int, err *Error) {
	if i <= len(b) {
		if k := bytes.Index(b[i:], []byte(stop)); k >= 0 {
			return i + k + len(stop), nil
		}
	}
	return 0, ErrNeedMore
}

// XMLHas reports whether b has text at i. It returns ErrNeedMore if b ends within it.
func XMLHas(b []byte, i int, text string) (bool, *Error) {
	for k := range len(text) {
		if i+k >= len(b) {
			return false, ErrNeedMore
		}
		if b[i+k] != text[k] {
			return false, nil
		}
	}
	return true, nil
}

// XMLElement returns the end of the element whose start tag is at i, with at most depth levels of nesting.
func XMLElement(b []byte, i, depth int) (end int, err *Error) {
	open, err := XMLTagAt(b, i)
	if err != nil {
		return 0, err
	}
	if open.Closing {
		return 0, &Error{At: i, Expected: "a start tag", Found: "an end tag"}
	}
	if open.Empty {
		return open.End, nil
	}
	if depth <= 0 {
		return 0, &Error{At: i, Expected: "less nesting", Found: "an element"}
	}
	for i = open.End; ; {
		less := bytes.IndexByte(b[i:], '<')
		if less < 0 {
			return 0, ErrNeedMore
		}
		i += less
		if end, err = XMLMisc(b, i); err != nil {
			return 0, err
		}
		if end > 0 {
			i = end
			continue
		}
		if b[i+1] != '/' {
			if i, err = XMLElement(b, i, depth-1); err != nil {
				return 0, err
			}
			continue
		}
		tag, err := XMLTagAt(b, i)
		if err != nil {
			return 0, err
		}
		if name := tag.Name(b); !bytes.Equal(name, open.Name(b)) {
			return 0, &Error{At: i, Expected: "</" + string(open.Name(b)) + ">", Found: "</" + string(name) + ">"}
		}
		return tag.End, nil
	}
}

// XMLContent appends the text of an element's content: it resolves entities and CDATA sections, drops comments and
// normalizes line ends. It returns false for nested elements, unknown entities, and characters that XML does not allow.
func XMLContent(dst, b []byte) ([]byte, bool) {
	start := len(dst)
	for i := 0; i < len(b); {
		switch c := b[i]; {
		case c == '<':
			end, err := XMLMisc(b, i)
			if err != nil || end == 0 {
				return dst, false
			}
			if bytes.HasPrefix(b[i:], []byte(CDATA)) {
				dst = appendLines(dst, b[i+len(CDATA):end-len("]]>")])
			}
			i = end
		case c == '\r':
			i++
			if i >= len(b) || b[i] != '\n' {
				dst = append(dst, '\n')
			}
		case c == '&':
			size := 0
			if dst, size = AppendXMLEntity(dst, b[i:]); size == 0 {
				return dst, false
			}
			i += size
		default:
			end := i
			for end < len(b) && b[end] != '<' && b[end] != '&' && b[end] != '\r' {
				end++
			}
			dst = append(dst, b[i:end]...)
			i = end
		}
	}
	return dst, XMLAllows(dst[start:])
}

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

// XMLAllows reports whether a text is UTF-8 without characters that XML 1.0 forbids.
func XMLAllows(text []byte) bool {
	isASCII := true
	for i, c := range text {
		if c < 0x20 && c != '\t' && c != '\n' && c != '\r' {
			return false
		}
		if c == 0xef && i+2 < len(text) && text[i+1] == 0xbf && text[i+2] >= 0xbe { // U+FFFE and U+FFFF
			return false
		}
		isASCII = isASCII && c < utf8.RuneSelf
	}
	return isASCII || utf8.Valid(text)
}

// AppendXMLEntity appends the character of the entity or character reference at the start of b, such as &amp;. size is
// the reference's length in bytes, zero if it is invalid.
func AppendXMLEntity[T string | []byte](dst []byte, b T) (out []byte, size int) {
	const longest = len("&#x0010FFFF;")
	head := string(b[:min(len(b), longest)])
	end := strings.IndexByte(head, ';')
	if end < 2 {
		return dst, 0
	}
	name := head[1:end]
	if name[0] == '#' {
		r, ok := characterReference(name[1:])
		if !ok {
			return dst, 0
		}
		return utf8.AppendRune(dst, r), end + 1
	}
	switch name {
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

// characterReference returns the character with a number in digits, or in hexadecimal ones after an x.
func characterReference(number string) (rune, bool) {
	base := rune(10)
	if len(number) > 0 && number[0] == 'x' {
		base = 16
		number = number[1:]
	}
	var r rune
	for _, c := range []byte(number) {
		digit := rune(99) // no digit
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
	return r, r > 0 && utf8.ValidRune(r)
}
