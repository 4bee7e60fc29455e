package decode

import (
	"bytes"
	"unsafe"

	"github.com/culvert-project/culvert/plugins/odata/decode/fast"
)

// fastAtom reads entries that are like those before them. An entry is what stands in front of its properties, templates
// with expanded entries between them; the properties; what stands behind them, a template.
type fastAtom struct {
	fastRows
	d      *Atom
	reader atomReader

	// heads and tails are the templates learned lately, lessons how many more may be. fronts and backs are those of the
	// feed around the entries, for expanded ones.
	heads         [][]headPart
	tails         []*fast.Template
	fronts, backs []*fast.Template
	lessons       int
	// key is the namespaces around the entries for which all was learned; generation counts how often all was
	// forgotten.
	key        []byte
	generation int
	// scopes are the namespaces in force at the properties, inside; data is the prefix of properties, meta that of the
	// format.
	scopes     scopes
	inside     int
	data, meta []byte
	// closing is the name of the element around the properties.
	closing []byte

	// path is that of the structure read, "" or ending in a slash; depth is how deep its properties may nest.
	path  string
	depth int
	// root reads rows; inner read the structures inside, by column.
	root  *fastAtom
	inner []*fastAtom
}

// headPart is a part of what stands in front of an entry's properties. Behind it comes the expanded value of a column,
// or with -1 the properties.
type headPart struct {
	template *fast.Template
	column   int
	// generation of the column's reader when the part was learned: it may have forgotten since.
	generation int
}

// maxTemplates is how many forms of entries are known at a time.
const maxTemplates = 3

func newFastAtom(d *Atom) *fastAtom {
	// an entry, its content and the properties are around a property
	f := &fastAtom{d: d, depth: d.s.limits.Depth - 3}
	f.root = f
	f.forget(d.s.layout)
	return f
}

// forget drops all that was learned.
func (f *fastAtom) forget(l *RowLayout) {
	f.init(l)
	for i := range l.Columns {
		if len(l.Columns[i].steps) > 0 {
			// what is not among the properties may be elsewhere in the entry: for the plain parser
			f.optionals[i] = 0
		}
	}
	f.heads, f.tails, f.fronts, f.backs, f.lessons = nil, nil, nil, nil, maxLessons
	f.data, f.meta, f.closing = nil, nil, nil
	f.inner = make([]*fastAtom, len(l.Columns))
	f.generation++
}

// structure returns the reader of the structures in a column.
func (f *fastAtom) structure(column int) *fastAtom {
	if f.inner[column] == nil {
		c := &f.l.Columns[column]
		x := &fastAtom{d: f.d, path: c.path(f.path), root: f.root, depth: f.depth - 1}
		if c.Shape != Complex {
			// link, inline, feed, entry, content, properties
			x.depth = f.depth - 6
		}
		x.forget(c.Nested)
		f.inner[column] = x
	}
	return f.inner[column]
}

// bind is told the namespaces around the entries of a page, or of a feed inside an entry.
func (f *fastAtom) bind(s *scopes, scope int) {
	var key []byte
	for k := scope; k > 0; k = s.all[k].outer {
		key = append(append(append(append(key, s.all[k].prefix...), '='), s.all[k].value...), '\n')
	}
	if f.reported || !bytes.Equal(key, f.key) {
		f.forget(f.l)
		f.key = key
	}
}

// rows reads as many entries as it can, from p on. It returns where it stopped; false: it could not read the entry at
// p.
func (f *fastAtom) rows(p int, out *Output) (next int, progress bool) {
	f.buf, f.out = f.d.s.buf, out
	f.stopped = -1
	defer func() { f.tried(progress) }()
	for len(f.heads) > 0 && f.worthwhile() {
		f.room(out, len(f.buf)-p)
		start := len(out.Data)
		q, ok := f.read(p, start)
		if !ok {
			f.gaveUp(&f.d.s, p)
			break
		}
		o := f.finish(start)
		if o < 0 {
			break
		}
		out.Data = out.Data[:o]
		if m := finishRow(out, f.l, f.d.s.page.Rows, start, f.spans[:len(f.entries)]); m != nil {
			out.Data = out.Data[:start]
			break
		}
		if f.l.Addressed {
			out.addressAtom(f.buf[p:q], true)
		}
		f.d.s.page.Rows++
		f.taken++
		progress = true
		if p = xmlSpace(f.buf, q); p >= len(f.buf) {
			break
		}
	}
	return p, progress
}

// matchOne returns the length of what the first of the templates to match matches; where none does, it is as the result
// of [fast.Template.Match] for the one that went furthest.
func matchOne(templates []*fast.Template, in unsafe.Pointer, p int) int {
	furthest := 0
	for i, t := range templates {
		n := t.Match(unsafe.Add(in, p))
		if n > 0 {
			if i > 0 {
				templates[0], templates[i] = t, templates[0]
			}
			return n
		}
		furthest = min(furthest, n)
	}
	return furthest
}

// read reads the entry at p and writes its columns at o. It returns the place behind it; false: the plain parser must
// read it.
func (f *fastAtom) read(p, o int) (int, bool) {
	for i := range f.heads {
		r := f.begin(p, o)
		if !f.head(r, f.heads[i]) {
			continue
		}
		if i > 0 {
			f.heads[0], f.heads[i] = f.heads[i], f.heads[0]
		}
		if !f.properties(r) {
			return 0, false
		}
		return f.tail(r)
	}
	return 0, false
}

// head reads what stands in front of the properties.
func (f *fastAtom) head(r *fast.Row, parts []headPart) bool {
	for _, part := range parts {
		n := part.template.Match(unsafe.Add(r.In, r.P))
		if n <= 0 {
			f.root.failed(r.P - n)
			return false
		}
		r.P += n
		if part.column >= 0 && (part.generation != f.structure(part.column).generation || !f.expanded(r, part.column)) {
			return false
		}
	}
	r.Before, r.Entry = &f.fastRows.head.Entry, f.fastRows.head.Next
	return true
}

// properties reads properties up to the end of the element around them.
func (f *fastAtom) properties(r *fast.Row) bool {
	for {
		switch fast.RowAtom(r) {
		case fast.AtEnd:
			return true
		case fast.Missed:
			ended, ok := f.find(r)
			if !ok || ended {
				return ok
			}
		case fast.OddMember:
			if !f.pass(r, bytes.LastIndexByte(f.buf[:r.P], '<')) {
				return false
			}
		case fast.OddValue:
			if !f.complex(r) && (f.root.cut() || !f.slow(r)) {
				return false
			}
		case fast.Unsealed:
			r.Done(r.P, f.seal())
		default:
			return false
		}
	}
}

// complex reads a complex value; false: the plain parser must.
func (f *fastAtom) complex(r *fast.Row) bool {
	e := entryOf(r.Entry)
	if e.c.Shape != Complex || e.Close.Size == 0 {
		return false
	}
	x := f.structure(e.Column)
	x.data, x.meta, x.closing = f.data, f.meta, e.name
	x.scopes, x.inside = f.scopes, f.inside
	x.enter(f)
	o := r.O + e.Optional
	fast.Put(r.Arena, r.O, 2)
	x.promise(r.P, o)
	ok := x.properties(x.begin(r.P, o))
	p, end := x.row.P, 0
	if ok {
		end = x.finish(o)
	}
	return f.leave(r, p, end, ok && end >= 0)
}

// enter readies the reader of a structure for the text that the one around it reads.
func (f *fastAtom) enter(outer *fastAtom) { f.buf, f.out = outer.buf, outer.out }

// promise makes room for a structure.
func (f *fastRows) promise(p, o int) {
	if need := len(f.buf) - p + 48*len(f.entries) + 2*fast.Room; cap(f.out.Data)-o < need {
		f.grow(f.out, o, need)
	}
}

// leave goes on behind a structure, which ends at p in the text and at o in the output, if it was read.
func (f *fastAtom) leave(r *fast.Row, p, o int, ok bool) bool {
	if ok {
		f.promise(p, o)
	}
	r.Arena = unsafe.Pointer(unsafe.SliceData(f.out.Data))
	if ok {
		r.Done(p, o)
	}
	return ok
}

// expanded reads what is inside m:inline.
func (f *fastAtom) expanded(r *fast.Row, column int) bool {
	e := &f.entries[column]
	r.Entry = &e.Entry
	if !r.Given(column) {
		return false
	}
	x := f.structure(column)
	x.enter(f)
	o, p, ok := r.O+e.Optional, r.P, false
	fast.Put(r.Arena, r.O, 2)
	if e.c.Shape == Many {
		p, o, ok = x.feed(p, o)
	} else {
		p, o, ok = x.entry(xmlSpace(f.buf, p), o)
	}
	return f.leave(r, p, o, ok)
}

// entry reads the expanded entry at p.
func (f *fastAtom) entry(p, o int) (next, end int, ok bool) {
	f.promise(p, o)
	if next, ok = f.read(p, o); !ok {
		f.root.failed(f.row.P)
		return p, o, false
	}
	end = f.finish(o)
	return xmlSpace(f.buf, next), end, end >= 0
}

// feed reads the expanded feed at p.
func (f *fastAtom) feed(p, o int) (next, end int, ok bool) {
	in := unsafe.Pointer(unsafe.SliceData(f.buf))
	n := matchOne(f.fronts, in, p)
	if n <= 0 {
		f.root.failed(p - n)
		return p, o, false
	}
	from, count := o, 0
	o++
	for p += n; ; count++ {
		if n = matchOne(f.backs, in, p); n > 0 {
			return p + n, f.count(from, o, count), true
		}
		if p, o, ok = f.entry(p, o); !ok {
			return p, o, false
		}
	}
}

func (f *fastAtom) tail(r *fast.Row) (int, bool) {
	n := matchOne(f.tails, r.In, r.P)
	if n <= 0 {
		f.root.failed(r.P - n)
	}
	return r.P + n, n > 0
}

// slow lets the plain parser read one value.
func (f *fastAtom) slow(r *fast.Row) bool {
	start := bytes.LastIndexByte(f.buf[:r.P], '<')
	end, err := xmlElement(f.buf, start, f.depth)
	if err != nil {
		return false
	}
	x, s, c := &f.reader, &f.d.s, r.Entry.Column
	x.d, x.row, x.hole = f.d, f.buf, hole{}
	x.ready(0, f.l, f.path)
	s.levels[0].spans[c], s.levels[0].scopes[c] = textRange{start, end}, f.inside
	outer, known := f.d.scopes, len(s.page.Unknown)
	f.d.scopes = scopes{f.scopes.all}
	dst, m := x.column(f.out.Data[:r.O], f.l, c, 0, element{}, false)
	f.d.scopes = outer
	if reported := s.page.Unknown[known:]; len(reported) > 0 {
		// the plain parser is to say so
		for _, path := range reported {
			delete(s.unknown, path)
		}
		s.page.Unknown = s.page.Unknown[:known]
		return false
	}
	if m != nil {
		return false
	}
	f.took(dst, end)
	r.Done(end, len(dst))
	return true
}

// pass passes the element at start, which is no column.
func (f *fastAtom) pass(r *fast.Row, start int) bool {
	end, err := xmlElement(f.buf, start, f.depth)
	if err != nil {
		return false
	}
	e := entryOf(r.Entry)
	if close := bytes.LastIndex(f.buf[:end], []byte("</")); e.lessons > 0 && close >= r.P &&
		bytes.IndexByte(f.buf[r.P:close], '<') < 0 {
		e.lessons--
		e.skip.Reset()
		e.skip.Hole(&fast.AtomSkip)
		e.skip.Text(f.buf[close:end]...)
		e.skip.Done()
		e.Skip = e.skip.Program()
	}
	r.Passed(end)
	return true
}

// find looks at the tag that stands at r.P, where r.Entry was expected. It leaves the row at the property's value, or
// behind the property, or behind all properties; not ok: the plain parser must look.
func (f *fastAtom) find(r *fast.Row) (ended, ok bool) {
	b, from := f.buf, r.P
	p := xmlSpace(b, from)
	if p >= len(b) || b[p] != '<' {
		return false, false
	}
	t, err := xmlTagAt(b, p)
	if err != nil {
		return false, false
	}
	prev, name := entryOf(r.Before), b[t.name.start:t.name.end]
	if t.closing {
		if !bytes.Equal(name, f.closing) {
			return false, false
		}
		prev.followedBy(&f.end)
		f.end.learn(b[from:t.end])
		r.Entry, r.P = &f.end.Entry, t.end
		return true, true
	}
	e := f.lookup(r.In, p+1, len(name))
	if e == nil {
		if e = f.newName(name); e == nil {
			return false, false
		}
	}
	null, plain := f.attributes(t)
	if !plain {
		return false, false
	}
	end, err := xmlElement(b, p, f.depth)
	if err != nil {
		return false, false
	}
	prev.followedBy(e)
	r.Entry = &e.Entry
	if e.Kind == fast.Skip {
		if !t.empty {
			e.learn(b[from:t.end])
		}
		r.P = t.end
		return false, f.pass(r, p)
	}
	if !r.Given(e.Column) {
		return false, false
	}
	if null {
		if e.Optional == 0 {
			return false, false
		}
		e.learnNull(b[from:end])
		fast.Put(r.Arena, r.O, 0)
		r.Done(end, r.O+1)
		return false, true
	}
	if t.empty {
		r.P = t.end
		return false, f.slow(r)
	}
	e.learn(b[from:t.end])
	e.learnClose(b[bytes.LastIndex(b[:end], []byte("</")):end])
	r.P, r.AtValue = t.end, 1
	return false, true
}

// learnClose and learnNull remember an end tag, and what stands for null with the white space before it.
func (e *fastEntry) learnClose(text []byte) { e.Close = fast.NewMark(text) }

func (e *fastEntry) learnNull(text []byte) {
	if e.lessons > 0 {
		e.lessons--
		e.Null = fast.NewMark(text)
	}
}

// attributes looks at a property's attributes: null tells of m:null, plain that none of them changes what the names
// mean.
func (f *fastAtom) attributes(t xmlTag) (null, plain bool) {
	b := f.buf
	for i := t.name.end; ; {
		a, next, err := xmlAttributeAt(b, i)
		if err != nil {
			return false, false
		}
		if a.name.end == 0 {
			return null, true
		}
		i = next
		prefix, local := split(b[a.name.start:a.name.end])
		switch value := string(b[a.value.start:a.value.end]); {
		case string(prefix) == "xmlns" || string(local) == "xmlns":
			return false, false
		case string(local) != "null":
		case string(prefix) != string(f.meta) || len(prefix) == 0:
			return false, false
		default:
			null = value == "true" || value == "1"
		}
	}
}

// newName makes an entry for an element of the namespace of properties that was not seen yet; nil: it is not one of it,
// or the plain parser is to report it.
func (f *fastAtom) newName(name []byte) *fastEntry {
	prefix, local := split(name)
	if string(prefix) != string(f.data) {
		return nil
	}
	if i, ok := f.l.names[string(local)]; ok {
		e := &f.entries[i]
		e.name = bytes.Clone(name)
		f.insert(e)
		return e
	}
	if f.d.s.unknown[f.path+string(local)] {
		f.root.reported = true
	} else if !f.l.known[string(local)] {
		return nil
	}
	return f.newSkip(name, true)
}

// learn takes an entry that the plain parser has read, and the namespaces around it.
func (f *fastAtom) learn(text []byte, around *scopes, outer int) {
	if f.lessons == 0 {
		return
	}
	if f != f.root {
		f.bind(around, outer)
	}
	f.lessons--
	s := &scopes{append([]binding{}, around.all...)}
	open, _ := xmlTagAt(text, 0)
	scope := s.open(text, open, outer)
	properties, inside, ok := findProperties(s, text, element{open, len(text)}, scope)
	if !ok {
		return
	}
	t := properties.tag
	name := text[t.name.start:t.name.end]
	meta, _ := split(name)
	data := s.prefix(dataSpace, inside)
	before, behind := text[:t.end], text[properties.end:]
	for _, part := range [][]byte{before, behind} {
		if bytes.Contains(part, []byte("<!")) || bytes.Contains(part, []byte("<?")) {
			return
		}
	}
	if data == nil || len(meta) == 0 {
		return
	}
	parts, ok := f.learnExpanded(s, text, element{open, len(text)}, scope, properties)
	if !ok {
		return
	}
	if f.data != nil && (!bytes.Equal(data, f.data) || !bytes.Equal(name, f.closing)) {
		// the names mean something else: the next entry like this one is learned
		lessons := f.lessons
		f.forget(f.l)
		f.lessons = lessons
		return
	}
	f.data, f.meta, f.closing = bytes.Clone(data), bytes.Clone(meta), bytes.Clone(name)
	s.keep()
	f.scopes, f.inside = *s, inside
	f.heads = append([][]headPart{parts}, f.heads...)
	f.heads = f.heads[:min(len(f.heads), maxTemplates)]
	f.tails = addTemplate(f.tails, behind)
}

// learnExpanded learns what is in front of an entry's properties, and the expanded entries there; false: it is not for
// the fast path.
func (f *fastAtom) learnExpanded(s *scopes, text []byte, e element, scope int, properties element) ([]headPart, bool) {
	var parts []headPart
	from, found := 0, 0
	children := content(text, e.tag, e.end)
	for c, ok := children.next(); ok; c, ok = children.next() {
		inside := s.open(text, c.tag, scope)
		where, local := s.element(text, c.tag, inside)
		switch {
		case where == metaSpace && string(local) == "properties":
			found++
		case where == atomSpace && string(local) == "content":
			if _, _, ok := findProperties(s, text, c, inside); ok {
				found++
			}
		}
		if where != atomSpace || string(local) != "link" {
			continue
		}
		column, inline, inside, several := f.inline(s, text, c, inside)
		if column < 0 {
			if k, ok := f.related(text, c.tag); ok && f.l.Columns[k].Inline {
				return nil, false // the plain parser is to say that it is not expanded
			}
			continue
		}
		if several || inline.tag.empty || c.tag.start > properties.tag.start {
			return nil, false
		}
		end := contentEnd(text, inline.tag, inline.end)
		if !f.structure(column).learnInline(s, text, inline, inside, f.l.Columns[column].Shape) {
			return nil, false
		}
		parts = append(parts, headPart{newTemplate(text[from:inline.tag.end]), column, f.structure(column).generation})
		from = end
	}
	// a second place for properties is for the plain parser
	if found > 1 || bytes.Count(text[properties.end:], text[properties.tag.start:properties.tag.name.end]) > 0 ||
		bytes.Count(text[from:properties.tag.end], text[properties.tag.start:properties.tag.name.end]) > 1 {
		return nil, false
	}
	return append(parts, headPart{newTemplate(text[from:properties.tag.end]), -1, 0}), true
}

// inline finds the expanded value of a column in a link; column -1: there is none.
func (f *fastAtom) inline(s *scopes, text []byte, link element, scope int) (column int, inline element, inside int,
	several bool) {
	column = -1
	k, ok := f.related(text, link.tag)
	if !ok {
		return
	}
	children := content(text, link.tag, link.end)
	for c, ok := children.next(); ok; c, ok = children.next() {
		scope := s.open(text, c.tag, scope)
		if where, local := s.element(text, c.tag, scope); where == metaSpace && string(local) == "inline" {
			several = column >= 0
			column, inline, inside = k, c, scope
		}
	}
	return
}

// related is the column of expanded entities that a link is about.
func (f *fastAtom) related(text []byte, link xmlTag) (column int, ok bool) {
	rel := relation(text, link)
	k, ok := f.l.names[string(rel[bytes.LastIndexByte(rel, '/')+1:])]
	return k, ok && (f.l.Columns[k].Shape == One || f.l.Columns[k].Shape == Many)
}

// learnInline learns from expanded entries.
func (f *fastAtom) learnInline(s *scopes, text []byte, inline element, scope int, shape Shape) bool {
	children := content(text, inline.tag, inline.end)
	only, ok := children.next()
	if _, more := children.next(); !ok || more {
		return false
	}
	inside := s.open(text, only.tag, scope)
	where, local := s.element(text, only.tag, inside)
	if shape == One {
		if where != atomSpace || string(local) != "entry" {
			return false
		}
		f.learn(text[only.tag.start:only.end], s, scope)
		return true
	}
	if where != atomSpace || string(local) != "feed" || only.tag.empty {
		return false
	}
	return f.learnFeed(s, text, inline, only, inside)
}

// learnFeed learns from an expanded feed: what is in front of its entries, the entries, what is behind them.
func (f *fastAtom) learnFeed(s *scopes, text []byte, inline, feed element, scope int) bool {
	front, back := contentEnd(text, feed.tag, feed.end), 0
	back = front
	entries := 0
	children := content(text, feed.tag, feed.end)
	for c, ok := children.next(); ok; c, ok = children.next() {
		inside := s.open(text, c.tag, scope)
		where, local := s.element(text, c.tag, inside)
		switch {
		case where == atomSpace && string(local) == "link" && string(relation(text, c.tag)) == "next":
			return false
		case where == atomSpace && string(local) == "entry":
			if entries == 0 {
				front = c.tag.start
			}
			if entries++; entries <= maxTemplates {
				f.learn(text[c.tag.start:c.end], s, scope)
			}
			back = xmlSpace(text, c.end)
		}
	}
	f.fronts = addTemplate(f.fronts, text[inline.tag.end:front])
	f.backs = addTemplate(f.backs, text[back:contentEnd(text, inline.tag, inline.end)])
	return true
}

// findProperties finds m:properties, which must not be empty, inside an entry or its content.
func findProperties(s *scopes, text []byte, e element, scope int) (element, int, bool) {
	children := content(text, e.tag, e.end)
	for c, ok := children.next(); ok; c, ok = children.next() {
		inside := s.open(text, c.tag, scope)
		where, local := s.element(text, c.tag, inside)
		switch {
		case where == metaSpace && string(local) == "properties":
			return c, inside, !c.tag.empty
		case where == atomSpace && string(local) == "content":
			if p, inside, ok := findProperties(s, text, c, inside); ok {
				return p, inside, true
			}
		}
	}
	return element{}, 0, false
}

// prefix returns the only prefix bound to a namespace; nil: there is none, or more than one.
func (s *scopes) prefix(where space, scope int) []byte {
	var found []byte
	for k := scope; k > 0; k = s.all[k].outer {
		b := &s.all[k]
		if b.base || b.space != where || s.space(b.prefix, scope) != where {
			continue
		}
		prefix := append([]byte{}, b.prefix...)
		if found != nil && !bytes.Equal(found, prefix) {
			return nil
		}
		found = prefix
	}
	return found
}

// addTemplate makes a template of a text and puts it in front.
func addTemplate(all []*fast.Template, text []byte) []*fast.Template {
	padded := append(bytes.Clone(text), make([]byte, fast.Room)...)
	for _, t := range all {
		if t.Match(unsafe.Pointer(&padded[0])) == len(text) {
			return all
		}
	}
	all = append([]*fast.Template{newTemplate(text)}, all...)
	return all[:min(len(all), maxTemplates)]
}

func newTemplate(text []byte) *fast.Template {
	t := &fast.Template{}
	atomTemplate(t, text)
	return t
}

// atomTemplate makes a template of markup in which nothing is looked at: texts and the values of attributes are holes,
// but for white space and declarations of namespaces.
func atomTemplate(t *fast.Template, text []byte) {
	opened := false
	for i := 0; i < len(text); {
		if text[i] != '<' {
			end := i
			for end < len(text) && text[end] != '<' {
				end++
			}
			if len(bytes.Trim(text[i:end], " \t\r\n")) == 0 || end == len(text) {
				t.Text(text[i:end]...)
			} else {
				t.Hole(&fast.AtomSkip)
			}
			i, opened = end, false
			continue
		}
		tag, err := xmlTagAt(text, i)
		if err != nil {
			// the rest begins or ends inside an element
			t.Text(text[i:]...)
			break
		}
		if tag.closing && opened {
			t.Hole(&fast.AtomSkip)
		}
		tagTemplate(t, text, tag)
		i, opened = tag.end, !tag.closing && !tag.empty
	}
	t.Done()
}

func tagTemplate(t *fast.Template, text []byte, tag xmlTag) {
	from := tag.start
	for i := tag.name.end; ; {
		a, next, err := xmlAttributeAt(text, i)
		if err != nil || a.name.end == 0 {
			break
		}
		i = next
		if name := text[a.name.start:a.name.end]; bytes.HasPrefix(name, []byte("xmlns")) || string(name) == "rel" {
			continue
		}
		t.Text(text[from:a.value.start]...)
		if text[a.value.end] == '"' {
			t.Hole(&fast.AtomQuoted)
		} else {
			t.Hole(&fast.AtomApostrophed)
		}
		from = a.value.end
	}
	t.Text(text[from:tag.end]...)
}
