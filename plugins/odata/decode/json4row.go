package decode

import (
	"slices"
	"strings"

	"github.com/culvert-project/culvert/plugins/odata/edm"
	"github.com/culvert-project/culvert/plugins/odata/scan"
)

// control implements [jsonForm]. A number sign begins the name of an action.
func (j *JSON4) control(s *structure, name []byte) controlKind {
	property, term := annotation(name)
	switch {
	case len(term) == 0 && (len(property) == 0 || property[0] != '#'):
		return controlUnknown
	case len(property) == 0 && s == j.root && (string(term) == "context" || string(term) == "removed"):
		return controlRead
	case string(term) == "nextLink":
		if p := s.names[string(property)]; p != nil && p.column != nil && p.column.isArray() {
			return controlRead
		}
	}
	return controlSkipped
}

// readControl implements [jsonForm].
func (j *JSON4) readControl(s *structure, name []byte, value textRange) {
	s.MaxRows = 0 // checkObject and finishObject must see the struct
	raw := j.text[value.start:value.end]
	property, term := annotation(name)
	switch string(term) {
	case "removed":
		j.item.isRemoved = raw[0] != 'n'
		j.item.isDeleted = j.item.isDeleted || j.item.isRemoved
	case "context":
		context := string(j.scalarText(raw))
		switch lastSegment(context) {
		case "$deletedEntity":
			j.item.isDeleted = true
		case "$link", "$deletedLink":
			j.item.isDeleted = true
			j.item.isLink = true
		}
		j.checkSet(context)
	default:
		j.readNextLink(s, s.names[string(property)], value)
	}
}

// readNextLink reads the link to further items of a column's array, which may precede the array.
func (j *JSON4) readNextLink(s *structure, p *property, value textRange) {
	c := p.column
	raw := j.text[value.start:value.end]
	if !j.isLink(raw) {
		s.fail(p.Column, c.conversionError("a link in its nextLink", quoted(raw)))
		return
	}
	target := j.scalarText(raw)
	isPending := s.link != nil && s.link.rows == 0 && s.linkColumn == p.Column
	switch {
	case len(target) == 0:
		return
	case c.Kind == Collection:
		s.fail(p.Column, c.conversionError("all items of the collection", "a link to further ones, "+quoted(raw)))
	case isPending:
		s.fail(p.Column, c.conversionError("one nextLink", "two"))
	case s.link == nil || p.Column <= s.linkColumn:
		items := s.structureIn(p.Column)
		s.link = &nestedNextLink{link: Link{Href: string(target), Base: j.page.Next.Base},
			linkAt: value, emptyLink: `""`, structure: items,
			property: strings.TrimSuffix(items.path, "/")}
		s.linkColumn = p.Column
	}
}

// checkObject looks for the array of a next link, and for missing columns.
func (j *JSON4) checkObject(s *structure) {
	if s.link != nil && s.link.rows == 0 {
		j.locateItems(s)
	}
	for i := range s.properties {
		p := &s.properties[i]
		c := p.column
		switch {
		case c.Kind == Synthetic || s.has(i):
			continue
		case j.options.Partial:
			j.item.isPartial = true
			if !c.Optional && !(s == j.root && slices.Contains(s.schema.Keys, i)) && s.BeginColumn(i) {
				s.endValue(p, s.P, appendEmpty(j.out.Data[:s.O], c), nil)
			}
		case c.Inline:
			s.fail(i, c.conversionError(expectedInline, "none"))
		}
	}
}

// locateItems sets where the items are to which a next link belongs.
func (j *JSON4) locateItems(s *structure) {
	c := &s.schema.Columns[s.linkColumn]
	array := j.valueOf(j.text, textRange{start: s.RowText}, c.Name)
	if array.end == 0 || j.text[array.start] != '[' {
		s.fail(s.linkColumn, c.conversionError("an array next to its nextLink", "none"))
		s.link = nil
		return
	}
	s.link.rows = array.start + 1
	s.link.insertAt = s.link.rows
	for i, closed, _ := scan.JSONFirst(j.text, s.link.rows, ']'); !closed; {
		s.link.insertAt, _ = scan.JSONValue(j.text, i, maxDepth)
		s.link.separator = ","
		i, closed, _ = scan.JSONNext(j.text, s.link.insertAt, ']')
	}
}

// finishObject implements [jsonForm].
func (j *JSON4) finishObject(row []byte, pageOffset int64, end int, out *Output) {
	switch {
	case j.item.otherSet != "":
		j.addRow(row, pageOffset, nil, &conversionError{expected: "a change of " + j.pageSet,
			found: "one of " + quoted([]byte(j.item.otherSet)), hint: "without expand, changes are of one set"}, 0, out)
		return
	case j.item.isDeleted:
		j.addChange(row, pageOffset, out)
		return
	}
	count := len(out.Rows)
	j.JSON.finishObject(row, pageOffset, end, out)
	if j.item.isPartial && len(out.Rows) > count {
		out.Partial = append(out.Partial, out.Rows[count].RowIndex)
	}
}

// addChange adds a deleted entry or a link of a delta feed.
func (j *JSON4) addChange(row []byte, pageOffset int64, out *Output) {
	item := textRange{0, len(row)}
	read := func(names ...string) string { return string(j.memberText(row, item, names...)) }
	var problem *conversionError
	if j.item.isLink {
		link := ChangedLink{RowIndex: j.page.Rows, Source: read("source"), Relationship: read("relationship")}
		if link.Source != "" && link.Relationship != "" {
			out.Links = append(out.Links, link)
			j.page.Rows++
			return
		}
		problem = &conversionError{expected: "the source and the relationship of a link", found: quoted(row)}
	} else {
		tombstone := Tombstone{RowIndex: j.page.Rows, Ref: read("@odata.id", "@id"), Reason: read("reason")}
		if j.item.isRemoved {
			for _, name := range []string{"@odata.removed", "@removed"} {
				if removed := j.valueOf(row, item, name); removed.end != 0 && row[removed.start] == '{' {
					tombstone.Reason = string(j.memberText(row, removed, "reason"))
				}
			}
		} else if tombstone.Ref == "" { // in the form of OData 4.01, id may be a property
			tombstone.Ref = read("id")
		}
		keys := j.schema.Keys
		if len(keys) == 1 && j.schema.Columns[keys[0]].Type == edm.Guid && edm.IsGUID(tombstone.Ref) {
			// Dataverse and Business Central document the key alone as the id.
			tombstone.Keys = []TombstoneKey{{Name: j.schema.Columns[keys[0]].Name, Text: tombstone.Ref}}
			tombstone.Ref = ""
		} else if tombstone.Ref == "" {
			for _, i := range keys {
				name := j.schema.Columns[i].Name
				if value := j.valueOf(row, item, name); value.end != 0 && row[value.start] != 'n' {
					tombstone.Keys = append(tombstone.Keys, TombstoneKey{Name: name, Text: read(name)})
				}
			}
		}
		if tombstone.Ref != "" || (len(tombstone.Keys) > 0 && len(tombstone.Keys) == len(j.schema.Keys)) {
			out.Tombstones = append(out.Tombstones, tombstone)
			j.page.Rows++
			return
		}
		problem = &conversionError{expected: "the id or the key of a deleted entity", found: quoted(row)}
	}
	j.addRow(row, pageOffset, nil, problem, 0, out)
}

// memberText returns the text of the first of these members that an object has, nil if it is no string or number.
func (j *JSON4) memberText(b []byte, object textRange, names ...string) []byte {
	for _, name := range names {
		if value := j.valueOf(b, object, name); value.end != 0 {
			return j.scalarText(b[value.start:value.end])
		}
	}
	return nil
}

// readCollection reads the array in a column into the output from o on. Its items are the only column of inner.
func (j *JSON) readCollection(s *structure, p *property, inner *structure, pos, o int) *scan.Error {
	b := j.text
	end := o + 1
	count := 0
	var items result
	if b[pos] != '[' || s.Depth <= 0 {
		next, err := scan.JSONValue(b, pos, s.Depth)
		items.problem = &conversionError{expected: "an array", found: quoted(b[pos:max(pos, next)])}
		if err == nil {
			s.endStruct(p, next, o, items)
		}
		return err
	}
	i, isEnd, err := scan.JSONFirst(b, pos+1, ']')
	for err == nil && !isEnd {
		inner.MaxRows = 0
		inner.begin(i, end)
		inner.Depth = s.Depth - 1
		inner.BeginColumn(0)
		if err = j.readValue(inner, &inner.properties[0]); err != nil {
			break
		}
		end = inner.complete()
		items = items.with(inner.result)
		count++
		i, isEnd, err = scan.JSONNext(b, inner.P, ']')
	}
	if err == nil {
		s.endStruct(p, i, j.writeCount(o, end, count), items)
	}
	return err
}
