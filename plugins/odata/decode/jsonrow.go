package decode

import (
	"bytes"

	"github.com/culvert-project/culvert/plugins/odata/datetime"
	"github.com/culvert-project/culvert/plugins/odata/scan"
)

func (d *JSON) row(text []byte, pageOffset int64, out *Output) {
	if d.skipRow(text, pageOffset, out) {
		return
	}
	if d.collector != nil {
		d.checkCollected(text)
		if len(d.collected) > 0 {
			d.collected = append(d.collected, ',')
		}
		d.collected = append(d.collected, text...)
		d.page.Rows++
		return
	}
	r := jsonReader{decoder: d, row: text}
	start := len(out.Data)
	m := r.decode(out)
	d.addRow(text, pageOffset, start, r.nextLink, r.deleted, m, out)
}

// checkCollected checks a row of a nested page. What makes it unreadable is reported when it is decoded.
func (d *JSON) checkCollected(row []byte) {
	if row[0] != '{' {
		return
	}
	r := jsonReader{decoder: d, row: row}
	d.collector.checkType(d.schema, r.typeName())
	located := d.level(0, d.schema)
	if r.members(d.schema, textRange{0, len(row)}, located) == nil &&
		!d.collector.addKey(r.key(d.collector.keyBuffer[:0], d.schema, 0)) {
		d.collector.reportKey(d.schema, func(column int) []byte {
			return d.scalarText(row[located.spans[column].start:located.spans[column].end])
		})
	}
}

// typeName returns the type in the row's metadata, or nil.
func (r *jsonReader) typeName() []byte {
	metadata := r.member(textRange{0, len(r.row)}, "__metadata")
	if metadata.end == 0 || r.row[metadata.start] != '{' {
		return nil
	}
	name := r.member(metadata, "type")
	if name.end == 0 {
		return nil
	}
	return r.decoder.scalarText(r.row[name.start:name.end])
}

// member returns the value of an object's member. Its end is zero if the object has no such member.
func (r *jsonReader) member(object textRange, name string) textRange {
	b := r.row
	i, closed, _ := scan.JSONFirst(b, object.start+1, '}')
	for !closed {
		end, value, _ := scan.JSONName(b, i)
		valueEnd, _ := scan.JSONValue(b, value, maxDepth)
		if string(nameIn(b[i:end])) == name {
			return textRange{value, valueEnd}
		}
		i, closed, _ = scan.JSONNext(b, valueEnd, '}')
	}
	return textRange{}
}

// key appends the encoded key of the struct whose values were located at a level. It returns nil if the key is not
// complete, as well as for a schema without keys.
func (r *jsonReader) key(dst []byte, schema *RowSchema, depth int) []byte {
	for _, i := range schema.Keys {
		start := len(dst)
		var m *conversionError
		dst, m = r.column(dst, schema, i, r.decoder.levels[depth].spans[i], depth)
		if m != nil || schema.Columns[i].isNull(dst[start:]) {
			return nil
		}
	}
	return dst
}

// rowDocument makes an array of one row: a row alone could be a function result.
func (d *JSON) rowDocument(dst, row []byte) []byte {
	return append(append(append(dst, `{"d":{"results":[`...), row...), "]}}"...)
}

// jsonReader decodes one complete, well-formed row.
type jsonReader struct {
	decoder  *JSON
	row      []byte
	nextLink nestedNextLink
	deleted  bool
}

func (r *jsonReader) decode(out *Output) *conversionError {
	if r.row[0] != '{' {
		return &conversionError{path: "", expected: "an object", found: quoted(r.row)}
	}
	if r.tombstone(out) {
		return nil
	}
	schema := r.decoder.schema
	r.decoder.spans = r.decoder.spans[:0]
	lv := r.decoder.level(0, schema)
	if m := r.members(schema, textRange{0, len(r.row)}, lv); m != nil {
		return m
	}
	for i := range schema.Columns {
		start := len(out.Data)
		var m *conversionError
		if out.Data, m = r.column(out.Data, schema, i, r.decoder.levels[0].spans[i], 0); m != nil {
			return m
		}
		r.decoder.spans = append(r.decoder.spans, textRange{start, len(out.Data)})
	}
	return nil
}

func (r *jsonReader) members(schema *RowSchema, object textRange, current *level) *conversionError {
	b := r.row
	i, closed, _ := scan.JSONFirst(b, object.start+1, '}')
	for !closed {
		end, value, _ := scan.JSONName(b, i)
		name := b[i+1 : end-1]
		if bytes.IndexByte(name, '\\') >= 0 {
			r.decoder.text, _ = scan.Unescape(r.decoder.text[:0], b[i:end], false)
			name = r.decoder.text
		}
		valueEnd, _ := scan.JSONValue(b, value, maxDepth)
		if k, ok := schema.names[string(name)]; ok {
			if current.spans[k].end != 0 {
				return &conversionError{path: schema.Columns[k].Name, expected: "one value", found: "two"}
			}
			current.spans[k] = textRange{value, valueEnd}
		} else if !isControl(name) && !schema.ignored[string(name)] && !r.isDeferred(value) {
			r.decoder.reportUnknown(current.path, name)
		}
		i, closed, _ = scan.JSONNext(b, valueEnd, '}')
	}
	return nil
}

func isControl(name []byte) bool {
	return len(name) > 1 && name[0] == '_' && name[1] == '_' || bytes.IndexByte(name, '@') >= 0
}

// isDeferred reports a navigation that was not expanded: its first member is __deferred.
func (r *jsonReader) isDeferred(value int) bool {
	if r.row[value] != '{' {
		return false
	}
	i := scan.JSONSpace(r.row, value+1)
	return bytes.HasPrefix(r.row[i:], []byte(`"__deferred"`))
}

func (r *jsonReader) column(dst []byte, schema *RowSchema, i int, source textRange, depth int) ([]byte,
	*conversionError) {
	target := &schema.Columns[i]
	b := r.row
	if target.Inline && source.end != 0 && r.isDeferred(source.start) {
		return dst, target.conversionError(expectedInline, "a link to it")
	}
	if target.Kind == NavigationToMany && !target.Optional && source.end != 0 && b[source.start] == 'n' {
		return append(dst, 0), nil // expanded, without entities
	}
	if source.end == 0 || b[source.start] == 'n' || target.Kind != Primitive && r.isDeferred(source.start) {
		return appendNull(dst, target, source.end != 0)
	}
	if target.Kind == Primitive {
		return r.primitive(dst, schema, target, b[source.start:source.end])
	}
	if target.Optional {
		dst = append(dst, 2)
	}
	var mismatch *conversionError
	if target.Kind == NavigationToMany {
		dst, mismatch = r.array(dst, target, source, depth)
	} else {
		dst, mismatch = r.structure(dst, target, source, depth)
	}
	if mismatch != nil {
		mismatch = mismatch.within(target.Name)
	}
	return dst, mismatch
}

func appendNull(dst []byte, column *Column, present bool) ([]byte, *conversionError) {
	if column.Optional {
		return append(dst, 0), nil
	}
	if present {
		return dst, column.conversionError(expectedValue, "null")
	}
	return dst, column.conversionError(expectedValue, "none")
}

func (r *jsonReader) primitive(dst []byte, schema *RowSchema, column *Column, text []byte) ([]byte, *conversionError) {
	source := text
	switch text[0] {
	case '{', '[':
		return dst, &conversionError{path: column.Name, expected: column.Type.String(), found: quoted(text)}
	case '"':
		ok := false
		if r.decoder.text, ok = scan.Unescape(r.decoder.text[:0], text, false); !ok {
			return dst, column.conversionError("a string of valid escapes and UTF-8", quoted(text))
		}
		text = r.decoder.text
	}
	if len(text) == 0 && column.emptyIsNull() {
		return appendNull(dst, column, true)
	}
	if column.Optional {
		dst = append(dst, 2)
	}
	dst, expected := r.decoder.values.append(dst, schema, column, text)
	if expected != "" {
		return dst, column.conversionError(expected, quoted(source))
	}
	return dst, nil
}

func (r *jsonReader) structure(dst []byte, column *Column, source textRange, depth int) ([]byte, *conversionError) {
	if r.row[source.start] != '{' {
		return dst, &conversionError{path: "", expected: "an object", found: quoted(r.row[source.start:source.end])}
	}
	depth++
	schema := column.Nested
	lv := r.decoder.level(depth, schema)
	r.decoder.levels[depth].path = column.path(r.decoder.levels[depth-1].path)
	if m := r.members(schema, source, lv); m != nil {
		return dst, m
	}
	for i := range schema.ValueColumns {
		var m *conversionError
		if dst, m = r.column(dst, schema, i, r.decoder.levels[depth].spans[i], depth); m != nil {
			return dst, m
		}
	}
	return dst, nil
}

// array writes the items of an expanded feed: `{"results":[…],"__next":…}`, or `[…]` in version 1.
func (r *jsonReader) array(dst []byte, column *Column, source textRange, depth int) ([]byte, *conversionError) {
	rows, next := source, textRange{}
	if r.row[source.start] == '{' {
		duplicate := false
		if rows, next, duplicate = r.feed(source); duplicate {
			return dst, &conversionError{path: "", expected: "results once",
				found: quoted(r.row[source.start:source.end])}
		}
	}
	if rows.end == 0 || r.row[rows.start] != '[' {
		return dst, &conversionError{path: "", expected: "an array of results",
			found: quoted(r.row[source.start:source.end])}
	}
	last, count := rows.start+1, 0
	for i, closed, _ := scan.JSONFirst(r.row, rows.start+1, ']'); !closed; count++ {
		last, _ = scan.JSONValue(r.row, i, maxDepth)
		i, closed, _ = scan.JSONNext(r.row, last, ']')
	}
	linked := false
	if next.end != 0 && !r.nextLink.found {
		if href := r.decoder.scalarText(r.row[next.start:next.end]); len(href) > 0 {
			r.nextLink = nestedNextLink{found: true, link: Link{Href: string(href)}, linkAt: next, emptyLink: `""`,
				rowsAt: last, schema: column.Nested, property: r.decoder.levels[depth].path + column.Name}
			linked = true
			r.decoder.nestedPages.newKeys()
			if count > 0 {
				r.nextLink.separator = ","
			}
		}
	}
	if count == 0 {
		return append(dst, 0), nil
	}
	dst = appendCount(dst, count)
	for i, closed, _ := scan.JSONFirst(r.row, rows.start+1, ']'); !closed; {
		end, _ := scan.JSONValue(r.row, i, maxDepth)
		var m *conversionError
		if dst, m = r.structure(dst, column, textRange{i, end}, depth); m != nil {
			return dst, m
		}
		if linked {
			r.decoder.nestedPages.addKey(r.key(r.decoder.nestedPages.keyBuffer[:0], column.Nested, depth+1))
		}
		i, closed, _ = scan.JSONNext(r.row, end, ']')
	}
	return append(dst, 0), nil
}

func (r *jsonReader) feed(object textRange) (rows, next textRange, duplicate bool) {
	b := r.row
	i, closed, _ := scan.JSONFirst(b, object.start+1, '}')
	for !closed {
		end, value, _ := scan.JSONName(b, i)
		valueEnd, _ := scan.JSONValue(b, value, maxDepth)
		switch string(nameIn(b[i:end])) {
		case "results":
			duplicate = duplicate || rows.end != 0
			rows = textRange{value, valueEnd}
		case "__next":
			next = textRange{value, valueEnd}
		}
		i, closed, _ = scan.JSONNext(b, valueEnd, '}')
	}
	return rows, next, duplicate
}

// tombstone reads a deleted entry in Olingo's form.
func (r *jsonReader) tombstone(out *Output) bool {
	const kind = "/$deletedEntity"
	b := r.row
	if !bytes.Contains(b, []byte("$deletedEntity")) {
		return false
	}
	var t Tombstone
	i, closed, _ := scan.JSONFirst(b, 1, '}')
	for !closed {
		end, value, _ := scan.JSONName(b, i)
		valueEnd, _ := scan.JSONValue(b, value, maxDepth)
		name := b[i+1 : end-1]
		switch {
		case string(name) == "@odata.context":
			r.deleted = bytes.HasSuffix(r.decoder.scalarText(b[value:valueEnd]), []byte(kind))
		case string(name) == "id":
			t.Ref = string(r.decoder.scalarText(b[value:valueEnd]))
		case string(name) == "when":
			var m datetime.DateTime
			t.Timed = m.Parse(r.decoder.scalarText(b[value:valueEnd]))
			t.When = m.UTC()
		}
		i, closed, _ = scan.JSONNext(b, valueEnd, '}')
	}
	if r.deleted {
		t.RowIndex = r.decoder.page.Rows
		out.Tombstones = append(out.Tombstones, t)
	}
	return r.deleted
}
