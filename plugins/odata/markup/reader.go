// Package markup is a small reader of whole XML documents with namespaces: $metadata, service documents, error
// documents. Feeds are read by package decode, which streams. It is here instead of encoding/xml because guests pay for
// size and time: it adds a few kilobytes to a guest, and names and values are substrings of the document, so a
// $metadata of 2 MB makes little garbage.
package markup

import (
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

// Kind is what Next came to.
type Kind uint8

const (
	// End of the document: every element is closed.
	End Kind = iota
	// Open is a start tag (an empty element gives Open, then Close).
	Open
	// Close is an end tag.
	Close
	// Text is character data, entities resolved; one run may come in several pieces.
	Text
)

// Attribute of an element; Space is the namespace's URI, "" for attributes without prefix.
type Attribute struct{ Space, Local, Value string }

// Name of an element: namespace URI and local name.
type Name struct{ Space, Local string }

// Reader reads a document from its start. Its fields hold what the last Next came to.
type Reader struct {
	Name
	Attributes []Attribute
	// Data is the text of a Text.
	Data string

	text     string
	at       int
	open     []element
	bindings []binding
	empty    bool
	rooted   bool
}

type element struct {
	Name
	// written is the name with its prefix, bindings the number of namespace bindings outside of the element.
	written  string
	bindings int
}

type binding struct{ prefix, space string }

// Error is a document that is not well-formed XML.
type Error struct {
	// Line counts from 1.
	Line int
	Text string
}

func (e *Error) Error() string { return "XML, line " + strconv.Itoa(e.Line) + ": " + e.Text }

// maxDepth bounds the nesting: documents come from outside.
const maxDepth = 1000

// NewReader reads a document in UTF-8 (a byte order mark is skipped).
func NewReader(document []byte) *Reader { return NewTextReader(string(document)) }

// NewTextReader is NewReader without a copy of the document: names and values are parts of text.
func NewTextReader(text string) *Reader { return &Reader{text: strings.TrimPrefix(text, "\ufeff")} }

// Fork returns a reader that goes on from here by itself.
func (r *Reader) Fork() *Reader {
	fork := *r
	fork.Attributes, fork.open, fork.bindings = nil, slices.Clone(r.open), slices.Clone(r.bindings)
	return &fork
}

// Attribute returns the value of the attribute with that local name, in any namespace or none; one without a prefix
// wins.
func (r *Reader) Attribute(local string) (string, bool) {
	found, value := false, ""
	for i := range r.Attributes {
		if a := &r.Attributes[i]; a.Local == local {
			if a.Space == "" {
				return a.Value, true
			}
			found, value = true, a.Value
		}
	}
	return value, found
}

// AttributeIn returns the value of the attribute with that namespace and local name.
func (r *Reader) AttributeIn(space, local string) (string, bool) {
	for i := range r.Attributes {
		if a := &r.Attributes[i]; a.Local == local && a.Space == space {
			return a.Value, true
		}
	}
	return "", false
}

// Skip goes to the end of the element whose Open was just read.
func (r *Reader) Skip() error {
	for depth := len(r.open); len(r.open) >= depth; {
		if _, err := r.Next(); err != nil {
			return err
		}
	}
	return nil
}

// Content reads the text inside the element whose Open was just read, to its end; elements inside count by their text.
func (r *Reader) Content() (string, error) {
	var all string
	for depth := len(r.open); len(r.open) >= depth; {
		kind, err := r.Next()
		if err != nil {
			return "", err
		}
		if kind == Text {
			all += r.Data
		}
	}
	return all, nil
}

// Next goes on to the next tag or text.
func (r *Reader) Next() (Kind, error) {
	if r.empty {
		r.empty = false
		return r.pop()
	}
	for {
		if r.at >= len(r.text) {
			return r.finish()
		}
		if r.text[r.at] != '<' {
			if kind, err := r.characters(); kind == Text || err != nil {
				return kind, err
			}
			continue
		}
		rest := r.text[r.at:]
		switch {
		case strings.HasPrefix(rest, "<!--"):
			if err := r.past("-->", "comment"); err != nil {
				return End, err
			}
		case strings.HasPrefix(rest, "<?"):
			if err := r.past("?>", "processing instruction"); err != nil {
				return End, err
			}
		case strings.HasPrefix(rest, "<![CDATA["):
			if len(r.open) == 0 {
				return End, r.bad("text outside of the root element")
			}
			start := r.at + len("<![CDATA[")
			if err := r.past("]]>", "CDATA section"); err != nil {
				return End, err
			}
			r.Data = r.text[start : r.at-len("]]>")]
			return Text, nil
		case strings.HasPrefix(rest, "<!"):
			return End, r.bad("a document type declaration is not read")
		case strings.HasPrefix(rest, "</"):
			return r.endTag()
		default:
			return r.startTag()
		}
	}
}

func (r *Reader) finish() (Kind, error) {
	if len(r.open) > 0 {
		return End, r.bad("the document ends inside of <" + r.open[len(r.open)-1].written + ">")
	}
	if !r.rooted {
		return End, r.bad("expected an element, found the end of the document")
	}
	return End, nil
}

// past moves past the next occurrence of mark.
func (r *Reader) past(mark, what string) error {
	i := strings.Index(r.text[r.at:], mark)
	if i < 0 {
		return r.bad("the document ends inside of a " + what)
	}
	r.at += i + len(mark)
	return nil
}

// characters reads text up to the next tag; white space outside of the root gives End and no error.
func (r *Reader) characters() (Kind, error) {
	end := strings.IndexByte(r.text[r.at:], '<')
	if end < 0 {
		end = len(r.text) - r.at
	}
	run := r.text[r.at : r.at+end]
	if len(r.open) == 0 {
		if strings.TrimLeft(run, " \t\r\n") != "" {
			return End, r.bad("expected a tag, found text outside of the root element")
		}
		r.at += end
		return End, nil
	}
	data, err := r.resolve(run)
	if err != nil {
		return End, err
	}
	r.at += end
	r.Data = data
	return Text, nil
}

// startTag reads a start tag with its attributes and namespaces.
func (r *Reader) startTag() (Kind, error) {
	if len(r.open) == 0 && r.rooted {
		return End, r.bad("a second root element")
	}
	if len(r.open) >= maxDepth {
		return End, r.bad("elements nest more than " + strconv.Itoa(maxDepth) + " deep")
	}
	r.at++
	written, err := r.name()
	if err != nil {
		return End, err
	}
	outer := len(r.bindings)
	r.Attributes = r.Attributes[:0]
	for {
		spaced := r.space()
		if r.at >= len(r.text) {
			return End, r.bad("the document ends inside of <" + written)
		}
		if c := r.text[r.at]; c == '>' || c == '/' {
			break
		}
		if !spaced {
			return End, r.bad("expected white space, '>' or '/>' in <" + written)
		}
		if err := r.attribute(); err != nil {
			return End, err
		}
	}
	if r.text[r.at] == '/' {
		r.empty = true
		r.at++
	}
	if r.at >= len(r.text) || r.text[r.at] != '>' {
		return End, r.bad("expected '>' at the end of <" + written)
	}
	r.at++
	r.rooted = true
	return r.push(written, outer)
}

// push resolves the names of the tag just read: bindings of a tag count for the tag itself.
func (r *Reader) push(written string, outer int) (Kind, error) {
	prefix, local := split(written)
	space, known := r.lookup(prefix)
	if !known && prefix != "" {
		return End, r.bad("the prefix of <" + written + "> is not declared")
	}
	r.Name = Name{space, local}
	for i := range r.Attributes {
		a := &r.Attributes[i]
		prefix, local := split(a.Local)
		if prefix == "" {
			continue
		}
		// Documents written by hand use prefixes that they never declare; an attribute is not worth the whole document.
		a.Space, known = r.lookup(prefix)
		if !known {
			a.Space = prefix
		}
		a.Local = local
	}
	r.open = append(r.open, element{r.Name, written, outer})
	return Open, nil
}

// attribute reads name="value"; namespace declarations become bindings.
func (r *Reader) attribute() error {
	name, err := r.name()
	if err != nil {
		return err
	}
	r.space()
	if r.at >= len(r.text) || r.text[r.at] != '=' {
		return r.bad("expected '=' after attribute " + name)
	}
	r.at++
	r.space()
	if r.at >= len(r.text) || r.text[r.at] != '"' && r.text[r.at] != '\'' {
		return r.bad("expected a quoted value of attribute " + name)
	}
	quote := r.text[r.at]
	end := strings.IndexByte(r.text[r.at+1:], quote)
	if end < 0 {
		return r.bad("the document ends inside of attribute " + name)
	}
	raw := r.text[r.at+1 : r.at+1+end]
	if strings.IndexByte(raw, '<') >= 0 {
		return r.bad("'<' in the value of attribute " + name)
	}
	value, err := r.resolve(raw)
	if err != nil {
		return err
	}
	r.at += end + 2
	switch {
	case name == "xmlns":
		r.bindings = append(r.bindings, binding{"", value})
	case strings.HasPrefix(name, "xmlns:"):
		r.bindings = append(r.bindings, binding{name[len("xmlns:"):], value})
	default:
		r.Attributes = append(r.Attributes, Attribute{Local: name, Value: value})
	}
	return nil
}

func (r *Reader) endTag() (Kind, error) {
	r.at += 2
	written, err := r.name()
	if err != nil {
		return End, err
	}
	r.space()
	if r.at >= len(r.text) || r.text[r.at] != '>' {
		return End, r.bad("expected '>' at the end of </" + written)
	}
	if len(r.open) == 0 {
		return End, r.bad("</" + written + "> without a start tag")
	}
	if top := r.open[len(r.open)-1].written; top != written {
		return End, r.bad("expected </" + top + ">, found </" + written + ">")
	}
	r.at++
	return r.pop()
}

func (r *Reader) pop() (Kind, error) {
	top := r.open[len(r.open)-1]
	r.open = r.open[:len(r.open)-1]
	r.bindings = r.bindings[:top.bindings]
	r.Name = top.Name
	r.Attributes = r.Attributes[:0]
	return Close, nil
}

func (r *Reader) lookup(prefix string) (string, bool) {
	if prefix == "xml" {
		return "http://www.w3.org/XML/1998/namespace", true
	}
	for i := len(r.bindings) - 1; i >= 0; i-- {
		if r.bindings[i].prefix == prefix {
			return r.bindings[i].space, true
		}
	}
	return "", false
}

func (r *Reader) name() (string, error) {
	start := r.at
	for r.at < len(r.text) && strings.IndexByte(" \t\r\n=/><\"'&", r.text[r.at]) < 0 {
		r.at++
	}
	if r.at == start {
		return "", r.bad("expected a name")
	}
	return r.text[start:r.at], nil
}

func (r *Reader) space() bool {
	start := r.at
	for r.at < len(r.text) && strings.IndexByte(" \t\r\n", r.text[r.at]) >= 0 {
		r.at++
	}
	return r.at > start
}

// resolve replaces entities and character references.
func (r *Reader) resolve(raw string) (string, error) {
	if !utf8.ValidString(raw) {
		return "", r.bad("expected UTF-8, found bytes that are not")
	}
	i := strings.IndexByte(raw, '&')
	if i < 0 {
		return raw, nil
	}
	var out strings.Builder
	for i >= 0 {
		out.WriteString(raw[:i])
		raw = raw[i+1:]
		end := strings.IndexByte(raw, ';')
		if end < 0 {
			return "", r.bad("'&' without ';'")
		}
		c, ok := Reference(raw[:end])
		if !ok {
			return "", r.bad("unknown entity &" + raw[:end] + ";")
		}
		out.WriteRune(c)
		raw = raw[end+1:]
		i = strings.IndexByte(raw, '&')
	}
	out.WriteString(raw)
	return out.String(), nil
}

// Reference is the character that a reference such as &amp; names, without & and semicolon.
func Reference(name string) (rune, bool) {
	switch name {
	case "amp":
		return '&', true
	case "lt":
		return '<', true
	case "gt":
		return '>', true
	case "quot":
		return '"', true
	case "apos":
		return '\'', true
	}
	if len(name) < 2 || name[0] != '#' {
		return 0, false
	}
	digits, base := name[1:], 10
	if digits[0] == 'x' {
		digits, base = digits[1:], 16
	}
	n, err := strconv.ParseUint(digits, base, 32)
	if err != nil || n == 0 || n > utf8.MaxRune || n >= 0xd800 && n < 0xe000 {
		return 0, false
	}
	return rune(n), true
}

func split(written string) (prefix, local string) {
	if i := strings.IndexByte(written, ':'); i >= 0 {
		return written[:i], written[i+1:]
	}
	return "", written
}

func (r *Reader) bad(text string) error {
	return &Error{1 + strings.Count(r.text[:min(r.at, len(r.text))], "\n"), text}
}
