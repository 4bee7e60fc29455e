package decode

import (
	"bytes"

	"github.com/culvert-project/culvert/plugins/odata/datetime"
	"github.com/culvert-project/culvert/plugins/odata/scan"
)

// Atom decodes Atom feeds and entries, with deleted entries, and function results. Prefixes are arbitrary.
type Atom struct {
	stream
	state      atomState
	namespaces namespaceStack
	// outer is the namespace scope inside the feed. The bindings of a row start at rowBindings.
	outer, rowBindings int
	feed               []byte // qualified name of the feed element
	// roots are the structures of rows by the prefixes of their entries. The root is one of them.
	roots map[prefixes]*structure
	// lastPrefixes are the prefixes of the last properties, for entries in whose scope no prefixes are bound.
	lastPrefixes prefixes
	// outerIsUsual and outerIsAtom report that the outer scope has the root's prefixes, and Atom's elements have none.
	outerIsUsual, outerIsAtom bool
	// outerAttributes are the declarations of the outer scope, as text.
	outerAttributes []byte
	scalar          []byte // reused
}

type atomState uint8

const (
	atomStart atomState = iota
	atomProlog
	atomFeed
	atomEnd
)

// NewAtom returns a decoder for rows of an initialized schema.
func NewAtom(l *RowSchema) *Atom {
	d := &Atom{}
	d.init(d, l, 1)
	d.Reset()
	return d
}

func (d *Atom) Reset() {
	d.stream.reset()
	d.namespaces.reset()
	d.state = atomStart
	d.setOuter(0, 1)
}

func (d *Atom) nestedDecoder() *stream {
	child := NewAtom(d.schema)
	child.collector = &d.nestedPages
	return &child.stream
}

func (d *Atom) step(out *Output) *scan.Error {
	d.inRow = false
	b := d.buf
	i := d.pos
	if d.state == atomStart {
		return d.start(i)
	}
	if i = scan.XMLSpace(b, i); i >= len(b) {
		d.pos = i
		if d.state == atomEnd && d.ended {
			d.page.Done = true
			return nil
		}
		return scan.ErrNeedMore
	}
	if b[i] != '<' {
		return d.skipText(i)
	}
	if d.state == atomProlog {
		if ok, err := d.declaration(i); ok || err != nil {
			return err
		}
	}
	end, err := scan.XMLMisc(b, i)
	if err != nil {
		return err
	}
	if end > 0 {
		d.pos = end
		return nil
	}
	switch d.state {
	case atomProlog:
		return d.rootElement(i, out)
	case atomFeed:
		return d.feedChild(i, out)
	}
	return scan.UnexpectedByte(b, i, "the end of the page")
}

// skipText skips text between the elements of a feed. Outside of the feed, text is an error.
func (d *Atom) skipText(i int) *scan.Error {
	b := d.buf
	switch {
	case d.state == atomProlog && (b[i] == '{' || b[i] == '['):
		return &scan.Error{At: i, Expected: "Atom", Found: "JSON"}
	case d.state == atomProlog:
		return d.unexpectedStart(i, "'<'")
	case d.state != atomFeed:
		return scan.UnexpectedByte(b, i, "'<'")
	}
	less := bytes.IndexByte(b[i:], '<')
	if less < 0 {
		d.pos = len(b)
		return scan.ErrNeedMore
	}
	d.pos = i + less
	return nil
}

func (d *Atom) start(i int) *scan.Error {
	i = scan.XMLSpace(d.buf, i)
	mark, ok := byteOrderMark(d.buf, i)
	if !ok {
		return scan.ErrNeedMore
	}
	d.pos, d.state = i+mark, atomProlog
	return nil
}

// declaration skips the XML declaration, and rejects a document type, which HTML has and feeds do not.
func (d *Atom) declaration(i int) (skipped bool, err *scan.Error) {
	b := d.buf
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
		d.pos = end
		return true, nil
	}
	if i+2 < len(b) && b[i+1] == '!' && (b[i+2] == 'D' || b[i+2] == 'd') {
		return false, d.noRows(i, "an Atom feed or entry", "a document type")
	}
	return false, nil
}

func encoding(declaration []byte) string {
	_, rest, ok := bytes.Cut(declaration, []byte("encoding"))
	if !ok {
		return ""
	}
	rest = bytes.TrimLeft(rest, " \t\r\n=")
	if len(rest) == 0 {
		return ""
	}
	value, _, _ := bytes.Cut(rest[1:], rest[:1])
	return string(bytes.ToLower(value))
}

func (d *Atom) rootElement(i int, out *Output) *scan.Error {
	b := d.buf
	tag, err := scan.XMLTagAt(b, i)
	if err != nil {
		return err
	}
	scope, namespace, local := d.namespaces.enter(b, tag, 0)
	if string(local) == "feed" && namespace == atomNamespace && !tag.Closing {
		d.namespaces.copyBytes()
		d.setOuter(scope, len(d.namespaces.all))
		d.feed = append(d.feed[:0], tag.Name(b)...)
		d.pos, d.state = tag.End, atomFeed
		if tag.Empty {
			d.state = atomEnd
		}
		return nil
	}
	d.namespaces.reset()
	switch name := string(local); {
	case name == "entry" && namespace == atomNamespace, name == "deleted-entry" && namespace != atomNamespace:
		return d.element(i, out)
	case namespace == dataNamespace:
		return d.function(i, out)
	default:
		return d.noRows(i, "an Atom feed or entry", "element "+string(tag.Name(b)))
	}
}

func (d *Atom) feedChild(i int, out *Output) *scan.Error {
	b := d.buf
	if i+1 < len(b) && b[i+1] == '/' {
		tag, err := scan.XMLTagAt(b, i)
		if err != nil {
			return err
		}
		if !bytes.Equal(tag.Name(b), d.feed) {
			return &scan.Error{At: i, Expected: "</" + string(d.feed) + ">", Found: string(b[tag.Start:tag.End])}
		}
		d.pos, d.state = tag.End, atomEnd
		return nil
	}
	return d.element(i, out)
}

func (d *Atom) element(i int, out *Output) *scan.Error {
	b := d.buf
	tag, err := scan.XMLTagAt(b, i)
	if err != nil {
		return err
	}
	d.namespaces.all = d.namespaces.all[:d.rowBindings]
	scope, namespace, local := d.namespaces.enter(b, tag, d.outer)
	entry := string(local) == "entry" && namespace == atomNamespace
	deleted := string(local) == "deleted-entry" && namespace != atomNamespace
	d.inRow = entry || deleted
	if entry {
		return d.rows(tag, scope, out)
	}
	end, err := scan.XMLElement(b, i, maxDepth)
	if err != nil {
		return err
	}
	d.pos = end
	if d.state == atomProlog {
		d.state = atomEnd
	}
	pageOffset := d.base + int64(i)
	d.inRow = false
	switch {
	case deleted:
		d.deleted(b[i:end], pageOffset, out)
	case namespace == atomNamespace && string(local) == "link":
		return d.link(b, tag, scope)
	case namespace == metadataNamespace && string(local) == "error":
		d.serviceError = quoted(b[i:end])
	case namespace == metadataNamespace && string(local) == "count":
		if content, ok := scan.XMLContent(d.scalar[:0], b[tag.End:contentEnd(b, tag, end)]); ok {
			if n, ok := scan.Integer(bytes.TrimSpace(content), 0, 1<<62); ok {
				d.page.Count = n
			}
		}
	}
	return nil
}

func contentEnd(b []byte, t scan.XMLTag, end int) int {
	if t.Empty {
		return t.End
	}
	return bytes.LastIndexByte(b[:end], '<')
}

// relation returns a link's rel without the IANA prefix.
func relation(b []byte, t scan.XMLTag) []byte {
	rel, _ := attribute(b, t, "rel")
	return bytes.TrimPrefix(rel, []byte("http://www.iana.org/assignments/relation/"))
}

// linkOf returns the target of a link. One that cannot be read is an error, because a part of it is another page.
func (d *Atom) linkOf(b []byte, t scan.XMLTag, scope int) (Link, *scan.Error) {
	href, _ := attribute(b, t, "href")
	text, ok := scan.XMLContent(nil, href)
	if !ok {
		return Link{}, &scan.Error{At: t.Start, Expected: "a link in href", Found: quoted(href)}
	}
	return Link{Href: string(text), Base: d.namespaces.base(scope)}, nil
}

func (d *Atom) link(b []byte, tag scan.XMLTag, scope int) (err *scan.Error) {
	switch string(relation(b, tag)) {
	case "next":
		d.page.Next, err = d.linkOf(b, tag, scope)
	case "delta":
		d.page.Delta, err = d.linkOf(b, tag, scope)
	}
	return err
}

func (d *Atom) deleted(element []byte, pageOffset int64, out *Output) {
	if d.collector != nil {
		return
	}
	if d.skipRow(element, pageOffset, out) {
		return
	}
	tag, _ := scan.XMLTagAt(element, 0)
	ref, present := attribute(element, tag, "ref")
	id, ok := scan.XMLContent(nil, ref)
	if !present || !ok {
		d.addRowError(element, pageOffset, &conversionError{path: "ref", expected: "the id of the deleted entry",
			found: "none"}, out)
		return
	}
	s := Tombstone{RowIndex: d.page.Rows, Ref: string(id)}
	var m datetime.DateTime
	if when, ok := attribute(element, tag, "when"); ok && m.Parse(bytes.TrimSpace(when)) {
		s.When, s.Timed = m.UTC(), true
	}
	out.Tombstones = append(out.Tombstones, s)
	d.page.Rows++
}

// function reads a function result that is no entity: one struct, or several.
func (d *Atom) function(i int, out *Output) *scan.Error {
	b := d.buf
	end, err := scan.XMLElement(b, i, maxDepth)
	if err != nil {
		return err
	}
	tag, _ := scan.XMLTagAt(b, i)
	d.pos, d.state = end, atomEnd
	inside := d.namespaces.push(b, tag, 0)
	d.namespaces.copyBytes()
	c := childrenOf(b, tag, end)
	multiple := false
	for parent, ok := c.next(); ok; parent, ok = c.next() {
		_, local := scan.SplitName(parent.tag.Name(b))
		if string(local) != "element" {
			if multiple {
				return &scan.Error{At: parent.tag.Start, Expected: "elements only", Found: quoted(local)}
			}
			break
		}
		multiple = true
		d.setOuter(inside, len(d.namespaces.all))
		if err = d.result(b[parent.tag.Start:parent.end], d.base+int64(parent.tag.Start), out); err != nil {
			return err
		}
	}
	if !multiple && !d.namespaces.isNull(b, tag, inside) {
		return d.result(b[i:end], d.base+int64(i), out)
	}
	return nil
}
