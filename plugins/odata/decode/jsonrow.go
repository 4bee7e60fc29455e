package decode

import (
	"github.com/culvert-project/culvert/plugins/odata/datetime"
	"github.com/culvert-project/culvert/plugins/odata/scan"
)

// rows decodes the row at start and as many after it as package kernel can read by itself. A row counts only after the
// text that follows it was validated.
func (d *JSON) rows(start int, out *Output) *scan.Error {
	b := d.buf
	d.inRow = true
	d.isDeleted = false
	if b[start] != '{' || d.skipNextRow || d.collector != nil {
		end, err := scan.JSONValue(b, start, maxDepth)
		if err == nil {
			err = d.afterRow(end)
		}
		if err == nil {
			err = d.row(b[start:end], d.base+int64(start), out)
		}
		d.inRow = err != nil
		return err
	}
	d.setText(b, out)
	s := d.root
	s.repeatRows(start)
	next, end, err := d.object(s, start, len(out.Data), maxDepth)
	s.commitRows()
	d.pos = s.RowText
	if err == nil {
		row := b[s.RowText:next]
		err = d.afterRow(next)
		if err == nil {
			d.inRow = false
			d.finishObject(row, d.base+int64(s.RowText), end, out)
		}
	}
	return err
}

func (d *JSON) afterRow(end int) *scan.Error {
	next, closed, err := scan.JSONNext(d.buf, end, ']')
	if err != nil {
		return err
	}
	d.pos = next
	if closed {
		d.endContainer()
	}
	return nil
}

// row decodes a complete row with this text, which starts at byte `at` of the page.
func (d *JSON) row(text []byte, at int64, out *Output) *scan.Error {
	if d.skipRow(text, at, out) {
		return nil
	}
	isObject := text[0] == '{'
	if !isObject && d.collector == nil {
		d.addRow(text, at, nil, &conversionError{expected: "an object", found: quoted(text)}, 0, out)
		return nil
	}
	if isObject {
		d.setText(text, out)
		d.root.MaxRows = 0
		d.isDeleted = false
		_, end, err := d.object(d.root, 0, len(out.Data), maxDepth)
		if err != nil {
			return d.inPage(err, at)
		}
		if d.collector == nil {
			d.finishObject(text, at, end, out)
			return nil
		}
		d.checkCollected(text)
	}
	if len(d.collected) > 0 {
		d.collected = append(d.collected, ',')
	}
	d.collected = append(d.collected, text...)
	d.page.Rows++
	return nil
}

// finishObject adds the row that was decoded last, whose output ends at end, unless it is a deleted entry.
func (d *JSON) finishObject(row []byte, at int64, end int, out *Output) {
	if d.isDeleted {
		d.tombstone(row, out)
		return
	}
	s := d.root
	if s.problem == nil && s.link != nil {
		d.addFeedKeys(s.link)
	}
	d.addRow(row, at, s.link, s.problem, end, out)
}

// checkCollected checks a row of a nested page, which was decoded last. What makes it unreadable is reported when it is
// decoded with the row around it.
func (d *JSON) checkCollected(row []byte) {
	d.collector.checkType(d.schema, d.typeName(row))
	s := d.root
	if !d.collector.addKey(s.key(d.collector.keyBuffer[:0])) {
		d.collector.reportKey(d.schema, func(column int) []byte {
			value := d.valueOf(row, textRange{0, len(row)}, d.schema.Columns[column].Name)
			return d.scalarText(row[value.start:value.end])
		})
	}
}

// addFeedKeys records the keys of an expanded feed's rows.
func (d *JSON) addFeedKeys(link *nestedNextLink) {
	d.nestedPages.newKeys()
	s := link.structure
	for i, closed, _ := scan.JSONFirst(d.text, link.rows, ']'); !closed; {
		s.MaxRows = 0
		i, _, _ = d.object(s, i, len(d.out.Data), maxDepth)
		d.nestedPages.addKey(s.key(d.nestedPages.keyBuffer[:0]))
		i, closed, _ = scan.JSONNext(d.text, i, ']')
	}
}

// typeName returns the type in the row's metadata, or nil.
func (d *JSON) typeName(row []byte) []byte {
	metadata := d.valueOf(row, textRange{0, len(row)}, "__metadata")
	if metadata.end == 0 || row[metadata.start] != '{' {
		return nil
	}
	name := d.valueOf(row, metadata, "type")
	if name.end == 0 {
		return nil
	}
	return d.scalarText(row[name.start:name.end])
}

// valueOf returns the value of an object's member. Its end is zero if the object has no such member.
func (d *JSON) valueOf(b []byte, object textRange, name string) textRange {
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

// rowDocument makes an array of one row: a row alone could be a function result.
func (d *JSON) rowDocument(dst, row []byte) []byte {
	return append(append(append(dst, `{"d":{"results":[`...), row...), "]}}"...)
}

const contextName = "@odata.context"

// tombstone reads a deleted entry in Olingo's form.
func (d *JSON) tombstone(b []byte, out *Output) {
	t := Tombstone{RowIndex: d.page.Rows}
	i, closed, _ := scan.JSONFirst(b, 1, '}')
	for !closed {
		end, value, _ := scan.JSONName(b, i)
		valueEnd, _ := scan.JSONValue(b, value, maxDepth)
		switch string(b[i+1 : end-1]) {
		case "id":
			t.Ref = string(d.scalarText(b[value:valueEnd]))
		case "when":
			var m datetime.DateTime
			t.Timed = m.Parse(d.scalarText(b[value:valueEnd]))
			t.When = m.UTC()
		}
		i, closed, _ = scan.JSONNext(b, valueEnd, '}')
	}
	out.Tombstones = append(out.Tombstones, t)
	d.page.Rows++
}
