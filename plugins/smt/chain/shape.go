package chain

import (
	"bytes"
	"slices"
	"unsafe"

	"github.com/culvert-project/culvert/plugins/smt/kernel"
	"github.com/culvert-project/culvert/wit"
	"github.com/culvert-project/culvert/wit/datum"
)

// shape is what a route made of the last map that it saw: the names in their order, and the parts of the result. Steps
// look at no more of values than their tags, by which a part chooses, so another map of the same names, in a row that
// has the same attributes, comes to the same parts.
type shape struct {
	fast fastProgram
	// same: the result's bytes are the input's.
	same bool
}

// words are those of a text, low byte first, each with the mask of what counts of it after it.
func words(text []byte) (list []uint64) {
	for at := 0; at < len(text); at += 8 {
		var w, mask uint64
		for i, b := range text[at:min(len(text), at+8)] {
			w |= uint64(b) << (8 * i)
			mask |= 0xff << (8 * i)
		}
		list = append(list, w, mask)
	}
	return list
}

func newKey(text []byte) kernel.Key {
	list := append(words(text), 0, 0, 0, 0)
	return kernel.Key{Size: len(text), First: list[0], Mask: list[1], Second: list[2], Masking: list[3],
		Rest: unsafe.Pointer(unsafe.SliceData(list[4:]))}
}

// lacks tells which attributes a row is without.
func lacks(row *wit.Row) (bits uint64) {
	for i, n := range [...]int64{int64(row.Partition), row.Offset, row.Timestamp} {
		if n < 0 {
			bits |= 1 << i
		}
	}
	return bits
}

// maxMisses is how many more shapes a route learns than come again: records that all differ are not worth the learning.
const maxMisses = 50

// newShape is what became of a map, nil where the kernel cannot do it. before is the map's bytes, m what the steps made
// of it.
func newShape(m *entries, before []byte, row *wit.Row) *shape {
	var original entries
	original.read(before)
	f := fastProgram{usable: true}
	keys := make([]kernel.Key, 0, len(original.list)+1)
	for _, e := range original.list {
		keys = append(keys, newKey(e.key))
	}
	f.Keys, f.Members, f.Lacks = unsafe.SliceData(keys[:cap(keys)]), len(keys), lacks(row)
	head := datum.AppendNumber([]byte{datum.TagMap}, int64(len(original.list)))
	list := words(head)
	f.Head, f.HeadMask, f.HeadSize = list[0], list[1], len(head)
	choices := make([]kernel.Choice, len(m.lesson.choices), len(m.lesson.choices)+1)
	for i, c := range m.lesson.choices {
		choices[i].Place, choices[i].Behind = 8*c.valueAt, len(original.list[c.valueAt].key)
		for tag, b := range c.by {
			if b != nil {
				choices[i].Allowed |= 1 << tag
			}
		}
	}
	f.Choices, f.Chosen = unsafe.SliceData(choices), len(choices)
	var value output
	if m.changed {
		m.parts(&value, &original)
	}
	var key, headers *output
	if m.key != nil {
		key = &output{}
		m.key.parts(key, &original)
		f.Key, f.Twice = datumWord(wit.Dynamic, 0), 1
	}
	if len(m.headers) > 0 {
		if headers = m.headerParts(&original); headers == nil {
			return nil
		}
	}
	var edits []edited
	for i := range m.lesson.edited {
		e := &m.lesson.edited[i]
		edits = append(edits, edited{from: e.part(&original), tag: bytes.Clone(e.value[:1]),
			edits: slices.Clone(e.edits)})
	}
	f.compile(key, headers, value.parts, edits)
	count := datum.AppendNumber([]byte{datum.TagMap}, int64(len(m.list)))
	if parts := value.parts; key == nil && headers == nil && len(edits) == 0 && len(head) == 2 && len(count) == 2 &&
		len(parts) > 1 && bytes.Equal(parts[0].bytes, count) {
		f.append(parts, 1, len(original.list))
		f.tail.Count = int(count[1])
	}
	return &shape{fast: f, same: !m.changed}
}

// parts are what writes a map, or a key that is no map.
func (m *entries) parts(s *output, original *entries) {
	if !m.whole {
		s.join(part{from: constant, bytes: datum.AppendNumber([]byte{datum.TagMap}, int64(len(m.list)))})
	}
	for i := range m.list {
		e := &m.list[i]
		if e.keyAt >= 0 && e.keyAt == e.valueAt && e.choice == nil && e.edited == 0 {
			s.join(part{from: input, first: e.keyAt, last: e.keyAt})
			continue
		}
		if !m.whole {
			s.join(part{from: constant, bytes: e.key})
		}
		switch {
		case e.edited > 0:
			s.join(part{from: byEdits, first: e.edited - 1})
		case e.attribute:
			s.join(part{from: constant, bytes: e.value[:1]})
			fallthrough
		default:
			s.join(e.part(original))
		}
	}
}

// headerParts are the parts of headers that become of entries; nil: one of them is more than a value of the input.
func (m *entries) headerParts(original *entries) *output {
	o := &output{count: len(m.headers)}
	for i := range m.headers {
		h := &m.headers[i]
		o.join(part{from: constant, bytes: append(datum.AppendText(nil, h.name), byte(wit.Dynamic), 0)})
		switch x := h.entry.part(original); {
		case x.from == constant:
			o.join(part{from: constant, bytes: datum.AppendBytes(nil, x.bytes)})
		case x.from != input || h.entry.edited > 0:
			return nil
		default:
			x.sized = true
			o.parts = append(o.parts, x)
		}
	}
	return o
}

// part writes the value of an entry before it is edited, without the tag of an attribute.
func (e *entry) part(original *entries) part {
	switch {
	case e.choice != nil:
		return part{from: chosen, first: e.valueAt, after: len(original.list[e.valueAt].key), choice: e.choice}
	case e.attribute:
		return part{from: attribute, what: e.what}
	case e.valueAt >= 0:
		return part{from: input, first: e.valueAt, after: len(original.list[e.valueAt].key), last: e.valueAt}
	}
	return part{from: constant, bytes: e.value}
}
