package decode

import (
	"bytes"

	"github.com/culvert-project/culvert/plugins/odata/decode/fast"
	"github.com/culvert-project/culvert/plugins/odata/scan"
)

// jsonTemplates decodes rows of verbose JSON from learned templates.
type jsonTemplates struct {
	templateDecoder
	decoder *JSON
	reader  jsonReader
	// path of the struct in the row: empty or ending in a slash. depth limits the nesting of its values.
	path  string
	depth int
	// root decodes rows; inner decode the structs inside, by column.
	root  *jsonTemplates
	inner []*jsonTemplates
}

func newJSONTemplates(d *JSON) *jsonTemplates {
	f := newJSONStructure(d, d.schema, maxDepth-1)
	f.root = f
	return f
}

func newJSONStructure(d *JSON, l *RowSchema, depth int) *jsonTemplates {
	templates := &jsonTemplates{decoder: d, depth: depth, inner: make([]*jsonTemplates, len(l.Columns))}
	templates.init(templates, l, 0)
	templates.end.skip.Text(',')
	templates.end.skip.Done()
	templates.end.Skip = templates.end.skip.Program()
	for i := range templates.entries {
		if e := &templates.entries[i]; e.column.Kind != Synthetic {
			templates.add(e, []byte(e.column.Name))
		}
	}
	return templates
}

func (f *jsonTemplates) structDecoder(part *entry) *jsonTemplates {
	nested := f.inner[part.Column]
	if nested == nil {
		depth := f.depth - 1
		if part.column.Kind == NavigationToMany {
			depth -= 2
		}
		nested = newJSONStructure(f.decoder, part.column.Nested, depth)
		nested.path, nested.root = part.column.path(f.path), f.root
		f.inner[part.Column] = nested
	}
	return nested
}

func (f *jsonTemplates) read(p, o int) (int, bool) {
	r := f.beginRow(p, o)
	if f.buf[p] != '{' {
		return 0, false
	}
	ok := f.readMembers(r, &f.root.stats)
	return r.P, ok
}

func (f *jsonTemplates) afterRow(p int) (next int, closed, ok bool) {
	next, closed, err := scan.JSONNext(f.buf, p, ']')
	return next, closed, err == nil
}

func valueStart(r *fast.Row) int { return r.P - entryOf(r.Entry).valuePrefix }

func (f *jsonTemplates) plain(r *fast.Row, dst []byte) (out []byte, end int, ok bool) {
	entry, value := entryOf(r.Entry), valueStart(r)
	end, err := scan.JSONValue(f.buf, value, f.depth)
	if err != nil {
		return dst, 0, false
	}
	reader, stream := &f.reader, &f.decoder.stream
	reader.decoder, reader.row, reader.nextLink, reader.deleted = f.decoder, f.buf, nestedNextLink{}, false
	if len(stream.levels) == 0 {
		stream.level(0, f.schema)
	}
	stream.levels[0].path = f.path
	known := len(stream.page.Unknown)
	dst, m := reader.column(dst, f.schema, entry.Column, textRange{value, end}, 0)
	stream.levels[0].path = "" // as the plain parser, which reads whole rows there, expects it
	if stream.retractUnknown(known) || m != nil || reader.nextLink.found {
		return dst, 0, false
	}
	if kind, inside, _ := entry.kindOf(f.buf[value:end]); kind != fast.Slow &&
		(kind != entry.Kind || inside != entry.valuePrefix) &&
		f.root.canSample() {
		entry.learn(f.buf[r.P-entry.Prefix.Size:value], f.buf[value:end])
	}
	return dst, end, true
}

func (f *jsonTemplates) memberEnd(r *fast.Row, t *fast.Template) (end int) {
	end, err := scan.JSONValue(f.buf, r.P, f.depth)
	if err != nil {
		return 0
	}
	value := f.buf[r.P:end]
	if !entryOf(r.Entry).anyValue && !deferredValue(value) {
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

// jsonTemplate makes a template of a value in which the texts of strings may vary.
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
			t.Gap(&fast.JSONText)
			t.Text('"')
		}
		i = end
	}
	t.Done()
}

func (f *jsonTemplates) structure(r *fast.Row) bool {
	entry := entryOf(r.Entry)
	if entry.column.Kind == Primitive {
		return false
	}
	nested := f.structDecoder(entry)
	nested.setBuffers(f.buf, f.out)
	pos, outEnd, ok := r.P, r.O+entry.Optional, false
	fast.Put(r.Arena, r.O, 2)
	if entry.column.Kind == NavigationToMany {
		pos, outEnd, ok = nested.array(pos, outEnd)
	} else {
		nested.row.MaxRows = 0
		pos, outEnd, ok = nested.object(pos, outEnd)
	}
	return f.endStructure(r, pos, outEnd, ok)
}

// object decodes the struct at p, and the ones after it as far as package fast continues, and writes them at o.
func (f *jsonTemplates) object(pos, outEnd int) (next, end int, ok bool) {
	if pos >= len(f.buf) || f.buf[pos] != '{' || deferredValue(f.buf[pos:]) || f.depth < 0 {
		return pos, outEnd, false
	}
	f.reserve(pos, outEnd)
	if next, ok = f.read(pos, outEnd); !ok {
		f.root.recordFailure(f.row.P)
		return pos, outEnd, false
	}
	end = f.completeRow(f.row.RowOutput)
	return next, end, end >= 0
}

// array decodes the items of an expanded feed without further pages.
func (f *jsonTemplates) array(pos, outEnd int) (next, end int, ok bool) {
	b, i := f.buf, pos
	if pos >= len(b) {
		return pos, outEnd, false
	}
	feed := b[pos] == '{'
	if feed {
		if i, ok = f.findResults(pos + 1); !ok {
			return pos, outEnd, false
		}
	}
	if i >= len(b) || b[i] != '[' {
		return pos, outEnd, false
	}
	// one byte for the number of items
	from, count := outEnd, 0
	outEnd++
	i, closed, err := scan.JSONFirst(b, i+1, ']')
	for err == nil && !closed {
		f.reserve(i, outEnd)
		f.prepareItems()
		if i, outEnd, ok = f.object(i, outEnd); !ok {
			return pos, outEnd, false
		}
		count += f.row.RowCount + 1
		i, closed, err = scan.JSONNext(b, i, ']')
	}
	if err != nil {
		return pos, outEnd, false
	}
	outEnd = f.writeCount(from, outEnd, count)
	if feed {
		if i, ok = f.feedTail(i); !ok {
			return pos, outEnd, false
		}
	}
	return i, outEnd, true
}

// findResults finds the items of a feed; p is after its opening bracket.
func (f *jsonTemplates) findResults(p int) (int, bool) {
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

// feedTail skips the members after the items of a feed. It fails for a next link.
func (f *jsonTemplates) feedTail(p int) (int, bool) {
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

func (f *jsonTemplates) learnRow(row []byte) {
	if f.canSample() {
		f.learn(row, textRange{0, len(row)})
	}
}

func (f *jsonTemplates) learn(b []byte, object textRange) {
	before, from := &f.head, object.start
	i, closed, _ := scan.JSONFirst(b, from+1, '}')
	for !closed {
		end, value, _ := scan.JSONName(b, i)
		stop, _ := scan.JSONValue(b, value, unlimited)
		entry := f.entryFor(b[i+1:end-1], b[value])
		if entry == nil || from > object.start && b[from] != ',' {
			return
		}
		entry.learn(b[from:value], b[value:stop])
		if entry.column != nil && entry.column.Nested != nil {
			f.structDecoder(entry).learnInside(b, textRange{value, stop}, entry.column.Kind)
		}
		before.followedBy(entry)
		before, from = entry, stop
		i, closed, _ = scan.JSONNext(b, stop, '}')
	}
	if from > object.start {
		f.end.Prefix = fast.NewPattern(b[from:i])
		before.followedBy(&f.end)
	}
}

func (f *jsonTemplates) learnInside(b []byte, value textRange, shape ColumnKind) {
	r := jsonReader{decoder: f.decoder, row: b}
	switch {
	case b[value.start] == '{' && r.isDeferred(value.start):
		return
	case b[value.start] == '{' && shape != NavigationToMany:
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

// entryFor returns the entry of a name. For a name that is no column it adds one if the member may be skipped without a
// report; first is the first byte of its value.
func (f *jsonTemplates) entryFor(name []byte, first byte) *entry {
	e := f.names[string(name)]
	switch {
	case e != nil:
		return e
	case bytes.IndexByte(name, '@') >= 0 || bytes.IndexByte(name, '\\') >= 0:
		// a deleted entry, perhaps
		return nil
	case isControl(name) || f.schema.ignored[string(name)]:
		return f.newSkip(name, true)
	case f.decoder.unknown[f.path+string(name)]:
		f.root.hasUnknown = true
		return f.newSkip(name, true)
	case first == '{':
		return f.newSkip(name, false)
	}
	return nil
}

// learn remembers the text before and after a member's value. Of an unusual value it remembers only where it begins, if
// nothing better is known.
func (e *entry) learn(before, value []byte) {
	open := append([]byte{','}, before[1:]...)
	if e.kind != fast.Skip {
		e.Null = fast.NewPattern(append(bytes.Clone(open), "null"...))
		if value[0] == 'n' {
			return
		}
	}
	kind, inside, end := e.kindOf(value)
	switch {
	case kind != fast.Slow:
	case e.kind != fast.Slow && e.Prefix.Disabled == 0:
		return
	}
	e.Kind, e.valuePrefix, e.Unquoted = kind, inside, 0
	e.Prefix = fast.NewPattern(append(open, value[:inside]...))
	if e.Suffix = fast.NewPattern(end); len(end) == 0 {
		e.Suffix, e.Unquoted = fast.Pattern{}, 1
	}
}

// kindOf returns how to read a value in this form, the length of the prefix that all such values share, and the text
// after the value.
func (e *entry) kindOf(value []byte) (kind, inside int, end []byte) {
	quoted := value[0] == '"'
	switch {
	case e.kind == fast.Skip || e.kind == fast.Slow:
		return e.kind, 0, nil
	case !quoted && e.kind >= fast.Integer && e.kind <= fast.Boolean && value[0] != '{' && value[0] != '[':
		return e.kind, 0, nil
	case !quoted || len(value) < 3 && e.kind != fast.JSONString:
		return fast.Slow, 0, nil
	case e.kind != fast.DateTime:
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
	return fast.DateTime, 1, []byte{'"'}
}
