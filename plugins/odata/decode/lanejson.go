package decode

import (
	"bytes"

	"github.com/culvert-project/culvert/plugins/odata/decode/fast"
	"github.com/culvert-project/culvert/plugins/odata/scan"
)

// jsonLane reads rows of verbose JSON that are like those before them.
type jsonLane struct {
	lane
	d      *JSON
	reader jsonReader
	// path is that of the structure read, "" or ending in a slash; depth is how deep its values may nest.
	path  string
	depth int
	// root reads rows; inner read the structures inside, by column.
	root  *jsonLane
	inner []*jsonLane
}

func newJSONLane(d *JSON) *jsonLane {
	f := newJSONStructure(d, d.layout, maxDepth-1)
	f.root = f
	return f
}

func newJSONStructure(d *JSON, l *RowLayout, depth int) *jsonLane {
	f := &jsonLane{d: d, depth: depth, inner: make([]*jsonLane, len(l.Columns))}
	f.init(f, l, 0)
	f.end.skip.Text(',')
	f.end.skip.Done()
	f.end.Skip = f.end.skip.Program()
	for i := range f.entries {
		if e := &f.entries[i]; e.c.Shape != Blank {
			f.add(e, []byte(e.c.Name))
		}
	}
	return f
}

// of returns the lane of the structures in a column.
func (f *jsonLane) of(e *entry) *jsonLane {
	x := f.inner[e.Column]
	if x == nil {
		depth := f.depth - 1
		if e.c.Shape == Many {
			depth -= 2
		}
		x = newJSONStructure(f.d, e.c.Nested, depth)
		x.path, x.root = e.c.path(f.path), f.root
		f.inner[e.Column] = x
	}
	return x
}

// read reads the row at p and writes its columns at o. It returns the place after the row; false: the plain parser
// must read it.
func (f *jsonLane) read(p, o int) (int, bool) {
	r := f.begin(p, o)
	if f.buf[p] != '{' {
		return 0, false
	}
	ok := f.members(r, &f.root.effort)
	return r.P, ok
}

func (f *jsonLane) after(p int) (next int, closed, ok bool) {
	next, closed, err := scan.JSONNext(f.buf, p, ']')
	return next, closed, err == nil
}

// valueAt is where the value of an entry begins that the kernel is at.
func valueAt(r *fast.Row) int { return r.P - entryOf(r.Entry).inside }

func (f *jsonLane) plain(r *fast.Row, dst []byte) (out []byte, end int, ok bool) {
	e, value := entryOf(r.Entry), valueAt(r)
	end, err := scan.JSONValue(f.buf, value, f.depth)
	if err != nil {
		return dst, 0, false
	}
	x, s := &f.reader, &f.d.stream
	x.d, x.row, x.hole, x.deleted = f.d, f.buf, hole{}, false
	if len(s.levels) == 0 {
		s.level(0, f.l)
	}
	s.levels[0].path = f.path
	known := len(s.page.Unknown)
	dst, m := x.column(dst, f.l, e.Column, textRange{value, end}, 0)
	s.levels[0].path = "" // as the plain parser, which reads whole rows there, expects it
	if s.unreported(known) || m != nil || x.hole.found {
		return dst, 0, false
	}
	if kind, inside, _ := e.kindOf(f.buf[value:end]); kind != fast.Slow && (kind != e.Kind || inside != e.inside) &&
		f.root.mayLearn() {
		e.learn(f.buf[r.P-e.Open.Size:value], f.buf[value:end])
	}
	return dst, end, true
}

func (f *jsonLane) memberEnd(r *fast.Row, t *fast.Template) (end int) {
	end, err := scan.JSONValue(f.buf, r.P, f.depth)
	if err != nil {
		return 0
	}
	value := f.buf[r.P:end]
	if !entryOf(r.Entry).free && !deferredValue(value) {
		return 0
	}
	if c := value[0]; t != nil && (c == '{' || c == '[' || c == '"') && len(value) < 4096 {
		jsonTemplate(t, value)
	}
	return end
}

func deferredValue(value []byte) bool {
	return value[0] == '{' && bytes.HasPrefix(value[scan.JSONSpace(value, 1):], []byte(`"__deferred"`))
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
		end, _ := scan.JSONString(value, i)
		after := scan.JSONSpace(value, end)
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

func (f *jsonLane) structure(r *fast.Row) bool {
	e := entryOf(r.Entry)
	if e.c.Shape == Primitive {
		return false
	}
	x := f.of(e)
	x.use(f.buf, f.out)
	p, o, ok := r.P, r.O+e.Optional, false
	fast.Put(r.Arena, r.O, 2)
	if e.c.Shape == Many {
		p, o, ok = x.array(p, o)
	} else {
		x.row.Most = 0
		p, o, ok = x.object(p, o)
	}
	return f.leave(r, p, o, ok)
}

// object reads the structure at p, and others after it where the kernel goes on, and writes them at o.
func (f *jsonLane) object(p, o int) (next, end int, ok bool) {
	if p >= len(f.buf) || f.buf[p] != '{' || deferredValue(f.buf[p:]) || f.depth < 0 {
		return p, o, false
	}
	f.promise(p, o)
	if next, ok = f.read(p, o); !ok {
		f.root.failed(f.row.P)
		return p, o, false
	}
	end = f.finish(f.row.Start)
	return next, end, end >= 0
}

// array reads the items of an expanded feed that has no further pages.
func (f *jsonLane) array(p, o int) (next, end int, ok bool) {
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
	i, closed, err := scan.JSONFirst(b, i+1, ']')
	for err == nil && !closed {
		f.promise(i, o)
		f.items()
		if i, o, ok = f.object(i, o); !ok {
			return p, o, false
		}
		count += f.row.Made + 1
		i, closed, err = scan.JSONNext(b, i, ']')
	}
	if err != nil {
		return p, o, false
	}
	o = f.count(from, o, count)
	if feed {
		if i, ok = f.tail(i); !ok {
			return p, o, false
		}
	}
	return i, o, true
}

// results finds the items of a feed; p is after its bracket.
func (f *jsonLane) results(p int) (int, bool) {
	b := f.buf
	i, closed, err := scan.JSONFirst(b, p, '}')
	for err == nil && !closed {
		end, value, wrong := scan.JSONName(b, i)
		if wrong != nil {
			return 0, false
		}
		switch string(b[i+1 : end-1]) {
		case "results":
			return value, true
		case "__next":
			return 0, false
		}
		if i, err = scan.JSONValue(b, value, f.depth); err == nil {
			i, closed, err = scan.JSONNext(b, i, '}')
		}
	}
	return 0, false
}

// tail passes what stands after the items of a feed; a further page is for the plain parser.
func (f *jsonLane) tail(p int) (int, bool) {
	b := f.buf
	i, closed, err := scan.JSONNext(b, p, '}')
	for err == nil && !closed {
		end, value, wrong := scan.JSONName(b, i)
		if wrong != nil {
			return 0, false
		}
		if name := string(b[i+1 : end-1]); name == "results" || name == "__next" && b[value] != 'n' {
			return 0, false
		}
		if i, err = scan.JSONValue(b, value, f.depth); err == nil {
			i, closed, err = scan.JSONNext(b, i, '}')
		}
	}
	return i, err == nil
}

// learnRow learns from a row that the plain parser has read.
func (f *jsonLane) learnRow(row []byte) {
	if f.mayLearn() {
		f.learn(row, textRange{0, len(row)})
	}
}

// learn learns from an object that is well formed.
func (f *jsonLane) learn(b []byte, object textRange) {
	before, from := &f.head, object.start
	i, closed, _ := scan.JSONFirst(b, from+1, '}')
	for !closed {
		end, value, _ := scan.JSONName(b, i)
		stop, _ := scan.JSONValue(b, value, unlimited)
		e := f.named(b[i+1:end-1], b[value])
		if e == nil || from > object.start && b[from] != ',' {
			return
		}
		e.learn(b[from:value], b[value:stop])
		if e.c != nil && e.c.Nested != nil {
			f.of(e).learnInside(b, textRange{value, stop}, e.c.Shape)
		}
		before.followedBy(e)
		before, from = e, stop
		i, closed, _ = scan.JSONNext(b, stop, '}')
	}
	if from > object.start {
		f.end.Open = fast.NewMark(b[from:i])
		before.followedBy(&f.end)
	}
}

// learnInside learns from the structures in a value.
func (f *jsonLane) learnInside(b []byte, value textRange, shape Shape) {
	r := jsonReader{d: f.d, row: b}
	switch {
	case b[value.start] == '{' && r.isDeferred(value.start):
		return
	case b[value.start] == '{' && shape != Many:
		f.learn(b, value)
		return
	case b[value.start] == '{':
		value, _, _ = r.feed(value)
	}
	if value.end == 0 || b[value.start] != '[' {
		return
	}
	i, closed, _ := scan.JSONFirst(b, value.start+1, ']')
	for n := 0; !closed && b[i] == '{' && n < maxTemplates; n++ {
		end, _ := scan.JSONValue(b, i, unlimited)
		f.learn(b, textRange{i, end})
		i, closed, _ = scan.JSONNext(b, end, ']')
	}
}

// named finds the entry of a name, or makes one for a member that is no column, if it may be passed without a word;
// nil: there is none. first is the first byte of the member's value.
func (f *jsonLane) named(name []byte, first byte) *entry {
	e := f.names[string(name)]
	switch {
	case e != nil:
		return e
	case bytes.IndexByte(name, '@') >= 0 || bytes.IndexByte(name, '\\') >= 0:
		// a deleted entry, perhaps
		return nil
	case isControl(name) || f.l.known[string(name)]:
		return f.newSkip(name, true)
	case f.d.unknown[f.path+string(name)]:
		f.root.reported = true
		return f.newSkip(name, true)
	case first == '{':
		return f.newSkip(name, false)
	}
	return nil
}

// learn remembers what stands before a member's value and after it. Of a value that is not as usual it remembers only
// where it begins, if nothing better is known.
func (e *entry) learn(before, value []byte) {
	open := append([]byte{','}, before[1:]...)
	if e.kind != fast.Skip {
		e.Null = fast.NewMark(append(bytes.Clone(open), "null"...))
		if value[0] == 'n' {
			return
		}
	}
	kind, inside, end := e.kindOf(value)
	switch {
	case kind != fast.Slow:
	case e.kind != fast.Slow && e.Open.Bias == 0:
		return
	}
	e.Kind, e.inside, e.Bare = kind, inside, 0
	e.Open = fast.NewMark(append(open, value[:inside]...))
	if e.Close = fast.NewMark(end); len(end) == 0 {
		e.Close, e.Bare = fast.Mark{}, 1
	}
}

// kindOf is how a value is read, as it is written: how much of it is the same in all values like it, and what stands
// after the rest.
func (e *entry) kindOf(value []byte) (kind, inside int, end []byte) {
	quoted := value[0] == '"'
	switch {
	case e.kind == fast.Skip || e.kind == fast.Slow:
		return e.kind, 0, nil
	case !quoted && e.kind >= fast.Integer && e.kind <= fast.Boolean && value[0] != '{' && value[0] != '[':
		return e.kind, 0, nil
	case !quoted || len(value) < 3 && e.kind != fast.Quoted:
		return fast.Slow, 0, nil
	case e.kind != fast.Moment:
		return e.kind, 1, []byte{'"'}
	}
	for _, front := range []string{`"\/Date(`, `"/Date(`} {
		if rest, ok := bytes.CutPrefix(value, []byte(front)); ok {
			at := bytes.IndexAny(rest, "+)")
			if at < 0 || !bytes.HasPrefix(rest[at:], []byte("+0000)")) && rest[at] != ')' {
				return fast.Slow, 0, nil
			}
			return fast.Integer, len(front), rest[at:]
		}
	}
	return fast.Moment, 1, []byte{'"'}
}
