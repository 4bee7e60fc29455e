package decode

import (
	"bytes"

	"github.com/culvert-project/culvert/plugins/odata/edm"
	"github.com/culvert-project/culvert/plugins/odata/scan"
)

func (d *Atom) row(text []byte, pageOffset int64, out *Output) {
	if d.collector != nil {
		d.checkCollected(text)
		d.collected = d.rowDocument(d.collected, text)
		d.page.Rows++
		return
	}
	d.decode(text, pageOffset, out, true)
}

// checkCollected checks a row of a nested page. What makes it unreadable is reported when it is decoded.
func (d *Atom) checkCollected(row []byte) {
	r := atomReader{decoder: d, row: row}
	d.namespaces.all = d.namespaces.all[:d.rowBindings]
	r.prepareLevel(0, d.schema, "")
	tag, _ := scan.XMLTagAt(row, 0)
	entry := element{tag, len(row)}
	scope := d.namespaces.push(row, tag, d.outer)
	d.collector.checkType(d.schema, r.typeName(entry, scope))
	if r.entry(entry, scope, d.schema, 0) == nil &&
		!d.collector.addKey(r.key(d.collector.keyBuffer[:0], d.schema, 0, entry)) {
		d.collector.reportKey(d.schema, func(column int) []byte {
			source := d.levels[0].spans[column]
			if source.end == 0 {
				return nil // it is outside of the properties
			}
			tag, _ := scan.XMLTagAt(row, source.start)
			return row[tag.End:contentEnd(row, tag, source.end)]
		})
	}
}

// typeName returns the type in an entry's category, or nil.
func (r *atomReader) typeName(entry element, scope int) []byte {
	const scheme = "http://schemas.microsoft.com/ado/2007/08/dataservices/scheme"
	namespaces := &r.decoder.namespaces
	children := childrenOf(r.row, entry.tag, entry.end)
	for child, ok := children.next(); ok; child, ok = children.next() {
		inside := namespaces.push(r.row, child.tag, scope)
		namespace, local := namespaces.element(r.row, child.tag, inside)
		if namespace != atomNamespace || string(local) != "category" {
			continue
		}
		if of, _ := attribute(r.row, child.tag, "scheme"); string(of) == scheme {
			term, _ := attribute(r.row, child.tag, "term")
			name, _ := scan.XMLContent(nil, term)
			return name
		}
	}
	return nil
}

// key appends the encoded key of an entry whose values were located at a level. It returns nil if the key is not
// complete, as well as for a schema without keys.
func (r *atomReader) key(dst []byte, schema *RowSchema, depth int, entry element) []byte {
	for _, i := range schema.Keys {
		start := len(dst)
		var m *conversionError
		dst, m = r.column(dst, schema, i, depth, entry, true)
		if m != nil || schema.Columns[i].isNull(dst[start:]) {
			return nil
		}
	}
	return dst
}

// decode decodes an entry or, if entry is false, an element with properties.
func (d *Atom) decode(text []byte, pageOffset int64, out *Output, entry bool) {
	if d.skipRow(text, pageOffset, out) {
		return
	}
	r := atomReader{decoder: d, row: text}
	start := len(out.Data)
	m := r.decode(out, entry)
	d.addRow(text, pageOffset, start, r.nextLink, false, m, out)
}

func (d *Atom) rowDocument(dst, row []byte) []byte {
	return d.namespaces.appendSelfContained(dst, row, d.outer)
}

type element struct {
	tag scan.XMLTag
	end int
}

type elements struct {
	b      []byte
	i, end int
}

func childrenOf(b []byte, t scan.XMLTag, end int) elements {
	return elements{b, t.End, contentEnd(b, t, end)}
}

func (e *elements) next() (element, bool) {
	for e.i < e.end {
		less := bytes.IndexByte(e.b[e.i:e.end], '<')
		if less < 0 {
			break
		}
		e.i += less
		if end, _ := scan.XMLMisc(e.b, e.i); end > 0 {
			e.i = end
			continue
		}
		tag, err := scan.XMLTagAt(e.b, e.i)
		if err != nil || tag.Closing {
			break
		}
		e.i, _ = scan.XMLElement(e.b, tag.Start, unlimited)
		return element{tag, e.i}, true
	}
	return element{}, false
}

const unlimited = 1 << 30 // the depth was checked when the row was found

// atomReader decodes one complete, well-formed entry.
type atomReader struct {
	decoder  *Atom
	row      []byte
	nextLink nestedNextLink
}

func (r *atomReader) decode(out *Output, entry bool) *conversionError {
	decoder, schema := r.decoder, r.decoder.schema
	decoder.namespaces.all = decoder.namespaces.all[:decoder.rowBindings]
	decoder.spans = decoder.spans[:0]
	r.prepareLevel(0, schema, "")
	t, _ := scan.XMLTagAt(r.row, 0)
	whole := element{t, len(r.row)}
	scope := decoder.namespaces.push(r.row, t, decoder.outer)
	var mismatch *conversionError
	if entry {
		mismatch = r.entry(whole, scope, schema, 0)
	} else {
		mismatch = r.properties(whole, scope, schema, 0)
	}
	if mismatch != nil {
		return mismatch
	}
	for i := range schema.Columns {
		start := len(out.Data)
		if out.Data, mismatch = r.column(out.Data, schema, i, 0, whole, entry); mismatch != nil {
			return mismatch
		}
		decoder.spans = append(decoder.spans, textRange{start, len(out.Data)})
	}
	return nil
}

func (r *atomReader) prepareLevel(depth int, schema *RowSchema, path string) {
	level := r.decoder.level(depth, schema)
	level.path = path
	if cap(level.scopes) < len(schema.Columns) {
		level.scopes = make([]int, len(schema.Columns))
	}
	level.scopes = level.scopes[:len(schema.Columns)]
}

// entry records the positions of column values: properties inside or next to the content, and expanded links.
func (r *atomReader) entry(e element, scope int, schema *RowSchema, depth int) *conversionError {
	s := &r.decoder.namespaces
	children := childrenOf(r.row, e.tag, e.end)
	for child, ok := children.next(); ok; child, ok = children.next() {
		inside := s.push(r.row, child.tag, scope)
		namespace, local := s.element(r.row, child.tag, inside)
		var mismatch *conversionError
		switch {
		case namespace == metadataNamespace && string(local) == "properties":
			mismatch = r.properties(child, inside, schema, depth)
		case namespace == atomNamespace && string(local) == "content":
			mismatch = r.contentElement(child, inside, schema, depth)
		case namespace == atomNamespace && string(local) == "link":
			mismatch = r.link(child, inside, schema, depth)
		case namespace == metadataNamespace && string(local) == "error":
			r.decoder.serviceError = quoted(r.row[child.tag.Start:child.end])
		}
		if mismatch != nil {
			return mismatch
		}
	}
	return nil
}

func (r *atomReader) contentElement(e element, scope int, schema *RowSchema, depth int) *conversionError {
	s := &r.decoder.namespaces
	children := childrenOf(r.row, e.tag, e.end)
	for c, ok := children.next(); ok; c, ok = children.next() {
		inside := s.push(r.row, c.tag, scope)
		if ns, local := s.element(r.row, c.tag, inside); ns == metadataNamespace && string(local) == "properties" {
			if m := r.properties(c, inside, schema, depth); m != nil {
				return m
			}
		}
	}
	return nil
}

func (r *atomReader) properties(e element, scope int, schema *RowSchema, depth int) *conversionError {
	s, level := &r.decoder.namespaces, &r.decoder.levels[depth]
	children := childrenOf(r.row, e.tag, e.end)
	for child, ok := children.next(); ok; child, ok = children.next() {
		inside := s.push(r.row, child.tag, scope)
		ns, local := s.element(r.row, child.tag, inside)
		if ns != dataNamespace {
			if ns == metadataNamespace && string(local) == "error" {
				// a property missing after an error is no null
				r.decoder.serviceError = quoted(r.row[child.tag.Start:child.end])
			}
			continue
		}
		k, ok := schema.names[string(local)]
		if !ok {
			if !schema.ignored[string(local)] {
				r.decoder.reportUnknown(level.path, local)
			}
			continue
		}
		if level.spans[k].end != 0 {
			return &conversionError{path: schema.Columns[k].Name, expected: "one value", found: "two"}
		}
		level.spans[k], level.scopes[k] = textRange{child.tag.Start, child.end}, inside
	}
	return nil
}

func (r *atomReader) link(parent element, scope int, schema *RowSchema, depth int) *conversionError {
	const front = "/related/"
	namespaces, level := &r.decoder.namespaces, &r.decoder.levels[depth]
	rel := relation(r.row, parent.tag)
	slash := bytes.LastIndex(rel, []byte(front))
	if slash < 0 {
		return nil
	}
	k, ok := schema.names[string(rel[slash+len(front):])]
	if !ok || schema.Columns[k].Kind != NavigationToOne && schema.Columns[k].Kind != NavigationToMany {
		return nil
	}
	column := &schema.Columns[k]
	if parent.tag.Empty {
		return column.deferred(level.spans[k])
	}
	children := childrenOf(r.row, parent.tag, parent.end)
	for child, ok := children.next(); ok; child, ok = children.next() {
		inside := namespaces.push(r.row, child.tag, scope)
		if ns, local := namespaces.element(r.row, child.tag, inside); ns != metadataNamespace ||
			string(local) != "inline" {
			continue
		}
		if level.spans[k].end != 0 {
			return &conversionError{path: schema.Columns[k].Name, expected: "one value", found: "two"}
		}
		level.spans[k], level.scopes[k] = textRange{child.tag.Start, child.end}, inside
	}
	return column.deferred(level.spans[k])
}

// deferred returns the error of a link that should have been expanded.
func (c *Column) deferred(inline textRange) *conversionError {
	if !c.Inline || inline.end != 0 {
		return nil
	}
	return c.conversionError(expectedInline, "a link to it")
}

// column writes a column's value. whole is the entry or struct, for values outside of the properties.
func (r *atomReader) column(dst []byte, schema *RowSchema, i, depth int, whole element, entry bool) ([]byte,
	*conversionError) {
	target, level := &schema.Columns[i], &r.decoder.levels[depth]
	source, scope := level.spans[i], level.scopes[i]
	if source.end == 0 {
		if entry && len(target.steps) > 0 && target.Kind == Primitive {
			return r.target(dst, schema, target, whole)
		}
		return appendNull(dst, target, false)
	}
	tag, _ := scan.XMLTagAt(r.row, source.start)
	parent := element{tag, source.end}
	if r.decoder.namespaces.isNull(r.row, tag, scope) {
		return appendNull(dst, target, true)
	}
	if target.Kind == Primitive {
		return r.primitive(dst, schema, target, r.row[tag.End:contentEnd(r.row, tag, parent.end)])
	}
	start := len(dst)
	if target.Optional {
		dst = append(dst, 2)
	}
	var mismatch *conversionError
	found := true
	switch target.Kind {
	case Complex:
		r.prepareLevel(depth+1, target.Nested, target.path(level.path))
		if mismatch = r.properties(parent, scope, target.Nested, depth+1); mismatch == nil {
			dst, mismatch = r.structure(dst, target, parent, depth+1, false)
		}
	case NavigationToOne:
		dst, found, mismatch = r.inlineEntry(dst, target, parent, scope, depth)
	default:
		dst, mismatch = r.inlineFeed(dst, target, parent, scope, depth)
	}
	if mismatch != nil {
		return dst, mismatch.within(target.Name)
	}
	if !found {
		return appendNull(dst[:start], target, true)
	}
	return dst, nil
}

func (r *atomReader) structure(dst []byte, c *Column, whole element, depth int, entry bool) ([]byte, *conversionError) {
	for i := range c.Nested.Columns {
		var m *conversionError
		if dst, m = r.column(dst, c.Nested, i, depth, whole, entry); m != nil {
			return dst, m
		}
	}
	return dst, nil
}

func (r *atomReader) primitive(dst []byte, schema *RowSchema, column *Column, content []byte) ([]byte,
	*conversionError) {
	text, ok := scan.XMLContent(r.decoder.text[:0], content)
	r.decoder.text = text[:0]
	if !ok {
		return dst, column.conversionError("text of characters that XML allows, in UTF-8", quoted(content))
	}
	if column.Type != edm.String {
		text = bytes.Trim(text, " \t\r\n")
	}
	if len(text) == 0 && column.emptyIsNull() {
		return appendNull(dst, column, true)
	}
	if column.Optional {
		dst = append(dst, 2)
	}
	dst, expected := r.decoder.values.append(dst, schema, column, text)
	if expected != "" {
		return dst, column.conversionError(expected, quoted(text))
	}
	return dst, nil
}

// inlineEntry writes an expanded entity, or returns false.
func (r *atomReader) inlineEntry(dst []byte, column *Column, inline element, scope, depth int) ([]byte, bool,
	*conversionError) {
	s := &r.decoder.namespaces
	children := childrenOf(r.row, inline.tag, inline.end)
	for e, ok := children.next(); ok; e, ok = children.next() {
		inside := s.push(r.row, e.tag, scope)
		if ns, local := s.element(r.row, e.tag, inside); ns == atomNamespace && string(local) == "entry" {
			dst, m := r.nestedEntry(dst, column, e, inside, depth+1)
			return dst, true, m
		}
	}
	return dst, false, nil
}

func (r *atomReader) nestedEntry(dst []byte, column *Column, e element, scope, depth int) ([]byte, *conversionError) {
	r.prepareLevel(depth, column.Nested, column.path(r.decoder.levels[depth-1].path))
	if m := r.entry(e, scope, column.Nested, depth); m != nil {
		return dst, m
	}
	return r.structure(dst, column, e, depth, true)
}

func (r *atomReader) inlineFeed(dst []byte, column *Column, inline element, scope, depth int) ([]byte,
	*conversionError) {
	s := &r.decoder.namespaces
	children := childrenOf(r.row, inline.tag, inline.end)
	for e, ok := children.next(); ok; e, ok = children.next() {
		inside := s.push(r.row, e.tag, scope)
		if ns, local := s.element(r.row, e.tag, inside); ns == atomNamespace && string(local) == "feed" {
			return r.feed(dst, column, e, inside, depth)
		}
	}
	return append(dst, 0), nil
}

func (r *atomReader) feed(dst []byte, column *Column, feed element, scope, depth int) ([]byte, *conversionError) {
	count := 0
	linkedBefore := r.nextLink.found
	if m := r.eachEntry(feed, scope, func(element, int) *conversionError { count++; return nil }); m != nil {
		return dst, m
	}
	linked := r.nextLink.found && !linkedBefore
	if linked {
		r.nextLink.schema = column.Nested
		r.nextLink.property = r.decoder.levels[depth].path + column.Name
		r.decoder.nestedPages.newKeys()
	}
	if count == 0 {
		return append(dst, 0), nil
	}
	dst = appendCount(dst, count)
	m := r.eachEntry(feed, scope, func(e element, inside int) (m *conversionError) {
		if dst, m = r.nestedEntry(dst, column, e, inside, depth+1); m == nil && linked {
			pages := &r.decoder.nestedPages
			pages.addKey(r.key(pages.keyBuffer[:0], column.Nested, depth+1, e))
		}
		return m
	})
	return append(dst, 0), m
}

// eachEntry calls each for the entries of an expanded feed, and records its next link.
func (r *atomReader) eachEntry(feed element, scope int, each func(e element,
	inside int) *conversionError) *conversionError {
	namespaces := &r.decoder.namespaces
	mark := len(namespaces.all)
	children := childrenOf(r.row, feed.tag, feed.end)
	for parent, ok := children.next(); ok; parent, ok = children.next() {
		inside := namespaces.push(r.row, parent.tag, scope)
		namespace, local := namespaces.element(r.row, parent.tag, inside)
		switch {
		case namespace == atomNamespace && string(local) == "entry":
			if m := each(parent, inside); m != nil {
				return m
			}
		case namespace == atomNamespace && string(local) == "link" && string(relation(r.row, parent.tag)) == "next" &&
			!r.nextLink.found &&
			!feed.tag.Empty:
			if link := r.decoder.linkOf(r.row, parent.tag, inside); link.Href != "" {
				r.nextLink = nestedNextLink{found: true, link: link, linkAt: textRange{parent.tag.Start, parent.end},
					rowsAt: contentEnd(r.row,
						feed.tag, feed.end)}
			}
		}
		namespaces.all = namespaces.all[:mark]
	}
	return nil
}

// target writes a value that customized feeds contain elsewhere in the entry (m:FC_TargetPath).
func (r *atomReader) target(dst []byte, schema *RowSchema, column *Column, entry element) ([]byte, *conversionError) {
	parent := entry
	for i, step := range column.steps {
		if step != "" && step[0] == '@' {
			value, ok := attributeLocal(r.row, parent.tag, step[1:])
			if !ok {
				return appendNull(dst, column, false)
			}
			return r.primitive(dst, schema, column, value)
		}
		children, found := childrenOf(r.row, parent.tag, parent.end), false
		for child, ok := children.next(); ok && !found; child, ok = children.next() {
			if _, local := scan.SplitName(child.tag.Name); string(local) == step {
				parent, found = child, true
			}
		}
		if !found {
			return appendNull(dst, column, i > 0)
		}
	}
	if null, _ := attributeLocal(r.row, parent.tag, "null"); string(null) == "true" {
		return appendNull(dst, column, true)
	}
	return r.primitive(dst, schema, column, r.row[parent.tag.End:contentEnd(r.row, parent.tag, parent.end)])
}

func attributeLocal(b []byte, t scan.XMLTag, name string) ([]byte, bool) {
	for i := t.NameEnd; ; {
		attribute, next, err := scan.XMLAttributeAt(b, i)
		if err != nil || attribute.Name == nil {
			return nil, false
		}
		i = next
		prefix, local := scan.SplitName(attribute.Name)
		if string(local) == name && string(prefix) != "xmlns" {
			return attribute.Value, true
		}
	}
}
