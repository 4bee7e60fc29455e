package decode

import "bytes"

// row decodes a row, given as its text, and adds what becomes of it to the output. at is where it starts in the page.
func (d *JSON) row(text []byte, at int64, out *Output) {
	if d.s.leaveOut(at, out, func(dst []byte) []byte { return appendJSONDocument(dst, text) }) {
		return
	}
	if d.s.collect {
		if len(d.s.collected) > 0 {
			d.s.collected = append(d.s.collected, ',')
		}
		d.s.collected = append(d.s.collected, text...)
		d.s.page.Rows++
		return
	}
	r := jsonReader{d: d, row: text}
	start := len(out.Data)
	m := r.decode(out)
	if m == nil && r.hole.found {
		out.Data = out.Data[:start]
		d.s.ask(d, text, at, r.hole, out)
		return
	}
	d.s.follow.waiting = false
	origin := d.s.page.Rows
	if m == nil && !r.deleted {
		m = finishRow(out, d.s.layout, origin, start, d.s.spans)
	}
	if m != nil {
		out.Data = out.Data[:start]
		out.addFault(origin, m, at, func(dst []byte) []byte { return appendJSONDocument(dst, text) })
	}
	d.s.page.Rows++
}

// appendJSONDocument makes a row a document of its own. It is an array of one: a lone object might be taken for the
// result of a function.
func appendJSONDocument(dst, row []byte) []byte {
	return append(append(append(dst, `{"d":{"results":[`...), row...), "]}}"...)
}

func (d *JSON) redo(out *Output) {
	row := d.s.follow.row
	d.row(row, d.s.follow.at, out)
}

// splice puts rows behind those of the hole and blanks the link.
func (d *JSON) splice(collected []byte) {
	w := &d.s.follow
	h := w.hole
	link := w.row[h.linkAt.start:h.linkAt.end]
	for i := range link {
		link[i] = ' '
	}
	copy(link, `""`)
	if len(collected) == 0 {
		return
	}
	row := append([]byte{}, w.row[:h.rowsAt]...)
	if !h.empty {
		row = append(row, ',')
	}
	row = append(row, collected...)
	w.row = append(row, w.row[h.rowsAt:]...)
}

// jsonReader decodes one row whose text is whole and well formed.
type jsonReader struct {
	d       *JSON
	row     []byte
	hole    hole
	deleted bool
}

func (r *jsonReader) decode(out *Output) *misfit {
	if r.row[0] != '{' {
		return &misfit{path: "", expected: "an object", found: quoted(r.row)}
	}
	if r.tombstone(out) {
		return nil
	}
	l := r.d.s.layout
	r.d.s.spans = r.d.s.spans[:0]
	lv := r.d.s.level(0, l)
	if m := r.members(l, textRange{0, len(r.row)}, lv); m != nil {
		return m
	}
	for i := range l.Columns {
		start := len(out.Data)
		var m *misfit
		if out.Data, m = r.column(out.Data, l, i, r.d.s.levels[0].spans[i], 0); m != nil {
			return m
		}
		r.d.s.spans = append(r.d.s.spans, textRange{start, len(out.Data)})
	}
	return nil
}

// members notes where the values of an object's columns are.
func (r *jsonReader) members(l *RowLayout, object textRange, lv *level) *misfit {
	b := r.row
	i, closed, _ := jsonFirst(b, object.start+1, '}')
	for !closed {
		end, value, _ := jsonName(b, i)
		name := b[i+1 : end-1]
		if bytes.IndexByte(name, '\\') >= 0 {
			r.d.text, _ = unescape(r.d.text[:0], b[i:end])
			name = r.d.text
		}
		valueEnd, _ := jsonValue(b, value, r.d.s.limits.Depth)
		if k, ok := l.names[string(name)]; ok {
			if lv.spans[k].end != 0 {
				return &misfit{path: l.Columns[k].Name, expected: "one value", found: "two"}
			}
			lv.spans[k] = textRange{value, valueEnd}
		} else if !isControl(name) && !l.known[string(name)] && !r.isDeferred(value) {
			r.d.s.report(lv.path, name)
		}
		i, closed, _ = jsonNext(b, valueEnd, '}')
	}
	return nil
}

// isControl: names of the format, not of properties.
func isControl(name []byte) bool {
	return len(name) > 1 && name[0] == '_' && name[1] == '_' || bytes.IndexByte(name, '@') >= 0
}

// isDeferred: an object whose first member is __deferred is a navigation that was not expanded.
func (r *jsonReader) isDeferred(value int) bool {
	if r.row[value] != '{' {
		return false
	}
	i := jsonSpace(r.row, value+1)
	return bytes.HasPrefix(r.row[i:], []byte(`"__deferred"`))
}

// column writes a column's value; where is its place in the row.
func (r *jsonReader) column(dst []byte, l *RowLayout, i int, where textRange, depth int) ([]byte, *misfit) {
	c := &l.Columns[i]
	b := r.row
	if c.Inline && where.end != 0 && r.isDeferred(where.start) {
		return dst, c.misfit(expectedInline, "a link to it")
	}
	if c.Shape == Many && !c.Optional && where.end != 0 && b[where.start] == 'n' {
		return append(dst, 0), nil // it was asked for, and there are none
	}
	if where.end == 0 || b[where.start] == 'n' || c.Shape != Primitive && r.isDeferred(where.start) {
		return appendNull(dst, c, where.end != 0)
	}
	if c.Shape == Primitive {
		return r.primitive(dst, l, c, b[where.start:where.end])
	}
	if c.Optional {
		dst = append(dst, 2)
	}
	var m *misfit
	if c.Shape == Many {
		dst, m = r.array(dst, c, where, depth)
	} else {
		dst, m = r.structure(dst, c, where, depth)
	}
	if m != nil {
		m = m.in(c.Name)
	}
	return dst, m
}

// appendNull writes null; given tells whether it was written as null or left out.
func appendNull(dst []byte, c *Column, given bool) ([]byte, *misfit) {
	if c.Optional {
		return append(dst, 0), nil
	}
	if given {
		return dst, c.misfit(expectedValue, "null")
	}
	return dst, c.misfit(expectedValue, "none")
}

func (r *jsonReader) primitive(dst []byte, l *RowLayout, c *Column, text []byte) ([]byte, *misfit) {
	given := text
	switch text[0] {
	case '{', '[':
		return dst, &misfit{path: c.Name, expected: c.Type.String(), found: quoted(text)}
	case '"':
		ok := false
		if r.d.text, ok = unescape(r.d.text[:0], text); !ok {
			return dst, c.misfit("a string of valid escapes and UTF-8", quoted(text))
		}
		text = r.d.text
	}
	if len(text) == 0 && c.emptyIsNull() {
		return appendNull(dst, c, true)
	}
	if c.Optional {
		dst = append(dst, 2)
	}
	dst, expected := r.d.s.values.append(dst, l, c, text)
	if expected != "" {
		return dst, c.misfit(expected, quoted(given))
	}
	return dst, nil
}

func (r *jsonReader) structure(dst []byte, c *Column, where textRange, depth int) ([]byte, *misfit) {
	if r.row[where.start] != '{' {
		return dst, &misfit{path: "", expected: "an object", found: quoted(r.row[where.start:where.end])}
	}
	depth++
	l := c.Nested
	lv := r.d.s.level(depth, l)
	r.d.s.levels[depth].path = c.path(r.d.s.levels[depth-1].path)
	if m := r.members(l, where, lv); m != nil {
		return dst, m
	}
	for i := range l.Visible {
		var m *misfit
		if dst, m = r.column(dst, l, i, r.d.s.levels[depth].spans[i], depth); m != nil {
			return dst, m
		}
	}
	return dst, nil
}

// array writes the items of an expanded feed: `{"results":[…],"__next":…}`, or `[…]` as version 1 had it.
func (r *jsonReader) array(dst []byte, c *Column, where textRange, depth int) ([]byte, *misfit) {
	rows, next := where, textRange{}
	if r.row[where.start] == '{' {
		twice := false
		if rows, next, twice = r.feed(where); twice {
			return dst, &misfit{path: "", expected: "results once", found: quoted(r.row[where.start:where.end])}
		}
	}
	if rows.end == 0 || r.row[rows.start] != '[' {
		return dst, &misfit{path: "", expected: "an array of results", found: quoted(r.row[where.start:where.end])}
	}
	last, count := rows.start+1, 0
	for i, closed, _ := jsonFirst(r.row, rows.start+1, ']'); !closed; count++ {
		last, _ = jsonValue(r.row, i, r.d.s.limits.Depth)
		i, closed, _ = jsonNext(r.row, last, ']')
	}
	if next.end != 0 && !r.hole.found {
		if href := r.d.plain(r.row[next.start:next.end]); len(href) > 0 {
			r.hole = hole{found: true, link: Link{Href: string(href)}, linkAt: next, rowsAt: last, empty: count == 0}
		}
	}
	if count == 0 {
		return append(dst, 0), nil
	}
	dst = appendCount(dst, count)
	for i, closed, _ := jsonFirst(r.row, rows.start+1, ']'); !closed; {
		end, _ := jsonValue(r.row, i, r.d.s.limits.Depth)
		var m *misfit
		if dst, m = r.structure(dst, c, textRange{i, end}, depth); m != nil {
			return dst, m
		}
		i, closed, _ = jsonNext(r.row, end, ']')
	}
	return append(dst, 0), nil
}

// feed finds results and next link of an expanded feed; twice: it has two.
func (r *jsonReader) feed(object textRange) (rows, next textRange, twice bool) {
	b := r.row
	i, closed, _ := jsonFirst(b, object.start+1, '}')
	for !closed {
		end, value, _ := jsonName(b, i)
		valueEnd, _ := jsonValue(b, value, r.d.s.limits.Depth)
		switch string(nameIn(b[i:end])) {
		case "results":
			twice = twice || rows.end != 0
			rows = textRange{value, valueEnd}
		case "__next":
			next = textRange{value, valueEnd}
		}
		i, closed, _ = jsonNext(b, valueEnd, '}')
	}
	return rows, next, twice
}

// tombstone takes a deleted entry, as Olingo writes it.
func (r *jsonReader) tombstone(out *Output) bool {
	const kind = "/$deletedEntity"
	b := r.row
	if !bytes.Contains(b, []byte("$deletedEntity")) {
		return false
	}
	var t Tombstone
	i, closed, _ := jsonFirst(b, 1, '}')
	for !closed {
		end, value, _ := jsonName(b, i)
		valueEnd, _ := jsonValue(b, value, r.d.s.limits.Depth)
		name := b[i+1 : end-1]
		switch {
		case string(name) == "@odata.context":
			r.deleted = bytes.HasSuffix(r.d.plain(b[value:valueEnd]), []byte(kind))
		case string(name) == "id":
			t.Ref = string(r.d.plain(b[value:valueEnd]))
		case string(name) == "when":
			var m moment
			t.Timed = m.parse(r.d.plain(b[value:valueEnd]))
			t.When = m.utc()
		}
		i, closed, _ = jsonNext(b, valueEnd, '}')
	}
	if r.deleted {
		t.Origin = r.d.s.page.Rows
		out.Tombstones = append(out.Tombstones, t)
	}
	return r.deleted
}
