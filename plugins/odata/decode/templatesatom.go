package decode

import (
	"bytes"
	"unsafe"

	"github.com/culvert-project/culvert/plugins/odata/decode/fast"
	"github.com/culvert-project/culvert/plugins/odata/scan"
)

// atomTemplates decodes Atom entries from learned templates: the text before an entry's properties, with expanded
// entries inside; the properties; the text after them.
type atomTemplates struct {
	templateDecoder
	decoder *Atom
	reader  atomReader

	// heads and tails are the latest templates. feedPrefixes and feedSuffixes surround the entries of an expanded feed.
	heads                      [][]headPart
	tails                      []*fast.Template
	feedPrefixes, feedSuffixes []*fast.Template
	learnedNamespaces
	generation int // number of resets

	path  string // of the struct in the row: empty or ending in a slash
	depth int    // limits the nesting of its properties
	// root decodes rows; inner decode the structs inside, by column.
	root  *atomTemplates
	inner []*atomTemplates
}

// learnedNamespaces are the namespaces for which templates are valid.
type learnedNamespaces struct {
	key []byte // identifies the namespaces around the entries
	// namespaces are in force at the properties, in scope propertiesScope.
	namespaces        namespaceStack
	propertiesScope   int
	closingName, data []byte // the element around the properties, and their prefix
}

// headPart is a part of the text before an entry's properties. The expanded value of a column follows it, or the
// properties if column is -1.
type headPart struct {
	template *fast.Template
	column   int
	// generation of the column's decoder when the part was learned.
	generation int
}

const maxTemplates = 3 // forms of an entry

func newAtomTemplates(d *Atom) *atomTemplates {
	// entry, content and properties surround a property
	f := &atomTemplates{decoder: d, depth: maxDepth - 3}
	f.root = f
	f.reset(d.schema)
	return f
}

// reset drops all templates.
func (f *atomTemplates) reset(schema *RowSchema) {
	f.init(f, schema, 1)
	for i := range schema.Columns {
		if len(schema.Columns[i].steps) > 0 {
			// What is missing in the properties may be elsewhere in the entry, where only the plain parser looks.
			f.optionals[i] = 0
		}
	}
	f.heads, f.tails, f.feedPrefixes, f.feedSuffixes = nil, nil, nil, nil
	f.data, f.closingName = nil, nil
	f.inner = make([]*atomTemplates, len(schema.Columns))
	f.generation++
}

// structDecoder returns the decoder of the structs in a column.
func (f *atomTemplates) structDecoder(column int) *atomTemplates {
	if f.inner[column] == nil {
		structColumn := &f.schema.Columns[column]
		nested := &atomTemplates{decoder: f.decoder, path: structColumn.path(f.path), root: f.root, depth: f.depth - 1}
		if structColumn.Kind != Complex {
			// link, inline, feed, entry, content, properties
			nested.depth = f.depth - 6
		}
		nested.reset(structColumn.Nested)
		f.inner[column] = nested
	}
	return f.inner[column]
}

// bind sets the namespaces around the entries of a page or of an expanded feed. Templates of other namespaces are
// dropped.
func (f *atomTemplates) bind(s *namespaceStack, scope int) {
	var key []byte
	for k := scope; k > 0; k = s.all[k].outer {
		key = append(append(append(append(key, s.all[k].prefix...), '='), s.all[k].value...), '\n')
	}
	if f.hasUnknown || !bytes.Equal(key, f.key) {
		f.reset(f.schema)
		f.key = key
	}
}

func (f *atomTemplates) afterRow(p int) (next int, closed, ok bool) {
	return scan.XMLSpace(f.buf, p), false, true
}

// setRowTemplates lets package fast continue from entry to entry if nothing is expanded before the properties.
func (f *atomTemplates) setRowTemplates() {
	f.end.Skip, f.templateDecoder.head.Skip = nil, nil
	if len(f.heads) > 0 && len(f.heads[0]) == 1 {
		head := f.heads[0]
		f.end.Skip, f.templateDecoder.head.Skip = f.tails[0].Program(), head[0].template.Program()
	}
}

// matchAny returns the length of the first match. If none matches, it returns the result of [fast.Template.Match] for
// the template that got furthest.
func matchAny(templates []*fast.Template, in unsafe.Pointer, p int) int {
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

func (f *atomTemplates) read(p, o int) (int, bool) {
	for i := range f.heads {
		r := f.beginRow(p, o)
		if !f.matchHead(r, f.heads[i]) {
			continue
		}
		if i > 0 {
			f.heads[0], f.heads[i] = f.heads[i], f.heads[0]
		}
		if !f.readMembers(r, &f.root.stats) {
			return 0, false
		}
		return f.matchTail(r)
	}
	return 0, false
}

func (f *atomTemplates) matchHead(r *fast.Row, parts []headPart) bool {
	for _, part := range parts {
		n := part.template.Match(unsafe.Add(r.In, r.P))
		if n <= 0 {
			f.root.recordFailure(r.P - n)
			return false
		}
		r.P += n
		if part.column >= 0 && (part.generation != f.structDecoder(part.column).generation ||
			!f.readExpanded(r, part.column)) {
			return false
		}
	}
	r.Before, r.Entry = &f.templateDecoder.head.Entry, f.templateDecoder.head.Next
	return true
}

func (f *atomTemplates) structure(r *fast.Row) bool {
	entry := entryOf(r.Entry)
	if entry.column.Kind != Complex {
		return false
	}
	nested := f.structDecoder(entry.Column)
	nested.namespaces, nested.propertiesScope = f.namespaces, f.propertiesScope
	nested.setBuffers(f.buf, f.out)
	outEnd := r.O + entry.Optional
	fast.Put(r.Arena, r.O, 2)
	nested.reserve(r.P, outEnd)
	ok := nested.readMembers(nested.beginRow(r.P, outEnd), &f.root.stats)
	end := 0
	if ok {
		end = nested.completeRow(outEnd)
	}
	return f.endStructure(r, nested.row.P, end, ok && end >= 0)
}

func (f *atomTemplates) readExpanded(r *fast.Row, column int) bool {
	entry := &f.entries[column]
	r.Entry = &entry.Entry
	if !r.BeginColumn(column) {
		return false
	}
	nested := f.structDecoder(column)
	nested.setBuffers(f.buf, f.out)
	outEnd, pos, ok := r.O+entry.Optional, r.P, false
	fast.Put(r.Arena, r.O, 2)
	if entry.column.Kind == NavigationToMany {
		pos, outEnd, ok = nested.readFeed(pos, outEnd)
	} else {
		nested.row.MaxRows = 0
		pos, outEnd, ok = nested.readEntry(scan.XMLSpace(f.buf, pos), outEnd)
	}
	return f.endStructure(r, pos, outEnd, ok)
}

func (f *atomTemplates) readEntry(p, o int) (next, end int, ok bool) {
	f.reserve(p, o)
	if next, ok = f.read(p, o); !ok {
		f.root.recordFailure(f.row.P)
		return p, o, false
	}
	end = f.completeRow(f.row.RowOutput)
	return scan.XMLSpace(f.buf, next), end, end >= 0
}

func (f *atomTemplates) readFeed(pos, outEnd int) (next, end int, ok bool) {
	text := unsafe.Pointer(unsafe.SliceData(f.buf))
	n := matchAny(f.feedPrefixes, text, pos)
	if n <= 0 {
		f.root.recordFailure(pos - n)
		return pos, outEnd, false
	}
	from, count := outEnd, 0
	outEnd++
	for pos += n; ; count += f.row.RowCount + 1 {
		if n = matchAny(f.feedSuffixes, text, pos); n > 0 {
			return pos + n, f.writeCount(from, outEnd, count), true
		}
		f.reserve(pos, outEnd)
		f.prepareItems()
		if pos, outEnd, ok = f.readEntry(pos, outEnd); !ok {
			return pos, outEnd, false
		}
	}
}

func (f *atomTemplates) matchTail(r *fast.Row) (int, bool) {
	n := matchAny(f.tails, r.In, r.P)
	if n <= 0 {
		f.root.recordFailure(r.P - n)
		return 0, false
	}
	f.setRowTemplates()
	return r.P + n, true
}

func (f *atomTemplates) plain(r *fast.Row, dst []byte) (out []byte, end int, ok bool) {
	start := bytes.LastIndexByte(f.buf[:r.P], '<')
	end, err := scan.XMLElement(f.buf, start, f.depth)
	if err != nil {
		return dst, 0, false
	}
	reader, stream, c := &f.reader, &f.decoder.stream, r.Entry.Column
	reader.decoder, reader.row, reader.nextLink = f.decoder, f.buf, nestedNextLink{}
	reader.prepareLevel(0, f.schema, f.path)
	stream.levels[0].spans[c], stream.levels[0].scopes[c] = textRange{start, end}, f.propertiesScope
	outer, known := f.decoder.namespaces, len(stream.page.Unknown)
	f.decoder.namespaces = namespaceStack{f.namespaces.all}
	dst, m := reader.column(dst, f.schema, c, 0, element{}, false)
	f.decoder.namespaces = outer
	return dst, end, !stream.retractUnknown(known) && m == nil
}

func (f *atomTemplates) memberEnd(r *fast.Row, t *fast.Template) (end int) {
	start := bytes.LastIndexByte(f.buf[:r.P], '<')
	end, err := scan.XMLElement(f.buf, start, f.depth)
	if err != nil {
		return 0
	}
	if back := bytes.LastIndex(f.buf[:end], []byte("</")); t != nil && back >= r.P &&
		bytes.IndexByte(f.buf[r.P:back], '<') < 0 {
		t.Reset()
		t.Gap(&fast.AtomSkip)
		t.Text(f.buf[back:end]...)
		t.Done()
	}
	return end
}

func attributes(b []byte, t scan.XMLTag, meta []byte) (null, plain bool) {
	for i := t.NameEnd; ; {
		attribute, next, err := scan.XMLAttributeAt(b, i)
		if err != nil {
			return false, false
		}
		if attribute.Name == nil {
			return null, true
		}
		i = next
		prefix, local := scan.SplitName(attribute.Name)
		switch value := string(attribute.Value); {
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

// entryFor returns the entry of an element. It returns nil for an element outside of the properties' namespace, and for
// one that the plain parser must report.
func (f *atomTemplates) entryFor(name []byte) *entry {
	if e := f.names[string(name)]; e != nil {
		return e
	}
	prefix, local := scan.SplitName(name)
	if string(prefix) != string(f.data) {
		return nil
	}
	if i, ok := f.schema.names[string(local)]; ok {
		f.add(&f.entries[i], name)
		return &f.entries[i]
	}
	if f.decoder.unknown[f.path+string(local)] {
		f.root.hasUnknown = true
	} else if !f.schema.ignored[string(local)] {
		return nil
	}
	return f.newSkip(name, true)
}

func (f *atomTemplates) learnRow(text []byte, around *namespaceStack, outer int) {
	if f.canSample() {
		f.learn(text, around, outer)
	}
}

func (f *atomTemplates) learn(text []byte, around *namespaceStack, outer int) {
	if f != f.root {
		f.bind(around, outer)
	}
	namespaces := &namespaceStack{append([]binding{}, around.all...)}
	open, _ := scan.XMLTagAt(text, 0)
	scope := namespaces.push(text, open, outer)
	properties, inside, ok := findProperties(namespaces, text, element{open, len(text)}, scope)
	if !ok {
		return
	}
	t := properties.tag
	name := t.Name
	meta, _ := scan.SplitName(name)
	data := namespaces.prefix(dataNamespace, inside)
	before, rest := text[:t.End], text[properties.end:]
	for _, part := range [][]byte{before, rest} {
		if bytes.Contains(part, []byte("<!")) || bytes.Contains(part, []byte("<?")) {
			return
		}
	}
	if data == nil || len(meta) == 0 {
		return
	}
	parts, ok := f.learnExpanded(namespaces, text, element{open, len(text)}, scope, properties)
	if !ok {
		return
	}
	if f.data != nil && (!bytes.Equal(data, f.data) || !bytes.Equal(name, f.closingName)) {
		// The prefixes changed: learn from the next such entry.
		taken, learned := f.decoded, f.samples
		f.reset(f.schema)
		f.decoded, f.samples = taken, learned
		return
	}
	f.data, f.closingName = bytes.Clone(data), bytes.Clone(name)
	f.learnProperties(text, properties, meta)
	namespaces.copyBytes()
	f.namespaces, f.propertiesScope = *namespaces, inside
	f.heads = append([][]headPart{parts}, f.heads...)
	f.heads = f.heads[:min(len(f.heads), maxTemplates)]
	f.tails = addTemplate(f.tails, rest)
	f.setRowTemplates()
}

func (f *atomTemplates) learnProperties(text []byte, parent element, meta []byte) {
	before, from := &f.templateDecoder.head, parent.tag.End
	children := childrenOf(text, parent.tag, parent.end)
	for child, ok := children.next(); ok; child, ok = children.next() {
		entry := f.entryFor(child.tag.Name)
		null, plain := attributes(text, child.tag, meta)
		if entry == nil || !plain || scan.XMLSpace(text, from) != child.tag.Start {
			return
		}
		entry.learnElement(text, from, child, null)
		if entry.column != nil && entry.column.Kind == Complex && !null && !child.tag.Empty {
			inner := f.structDecoder(entry.Column)
			inner.data = f.data
			inner.learnProperties(text, child, meta)
		}
		before.followedBy(entry)
		before, from = entry, child.end
	}
	if scan.XMLSpace(text, from) == contentEnd(text, parent.tag, parent.end) {
		f.end.Prefix = fast.NewPattern(text[from:parent.end])
		before.followedBy(&f.end)
	}
}

func (e *entry) learnElement(text []byte, from int, child element, null bool) {
	switch whole := fast.NewPattern(text[from:child.end]); {
	case e.Kind == fast.Skip && child.tag.Empty:
		e.Null = whole
	case e.Kind == fast.Skip:
		e.Prefix = fast.NewPattern(text[from:child.tag.End])
	case null || child.tag.Empty && e.column.Kind == Primitive:
		e.Null, e.Empty = whole, 0
		if !null && !e.column.emptyIsNull() {
			e.Empty = 1
		}
	case !child.tag.Empty:
		e.Prefix = fast.NewPattern(text[from:child.tag.End])
		e.Suffix = fast.NewPattern(text[contentEnd(text, child.tag, child.end):child.end])
	}
}

// learnExpanded learns the text before an entry's properties and the expanded entries in it. It returns false for
// entries that the plain parser must decode.
func (f *atomTemplates) learnExpanded(namespaces *namespaceStack, text []byte, e element, scope int,
	properties element) ([]headPart, bool) {
	var parts []headPart
	from, found := 0, 0
	children := childrenOf(text, e.tag, e.end)
	for child, ok := children.next(); ok; child, ok = children.next() {
		inside := namespaces.push(text, child.tag, scope)
		namespace, local := namespaces.element(text, child.tag, inside)
		switch {
		case namespace == metadataNamespace && string(local) == "properties":
			found++
		case namespace == atomNamespace && string(local) == "content":
			if _, _, ok := findProperties(namespaces, text, child, inside); ok {
				found++
			}
		}
		if namespace != atomNamespace || string(local) != "link" {
			continue
		}
		column, inline, inside, multiple := f.findInline(namespaces, text, child, inside)
		if column < 0 {
			if k, ok := f.navigationColumn(text, child.tag); ok && f.schema.Columns[k].Inline {
				return nil, false // the plain parser reports that it is not expanded
			}
			continue
		}
		if multiple || inline.tag.Empty || child.tag.Start > properties.tag.Start {
			return nil, false
		}
		end := contentEnd(text, inline.tag, inline.end)
		if !f.structDecoder(column).learnInline(namespaces, text, inline, inside, f.schema.Columns[column].Kind) {
			return nil, false
		}
		parts = append(parts, headPart{newTemplate(text[from:inline.tag.End]), column,
			f.structDecoder(column).generation})
		from = end
	}
	// Only the plain parser handles a second place for properties.
	if found > 1 || bytes.Count(text[properties.end:], text[properties.tag.Start:properties.tag.NameEnd]) > 0 ||
		bytes.Count(text[from:properties.tag.End], text[properties.tag.Start:properties.tag.NameEnd]) > 1 {
		return nil, false
	}
	return append(parts, headPart{newTemplate(text[from:properties.tag.End]), -1, 0}), true
}

// findInline finds the expanded value of a column in a link. column is -1 if there is none.
func (f *atomTemplates) findInline(namespaces *namespaceStack, text []byte, link element, scope int) (column int,
	inline element,
	inside int,
	multiple bool) {
	column = -1
	k, ok := f.navigationColumn(text, link.tag)
	if !ok {
		return
	}
	children := childrenOf(text, link.tag, link.end)
	for c, ok := children.next(); ok; c, ok = children.next() {
		scope := namespaces.push(text, c.tag, scope)
		if ns, local := namespaces.element(text, c.tag, scope); ns == metadataNamespace && string(local) == "inline" {
			multiple = column >= 0
			column, inline, inside = k, c, scope
		}
	}
	return
}

func (f *atomTemplates) navigationColumn(text []byte, link scan.XMLTag) (column int, ok bool) {
	rel := relation(text, link)
	k, ok := f.schema.names[string(rel[bytes.LastIndexByte(rel, '/')+1:])]
	return k, ok && (f.schema.Columns[k].Kind == NavigationToOne || f.schema.Columns[k].Kind == NavigationToMany)
}

func (f *atomTemplates) learnInline(namespaces *namespaceStack, text []byte, inline element, scope int,
	shape ColumnKind) bool {
	children := childrenOf(text, inline.tag, inline.end)
	only, ok := children.next()
	if _, more := children.next(); !ok || more {
		return false
	}
	inside := namespaces.push(text, only.tag, scope)
	namespace, local := namespaces.element(text, only.tag, inside)
	if shape == NavigationToOne {
		if namespace != atomNamespace || string(local) != "entry" {
			return false
		}
		f.learn(text[only.tag.Start:only.end], namespaces, scope)
		return true
	}
	if namespace != atomNamespace || string(local) != "feed" || only.tag.Empty {
		return false
	}
	return f.learnFeed(namespaces, text, inline, only, inside)
}

func (f *atomTemplates) learnFeed(namespaces *namespaceStack, text []byte, inline, feed element, scope int) bool {
	front, back := contentEnd(text, feed.tag, feed.end), 0
	back = front
	entries := 0
	children := childrenOf(text, feed.tag, feed.end)
	for child, ok := children.next(); ok; child, ok = children.next() {
		inside := namespaces.push(text, child.tag, scope)
		ns, local := namespaces.element(text, child.tag, inside)
		switch {
		case ns == atomNamespace && string(local) == "link" && string(relation(text, child.tag)) == "next":
			return false
		case ns == atomNamespace && string(local) == "entry":
			if entries == 0 {
				front = child.tag.Start
			}
			if entries++; entries <= maxTemplates {
				f.learn(text[child.tag.Start:child.end], namespaces, scope)
			}
			back = scan.XMLSpace(text, child.end)
		}
	}
	f.feedPrefixes = addTemplate(f.feedPrefixes, text[inline.tag.End:front])
	f.feedSuffixes = addTemplate(f.feedSuffixes, text[back:contentEnd(text, inline.tag, inline.end)])
	return true
}

// findProperties finds m:properties inside an entry or its content. It fails for an empty element.
func findProperties(namespaces *namespaceStack, text []byte, e element, scope int) (element, int, bool) {
	children := childrenOf(text, e.tag, e.end)
	for child, ok := children.next(); ok; child, ok = children.next() {
		inside := namespaces.push(text, child.tag, scope)
		ns, local := namespaces.element(text, child.tag, inside)
		switch {
		case ns == metadataNamespace && string(local) == "properties":
			return child, inside, !child.tag.Empty
		case ns == atomNamespace && string(local) == "content":
			if p, inside, ok := findProperties(namespaces, text, child, inside); ok {
				return p, inside, true
			}
		}
	}
	return element{}, 0, false
}

// prefix returns the only prefix bound to a namespace, or nil if there is none or several.
func (s *namespaceStack) prefix(ns namespace, scope int) []byte {
	var found []byte
	for k := scope; k > 0; k = s.all[k].outer {
		b := &s.all[k]
		if b.base || b.namespace != ns || s.namespace(b.prefix, scope) != ns {
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

// addTemplate puts a template of the text in front, unless one matches it.
func addTemplate(all []*fast.Template, text []byte) []*fast.Template {
	padded := append(bytes.Clone(text), make([]byte, fast.Padding)...)
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

// atomTemplate makes a template of markup in which texts and attribute values may vary, except white space and
// namespace declarations.
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
				t.Gap(&fast.AtomSkip)
			}
			i, opened = end, false
			continue
		}
		tag, err := scan.XMLTagAt(text, i)
		if err != nil {
			// the rest begins or ends inside of an element
			t.Text(text[i:]...)
			break
		}
		if tag.Closing && opened {
			t.Gap(&fast.AtomSkip)
		}
		tagTemplate(t, text, tag)
		i, opened = tag.End, !tag.Closing && !tag.Empty
	}
	t.Done()
}

func tagTemplate(t *fast.Template, text []byte, tag scan.XMLTag) {
	from := tag.Start
	for i := tag.NameEnd; ; {
		attribute, next, err := scan.XMLAttributeAt(text, i)
		if err != nil || attribute.Name == nil {
			break
		}
		i = next
		if name := attribute.Name; bytes.HasPrefix(name, []byte("xmlns")) || string(name) == "rel" {
			continue
		}
		t.Text(text[from:attribute.ValueAt]...)
		if text[next-1] == '"' {
			t.Gap(&fast.AtomQuoted)
		} else {
			t.Gap(&fast.AtomApostrophed)
		}
		from = next - 1
	}
	t.Text(text[from:tag.End]...)
}
