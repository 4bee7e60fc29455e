package decode

import (
	"bytes"
	"unsafe"

	"github.com/culvert-project/culvert/plugins/odata/decode/fast"
)

// fastJSON reads rows of verbose JSON that are like those before them.
type fastJSON struct {
	fastRows
	d      *JSON
	reader jsonReader
	// path is that of the structure read, "" or ending in a slash; depth is how deep its values may nest.
	path  string
	depth int
	// root reads rows; inner read the structures inside, by column.
	root  *fastJSON
	inner []*fastJSON
}

func newFastJSON(d *JSON) *fastJSON {
	f := newFastStructure(d, d.s.layout, d.s.limits.Depth-1)
	f.root = f
	return f
}

func newFastStructure(d *JSON, l *RowLayout, depth int) *fastJSON {
	f := &fastJSON{d: d, depth: depth, inner: make([]*fastJSON, len(l.Columns))}
	f.init(l)
	for i := range f.entries {
		if e := &f.entries[i]; e.c.Shape != Blank {
			f.insert(e)
		}
	}
	return f
}

// rows reads as many rows as it can, from the row at p on. It returns where it stopped: in front of a row, or behind
// the array's end; progress is false if it could not read the row at p.
func (f *fastJSON) rows(p int, out *Output) (next int, closed, progress bool) {
	f.buf, f.out = f.d.s.buf, out
	f.stopped = -1
	defer func() { f.tried(progress) }()
	for f.worthwhile() {
		f.room(out, len(f.buf)-p)
		f.several(&f.d.s.page)
		q, ok := f.read(p, len(out.Data))
		start := f.row.Start
		if n := f.row.Made; n > 0 {
			p, progress = f.row.From, true
			out.Rows, out.Data = out.Rows[:len(out.Rows)+n], out.Data[:start]
			f.d.s.page.Rows += uint32(n)
			f.taken += n
		}
		if !ok {
			f.gaveUp(&f.d.s, p)
			return p, false, progress
		}
		o := f.finish(start)
		if o < 0 {
			return p, false, progress
		}
		// What is behind the row must be right, as the plain parser has it, before the row counts.
		if f.buf[q-1] == '}' && q+1 < len(f.buf) && f.buf[q] == ',' && f.buf[q+1] == '{' {
			next = q + 1
		} else {
			var err *syntax
			if next, closed, err = jsonNext(f.buf, q, ']'); err != nil {
				return p, false, progress
			}
		}
		out.Data = out.Data[:o]
		if m := finishRow(out, f.l, f.d.s.page.Rows, start, f.spans[:len(f.entries)]); m != nil {
			out.Data = out.Data[:start]
			return p, false, progress
		}
		if f.l.Addressed {
			out.addressJSON(f.buf[p:q], f.d.s.limits.Depth)
		}
		f.d.s.page.Rows++
		f.taken++
		progress = true
		if closed || next >= len(f.buf) || f.buf[next] != '{' {
			return next, closed, true
		}
		p = next
	}
	return p, false, progress
}

// read reads the row at p and writes its columns at o. It returns the place behind the row; false: the plain parser
// must read it.
func (f *fastJSON) read(p, o int) (int, bool) {
	r := f.begin(p, o)
	// of the separator in front of the first member, { stands for the comma
	r.First = ^uint64(0xff)
	if f.buf[p] != '{' {
		return 0, false
	}
	for {
		switch fast.RowJSON(r) {
		case fast.AtEnd:
			return r.P, true
		case fast.Missed:
			ended, ok := f.find(r)
			if !ok || ended {
				return r.P, ok
			}
		case fast.OddMember:
			if !f.pass(r) {
				return 0, false
			}
		case fast.OddValue:
			if !f.structure(r) && (f.root.cut() || !f.slow(r)) {
				return 0, false
			}
		case fast.Unsealed:
			r.Done(r.P, f.seal())
		default:
			return 0, false
		}
	}
}

// slow lets the plain parser read one value.
func (f *fastJSON) slow(r *fast.Row) bool {
	end, err := jsonValue(f.buf, r.P, f.depth)
	if err != nil {
		return false
	}
	x := &f.reader
	x.d, x.row, x.hole, x.deleted = f.d, f.buf, hole{}, false
	if len(f.d.s.levels) == 0 {
		f.d.s.level(0, f.l)
	}
	f.d.s.levels[0].path = f.path
	known := len(f.d.s.page.Unknown)
	dst, m := x.column(f.out.Data[:r.O], f.l, r.Entry.Column, textRange{r.P, end}, 0)
	f.d.s.levels[0].path = "" // as the plain parser, which reads whole rows there, expects it
	if reported := f.d.s.page.Unknown[known:]; len(reported) > 0 {
		// the plain parser is to say so
		for _, path := range reported {
			delete(f.d.s.unknown, path)
		}
		f.d.s.page.Unknown = f.d.s.page.Unknown[:known]
		return false
	}
	if m != nil || x.hole.found {
		return false
	}
	f.took(dst, end)
	r.Done(end, len(dst))
	return true
}

// took takes the output after the plain parser appended to it; text up to p is read.
func (f *fastRows) took(dst []byte, p int) {
	f.out.Data = dst[:len(f.out.Data)]
	if need := len(f.buf) - p + 48*len(f.entries) + 2*fast.Room; cap(dst)-len(dst) < need {
		f.grow(f.out, len(dst), need)
	}
	f.row.Arena = unsafe.Pointer(unsafe.SliceData(f.out.Data))
}

// pass passes the value of a member that is no column.
func (f *fastJSON) pass(r *fast.Row) bool {
	e := entryOf(r.Entry)
	end, err := jsonValue(f.buf, r.P, f.depth)
	if err != nil {
		return false
	}
	value := f.buf[r.P:end]
	if !e.free && !deferredValue(value) {
		return false
	}
	if c := value[0]; e.lessons > 0 && (c == '{' || c == '[' || c == '"') && len(value) < 4096 {
		e.lessons--
		jsonTemplate(&e.skip, value)
		e.Skip = e.skip.Program()
	}
	r.Passed(end)
	return true
}

func deferredValue(value []byte) bool {
	return value[0] == '{' && bytes.HasPrefix(value[jsonSpace(value, 1):], []byte(`"__deferred"`))
}

// jsonTemplate makes a template of a value: what its strings hold are holes, all else is to be there again.
func jsonTemplate(t *fast.Template, value []byte) {
	t.Reset()
	for i := 0; i < len(value); {
		if value[i] != '"' {
			t.Text(value[i])
			i++
			continue
		}
		end, _ := jsonString(value, i)
		after := jsonSpace(value, end)
		name := after < len(value) && value[after] == ':'
		if name || bytes.IndexByte(value[i:end], '\\') >= 0 {
			t.Text(value[i:end]...)
		} else {
			t.Text('"')
			t.Hole(&fast.JSONText)
			t.Text('"')
		}
		i = end
	}
	t.Done()
}

// find looks for the member that stands at r.P, where r.Entry was expected, by its name. It leaves the row at the
// value, or behind the member, or behind the row's end; not ok: the plain parser must look.
func (f *fastJSON) find(r *fast.Row) (ended, ok bool) {
	b, p, prev := f.buf, r.P, entryOf(r.Before)
	first := r.First != ^uint64(0)
	comma := false
	if first {
		p++
	} else if p = jsonSpace(b, p); p < len(b) && b[p] == ',' {
		comma = true
		p++
	}
	if p = jsonSpace(b, p); p >= len(b) {
		return false, false
	}
	if b[p] == '}' && !comma {
		prev.followedBy(&f.end)
		if !first {
			f.end.learn(b[r.P : p+1])
		}
		r.Entry, r.P = &f.end.Entry, p+1
		return true, true
	}
	if b[p] != '"' || !first && !comma {
		return false, false
	}
	size := fast.Scan(unsafe.Add(r.In, p+1), &fast.JSONText)
	if p+1+size >= len(b) || b[p+1+size] != '"' {
		return false, false
	}
	_, value, err := jsonName(b, p)
	if err != nil {
		return false, false
	}
	e := f.lookup(r.In, p+1, size)
	if e == nil {
		if e = f.unknown(b[p+1:p+1+size], value); e == nil {
			return false, false
		}
	}
	prev.followedBy(e)
	if opening := b[r.P:value]; comma && opening[0] == ',' {
		e.learn(opening)
	} else if first && len(e.open) == 0 {
		e.learn(append([]byte{','}, opening[1:]...))
	}
	r.First = ^uint64(0)
	r.Entry, r.P = &e.Entry, value
	if e.Kind == fast.Skip {
		if n := 0; e.Skip != nil {
			if n = e.skip.Match(unsafe.Add(r.In, value)); n > 0 {
				r.Passed(value + n)
				return false, true
			}
		}
		return false, f.pass(r)
	}
	r.AtValue = 1
	return false, r.Given(e.Column)
}

// structure reads a structure or an array of them; false: the plain parser must, nothing was written.
func (f *fastJSON) structure(r *fast.Row) bool {
	e := entryOf(r.Entry)
	if e.c.Shape == Primitive {
		return false
	}
	x := f.inner[e.Column]
	if x == nil {
		depth := f.depth - 1
		if e.c.Shape == Many {
			depth -= 2
		}
		x = newFastStructure(f.d, e.c.Nested, depth)
		x.path, x.root = e.c.path(f.path), f.root
		f.inner[e.Column] = x
	}
	x.buf, x.out = f.buf, f.out
	p, o, ok := r.P, r.O+e.Optional, false
	fast.Put(r.Arena, r.O, 2)
	if e.c.Shape == Many {
		p, o, ok = x.array(p, o)
	} else {
		p, o, ok = x.object(p, o)
	}
	// the output may have moved, and what is left for it of the room promised to the row must be there
	if need := len(f.buf) - p + 48*len(f.entries) + 2*fast.Room; ok && cap(f.out.Data)-o < need {
		f.grow(f.out, o, need)
	}
	r.Arena = unsafe.Pointer(unsafe.SliceData(f.out.Data))
	if ok {
		r.Done(p, o)
	}
	return ok
}

// object reads the structure at p and writes it at o.
func (f *fastJSON) object(p, o int) (next, end int, ok bool) {
	if p >= len(f.buf) || f.buf[p] != '{' || deferredValue(f.buf[p:]) || f.depth < 0 {
		return p, o, false
	}
	if need := len(f.buf) - p + 48*len(f.entries) + 2*fast.Room; cap(f.out.Data)-o < need {
		f.grow(f.out, o, need)
	}
	if next, ok = f.read(p, o); !ok {
		f.root.failed(f.row.P)
		return p, o, false
	}
	end = f.finish(o)
	return next, end, end >= 0
}

// array reads the items of an expanded feed that has no further pages.
func (f *fastJSON) array(p, o int) (next, end int, ok bool) {
	b, i := f.buf, p
	if p >= len(b) {
		return p, o, false
	}
	feed := b[p] == '{'
	if feed {
		if i, ok = f.results(p + 1); !ok {
			return p, o, false
		}
	}
	if i >= len(b) || b[i] != '[' {
		return p, o, false
	}
	// one byte for the number of items
	from, count := o, 0
	o++
	i, closed, err := jsonFirst(b, i+1, ']')
	for ; err == nil && !closed; count++ {
		if i, o, ok = f.object(i, o); !ok {
			return p, o, false
		}
		i, closed, err = jsonNext(b, i, ']')
	}
	if err != nil {
		return p, o, false
	}
	o = f.count(from, o, count)
	if feed {
		if i, ok = f.behind(i); !ok {
			return p, o, false
		}
	}
	return i, o, true
}

// results finds the items of a feed; p is behind its bracket.
func (f *fastJSON) results(p int) (int, bool) {
	b := f.buf
	i, closed, err := jsonFirst(b, p, '}')
	for err == nil && !closed {
		end, value, wrong := jsonName(b, i)
		if wrong != nil {
			return 0, false
		}
		switch string(b[i+1 : end-1]) {
		case "results":
			return value, true
		case "__next":
			return 0, false
		}
		if i, err = jsonValue(b, value, f.depth); err == nil {
			i, closed, err = jsonNext(b, i, '}')
		}
	}
	return 0, false
}

// behind passes what stands behind the items of a feed; a further page is for the plain parser.
func (f *fastJSON) behind(p int) (int, bool) {
	b := f.buf
	i, closed, err := jsonNext(b, p, '}')
	for err == nil && !closed {
		end, value, wrong := jsonName(b, i)
		if wrong != nil {
			return 0, false
		}
		if name := string(b[i+1 : end-1]); name == "results" || name == "__next" && b[value] != 'n' {
			return 0, false
		}
		if i, err = jsonValue(b, value, f.depth); err == nil {
			i, closed, err = jsonNext(b, i, '}')
		}
	}
	return i, err == nil
}

// unknown makes an entry for a member that is no column, if it may be passed without a word.
func (f *fastJSON) unknown(name []byte, value int) *fastEntry {
	switch {
	case bytes.IndexByte(name, '@') >= 0:
		// a deleted entry, perhaps
		return nil
	case isControl(name) || f.l.known[string(name)]:
		return f.newSkip(name, true)
	case f.d.s.unknown[f.path+string(name)]:
		f.root.reported = true
		return f.newSkip(name, true)
	case f.buf[value] == '{':
		return f.newSkip(name, false)
	}
	return nil
}
