package decode

import (
	"bytes"

	"github.com/culvert-project/culvert/plugins/odata/edm"
	"github.com/culvert-project/culvert/plugins/odata/scan"
)

func (d *Atom) row(text []byte, at int64, out *Output) {
	if d.collect {
		d.collected = d.rowDocument(d.collected, text)
		d.page.Rows++
		return
	}
	d.decode(text, at, out, true)
}

// decode decodes an entry, or an element with properties but without an entry around them.
func (d *Atom) decode(text []byte, at int64, out *Output, entry bool) {
	if d.skipRow(text, at, out) {
		return
	}
	r := atomReader{decoder: d, row: text}
	start := len(out.Data)
	m := r.decode(out, entry)
	d.addRow(text, at, start, r.nextLink, false, m, out)
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
		t, err := scan.XMLTagAt(e.b, e.i)
		if err != nil || t.Closing {
			break
		}
		e.i, _ = scan.XMLElement(e.b, t.Start, unlimited)
		return element{t, e.i}, true
	}
	return element{}, false
}

// unlimited depth is safe because the depth was checked when the row was found.
const unlimited = 1 << 30

// atomReader decodes one complete, well-formed entry.
type atomReader struct {
	decoder  *Atom
	row      []byte
	nextLink nestedNextLink
}

func (r *atomReader) decode(out *Output, entry bool) *conversionError {
	d, l := r.decoder, r.decoder.schema
	d.namespaces.all = d.namespaces.all[:d.rowBindings]
	d.spans = d.spans[:0]
	r.prepareLevel(0, l, "")
	t, _ := scan.XMLTagAt(r.row, 0)
	whole := element{t, len(r.row)}
	scope := d.namespaces.push(r.row, t, d.outer)
	var m *conversionError
	if entry {
		m = r.entry(whole, scope, l, 0)
	} else {
		m = r.properties(whole, scope, l, 0)
	}
	if m != nil {
		return m
	}
	for i := range l.Columns {
		start := len(out.Data)
		if out.Data, m = r.column(out.Data, l, i, 0, whole, entry); m != nil {
			return m
		}
		d.spans = append(d.spans, textRange{start, len(out.Data)})
	}
	return nil
}

// prepareLevel clears the memory for a struct.
func (r *atomReader) prepareLevel(depth int, l *RowSchema, path string) {
	lv := r.decoder.level(depth, l)
	lv.path = path
	if cap(lv.scopes) < len(l.Columns) {
		lv.scopes = make([]int, len(l.Columns))
	}
	lv.scopes = lv.scopes[:len(l.Columns)]
}

// entry records the positions of column values: properties inside the content or next to it, and expanded links.
func (r *atomReader) entry(e element, scope int, l *RowSchema, depth int) *conversionError {
	s := &r.decoder.namespaces
	children := childrenOf(r.row, e.tag, e.end)
	for c, ok := children.next(); ok; c, ok = children.next() {
		inside := s.push(r.row, c.tag, scope)
		ns, local := s.element(r.row, c.tag, inside)
		var m *conversionError
		switch {
		case ns == metadataNamespace && string(local) == "properties":
			m = r.properties(c, inside, l, depth)
		case ns == atomNamespace && string(local) == "content":
			m = r.contentElement(c, inside, l, depth)
		case ns == atomNamespace && string(local) == "link":
			m = r.link(c, inside, l, depth)
		case ns == metadataNamespace && string(local) == "error":
			r.decoder.serviceError = quoted(r.row[c.tag.Start:c.end])
		}
		if m != nil {
			return m
		}
	}
	return nil
}

func (r *atomReader) contentElement(e element, scope int, l *RowSchema, depth int) *conversionError {
	s := &r.decoder.namespaces
	children := childrenOf(r.row, e.tag, e.end)
	for c, ok := children.next(); ok; c, ok = children.next() {
		inside := s.push(r.row, c.tag, scope)
		if ns, local := s.element(r.row, c.tag, inside); ns == metadataNamespace && string(local) == "properties" {
			if m := r.properties(c, inside, l, depth); m != nil {
				return m
			}
		}
	}
	return nil
}

func (r *atomReader) properties(e element, scope int, l *RowSchema, depth int) *conversionError {
	s, lv := &r.decoder.namespaces, &r.decoder.levels[depth]
	children := childrenOf(r.row, e.tag, e.end)
	for c, ok := children.next(); ok; c, ok = children.next() {
		inside := s.push(r.row, c.tag, scope)
		ns, local := s.element(r.row, c.tag, inside)
		if ns != dataNamespace {
			if ns == metadataNamespace && string(local) == "error" {
				r.decoder.serviceError = quoted(r.row[c.tag.Start:c.end]) // a property missing after an error is no null
			}
			continue
		}
		k, ok := l.names[string(local)]
		if !ok {
			if !l.ignored[string(local)] {
				r.decoder.reportUnknown(lv.path, local)
			}
			continue
		}
		if lv.spans[k].end != 0 {
			return &conversionError{path: l.Columns[k].Name, expected: "one value", found: "two"}
		}
		lv.spans[k], lv.scopes[k] = textRange{c.tag.Start, c.end}, inside
	}
	return nil
}

func (r *atomReader) link(e element, scope int, l *RowSchema, depth int) *conversionError {
	const front = "/related/"
	s, lv := &r.decoder.namespaces, &r.decoder.levels[depth]
	rel := relation(r.row, e.tag)
	slash := bytes.LastIndex(rel, []byte(front))
	if slash < 0 {
		return nil
	}
	k, ok := l.names[string(rel[slash+len(front):])]
	if !ok || l.Columns[k].Kind != NavigationToOne && l.Columns[k].Kind != NavigationToMany {
		return nil
	}
	c := &l.Columns[k]
	if e.tag.Empty {
		return c.deferred(lv.spans[k])
	}
	children := childrenOf(r.row, e.tag, e.end)
	for c, ok := children.next(); ok; c, ok = children.next() {
		inside := s.push(r.row, c.tag, scope)
		if ns, local := s.element(r.row, c.tag, inside); ns != metadataNamespace || string(local) != "inline" {
			continue
		}
		if lv.spans[k].end != 0 {
			return &conversionError{path: l.Columns[k].Name, expected: "one value", found: "two"}
		}
		lv.spans[k], lv.scopes[k] = textRange{c.tag.Start, c.end}, inside
	}
	return c.deferred(lv.spans[k])
}

// deferred returns the error of a link that should have been expanded.
func (c *Column) deferred(inline textRange) *conversionError {
	if !c.Inline || inline.end != 0 {
		return nil
	}
	return c.conversionError(expectedInline, "a link to it")
}

// column writes a column's value. whole is the entry or struct, for targets outside of the properties.
func (r *atomReader) column(dst []byte, l *RowSchema, i, depth int, whole element, entry bool) ([]byte,
	*conversionError) {
	c, lv := &l.Columns[i], &r.decoder.levels[depth]
	source, scope := lv.spans[i], lv.scopes[i]
	if source.end == 0 {
		if entry && len(c.steps) > 0 && c.Kind == Primitive {
			return r.target(dst, l, c, whole)
		}
		return appendNull(dst, c, false)
	}
	t, _ := scan.XMLTagAt(r.row, source.start)
	e := element{t, source.end}
	if r.decoder.namespaces.isNull(r.row, t, scope) {
		return appendNull(dst, c, true)
	}
	if c.Kind == Primitive {
		return r.primitive(dst, l, c, r.row[t.End:contentEnd(r.row, t, e.end)])
	}
	start := len(dst)
	if c.Optional {
		dst = append(dst, 2)
	}
	var m *conversionError
	found := true
	switch c.Kind {
	case Complex:
		r.prepareLevel(depth+1, c.Nested, c.path(lv.path))
		if m = r.properties(e, scope, c.Nested, depth+1); m == nil {
			dst, m = r.structure(dst, c, e, depth+1, false)
		}
	case NavigationToOne:
		dst, found, m = r.inlineEntry(dst, c, e, scope, depth)
	default:
		dst, m = r.inlineFeed(dst, c, e, scope, depth)
	}
	if m != nil {
		return dst, m.within(c.Name)
	}
	if !found {
		return appendNull(dst[:start], c, true)
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

func (r *atomReader) primitive(dst []byte, l *RowSchema, c *Column, content []byte) ([]byte, *conversionError) {
	text, ok := scan.XMLContent(r.decoder.text[:0], content)
	r.decoder.text = text[:0]
	if !ok {
		return dst, c.conversionError("text of characters that XML allows, in UTF-8", quoted(content))
	}
	if c.Type != edm.String {
		text = bytes.Trim(text, " \t\r\n")
	}
	if len(text) == 0 && c.emptyIsNull() {
		return appendNull(dst, c, true)
	}
	if c.Optional {
		dst = append(dst, 2)
	}
	dst, expected := r.decoder.values.append(dst, l, c, text)
	if expected != "" {
		return dst, c.conversionError(expected, quoted(text))
	}
	return dst, nil
}

// inlineEntry writes an expanded entity. It returns false if there is none.
func (r *atomReader) inlineEntry(dst []byte, c *Column, inline element, scope, depth int) ([]byte, bool,
	*conversionError) {
	s := &r.decoder.namespaces
	children := childrenOf(r.row, inline.tag, inline.end)
	for e, ok := children.next(); ok; e, ok = children.next() {
		inside := s.push(r.row, e.tag, scope)
		if ns, local := s.element(r.row, e.tag, inside); ns == atomNamespace && string(local) == "entry" {
			dst, m := r.nestedEntry(dst, c, e, inside, depth+1)
			return dst, true, m
		}
	}
	return dst, false, nil
}

func (r *atomReader) nestedEntry(dst []byte, c *Column, e element, scope, depth int) ([]byte, *conversionError) {
	r.prepareLevel(depth, c.Nested, c.path(r.decoder.levels[depth-1].path))
	if m := r.entry(e, scope, c.Nested, depth); m != nil {
		return dst, m
	}
	return r.structure(dst, c, e, depth, true)
}

func (r *atomReader) inlineFeed(dst []byte, c *Column, inline element, scope, depth int) ([]byte, *conversionError) {
	s := &r.decoder.namespaces
	children := childrenOf(r.row, inline.tag, inline.end)
	for e, ok := children.next(); ok; e, ok = children.next() {
		inside := s.push(r.row, e.tag, scope)
		if ns, local := s.element(r.row, e.tag, inside); ns == atomNamespace && string(local) == "feed" {
			return r.feed(dst, c, e, inside, depth)
		}
	}
	return append(dst, 0), nil
}

func (r *atomReader) feed(dst []byte, c *Column, feed element, scope, depth int) ([]byte, *conversionError) {
	count := 0
	if m := r.eachEntry(feed, scope, func(element, int) *conversionError { count++; return nil }); m != nil {
		return dst, m
	}
	if count == 0 {
		return append(dst, 0), nil
	}
	dst = appendCount(dst, count)
	m := r.eachEntry(feed, scope, func(e element, inside int) (m *conversionError) {
		dst, m = r.nestedEntry(dst, c, e, inside, depth+1)
		return m
	})
	return append(dst, 0), m
}

// eachEntry calls each for the entries of an expanded feed, and records its next link.
func (r *atomReader) eachEntry(feed element, scope int, each func(e element,
	inside int) *conversionError) *conversionError {
	s := &r.decoder.namespaces
	mark := len(s.all)
	children := childrenOf(r.row, feed.tag, feed.end)
	for e, ok := children.next(); ok; e, ok = children.next() {
		inside := s.push(r.row, e.tag, scope)
		ns, local := s.element(r.row, e.tag, inside)
		switch {
		case ns == atomNamespace && string(local) == "entry":
			if m := each(e, inside); m != nil {
				return m
			}
		case ns == atomNamespace && string(local) == "link" && string(relation(r.row, e.tag)) == "next" &&
			!r.nextLink.found &&
			!feed.tag.Empty:
			if link := r.decoder.linkOf(r.row, e.tag, inside); link.Href != "" {
				r.nextLink = nestedNextLink{found: true, link: link, linkAt: textRange{e.tag.Start, e.end},
					rowsAt: contentEnd(r.row,
						feed.tag, feed.end)}
			}
		}
		s.all = s.all[:mark]
	}
	return nil
}

// target writes a value that customized feeds hold elsewhere in the entry.
func (r *atomReader) target(dst []byte, l *RowSchema, c *Column, entry element) ([]byte, *conversionError) {
	e := entry
	for i, step := range c.steps {
		if step != "" && step[0] == '@' {
			value, ok := attributeLocal(r.row, e.tag, step[1:])
			if !ok {
				return appendNull(dst, c, false)
			}
			return r.primitive(dst, l, c, value)
		}
		children, found := childrenOf(r.row, e.tag, e.end), false
		for child, ok := children.next(); ok && !found; child, ok = children.next() {
			if _, local := scan.SplitName(child.tag.Name); string(local) == step {
				e, found = child, true
			}
		}
		if !found {
			return appendNull(dst, c, i > 0)
		}
	}
	if null, _ := attributeLocal(r.row, e.tag, "null"); string(null) == "true" {
		return appendNull(dst, c, true)
	}
	return r.primitive(dst, l, c, r.row[e.tag.End:contentEnd(r.row, e.tag, e.end)])
}

func attributeLocal(b []byte, t scan.XMLTag, name string) ([]byte, bool) {
	for i := t.NameEnd; ; {
		a, next, err := scan.XMLAttributeAt(b, i)
		if err != nil || a.Name == nil {
			return nil, false
		}
		i = next
		prefix, local := scan.SplitName(a.Name)
		if string(local) == name && string(prefix) != "xmlns" {
			return a.Value, true
		}
	}
}
