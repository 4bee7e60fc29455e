package decode

import (
	"bytes"

	"github.com/culvert-project/culvert/plugins/odata/datetime"
	"github.com/culvert-project/culvert/plugins/odata/scan"
)

// Atom decodes Atom feeds and entries, with deleted entries, and function results. Prefixes are arbitrary.
type Atom struct {
	stream
	state       atomState
	namespaces  namespaceStack
	outer       int    // the namespace scope inside of the feed
	rowBindings int    // where the bindings of a row start in namespaces
	feed        []byte // qualified name of the feed element
	// roots are the structures of rows by the prefixes of their entries. The root is one of them.
	roots map[prefixes]*structure
	// lastPrefixes are the prefixes of the last properties, for entries in whose scope no prefixes are bound.
	lastPrefixes    prefixes
	outerIsUsual    bool   // the outer scope has the root's prefixes
	outerIsAtom     bool   // in the outer scope, elements without prefix are Atom's
	outerAttributes []byte // the declarations of the outer scope, as text; nil until needed
	scalar          []byte // the last unescaped value; its memory is reused
}

type atomState uint8

const (
	atomStart  atomState = iota // before a byte order mark
	atomProlog                  // before the root element
	atomFeed                    // inside of the feed
	atomEnd                     // after the root element
)

// NewAtom returns a decoder for rows of an initialized schema.
func NewAtom(schema *RowSchema) *Atom {
	d := &Atom{}
	d.init(d, schema, 1)
	d.Reset()
	return d
}

// Reset is [Decoder.Reset].
func (a *Atom) Reset() {
	a.stream.reset()
	a.namespaces.reset()
	a.state = atomStart
	a.setOuter(0, 1) // the binding of scope 0 belongs to no row
}

func (a *Atom) nestedDecoder() *stream {
	child := NewAtom(a.schema)
	child.collector = &a.nestedPages
	return &child.stream
}

// step implements [format].
func (a *Atom) step(out *Output) *scan.Error {
	a.inRow = false
	b := a.buf
	i := a.pos
	if a.state == atomStart {
		return a.start(i)
	}
	if i = scan.XMLSpace(b, i); i >= len(b) {
		a.pos = i
		if a.state == atomEnd && a.ended {
			a.page.Done = true
			return nil
		}
		return scan.ErrNeedMore
	}
	if b[i] != '<' {
		return a.skipText(i)
	}
	if a.state == atomProlog {
		if ok, err := a.declaration(i); ok || err != nil {
			return err
		}
	}
	end, err := scan.XMLMisc(b, i)
	if err != nil {
		return err
	}
	if end > 0 {
		a.pos = end
		return nil
	}
	switch a.state {
	case atomProlog:
		return a.rootElement(i, out)
	case atomFeed:
		return a.feedChild(i, out)
	}
	return scan.UnexpectedByte(b, i, "the end of the page")
}

// skipText skips text between the elements of a feed. Outside of the feed, text is an error.
func (a *Atom) skipText(i int) *scan.Error {
	b := a.buf
	switch {
	case a.state == atomProlog && (b[i] == '{' || b[i] == '['):
		return &scan.Error{At: i, Expected: "Atom", Found: "JSON"}
	case a.state == atomProlog:
		return a.unexpectedStart(i, "'<'")
	case a.state != atomFeed:
		return scan.UnexpectedByte(b, i, "'<'")
	}
	length := bytes.IndexByte(b[i:], '<')
	if length < 0 {
		a.pos = len(b)
		return scan.ErrNeedMore
	}
	a.pos = i + length
	return nil
}

func (a *Atom) start(i int) *scan.Error {
	i = scan.XMLSpace(a.buf, i)
	mark, ok := byteOrderMark(a.buf, i)
	if !ok {
		return scan.ErrNeedMore
	}
	a.pos = i + mark
	a.state = atomProlog
	return nil
}

// declaration skips the XML declaration, and rejects a document type, which HTML has and feeds do not.
func (a *Atom) declaration(i int) (skipped bool, err *scan.Error) {
	b := a.buf
	if ok, err := scan.XMLHas(b, i, "<?xml"); ok || err != nil {
		if err != nil {
			return false, err
		}
		end, err := scan.XMLUntil(b, i, "?>")
		if err != nil {
			return false, err
		}
		if name := encoding(b[i:end]); name != "" && name != "utf-8" && name != "us-ascii" {
			return false, &scan.Error{At: i, Expected: "UTF-8", Found: "encoding " + quoted([]byte(name))}
		}
		a.pos = end
		return true, nil
	}
	if i+2 < len(b) && b[i+1] == '!' && (b[i+2] == 'D' || b[i+2] == 'd') {
		return false, a.noRows(i, "an Atom feed or entry", "a document type")
	}
	return false, nil
}

func encoding(declaration []byte) string {
	_, remaining, ok := bytes.Cut(declaration, []byte("encoding"))
	if !ok {
		return ""
	}
	remaining = bytes.TrimLeft(remaining, " \t\r\n=")
	if len(remaining) == 0 {
		return ""
	}
	value, _, _ := bytes.Cut(remaining[1:], remaining[:1])
	return string(bytes.ToLower(value))
}

// rootElement reads the start tag of a feed, or the entry or the function result that is the whole page.
func (a *Atom) rootElement(i int, out *Output) *scan.Error {
	b := a.buf
	tag, err := scan.XMLTagAt(b, i)
	if err != nil {
		return err
	}
	scope, namespace, local := a.namespaces.enter(b, tag, 0)
	if string(local) == "feed" && namespace == atomNamespace && !tag.Closing {
		a.namespaces.copyBytes()
		a.setOuter(scope, len(a.namespaces.bindings))
		a.feed = append(a.feed[:0], tag.Name(b)...)
		a.pos = tag.End
		a.state = atomFeed
		if tag.Empty {
			a.state = atomEnd
		}
		return nil
	}
	a.namespaces.reset() // pageElement and function enter the tag again
	switch name := string(local); {
	case name == "entry" && namespace == atomNamespace, name == "deleted-entry" && namespace != atomNamespace:
		return a.pageElement(i, out)
	case namespace == dataNamespace:
		return a.function(i, out)
	default:
		return a.noRows(i, "an Atom feed or entry", "element "+string(tag.Name(b)))
	}
}

// feedChild reads the end tag of the feed, or an element in it.
func (a *Atom) feedChild(i int, out *Output) *scan.Error {
	b := a.buf
	if i+1 < len(b) && b[i+1] == '/' {
		tag, err := scan.XMLTagAt(b, i)
		if err != nil {
			return err
		}
		if !bytes.Equal(tag.Name(b), a.feed) {
			return &scan.Error{At: i, Expected: "</" + string(a.feed) + ">", Found: string(b[tag.Start:tag.End])}
		}
		a.pos = tag.End
		a.state = atomEnd
		return nil
	}
	return a.pageElement(i, out)
}

// pageElement reads an element of the page: an entry, a deleted entry, a link, an error, or the count. It skips others.
func (a *Atom) pageElement(i int, out *Output) *scan.Error {
	b := a.buf
	tag, err := scan.XMLTagAt(b, i)
	if err != nil {
		return err
	}
	a.namespaces.bindings = a.namespaces.bindings[:a.rowBindings] // drop the bindings of the last element
	scope, namespace, local := a.namespaces.enter(b, tag, a.outer)
	isEntry := string(local) == "entry" && namespace == atomNamespace
	isDeleted := string(local) == "deleted-entry" && namespace != atomNamespace
	a.inRow = isEntry || isDeleted
	if isEntry {
		return a.rows(tag, scope, out)
	}
	end, err := scan.XMLElement(b, i, maxDepth)
	if err != nil {
		return err
	}
	a.pos = end
	if a.state == atomProlog { // a deleted entry without a feed
		a.state = atomEnd
	}
	pageOffset := a.base + int64(i)
	a.inRow = false
	switch {
	case isDeleted:
		a.deleted(b[i:end], pageOffset, out)
	case namespace == atomNamespace && string(local) == "link":
		return a.pageLink(b, tag, scope)
	case namespace == metadataNamespace && string(local) == "error":
		a.serviceError = quoted(b[i:end])
	case namespace == metadataNamespace && string(local) == "count":
		if content, ok := scan.XMLContent(a.scalar[:0], b[tag.End:contentEnd(b, tag, end)]); ok {
			if n, ok := scan.Integer(bytes.TrimSpace(content), 0, maxCount); ok {
				a.page.Count = n
			}
		}
	}
	return nil
}

// contentEnd returns where the content of an element ends, whose end tag ends at end.
func contentEnd(b []byte, t scan.XMLTag, end int) int {
	if t.Empty {
		return t.End
	}
	return bytes.LastIndexByte(b[:end], '<')
}

// relation returns a link's rel without the IANA prefix.
func relation(b []byte, t scan.XMLTag) []byte {
	rel, _ := attributeValue(b, t, "rel")
	return bytes.TrimPrefix(rel, []byte("http://www.iana.org/assignments/relation/"))
}

// linkOf returns the target of a link. A link that cannot be read is an error, because a part of it is another page.
func (a *Atom) linkOf(b []byte, t scan.XMLTag, scope int) (Link, *scan.Error) {
	href, _ := attributeValue(b, t, "href")
	target, ok := scan.XMLContent(nil, href)
	if !ok {
		return Link{}, &scan.Error{At: t.Start, Expected: "a link in href", Found: quoted(href)}
	}
	return Link{Href: string(target), Base: a.namespaces.base(scope)}, nil
}

// pageLink reads a link of the feed.
func (a *Atom) pageLink(b []byte, tag scan.XMLTag, scope int) (err *scan.Error) {
	switch string(relation(b, tag)) {
	case "next":
		a.page.Next, err = a.linkOf(b, tag, scope)
	case "delta":
		a.page.Delta, err = a.linkOf(b, tag, scope)
	}
	return err
}

// deleted adds the deleted entry with this text, which starts at pageOffset.
func (a *Atom) deleted(text []byte, pageOffset int64, out *Output) {
	if a.collector != nil { // an expanded feed has no deleted entries
		return
	}
	if a.skipRow(text, pageOffset, out) {
		return
	}
	tag, _ := scan.XMLTagAt(text, 0)
	ref, present := attributeValue(text, tag, "ref")
	id, ok := scan.XMLContent(nil, ref)
	if !present || !ok {
		a.addRowError(text, pageOffset, &conversionError{path: "ref", expected: "the id of the deleted entry",
			found: "none"}, out)
		return
	}
	tombstone := Tombstone{RowIndex: a.page.Rows, Ref: string(id)}
	var instant datetime.DateTime
	if when, ok := attributeValue(text, tag, "when"); ok && instant.Parse(bytes.TrimSpace(when)) {
		tombstone.When = instant.UTC()
		tombstone.Timed = true
	}
	out.Tombstones = append(out.Tombstones, tombstone)
	a.page.Rows++
}

// function reads a function result that is no entity: one struct, or several.
func (a *Atom) function(i int, out *Output) *scan.Error {
	b := a.buf
	end, err := scan.XMLElement(b, i, maxDepth)
	if err != nil {
		return err
	}
	tag, _ := scan.XMLTagAt(b, i)
	a.pos = end
	a.state = atomEnd
	inside := a.namespaces.push(b, tag, 0)
	a.namespaces.copyBytes()
	children := childrenOf(b, tag, end)
	multiple := false
	for child, ok := children.next(); ok; child, ok = children.next() {
		_, local := scan.SplitName(child.tag.Name(b))
		if string(local) != "element" { // the properties of one struct
			if multiple {
				return &scan.Error{At: child.tag.Start, Expected: "elements only", Found: quoted(local)}
			}
			break
		}
		multiple = true
		a.setOuter(inside, len(a.namespaces.bindings))
		if err = a.result(b[child.tag.Start:child.end], a.base+int64(child.tag.Start), out); err != nil {
			return err
		}
	}
	if !multiple && !a.namespaces.isNull(b, tag, inside) {
		return a.result(b[i:end], a.base+int64(i), out)
	}
	return nil
}
