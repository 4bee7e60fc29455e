// Package markup reads whole XML documents with namespaces: $metadata, service and error documents. Feeds are read by
// package decode, which streams. Unlike encoding/xml it adds only a few kilobytes to a guest, and names and values are
// substrings of the document, so a $metadata of 2 MB makes little garbage.
package markup

import (
	"bytes"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
	"unsafe"

	"github.com/culvert-project/culvert/plugins/odata/scan"
)

// Kind is a kind of token.
type Kind uint8

const (
	End   Kind = iota // of the document: every element is closed
	Open              // a start tag. An empty element returns Open, then Close.
	Close             // an end tag
	Text              // character data with resolved entities, in one or more tokens
)

// Attribute is an attribute of an element. Namespace is a URI, empty for attributes without prefix.
type Attribute struct{ Namespace, Local, Value string }

// Name is the name of an element: namespace URI and local name.
type Name struct{ Namespace, Local string }

// Reader reads a document from its start. Its fields describe the current token.
type Reader struct {
	Name
	Attributes []Attribute
	Data       string // of a Text token

	text     string // the document
	bytes    []byte // the same memory
	pos      int    // offset of the next token
	open     []element
	bindings []binding // of namespaces
	empty    bool      // the current token is the Open of an empty element
	rooted   bool      // the root element was read
}

// element is an element that is not closed yet.
type element struct {
	Name
	qualified string // the name with its prefix
	bindings  int    // number of namespace bindings outside of the element
}

type binding struct{ prefix, namespace string }

// Error reports that a document is not well-formed XML.
type Error struct {
	Line int // from 1
	Text string
}

func (e *Error) Error() string { return "XML, line " + strconv.Itoa(e.Line) + ": " + e.Text }

const maxDepth = 1000 // of nesting, in untrusted documents

// NewReader reads a document in UTF-8 and skips a byte order mark.
func NewReader(document []byte) *Reader { return NewReaderNoCopy(bytes.Clone(document)) }

// NewReaderNoCopy is NewReader without a copy of the document, which must not change while names and values are in use.
func NewReaderNoCopy(document []byte) *Reader {
	document = bytes.TrimPrefix(document, []byte("\ufeff"))
	return &Reader{text: unsafe.String(unsafe.SliceData(document), len(document)), bytes: document}
}

// Fork returns an independent reader at the current position.
func (r *Reader) Fork() *Reader {
	fork := *r
	fork.Attributes = nil
	fork.open = slices.Clone(r.open)
	fork.bindings = slices.Clone(r.bindings)
	return &fork
}

// Attribute returns the value of the attribute with a local name in any namespace. An attribute without a prefix has
// priority.
func (r *Reader) Attribute(local string) (string, bool) {
	hasAttribute := false
	value := ""
	for i := range r.Attributes {
		if attribute := &r.Attributes[i]; attribute.Local == local {
			if attribute.Namespace == "" {
				return attribute.Value, true
			}
			hasAttribute = true
			value = attribute.Value
		}
	}
	return value, hasAttribute
}

// AttributeIn returns the value of the attribute with a namespace and a local name.
func (r *Reader) AttributeIn(namespace, local string) (string, bool) {
	for i := range r.Attributes {
		if attribute := &r.Attributes[i]; attribute.Local == local && attribute.Namespace == namespace {
			return attribute.Value, true
		}
	}
	return "", false
}

// Skip reads to the end of the element whose Open was read last.
func (r *Reader) Skip() error {
	for depth := len(r.open); len(r.open) >= depth; {
		if _, err := r.Next(); err != nil {
			return err
		}
	}
	return nil
}

// Content reads the text of the current element to its end, child elements included.
func (r *Reader) Content() (string, error) {
	var text string
	for depth := len(r.open); len(r.open) >= depth; {
		kind, err := r.Next()
		if err != nil {
			return "", err
		}
		if kind == Text {
			text += r.Data
		}
	}
	return text, nil
}

// Next reads the next tag or text.
func (r *Reader) Next() (Kind, error) {
	if r.empty {
		r.empty = false
		return r.pop()
	}
	for {
		if r.pos >= len(r.text) {
			return r.finish()
		}
		if r.text[r.pos] != '<' {
			if kind, err := r.characters(); kind == Text || err != nil {
				return kind, err
			}
			continue
		}
		end, err := scan.XMLMisc(r.bytes, r.pos)
		if err != nil {
			return End, r.syntaxError(err)
		}
		if end == 0 {
			return r.tag()
		}
		section := r.text[r.pos:end] // CDATA, a comment or an instruction
		content, isText := strings.CutPrefix(section, scan.CDATA)
		if isText && len(r.open) == 0 {
			return End, r.errorf("text outside of the root element")
		}
		r.pos = end
		if isText {
			r.Data = content[:len(content)-len("]]>")]
			return Text, nil
		}
	}
}

func (r *Reader) finish() (Kind, error) {
	if len(r.open) > 0 {
		return End, r.errorf("the document ends inside of <" + r.open[len(r.open)-1].qualified + ">")
	}
	if !r.rooted {
		return End, r.errorf("expected an element, found the end of the document")
	}
	return End, nil
}

// characters reads text up to the next tag. White space outside of the root returns End.
func (r *Reader) characters() (Kind, error) {
	end := strings.IndexByte(r.text[r.pos:], '<')
	if end < 0 {
		end = len(r.text) - r.pos
	}
	raw := r.text[r.pos : r.pos+end]
	if len(r.open) == 0 {
		if strings.TrimLeft(raw, " \t\r\n") != "" {
			return End, r.errorf("expected a tag, found text outside of the root element")
		}
		r.pos += end
		return End, nil
	}
	data, err := r.resolve(raw)
	if err != nil {
		return End, err
	}
	r.pos += end
	r.Data = data
	return Text, nil
}

// tag reads the tag at pos.
func (r *Reader) tag() (Kind, error) {
	tag, err := scan.XMLTagAt(r.bytes, r.pos)
	if err != nil {
		return End, r.syntaxError(err)
	}
	qualified := r.text[tag.NameEnd-len(tag.Name(r.bytes)) : tag.NameEnd]
	switch {
	case tag.Closing && len(r.open) == 0:
		return End, r.errorf("</" + qualified + "> without a start tag")
	case tag.Closing:
		if top := r.open[len(r.open)-1].qualified; top != qualified {
			return End, r.errorf("expected </" + top + ">, found </" + qualified + ">")
		}
		r.pos = tag.End
		return r.pop()
	case len(r.open) == 0 && r.rooted:
		return End, r.errorf("a second root element")
	case len(r.open) >= maxDepth:
		return End, r.errorf("elements nest more than " + strconv.Itoa(maxDepth) + " deep")
	}
	outer := len(r.bindings)
	r.Attributes = r.Attributes[:0]
	for attribute := range tag.Attributes(r.bytes) {
		if err := r.attribute(attribute); err != nil {
			return End, err
		}
	}
	r.pos = tag.End
	r.empty = tag.Empty
	r.rooted = true
	return r.push(qualified, outer)
}

// push opens an element. It resolves the names of the tag, for which its own namespace bindings count, too.
func (r *Reader) push(qualified string, outer int) (Kind, error) {
	prefix, local := split(qualified)
	namespace, isBound := r.lookup(prefix)
	if !isBound && prefix != "" {
		return End, r.errorf("the prefix of <" + qualified + "> is not declared")
	}
	r.Name = Name{namespace, local}
	for i := range r.Attributes {
		attribute := &r.Attributes[i]
		prefix, local := split(attribute.Local)
		if prefix == "" {
			continue
		}
		// Documents written by hand use prefixes that they never declare: accept these for attributes.
		attribute.Namespace, isBound = r.lookup(prefix)
		if !isBound {
			attribute.Namespace = prefix
		}
		attribute.Local = local
	}
	r.open = append(r.open, element{r.Name, qualified, outer})
	return Open, nil
}

// attribute adds an attribute, or a namespace binding.
func (r *Reader) attribute(attribute scan.XMLAttribute) error {
	name := r.text[attribute.NameAt:attribute.NameEnd]
	value, err := r.resolve(r.text[attribute.ValueAt:attribute.ValueEnd])
	if err != nil {
		return err
	}
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

func (r *Reader) pop() (Kind, error) {
	top := r.open[len(r.open)-1]
	r.open = r.open[:len(r.open)-1]
	r.bindings = r.bindings[:top.bindings]
	r.Name = top.Name
	r.Attributes = r.Attributes[:0]
	return Close, nil
}

// lookup returns the namespace of a prefix.
func (r *Reader) lookup(prefix string) (string, bool) {
	if prefix == "xml" {
		return "http://www.w3.org/XML/1998/namespace", true
	}
	for i := len(r.bindings) - 1; i >= 0; i-- {
		if r.bindings[i].prefix == prefix {
			return r.bindings[i].namespace, true
		}
	}
	return "", false
}

// resolve replaces the entities in a text.
func (r *Reader) resolve(raw string) (string, error) {
	if !utf8.ValidString(raw) {
		return "", r.errorf("expected UTF-8, found bytes that are not")
	}
	var out []byte
	for ampersand := strings.IndexByte(raw, '&'); ampersand >= 0; ampersand = strings.IndexByte(raw, '&') {
		out = append(out, raw[:ampersand]...)
		size := 0
		if out, size = scan.AppendXMLEntity(out, raw[ampersand:]); size == 0 {
			entity, _, _ := strings.Cut(raw[ampersand:min(len(raw), ampersand+12)], ";")
			return "", r.errorf("unknown entity " + strings.ToValidUTF8(entity, "") + ";")
		}
		raw = raw[ampersand+size:]
	}
	if out == nil {
		return raw, nil
	}
	return string(append(out, raw...)), nil
}

func split(qualified string) (prefix, local string) {
	if colon := strings.IndexByte(qualified, ':'); colon >= 0 {
		return qualified[:colon], qualified[colon+1:]
	}
	return "", qualified
}

func (r *Reader) syntaxError(err *scan.Error) error {
	if err == scan.ErrNeedMore {
		return r.errorf("the document ends inside of a tag, comment or CDATA section")
	}
	r.pos = err.At
	return r.errorf("expected " + err.Expected + ", found " + err.Found)
}

func (r *Reader) errorf(text string) error {
	return &Error{1 + strings.Count(r.text[:min(r.pos, len(r.text))], "\n"), text}
}
