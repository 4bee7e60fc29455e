package decode

import (
	"bytes"

	"github.com/culvert-project/culvert/plugins/odata/datetime"
	"github.com/culvert-project/culvert/plugins/odata/scan"
)

// Atom decodes Atom feeds and entries, deleted entries among them, and results of functions. Prefixes are arbitrary.
type Atom struct {
	stream
	state  atomState
	scopes scopes
	// outer is the scope inside the feed; rows is where the bindings of a row start.
	outer, rows int
	// feed is the qualified name to be closed.
	feed []byte
	text []byte
	// lane is nil where every entry is for the plain parser
	lane *atomLane
}

type atomState uint8

const (
	// atomStart: nothing was seen yet. atomProlog: in front of the outermost element.
	atomStart atomState = iota
	atomProlog
	atomFeed
	atomEnd
)

// NewAtom makes a decoder for rows of a layout that is ready.
func NewAtom(l *RowLayout) *Atom {
	d := newPlainAtom(l)
	d.lane = newAtomLane(d)
	return d
}

func newPlainAtom(l *RowLayout) *Atom {
	d := &Atom{}
	d.init(d, l)
	d.Reset()
	return d
}

func (d *Atom) Reset() {
	d.stream.reset()
	d.scopes.reset()
	d.state, d.outer, d.rows = atomStart, 0, 1
	if d.lane != nil {
		d.lane.cutEnd = 0
	}
}

func (d *Atom) nested() *stream {
	child := newPlainAtom(d.layout)
	child.collect = true
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
		return scan.More
	}
	if b[i] != '<' {
		return d.between(i)
	}
	if d.state == atomProlog {
		if ok, err := d.declaration(i); ok || err != nil {
			return err
		}
	}
	end, err := scan.XMLAside(b, i)
	if err != nil {
		return err
	}
	if end > 0 {
		d.pos = end
		return nil
	}
	switch d.state {
	case atomProlog:
		return d.root(i, out)
	case atomFeed:
		return d.child(i, out)
	}
	return scan.WrongByte(b, i, "nothing behind the outermost element")
}

// between: text between elements means nothing inside a feed, and is wrong outside.
func (d *Atom) between(i int) *scan.Error {
	b := d.buf
	if d.state != atomFeed {
		if d.state == atomProlog && (b[i] == '{' || b[i] == '[') {
			return &scan.Error{At: i, Expected: "Atom", Found: "JSON"}
		}
		if d.state == atomProlog && utf16(b[i:]) {
			return notUTF8(i)
		}
		return scan.WrongByte(b, i, "'<'")
	}
	less := bytes.IndexByte(b[i:], '<')
	if less < 0 {
		d.pos = len(b)
		return scan.More
	}
	d.pos = i + less
	return nil
}

func (d *Atom) start(i int) *scan.Error {
	i = scan.XMLSpace(d.buf, i)
	mark, ok := byteOrderMark(d.buf, i)
	if !ok {
		return scan.More
	}
	d.pos, d.state = i+mark, atomProlog
	return nil
}

// declaration looks at what may stand in front of the outermost element only: a document type, which feeds do not have
// and HTML has, and an encoding; true: it was the XML declaration, which is passed.
func (d *Atom) declaration(i int) (bool, *scan.Error) {
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

// encoding is what an XML declaration says, in lower case.
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

// root looks at the outermost element.
func (d *Atom) root(i int, out *Output) *scan.Error {
	b := d.buf
	t, err := scan.XMLTagAt(b, i)
	if err != nil {
		return err
	}
	scope := d.scopes.open(b, t, 0)
	where, local := d.scopes.element(b, t, scope)
	if string(local) == "feed" && where == atomSpace && !t.Closing {
		d.scopes.keep()
		d.outer, d.rows = scope, len(d.scopes.all)
		if d.lane != nil {
			d.lane.bind(&d.scopes, scope)
		}
		d.feed = append(d.feed[:0], t.Name...)
		d.pos, d.state = t.End, atomFeed
		if t.Empty {
			d.state = atomEnd
		}
		return nil
	}
	d.scopes.reset()
	d.rows = 1
	switch name := string(local); {
	case name == "entry" && where == atomSpace, name == "deleted-entry" && where != atomSpace:
		return d.element(i, out)
	case where == dataSpace:
		return d.function(i, out)
	default:
		return d.noRows(i, "an Atom feed or entry", "element "+string(t.Name))
	}
}

// child reads an element of the feed, or its end.
func (d *Atom) child(i int, out *Output) *scan.Error {
	b := d.buf
	if i+1 < len(b) && b[i+1] == '/' {
		t, err := scan.XMLTagAt(b, i)
		if err != nil {
			return err
		}
		if !bytes.Equal(t.Name, d.feed) {
			return &scan.Error{At: i, Expected: "</" + string(d.feed) + ">", Found: string(b[t.Start:t.End])}
		}
		d.pos, d.state = t.End, atomEnd
		return nil
	}
	if d.lane != nil && len(d.lane.heads) > 0 {
		next, _, progress, err := d.lane.try(&d.stream, i, out)
		if err != nil {
			return err
		}
		if progress {
			d.pos = next
			return nil
		}
	}
	return d.element(i, out)
}

// element reads an element of the feed, or an entry that stands for itself, whole.
func (d *Atom) element(i int, out *Output) *scan.Error {
	b := d.buf
	t, err := scan.XMLTagAt(b, i)
	if err != nil {
		return err
	}
	d.scopes.all = d.scopes.all[:d.rows]
	scope := d.scopes.open(b, t, d.outer)
	where, local := d.scopes.element(b, t, scope)
	entry := string(local) == "entry" && where == atomSpace
	deleted := string(local) == "deleted-entry" && where != atomSpace
	d.inRow = entry || deleted
	end, err := scan.XMLElement(b, i, maxDepth)
	if err != nil {
		return err
	}
	d.pos = end
	if d.state == atomProlog {
		d.state = atomEnd
	}
	at := d.base + int64(i)
	d.inRow = false
	switch {
	case entry:
		made := len(out.Rows)
		d.row(b[i:end], at, out)
		if d.lane != nil && d.state == atomFeed && len(out.Rows) > made {
			d.lane.learnRow(b[i:end], &scopes{d.scopes.all[:d.rows]}, d.outer)
		}
	case deleted:
		d.deleted(b[i:end], at, out)
	case where == atomSpace && string(local) == "link":
		d.link(b, t, scope)
	case where == metaSpace && string(local) == "error":
		d.failure = quoted(b[i:end])
	case where == metaSpace && string(local) == "count":
		if content, ok := scan.XMLContent(d.text[:0], b[t.End:contentEnd(b, t, end)]); ok {
			if n, ok := scan.Integer(bytes.TrimSpace(content), 0, 1<<62); ok {
				d.page.Count = n
			}
		}
	}
	return nil
}

// contentEnd is where the content of an element ends that starts with t and ends at end.
func contentEnd(b []byte, t scan.XMLTag, end int) int {
	if t.Empty {
		return t.End
	}
	return bytes.LastIndex(b[:end], []byte("</"))
}

// relation is a link's rel without the registry's address in front.
func relation(b []byte, t scan.XMLTag) []byte {
	rel, _ := attribute(b, t, "rel")
	return bytes.TrimPrefix(rel, []byte("http://www.iana.org/assignments/relation/"))
}

func (d *Atom) linkOf(b []byte, t scan.XMLTag, scope int) Link {
	href, _ := attribute(b, t, "href")
	text, _ := scan.XMLContent(nil, href)
	return Link{Href: string(text), Base: d.scopes.base(scope)}
}

func (d *Atom) link(b []byte, t scan.XMLTag, scope int) {
	switch string(relation(b, t)) {
	case "next":
		d.page.Next = d.linkOf(b, t, scope)
	case "delta":
		d.page.Delta = d.linkOf(b, t, scope)
	}
}

// deleted takes a tombstone.
func (d *Atom) deleted(element []byte, at int64, out *Output) {
	if d.collect {
		return
	}
	if d.leaveOut(element, at, out) {
		return
	}
	t, _ := scan.XMLTagAt(element, 0)
	ref, given := attribute(element, t, "ref")
	id, ok := scan.XMLContent(nil, ref)
	if !given || !ok {
		d.fault(element, at, &misfit{path: "ref", expected: "the id of the deleted entry", found: "none"}, out)
		return
	}
	s := Tombstone{Origin: d.page.Rows, Ref: string(id)}
	var m datetime.Moment
	if when, ok := attribute(element, t, "when"); ok && m.Parse(bytes.TrimSpace(when)) {
		s.When, s.Timed = m.UTC(), true
	}
	out.Tombstones = append(out.Tombstones, s)
	d.page.Rows++
}

// function reads the result of a function that is no entity: a structure of its own, or several in elements named
// element.
func (d *Atom) function(i int, out *Output) *scan.Error {
	b := d.buf
	end, err := scan.XMLElement(b, i, maxDepth)
	if err != nil {
		return err
	}
	t, _ := scan.XMLTagAt(b, i)
	d.pos, d.state = end, atomEnd
	inside := d.scopes.open(b, t, 0)
	d.scopes.keep()
	c := content(b, t, end)
	several := false
	for e, ok := c.next(); ok; e, ok = c.next() {
		_, local := scan.SplitName(e.tag.Name)
		if several = string(local) == "element"; !several {
			break
		}
		d.outer, d.rows = inside, len(d.scopes.all)
		d.decode(b[e.tag.Start:e.end], d.base+int64(e.tag.Start), out, false)
	}
	if !several && !d.scopes.isNull(b, t, inside) {
		d.decode(b[i:end], d.base+int64(i), out, false)
	}
	return nil
}
