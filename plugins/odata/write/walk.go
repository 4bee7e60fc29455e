package write

import (
	"errors"
	"unicode/utf8"

	"github.com/culvert-project/culvert/plugins/odata/edm"
	"github.com/culvert-project/culvert/plugins/odata/jsontext"
	"github.com/culvert-project/culvert/plugins/odata/value"
	"github.com/culvert-project/culvert/wit"
	"github.com/culvert-project/culvert/wit/datum"
)

// walk goes through the fields of a row.
type walk struct {
	f *flat
	m *manner
	k *kernel
	// data is that of the call; b is the row, which begins at base in it.
	data, b []byte
	base    int
	// at is after the field that was read last, next is the number of the one after it, count how many there are.
	at, next, count int
	// changed: other fields are expected of schemaless rows than before.
	changed bool
	// slot and member are the field's; member is nil in schemaless rows.
	slot   *slot
	member *flatMember
	scalar
	// misfit is why it ended at a field whose value is none of its property's, nil where the long way must tell.
	misfit error
}

// newWalk begins at the first field of a row. ok is false where the row must go the long way.
func newWalk(f *flat, m *manner, all schemas, d *wit.Datum, data []byte) (w walk, ok bool) {
	w = walk{f: f, m: m, data: data}
	w.row(d)
	switch d.Form {
	case wit.Structured:
		nodes := all[d.Schema]
		if w.k = w.f.kernel(w.m, d.Schema, nodes); w.k == nil {
			return w, false
		}
		isNull, size, branch := datum.IsNull(&nodes[0], w.b)
		w.at, w.count = size, len(w.k.members)
		return w, branch && !isNull
	case wit.Dynamic:
		if len(w.b) == 0 || w.b[0] != datum.TagMap {
			return w, false
		}
		n, size := datum.Number(w.b[1:])
		w.at, w.count = 1+size, int(n)
		return w, size > 0 && n >= 0 && n <= int64(len(w.b))
	}
	return w, false
}

// row has it go through another row.
func (w *walk) row(d *wit.Datum) { w.b, w.base = w.data[d.Start:d.Start+d.Size], int(d.Start) }

// scalar is a value as it stands in a row.
type scalar struct {
	kind   scalarKind
	number int64
	bytes  []byte
	// from is where it begins. bits are how many a schemaless number has.
	from int
	bits uint
}

type scalarKind int

const (
	// kindOther goes by way of a tree.
	kindOther scalarKind = iota
	kindNull
	kindNumber
	kindTruth
	kindText
	kindRaw
)

// done tells whether nothing is left of a row.
func (w *walk) done() bool { return w.next == w.count }

// field goes over the next field. ok is false where the row must go the long way.
func (w *walk) field() (ok bool) {
	if w.k == nil {
		return w.entry()
	}
	w.member = &w.k.members[w.next]
	w.next++
	w.slot = w.member.slot
	n := w.member.node
	w.from = w.at
	if n.Optional {
		isNull, size, branch := datum.IsNull(n, w.b[w.at:])
		if !branch {
			return false
		}
		if w.at += size; isNull {
			w.kind = kindNull
			return true
		}
	}
	switch n.Kind {
	case wit.Int8, wit.Int16, wit.Int32, wit.Int64:
		return w.integer(uint(8) << (n.Kind - wit.Int8))
	case wit.Boolean:
		return w.boolean()
	case wit.Text:
		return w.block(kindText)
	case wit.Bytes:
		return w.block(kindRaw)
	}
	size, err := datum.Skip(w.k.nodes, w.member.at, w.b[w.from:])
	w.kind, w.at = kindOther, w.from+size
	return err == nil
}

// entry is field for a schemaless row.
func (w *walk) entry() (ok bool) {
	if w.at >= len(w.b) || w.b[w.at] != datum.TagText {
		return false
	}
	name, size := datum.Block(w.b[w.at+1:])
	if size <= 0 {
		return false
	}
	w.at += 1 + size
	if w.next < len(w.f.expected) && w.f.expected[w.next].name == string(name) {
		w.slot = w.f.expected[w.next].slot
	} else {
		if w.slot, ok = w.f.of(w.m, string(name)); !ok {
			return false
		}
		w.f.expected = append(w.f.expected[:min(w.next, len(w.f.expected))], expectedField{string(name), w.slot})
		w.f.programs, w.changed = programs{}, true
	}
	w.next++
	if w.at >= len(w.b) {
		return false
	}
	w.from = w.at
	tag := w.b[w.at]
	w.at++
	switch tag {
	case datum.TagNull:
		w.kind = kindNull
		return true
	case datum.TagFalse, datum.TagTrue:
		w.kind, w.number = kindTruth, int64(tag-datum.TagFalse)
		return true
	case datum.TagInt8, datum.TagInt16, datum.TagInt32, datum.TagInt64:
		return w.integer(uint(8) << (tag - datum.TagInt8))
	case datum.TagText:
		return w.block(kindText)
	case datum.TagFloat32, datum.TagFloat64, datum.TagBytes, datum.TagInstant, datum.TagDecimal:
		_, size, err := datum.ReadDynamic(w.b[w.from:])
		w.kind, w.at = kindOther, w.from+size
		return err == nil
	}
	return false // nested
}

func (w *walk) integer(bits uint) bool {
	n, size := datum.Number(w.b[w.at:])
	w.kind, w.number, w.bits = kindNumber, n, bits
	w.at += size
	return size > 0 && (n>>(bits-1) == 0 || n>>(bits-1) == -1)
}

func (w *walk) boolean() bool {
	if w.at >= len(w.b) || w.b[w.at] > 1 {
		return false
	}
	w.kind, w.number = kindTruth, int64(w.b[w.at])
	w.at++
	return true
}

func (w *walk) block(kind scalarKind) bool {
	content, size := datum.Block(w.b[w.at:])
	w.kind, w.bytes = kind, content
	w.at += size
	return size > 0 && (kind != kindText || utf8.Valid(content))
}

// timed tells whether the field's integers are dates or times.
func (w *walk) timed() bool { return w.member != nil && w.member.timed }

// unit is how many milliseconds one of the field's integers is as a point in time, 0 for none.
func (w *walk) unit() int64 {
	if w.member != nil {
		return w.member.unit
	}
	return int64(w.bits / 64)
}

// errUnread is the error of a field that cannot be read; the long way says why.
var errUnread = errors.New("the field cannot be read")

// converted is the field's value by way of a tree.
func (w *walk) converted() (c value.Converted, err error) {
	var v any
	var n *wit.Node
	if w.k != nil {
		n = w.member.node
		v, _, err = datum.Read(w.k.nodes, w.member.at, w.b[w.from:])
	} else {
		v, _, err = datum.ReadDynamic(w.b[w.from:])
	}
	if err != nil {
		return c, errUnread
	}
	return w.m.convert(w.slot.property, n, v)
}

// fits tells whether a text has no more characters than its property.
func (w *walk) fits() bool {
	p := w.slot.property
	return p.Length <= 0 || len(w.bytes) <= p.Length || utf8.RuneCount(w.bytes) <= p.Length
}

// append writes the field's value, which is not null: one that the kernel leaves. ok is false where the long way must
// tell.
func (w *walk) append(dst []byte) (_ []byte, ok bool) {
	p := w.slot.property
	switch t := p.Type.Primitive; {
	case w.kind == kindText && (t == edm.String || t == edm.Guid):
		switch {
		case !w.fits(), w.slot.xml && !storable(w.bytes):
			return dst, false
		case w.slot.xml:
			return appendXML(dst, w.bytes), true
		}
		return jsontext.AppendText(dst, w.bytes), true
	case w.slot.xml && w.kind == kindNumber && (t == edm.DateTime || t == edm.DateTimeOffset) && w.unit() > 0:
		return value.AppendISO(dst, t, w.number*w.unit())
	}
	c, err := w.converted()
	switch w.misfit = err; {
	case err != nil, w.slot.xml && !storable(c.Text), !w.slot.xml && c.Ticks != 0:
		return dst, false
	case w.slot.xml:
		return appendXML(dst, c.Text), true
	}
	return c.AppendJSON(dst), true
}
