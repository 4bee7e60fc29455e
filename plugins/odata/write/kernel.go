package write

import (
	"errors"
	"slices"
	"strconv"
	"unicode/utf8"

	"github.com/culvert-project/culvert/plugins/odata/edm"
	"github.com/culvert-project/culvert/plugins/odata/encode"
	"github.com/culvert-project/culvert/plugins/odata/jsontext"
	"github.com/culvert-project/culvert/plugins/odata/value"
	"github.com/culvert-project/culvert/wit"
	"github.com/culvert-project/culvert/wit/datum"
)

// Flat rows are written straight from their bytes, by the kernel of package encode, which takes a tenth of what trees
// take: each value of a tree is an allocation, and these are dear in a guest. A value that the kernel leaves
// is converted by itself, as that of a tree is; one that does not fit has the row refused, in the words that the long
// way has for it. At anything else the row goes the long way.

// slot is what a kernel has of a property.
type slot struct {
	property *edm.Property
	// before and after are what stands there of a value, and none what stands for a null: in JSON with the
	// comma after the member before it. xml: they are elements.
	before, after, none []byte
	xml                 bool
	// inserted and updated: the property is written then; null: a null of it is.
	inserted, updated, null bool
	// key is its place among the key properties, -1 for none.
	key int
	// bounded: it is an integer, from least to most.
	bounded     bool
	least, most int64
}

// flat is an entity set's type as kernels go by it.
type flat struct {
	slots map[string]*slot
	// keys is how many key properties there are. keyProperties are their slots, in the order of the key; addressed:
	// they are texts and integers, which can be read where they stand in a row.
	keys          int
	keyProperties []*slot
	addressed     bool
	// opening and ending are what stands before and after an entity's properties in Atom. mapped: some properties
	// have another place in its entries. Bodies are in JSON where opening is nil.
	opening, ending []byte
	mapped          bool
	// expected are the slots of the schemaless row before, whose names mostly are those of the next one too; nil ones
	// are left out.
	expected []expected
	// programs are those of rows whose fields are the expected ones.
	programs programs
	// kernels are made for schemas, by their numbers.
	kernels map[uint32]*kernel
}

// expected is a field of a row with its slot, which is nil where it is left out.
type expected struct {
	name string
	slot *slot
}

// kernel is a flat type with a schema.
type kernel struct {
	nodes []wit.Node
	// members are those of the structure, up to the first one that must go the long way.
	members  []member
	programs programs
}

// member is a member of a structure. Its slot is nil where it is left out.
type member struct {
	node *wit.Node
	at   uint32
	slot *slot
	// timed: its integers are dates or times, units of so many milliseconds where they are points in time. scale is
	// that of a Decimal, -1 where the long way must tell.
	timed bool
	unit  int64
	scale int
}

// newFlat makes a flat type; atom: its bodies are entries.
func newFlat(s *structure, atom bool) *flat {
	f := &flat{slots: map[string]*slot{}, keys: len(s.Key), kernels: map[uint32]*kernel{}}
	if atom {
		f.opening, f.ending = aroundProperties(s)
	}
	for i := range s.Properties {
		p := &s.Properties[i]
		key := -1
		for at, name := range s.Key {
			if name == p.Name {
				key = at
			}
		}
		least, most, bounded := p.Type.Primitive.Bounds()
		c := &slot{property: p, xml: atom, key: key, inserted: p.Creatable || key >= 0, updated: p.Updatable,
			null: p.Nullable && key < 0, bounded: bounded, least: least, most: most}
		if f.mapped = f.mapped || atom && p.Feed != nil; atom {
			c.before, c.after, c.none = startTag(nil, p), endTag(nil, p), noneTag(nil, p.Name)
		} else {
			c.before = append(jsontext.AppendString([]byte{','}, p.Name), ':')
			c.none = append(slices.Clip(c.before), "null"...)
		}
		f.slots[p.Name] = c
	}
	f.addressed = f.keys > 0
	for _, name := range s.Key {
		c := f.slots[name]
		f.keyProperties = append(f.keyProperties, c)
		f.addressed = f.addressed && c != nil && (c.bounded || c.property.Type.Primitive == edm.String)
	}
	return f
}

// of finds the slot of a field. ok is false where the long way must decide about it.
func (f *flat) of(s *structure, m *manner, name string) (c *slot, ok bool) {
	if c = f.slots[name]; c != nil {
		return c, c.property.Type.Primitive != edm.NotPrimitive
	}
	return nil, m.ignoreUnknown && s.navigations[name] == nil
}

// maxKernels is how many schemas of one entity set have theirs at a time.
const maxKernels = 64

// kernel finds what was made for a schema; nil: its rows go the long way.
func (f *flat) kernel(s *structure, m *manner, id uint32, nodes []wit.Node) *kernel {
	if len(nodes) == 0 || nodes[0].Kind != wit.Structure {
		return nil
	}
	if k, made := f.kernels[id]; made && &k.nodes[0] == &nodes[0] {
		return k.fit()
	}
	if len(f.kernels) == maxKernels {
		clear(f.kernels)
	}
	f.kernels[id] = f.make(s, m, nodes)
	return f.kernels[id].fit()
}

// fit is nil where rows must go the long way.
func (k *kernel) fit() *kernel {
	if len(k.members) < len(k.nodes[0].Members) {
		return nil
	}
	return k
}

func (f *flat) make(s *structure, m *manner, nodes []wit.Node) *kernel {
	k := &kernel{nodes: nodes}
	for _, declared := range nodes[0].Members {
		c, ok := f.of(s, m, declared.Name)
		if !ok {
			return k
		}
		n := &nodes[declared.Node]
		k.members = append(k.members, member{node: n, at: declared.Node, slot: c, timed: value.Timed(n),
			unit: value.Millis(n), scale: value.SmallScale(n)})
	}
	return k
}

// scalar is a value as it stands in a row.
type scalar struct {
	kind   kind
	number int64
	bytes  []byte
	// from is where it begins. bits are how many a schemaless number has.
	from int
	bits uint
}

type kind int

const (
	// other goes by way of a tree.
	other kind = iota
	null
	number
	truth
	text
	raw
)

// walk goes through the fields of a row.
type walk struct {
	f *flat
	s *structure
	m *manner
	k *kernel
	b []byte
	// at is after the field that was read last, next is the number of the one after it, count how many there are.
	at, next, count int
	// changed: other fields are expected of schemaless rows than before.
	changed bool
	// slot and member are the field's; member is nil in schemaless rows.
	slot   *slot
	member *member
	scalar
	// misfit is why it ended at a field whose value is none of its property's, nil where the long way must tell.
	misfit error
}

// mayGoDirect tells whether the row may go the short way.
func (e *encoding) mayGoDirect() bool {
	m := &e.s.manner
	return !e.hint.uncertain() && !e.hint.address && !e.to.flat.mapped && !m.lossy && !m.keyFromRecord &&
		!m.deleteRecords && m.mode != modeDynamic
}

// walk begins at the first field. ok is false where the row must go the long way.
func (e *encoding) walk() (w walk, ok bool) {
	d := &e.row.Value
	w = walk{f: e.to.flat, s: e.to.entity, m: &e.s.manner, b: e.data[d.Start : d.Start+d.Size]}
	switch d.Form {
	case wit.Structured:
		nodes := e.p.schemas[d.Schema]
		if w.k = w.f.kernel(w.s, w.m, d.Schema, nodes); w.k == nil {
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
			w.kind = null
			return true
		}
	}
	switch n.Kind {
	case wit.Int8, wit.Int16, wit.Int32, wit.Int64:
		return w.integer(uint(8) << (n.Kind - wit.Int8))
	case wit.Boolean:
		return w.boolean()
	case wit.Text:
		return w.block(text)
	case wit.Bytes:
		return w.block(raw)
	}
	size, err := datum.Skip(w.k.nodes, w.member.at, w.b[w.from:])
	w.kind, w.at = other, w.from+size
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
		if w.slot, ok = w.f.of(w.s, w.m, string(name)); !ok {
			return false
		}
		w.f.expected = append(w.f.expected[:min(w.next, len(w.f.expected))], expected{string(name), w.slot})
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
		w.kind = null
		return true
	case datum.TagFalse, datum.TagTrue:
		w.kind, w.number = truth, int64(tag-datum.TagFalse)
		return true
	case datum.TagInt8, datum.TagInt16, datum.TagInt32, datum.TagInt64:
		return w.integer(uint(8) << (tag - datum.TagInt8))
	case datum.TagText:
		return w.block(text)
	case datum.TagFloat32, datum.TagFloat64, datum.TagBytes, datum.TagInstant, datum.TagDecimal:
		_, size, err := datum.ReadDynamic(w.b[w.from:])
		w.kind, w.at = other, w.from+size
		return err == nil
	}
	return false // nested
}

func (w *walk) integer(bits uint) bool {
	n, size := datum.Number(w.b[w.at:])
	w.kind, w.number, w.bits = number, n, bits
	w.at += size
	return size > 0 && (n>>(bits-1) == 0 || n>>(bits-1) == -1)
}

func (w *walk) boolean() bool {
	if w.at >= len(w.b) || w.b[w.at] > 1 {
		return false
	}
	w.kind, w.number = truth, int64(w.b[w.at])
	w.at++
	return true
}

func (w *walk) block(kind kind) bool {
	content, size := datum.Block(w.b[w.at:])
	w.kind, w.bytes = kind, content
	w.at += size
	return size > 0 && (kind != text || utf8.Valid(content))
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
	case w.kind == text && (t == edm.String || t == edm.Guid):
		switch {
		case !w.fits(), w.slot.xml && !storable(w.bytes):
			return dst, false
		case w.slot.xml:
			return appendXML(dst, w.bytes), true
		}
		return jsontext.AppendText(dst, w.bytes), true
	case w.slot.xml && w.kind == number && (t == edm.DateTime || t == edm.DateTimeOffset) && w.unit() > 0:
		return value.AppendISO(dst, t, w.number*w.unit())
	}
	c, err := w.converted()
	switch w.misfit = err; {
	case err != nil, w.slot.xml && !storable(c.Text), !w.slot.xml && c.Micros != 0:
		return dst, false
	case w.slot.xml:
		return appendXML(dst, c.Text), true
	}
	return c.AppendJSON(dst), true
}

// directKeys finds the values of all key properties. ok is false where the row must go the long way; err is that of a
// value which is not one of its property's.
func (e *encoding) directKeys() (ok bool, err error) {
	w, ok := e.walk()
	if !ok || w.f.keys == 0 {
		return false, nil
	}
	e.keys = e.p.ofKey.ofRow[:0]
	for range w.f.keys {
		e.keys = append(e.keys, keyValue{})
	}
	e.p.ofKey.ofRow = e.keys
	for found := 0; found < w.f.keys; {
		if w.done() || !w.field() {
			return false, nil
		}
		c := w.slot
		if c == nil || c.key < 0 || e.keys[c.key].property != nil {
			continue
		}
		k := &e.keys[c.key]
		k.property = c.property
		switch {
		case w.kind == null:
			return false, nil
		case w.kind == number && c.bounded && !w.timed() && w.number >= c.least && w.number <= c.most:
			k.value = value.Converted{Type: c.property.Type.Primitive, Text: strconv.FormatInt(w.number, 10)}
		default:
			if k.value, err = w.converted(); err == errUnread {
				return false, nil
			}
			if err != nil {
				return false, e.unfit(&w, err)
			}
		}
		found++
	}
	return true, nil
}

// unfit is the refusal of a row by the value that it has for a key property, in the words of what would have taken it;
// nil where the long way has them. The record's key may contradict the others of several key properties.
func (e *encoding) unfit(w *walk, err error) error {
	name := w.slot.property.Name
	switch {
	case w.f.keys > 1:
		return nil
	case e.s.mode != modeInsert:
		return refuse("key property " + name + ": " + err.Error())
	case w.next > 1: // a field before it may be the first that does not fit
		_, _, err := e.directBody(false)
		return err
	}
	return refuse(name + ": " + err.Error())
}

// directBody writes the row's value. ok is false where the row must go the long way; err is that of a value which is
// not one of its property's.
func (e *encoding) directBody(updates bool) (body []byte, ok bool, err error) {
	w, ok := e.walk()
	if !ok {
		return nil, false, nil
	}
	if body, ok = e.object(&w, updates); !ok && w.misfit != nil {
		return nil, false, refuse(w.slot.property.Name + ": " + w.misfit.Error())
	}
	return body, ok, nil
}

// object writes a row, from its first field on. [encode.Room] bytes of memory are after it.
func (e *encoding) object(w *walk, updates bool) (body []byte, ok bool) {
	want := min(2*e.p.body.longest, maxChunk/2)
	chunk := max(bodiesChunk, 2*want, min(2*cap(e.p.body.chunk), maxChunk))
	if size := int(e.row.Value.Size); size > bodiesChunk {
		want = size + size/8 + bodiesChunk
		chunk = want
	}
	if free := cap(e.p.body.chunk) - len(e.p.body.chunk); free < want || free == 0 {
		e.p.body.chunk = make([]byte, 0, chunk)
	}
	start := len(e.p.body.chunk)
	dst, ok := e.members(w, updates, append(e.p.body.chunk, w.f.opening...))
	switch {
	case !ok:
		return nil, false
	case w.f.opening != nil:
		dst = append(dst, w.f.ending...)
	case len(dst) == start:
		dst = append(dst, "{}"...)
	default:
		dst[start] = '{' // the first member has a comma before it, as all have
		dst = append(dst, '}')
	}
	if cap(dst)-len(dst) < encode.Room {
		dst = slices.Grow(dst, encode.Room)
	}
	e.p.body.chunk = dst
	e.p.body.longest = max(e.p.body.longest, len(dst)-start)
	return dst[start:len(dst):len(dst)], true
}

// bodiesChunk is the least memory that bodies are written to, several to a piece, and maxChunk the most: a row that
// is large has one for itself, and those after it none of its size.
const bodiesChunk, maxChunk = 64 << 10, 1 << 20
