package decode

import (
	"bytes"
	"unsafe"

	"github.com/culvert-project/culvert/plugins/odata/decode/fast"
)

// fastAtom reads entries that are like those before them. An entry is three texts: what stands in front of its properties, a
// template; the properties; what stands behind them, a template.
type fastAtom struct {
	fastRows
	d      *Atom
	reader atomReader

	// heads and tails are the templates learned lately, lessons how many more may be.
	heads, tails []*fast.Template
	lessons      int
	// key is the namespaces around the entries for which all was learned.
	key []byte
	// scopes are the namespaces in force at the properties, inside; data and meta are their prefixes.
	scopes     scopes
	inside     int
	data, meta []byte
}

// templatesAtMost is how many forms of entries are known at a time.
const templatesAtMost = 3

// newFastAtom returns nil for layouts with values outside the properties: expanded entries, targets of customised feeds.
func newFastAtom(d *Atom) *fastAtom {
	for i := range d.s.layout.Columns {
		c := &d.s.layout.Columns[i]
		if len(c.steps) > 0 || c.Shape == One || c.Shape == Many {
			return nil
		}
	}
	f := &fastAtom{d: d}
	f.forget()
	return f
}

// forget drops all that was learned.
func (f *fastAtom) forget() {
	f.init(f.d.s.layout)
	f.heads, f.tails, f.lessons = nil, nil, lessonsAtMost
	f.data, f.meta = nil, nil
}

// bind is told the namespaces around the entries of a page.
func (f *fastAtom) bind(s *scopes) {
	var key []byte
	for i := range s.all {
		key = append(append(append(append(key, s.all[i].prefix...), '='), s.all[i].value...), '\n')
	}
	if f.reported || !bytes.Equal(key, f.key) {
		f.forget()
		f.key = key
	}
}

// rows reads as many entries as it can, from p on. It returns where it stopped; false: it could not read the entry at p.
func (f *fastAtom) rows(p int, out *Output) (next int, progress bool) {
	f.buf, f.out = f.d.s.buf, out
	for len(f.heads) > 0 {
		f.room(out, len(f.buf)-p)
		start := len(out.Data)
		q, ok := f.read(p, start)
		if !ok {
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
		f.d.s.page.Rows++
		f.taken++
		progress = true
		if p = xmlSpace(f.buf, q); p >= len(f.buf) {
			break
		}
	}
	return p, progress
}

// matchOne returns the length of what the first of the templates to match matches, 0 for none.
func matchOne(templates []*fast.Template, in unsafe.Pointer, p int) int {
	for i, t := range templates {
		if n := t.Match(unsafe.Add(in, p)); n > 0 {
			if i > 0 {
				templates[0], templates[i] = t, templates[0]
			}
			return n
		}
	}
	return 0
}

// read reads the entry at p and writes its columns at o. It returns the place behind it; false: the plain parser must read it.
func (f *fastAtom) read(p, o int) (int, bool) {
	r := f.begin(p, o)
	n := matchOne(f.heads, r.In, p)
	if n == 0 {
		return 0, false
	}
	r.P += n
	for {
		switch fast.RowAtom(r) {
		case fast.AtEnd:
			return f.tail(r)
		case fast.Missed:
			ended, ok := f.find(r)
			if !ok {
				return 0, false
			}
			if ended {
				return f.tail(r)
			}
		case fast.OddMember:
			if !f.pass(r, bytes.LastIndexByte(f.buf[:r.P], '<')) {
				return 0, false
			}
		case fast.OddValue:
			if !f.slow(r) {
				return 0, false
			}
		case fast.Unsealed:
			r.Done(r.P, f.seal())
		default:
			return 0, false
		}
	}
}

func (f *fastAtom) tail(r *fast.Row) (int, bool) {
	n := matchOne(f.tails, r.In, r.P)
	return r.P + n, n > 0
}

// slow lets the plain parser read one value.
func (f *fastAtom) slow(r *fast.Row) bool {
	start := bytes.LastIndexByte(f.buf[:r.P], '<')
	end, err := xmlElement(f.buf, start, f.d.s.limits.Depth)
	if err != nil {
		return false
	}
	x, s, c := &f.reader, &f.d.s, r.Entry.Column
	x.d, x.row, x.hole = f.d, f.buf, hole{}
	x.ready(0, f.l, "")
	s.levels[0].spans[c], s.levels[0].scopes[c] = span{start, end}, f.inside
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
	end, err := xmlElement(f.buf, start, f.d.s.limits.Depth)
	if err != nil {
		return false
	}
	e := entryOf(r.Entry)
	if close := bytes.LastIndex(f.buf[:end], []byte("</")); e.lessons > 0 && close >= r.P && bytes.IndexByte(f.buf[r.P:close], '<') < 0 {
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

// find looks at the tag that stands at r.P, where r.Entry was expected. It leaves the row at the property's value, or behind the
// property, or behind all properties; not ok: the plain parser must look.
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
		// the properties are well-formed, so this can only be their end
		if prefix, local := split(name); string(local) != "properties" || string(prefix) != string(f.meta) {
			return false, false
		}
		prev.follows(&f.end)
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
	end, err := xmlElement(b, p, f.d.s.limits.Depth)
	if err != nil {
		return false, false
	}
	prev.follows(e)
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
func (e *fastEntry) learnClose(text []byte) { e.Close = fast.NewMark(text, openWords) }

func (e *fastEntry) learnNull(text []byte) {
	if e.lessons > 0 {
		e.lessons--
		e.Null = fast.NewMark(text, openWords+1)
	}
}

// attributes looks at a property's attributes: null tells of m:null, plain that none of them changes what the names mean.
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

// newName makes an entry for an element of the namespace of properties that was not seen yet; nil: it is not one of it, or the
// plain parser is to report it.
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
	if f.d.s.unknown[string(local)] {
		f.reported = true
	} else if !f.l.known[string(local)] {
		return nil
	}
	return f.newSkip(name, true)
}

// learn takes an entry that the plain parser has read.
func (f *fastAtom) learn(text []byte) {
	if f.lessons == 0 {
		return
	}
	f.lessons--
	s := &scopes{append([]binding{}, f.d.scopes.all[:f.d.rows]...)}
	open, _ := xmlTagAt(text, 0)
	properties, inside, ok := findProperties(s, text, element{open, len(text)}, s.open(text, open, f.d.outer))
	if !ok {
		return
	}
	t := properties.tag
	name := text[t.name.start:t.name.end]
	meta, _ := split(name)
	data := s.prefix(dataSpace, inside)
	if data == nil || s.space(meta, inside) != metaSpace || bytes.Count(text, append([]byte{'<'}, name...)) != 1 || bytes.Contains(text[:t.end], []byte("<!")) ||
		bytes.Contains(text[:t.end], []byte("<?")) || bytes.Contains(text[properties.end:], []byte("<!")) || bytes.Contains(text[properties.end:], []byte("<?")) {
		return
	}
	if f.data == nil || !bytes.Equal(data, f.data) || !bytes.Equal(meta, f.meta) {
		key, lessons := f.key, f.lessons
		f.forget()
		f.key, f.lessons = key, lessons
	}
	f.data, f.meta = bytes.Clone(data), bytes.Clone(meta)
	s.keep()
	f.scopes, f.inside = *s, inside
	f.heads = addTemplate(f.heads, text[:t.end])
	f.tails = addTemplate(f.tails, text[properties.end:])
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
	t := &fast.Template{}
	atomTemplate(t, text)
	all = append([]*fast.Template{t}, all...)
	return all[:min(len(all), templatesAtMost)]
}

// atomTemplate makes a template of markup in which nothing is looked at: texts and the values of attributes are holes, but for
// white space and declarations of namespaces.
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
		if bytes.HasPrefix(text[a.name.start:], []byte("xmlns")) {
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
