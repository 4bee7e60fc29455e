package decode

import (
	"bytes"
	"unsafe"

	"github.com/culvert-project/culvert/plugins/odata/decode/fast"
	"github.com/culvert-project/culvert/plugins/odata/scan"
)

// atomLane reads entries that are like those before them. An entry is what stands in front of its properties, templates
// with expanded entries between them; the properties; what stands after them, a template.
type atomLane struct {
	lane
	d      *Atom
	reader atomReader

	// heads and tails are the templates learned lately. fronts and backs are those of the feed around the entries, for
	// expanded ones.
	heads         [][]headPart
	tails         []*fast.Template
	fronts, backs []*fast.Template
	// key is the namespaces around the entries for which all was learned; generation counts how often all was
	// forgotten.
	key        []byte
	generation int
	// scopes are the namespaces in force at the properties, inside; closing is the name of the element around the
	// properties, data their prefix.
	scopes        scopes
	inside        int
	closing, data []byte

	// path is that of the structure read, "" or ending in a slash; depth is how deep its properties may nest.
	path  string
	depth int
	// root reads rows; inner read the structures inside, by column.
	root  *atomLane
	inner []*atomLane
}

// headPart is a part of what stands in front of an entry's properties. After it comes the expanded value of a column,
// or with -1 the properties.
type headPart struct {
	template *fast.Template
	column   int
	// generation of the column's reader when the part was learned: it may have forgotten since.
	generation int
}

// maxTemplates is how many forms of entries are known at a time.
const maxTemplates = 3

func newAtomLane(d *Atom) *atomLane {
	// an entry, its content and the properties are around a property
	f := &atomLane{d: d, depth: maxDepth - 3}
	f.root = f
	f.forget(d.layout)
	return f
}

// forget drops all that was learned.
func (f *atomLane) forget(l *RowLayout) {
	f.init(f, l, 1)
	for i := range l.Columns {
		if len(l.Columns[i].steps) > 0 {
			// what is not among the properties may be elsewhere in the entry: for the plain parser
			f.optionals[i] = 0
		}
	}
	f.heads, f.tails, f.fronts, f.backs = nil, nil, nil, nil
	f.data, f.closing = nil, nil
	f.inner = make([]*atomLane, len(l.Columns))
	f.generation++
}

// of returns the lane of the structures in a column.
func (f *atomLane) of(column int) *atomLane {
	if f.inner[column] == nil {
		c := &f.l.Columns[column]
		x := &atomLane{d: f.d, path: c.path(f.path), root: f.root, depth: f.depth - 1}
		if c.Shape != Complex {
			// link, inline, feed, entry, content, properties
			x.depth = f.depth - 6
		}
		x.forget(c.Nested)
		f.inner[column] = x
	}
	return f.inner[column]
}

// bind takes the namespaces around the entries of a page, or of a feed inside an entry.
func (f *atomLane) bind(s *scopes, scope int) {
	var key []byte
	for k := scope; k > 0; k = s.all[k].outer {
		key = append(append(append(append(key, s.all[k].prefix...), '='), s.all[k].value...), '\n')
	}
	if f.reported || !bytes.Equal(key, f.key) {
		f.forget(f.l)
		f.key = key
	}
}

func (f *atomLane) after(p int) (next int, closed, ok bool) {
	return scan.XMLSpace(f.buf, p), false, true
}

// between has the kernel go from entry to entry where nothing is expanded in front of the properties.
func (f *atomLane) between() {
	f.end.Skip, f.lane.head.Skip = nil, nil
	if len(f.heads) > 0 && len(f.heads[0]) == 1 {
		head := f.heads[0]
		f.end.Skip, f.lane.head.Skip = f.tails[0].Program(), head[0].template.Program()
	}
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

// read reads the entry at p and writes its columns at o. It returns the place after it; false: the plain parser must
// read it.
func (f *atomLane) read(p, o int) (int, bool) {
	for i := range f.heads {
		r := f.begin(p, o)
		if !f.head(r, f.heads[i]) {
			continue
		}
		if i > 0 {
			f.heads[0], f.heads[i] = f.heads[i], f.heads[0]
		}
		if !f.members(r, &f.root.effort) {
			return 0, false
		}
		return f.tail(r)
	}
	return 0, false
}

// head reads what stands in front of the properties.
func (f *atomLane) head(r *fast.Row, parts []headPart) bool {
	for _, part := range parts {
		n := part.template.Match(unsafe.Add(r.In, r.P))
		if n <= 0 {
			f.root.failed(r.P - n)
			return false
		}
		r.P += n
		if part.column >= 0 && (part.generation != f.of(part.column).generation || !f.expanded(r, part.column)) {
			return false
		}
	}
	r.Before, r.Entry = &f.lane.head.Entry, f.lane.head.Next
	return true
}

// structure reads a complex value.
func (f *atomLane) structure(r *fast.Row) bool {
	e := entryOf(r.Entry)
	if e.c.Shape != Complex {
		return false
	}
	x := f.of(e.Column)
	x.scopes, x.inside = f.scopes, f.inside
	x.use(f.buf, f.out)
	o := r.O + e.Optional
	fast.Put(r.Arena, r.O, 2)
	x.promise(r.P, o)
	ok := x.members(x.begin(r.P, o), &f.root.effort)
	end := 0
	if ok {
		end = x.finish(o)
	}
	return f.leave(r, x.row.P, end, ok && end >= 0)
}

// expanded reads what is inside m:inline.
func (f *atomLane) expanded(r *fast.Row, column int) bool {
	e := &f.entries[column]
	r.Entry = &e.Entry
	if !r.Given(column) {
		return false
	}
	x := f.of(column)
	x.use(f.buf, f.out)
	o, p, ok := r.O+e.Optional, r.P, false
	fast.Put(r.Arena, r.O, 2)
	if e.c.Shape == Many {
		p, o, ok = x.feed(p, o)
	} else {
		x.row.Most = 0
		p, o, ok = x.entry(scan.XMLSpace(f.buf, p), o)
	}
	return f.leave(r, p, o, ok)
}

// entry reads the expanded entry at p.
func (f *atomLane) entry(p, o int) (next, end int, ok bool) {
	f.promise(p, o)
	if next, ok = f.read(p, o); !ok {
		f.root.failed(f.row.P)
		return p, o, false
	}
	end = f.finish(f.row.Start)
	return scan.XMLSpace(f.buf, next), end, end >= 0
}

// feed reads the expanded feed at p.
func (f *atomLane) feed(p, o int) (next, end int, ok bool) {
	in := unsafe.Pointer(unsafe.SliceData(f.buf))
	n := matchOne(f.fronts, in, p)
	if n <= 0 {
		f.root.failed(p - n)
		return p, o, false
	}
	from, count := o, 0
	o++
	for p += n; ; count += f.row.Made + 1 {
		if n = matchOne(f.backs, in, p); n > 0 {
			return p + n, f.count(from, o, count), true
		}
		f.promise(p, o)
		f.items()
		if p, o, ok = f.entry(p, o); !ok {
			return p, o, false
		}
	}
}

func (f *atomLane) tail(r *fast.Row) (int, bool) {
	n := matchOne(f.tails, r.In, r.P)
	if n <= 0 {
		f.root.failed(r.P - n)
		return 0, false
	}
	f.between()
	return r.P + n, true
}

func (f *atomLane) plain(r *fast.Row, dst []byte) (out []byte, end int, ok bool) {
	start := bytes.LastIndexByte(f.buf[:r.P], '<')
	end, err := scan.XMLElement(f.buf, start, f.depth)
	if err != nil {
		return dst, 0, false
	}
	x, s, c := &f.reader, &f.d.stream, r.Entry.Column
	x.d, x.row, x.hole = f.d, f.buf, hole{}
	x.ready(0, f.l, f.path)
	s.levels[0].spans[c], s.levels[0].scopes[c] = textRange{start, end}, f.inside
	outer, known := f.d.scopes, len(s.page.Unknown)
	f.d.scopes = scopes{f.scopes.all}
	dst, m := x.column(dst, f.l, c, 0, element{}, false)
	f.d.scopes = outer
	return dst, end, !s.unreported(known) && m == nil
}

func (f *atomLane) memberEnd(r *fast.Row, t *fast.Template) (end int) {
	start := bytes.LastIndexByte(f.buf[:r.P], '<')
	end, err := scan.XMLElement(f.buf, start, f.depth)
	if err != nil {
		return 0
	}
	if back := bytes.LastIndex(f.buf[:end], []byte("</")); t != nil && back >= r.P &&
		bytes.IndexByte(f.buf[r.P:back], '<') < 0 {
		t.Reset()
		t.Hole(&fast.AtomSkip)
		t.Text(f.buf[back:end]...)
		t.Done()
	}
	return end
}

// attributes looks at a property's attributes: null says that it has m:null, plain that none of them changes what the
// names mean.
func attributes(b []byte, t scan.XMLTag, meta []byte) (null, plain bool) {
	for i := t.NameEnd; ; {
		a, next, err := scan.XMLAttributeAt(b, i)
		if err != nil {
			return false, false
		}
		if a.Name == nil {
			return null, true
		}
		i = next
		prefix, local := scan.SplitName(a.Name)
		switch value := string(a.Value); {
		case string(prefix) == "xmlns" || string(local) == "xmlns":
			return false, false
		case string(local) != "null":
		case string(prefix) != string(meta):
			return false, false
		default:
			null = value == "true" || value == "1"
		}
	}
}

// named finds the entry of an element of the namespace of properties, or makes one; nil: it is not one of it, or the
// plain parser is to report it.
func (f *atomLane) named(name []byte) *entry {
	if e := f.names[string(name)]; e != nil {
		return e
	}
	prefix, local := scan.SplitName(name)
	if string(prefix) != string(f.data) {
		return nil
	}
	if i, ok := f.l.names[string(local)]; ok {
		f.add(&f.entries[i], name)
		return &f.entries[i]
	}
	if f.d.unknown[f.path+string(local)] {
		f.root.reported = true
	} else if !f.l.known[string(local)] {
		return nil
	}
	return f.newSkip(name, true)
}

// learnRow learns from an entry that the plain parser has read, and the namespaces around it.
func (f *atomLane) learnRow(text []byte, around *scopes, outer int) {
	if f.mayLearn() {
		f.learn(text, around, outer)
	}
}

func (f *atomLane) learn(text []byte, around *scopes, outer int) {
	if f != f.root {
		f.bind(around, outer)
	}
	s := &scopes{append([]binding{}, around.all...)}
	open, _ := scan.XMLTagAt(text, 0)
	scope := s.open(text, open, outer)
	properties, inside, ok := findProperties(s, text, element{open, len(text)}, scope)
	if !ok {
		return
	}
	t := properties.tag
	name := t.Name
	meta, _ := scan.SplitName(name)
	data := s.prefix(dataSpace, inside)
	before, rest := text[:t.End], text[properties.end:]
	for _, part := range [][]byte{before, rest} {
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
		taken, learned := f.taken, f.learned
		f.forget(f.l)
		f.taken, f.learned = taken, learned
		return
	}
	f.data, f.closing = bytes.Clone(data), bytes.Clone(name)
	f.learnProperties(text, properties, meta)
	s.keep()
	f.scopes, f.inside = *s, inside
	f.heads = append([][]headPart{parts}, f.heads...)
	f.heads = f.heads[:min(len(f.heads), maxTemplates)]
	f.tails = addTemplate(f.tails, rest)
	f.between()
}

// learnProperties learns from the properties in an element.
func (f *atomLane) learnProperties(text []byte, e element, meta []byte) {
	before, from := &f.lane.head, e.tag.End
	children := content(text, e.tag, e.end)
	for c, ok := children.next(); ok; c, ok = children.next() {
		x := f.named(c.tag.Name)
		null, plain := attributes(text, c.tag, meta)
		if x == nil || !plain || scan.XMLSpace(text, from) != c.tag.Start {
			return
		}
		x.learnElement(text, from, c, null)
		if x.c != nil && x.c.Shape == Complex && !null && !c.tag.Empty {
			inner := f.of(x.Column)
			inner.data = f.data
			inner.learnProperties(text, c, meta)
		}
		before.followedBy(x)
		before, from = x, c.end
	}
	if scan.XMLSpace(text, from) == contentEnd(text, e.tag, e.end) {
		f.end.Open = fast.NewMark(text[from:e.end])
		before.followedBy(&f.end)
	}
}

// learnElement remembers an element with the white space before it, which begins at from.
func (e *entry) learnElement(text []byte, from int, c element, null bool) {
	switch whole := fast.NewMark(text[from:c.end]); {
	case e.Kind == fast.Skip && c.tag.Empty:
		e.Null = whole
	case e.Kind == fast.Skip:
		e.Open = fast.NewMark(text[from:c.tag.End])
	case null || c.tag.Empty && e.c.Shape == Primitive:
		e.Null, e.Empty = whole, 0
		if !null && !e.c.emptyIsNull() {
			e.Empty = 1
		}
	case !c.tag.Empty:
		e.Open = fast.NewMark(text[from:c.tag.End])
		e.Close = fast.NewMark(text[contentEnd(text, c.tag, c.end):c.end])
	}
}

// learnExpanded learns what is in front of an entry's properties, and the expanded entries there; false: it is not for
// the fast path.
func (f *atomLane) learnExpanded(s *scopes, text []byte, e element, scope int, properties element) ([]headPart, bool) {
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
		if several || inline.tag.Empty || c.tag.Start > properties.tag.Start {
			return nil, false
		}
		end := contentEnd(text, inline.tag, inline.end)
		if !f.of(column).learnInline(s, text, inline, inside, f.l.Columns[column].Shape) {
			return nil, false
		}
		parts = append(parts, headPart{newTemplate(text[from:inline.tag.End]), column, f.of(column).generation})
		from = end
	}
	// a second place for properties is for the plain parser
	if found > 1 || bytes.Count(text[properties.end:], text[properties.tag.Start:properties.tag.NameEnd]) > 0 ||
		bytes.Count(text[from:properties.tag.End], text[properties.tag.Start:properties.tag.NameEnd]) > 1 {
		return nil, false
	}
	return append(parts, headPart{newTemplate(text[from:properties.tag.End]), -1, 0}), true
}

// inline finds the expanded value of a column in a link; column -1: there is none.
func (f *atomLane) inline(s *scopes, text []byte, link element, scope int) (column int, inline element, inside int,
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
func (f *atomLane) related(text []byte, link scan.XMLTag) (column int, ok bool) {
	rel := relation(text, link)
	k, ok := f.l.names[string(rel[bytes.LastIndexByte(rel, '/')+1:])]
	return k, ok && (f.l.Columns[k].Shape == One || f.l.Columns[k].Shape == Many)
}

// learnInline learns from expanded entries.
func (f *atomLane) learnInline(s *scopes, text []byte, inline element, scope int, shape Shape) bool {
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
		f.learn(text[only.tag.Start:only.end], s, scope)
		return true
	}
	if where != atomSpace || string(local) != "feed" || only.tag.Empty {
		return false
	}
	return f.learnFeed(s, text, inline, only, inside)
}

// learnFeed learns from an expanded feed: what is in front of its entries, the entries, what is after them.
func (f *atomLane) learnFeed(s *scopes, text []byte, inline, feed element, scope int) bool {
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
				front = c.tag.Start
			}
			if entries++; entries <= maxTemplates {
				f.learn(text[c.tag.Start:c.end], s, scope)
			}
			back = scan.XMLSpace(text, c.end)
		}
	}
	f.fronts = addTemplate(f.fronts, text[inline.tag.End:front])
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
			return c, inside, !c.tag.Empty
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
		tag, err := scan.XMLTagAt(text, i)
		if err != nil {
			// the rest begins or ends inside an element
			t.Text(text[i:]...)
			break
		}
		if tag.Closing && opened {
			t.Hole(&fast.AtomSkip)
		}
		tagTemplate(t, text, tag)
		i, opened = tag.End, !tag.Closing && !tag.Empty
	}
	t.Done()
}

func tagTemplate(t *fast.Template, text []byte, tag scan.XMLTag) {
	from := tag.Start
	for i := tag.NameEnd; ; {
		a, next, err := scan.XMLAttributeAt(text, i)
		if err != nil || a.Name == nil {
			break
		}
		i = next
		if name := a.Name; bytes.HasPrefix(name, []byte("xmlns")) || string(name) == "rel" {
			continue
		}
		t.Text(text[from:a.ValueAt]...)
		if text[next-1] == '"' {
			t.Hole(&fast.AtomQuoted)
		} else {
			t.Hole(&fast.AtomApostrophed)
		}
		from = next - 1
	}
	t.Text(text[from:tag.End]...)
}
