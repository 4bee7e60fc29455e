package decode

import (
	"github.com/culvert-project/culvert/plugins/odata/datetime"
	"github.com/culvert-project/culvert/plugins/odata/scan"
)

// rows decodes the row at start and as many after it as package kernel can read by itself. A row counts only after the
// text that follows it was validated.
func (j *JSON) rows(start int, out *Output) *scan.Error {
	b := j.buf
	j.inRow = true
	j.item = itemState{}
	if b[start] != '{' || j.skipNextRow || j.collector != nil { // the text of the row is needed
		end, err := scan.JSONValue(b, start, maxDepth)
		if err == nil {
			err = j.afterRow(end)
		}
		if err == nil {
			err = j.row(b[start:end], j.base+int64(start), out)
		}
		j.inRow = err != nil
		return err
	}
	j.setText(b, out)
	s := j.root
	s.repeatRows(start)
	next, end, err := j.object(s, start, len(out.Data), maxDepth)
	s.commitRows()
	j.pos = s.RowText
	if err == nil {
		row := b[s.RowText:next]
		err = j.afterRow(next)
		if err == nil {
			j.inRow = false
			j.form.finishObject(row, j.base+int64(s.RowText), end, out)
		}
	}
	return err
}

func (j *JSON) afterRow(end int) *scan.Error {
	next, closed, err := scan.JSONNext(j.buf, end, ']')
	if err != nil {
		return err
	}
	j.pos = next
	if closed {
		j.endContainer()
	}
	return nil
}

// row decodes a complete row with this text, which starts at pageOffset.
func (j *JSON) row(text []byte, pageOffset int64, out *Output) *scan.Error {
	if j.skipRow(text, pageOffset, out) {
		return nil
	}
	isObject := text[0] == '{'
	if !isObject && j.collector == nil {
		j.addRow(text, pageOffset, nil, &conversionError{expected: "an object", found: quoted(text)}, 0, out)
		return nil
	}
	if isObject {
		j.setText(text, out)
		j.root.MaxRows = 0
		j.item = itemState{}
		_, end, err := j.object(j.root, 0, len(out.Data), maxDepth)
		if err != nil {
			return j.inPage(err, pageOffset)
		}
		if j.collector == nil {
			j.form.finishObject(text, pageOffset, end, out)
			return nil
		}
		// What makes a row of a nested page unreadable is reported when it is decoded with the row around it.
		j.collector.checkType(j.schema, j.form.typeName(text))
		s := j.root
		if !j.collector.addKey(s.key(j.collector.keyBuffer[:0])) {
			j.collector.reportKey(j.schema, func(column int) []byte {
				value := j.valueOf(text, textRange{0, len(text)}, j.schema.Columns[column].Name)
				return j.scalarText(text[value.start:value.end])
			})
		}
	}
	if len(j.collected) > 0 {
		j.collected = append(j.collected, ',')
	}
	j.collected = append(j.collected, text...)
	j.page.Rows++
	return nil
}

// finishObject implements [jsonForm]. A deleted entry becomes a tombstone.
func (j *JSON) finishObject(row []byte, pageOffset int64, end int, out *Output) {
	if j.item.isDeleted {
		j.tombstone(row, out)
		return
	}
	s := j.root
	if s.problem == nil && s.link != nil {
		j.addFeedKeys(s.link)
	}
	j.addRow(row, pageOffset, s.link, s.problem, end, out)
}

// addFeedKeys records the keys of an expanded feed's rows, as in Atom.
func (j *JSON) addFeedKeys(link *nestedNextLink) {
	j.nestedPages.newKeys()
	s := link.structure
	for i, closed, _ := scan.JSONFirst(j.text, link.rows, ']'); !closed; {
		s.MaxRows = 0
		i, _, _ = j.object(s, i, len(j.out.Data), maxDepth)
		j.nestedPages.addKey(s.key(j.nestedPages.keyBuffer[:0]))
		i, closed, _ = scan.JSONNext(j.text, i, ']')
	}
}

// typeName implements [jsonForm].
func (j *JSON) typeName(row []byte) []byte {
	metadata := j.valueOf(row, textRange{0, len(row)}, "__metadata")
	if metadata.end == 0 || row[metadata.start] != '{' {
		return nil
	}
	name := j.valueOf(row, metadata, "type")
	if name.end == 0 {
		return nil
	}
	return j.scalarText(row[name.start:name.end])
}

// valueOf returns the value of an object's member. Its end is zero if the object has no such member.
func (j *JSON) valueOf(b []byte, object textRange, name string) textRange {
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

// rowDocument appends a page with an array of one row: a row alone could be a function result.
func (j *JSON) rowDocument(dst, row []byte) []byte {
	return append(append(append(dst, `{"d":{"results":[`...), row...), "]}}"...)
}

const contextName = "@odata.context"

// tombstone reads a deleted entry in Olingo's form.
func (j *JSON) tombstone(b []byte, out *Output) {
	tombstone := Tombstone{RowIndex: j.page.Rows}
	i, closed, _ := scan.JSONFirst(b, 1, '}')
	for !closed {
		end, value, _ := scan.JSONName(b, i)
		valueEnd, _ := scan.JSONValue(b, value, maxDepth)
		switch string(b[i+1 : end-1]) {
		case "id":
			tombstone.Ref = string(j.scalarText(b[value:valueEnd]))
		case "when":
			var instant datetime.DateTime
			tombstone.Timed = instant.Parse(j.scalarText(b[value:valueEnd]))
			tombstone.When = instant.UTC()
		}
		i, closed, _ = scan.JSONNext(b, valueEnd, '}')
	}
	out.Tombstones = append(out.Tombstones, tombstone)
	j.page.Rows++
}
