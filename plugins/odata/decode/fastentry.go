package decode

import (
	"bytes"
	"unsafe"

	"github.com/culvert-project/culvert/plugins/odata/decode/fast"
)

// The fast path: rows like those before them are read by comparing what stands between values with what stood there last time,
// whole words at a time, and going straight to the values. It does only what the plain parser would have done with the same
// bytes; where anything else turns up it gives the row, or one property of it, to the plain parser and goes on with the next.
// fast.Room zero bytes behind the text end every scan, so a row that is cut off is given up too, and tried again with more text.

// fastKind says how an entry's value is read.
type fastKind uint8

const (
	// fastSlow: by the plain parser.
	fastSlow fastKind = iota
	fastText
	fastInteger
	fastDecimal
	fastDouble
	fastBoolean
	fastMoment
	fastGUID
	// fastSkip: not a column, its value is passed.
	fastSkip
	// fastEnd is the end of the row.
	fastEnd
)

// fastEntry is one thing that may stand in a row: a property, a member to be passed, the end.
type fastEntry struct {
	// words is the text in front of the value, masks what of it counts; JSON: separator, name, colon; Atom: start tag.
	// bias is not 0 while nothing was learned, or when the text is longer than the words hold.
	words, masks [3]uint64
	bias         uint64
	size         int
	// next is what came behind it.
	next *fastEntry
	kind fastKind
	// optional is 1 if a branch number precedes the value, width the size of the last text's length
	optional, width int
	column          int
	low, high       int64
	scale, digits   int

	// close is the end tag, null what stands for null; Atom only.
	close, null fastMark

	// text is words in full.
	text []byte
	name []byte
	c    *Column
	// skip is the value of a member to be passed.
	skip fast.Template
	// free: nothing about the value of a member to be passed matters
	free bool
	// candidate came behind it lately, times times
	candidate *fastEntry
	times     int
	// lessons is how often it may still learn.
	lessons int
}

// fastMark is a short text to be compared.
type fastMark struct {
	words, masks [3]uint64
	bias         uint64
	size         int
	text         []byte
}

func (m *fastMark) learn(text []byte) {
	ok := false
	m.words, m.masks, ok = fast.Words(text)
	m.text = append(m.text[:0], text...)
	m.size, m.bias = len(text), 0
	if !ok {
		m.bias = 1
	}
}

// at tells whether the mark stands at p.
func (m *fastMark) at(in unsafe.Pointer, p int) bool {
	if m.bias != 0 {
		return len(m.text) > 0 && startsWith(in, p, m.text)
	}
	return (fast.Load(in, p)^m.words[0])&m.masks[0]|(fast.Load(in, p+8)^m.words[1])&m.masks[1]|(fast.Load(in, p+16)^m.words[2])&m.masks[2] == 0
}

// lessonsAtMost bounds how often an entry learns, since learning costs more than a row: a page that changes all the time is
// read by looking names up.
const lessonsAtMost = 64

// learn remembers the text in front of an entry's value.
func (e *fastEntry) learn(text []byte) {
	if e.lessons == 0 {
		return
	}
	e.lessons--
	ok := false
	e.words, e.masks, ok = fast.Words(text)
	e.text = append(e.text[:0], text...)
	e.size, e.bias = len(text), 0
	if !ok {
		e.bias = 1
	}
}

// startsWith tells whether text stands at p.
func startsWith(in unsafe.Pointer, p int, text []byte) bool {
	for len(text) >= 8 {
		if fast.Load(in, p) != *(*uint64)(unsafe.Pointer(&text[0])) {
			return false
		}
		p, text = p+8, text[8:]
	}
	for i, c := range text {
		if fast.Byte(in, p+i) != c {
			return false
		}
	}
	return true
}

// fastRows is what the fast paths of both formats share.
type fastRows struct {
	l       *Layout
	usable  bool
	entries []fastEntry
	end     fastEntry
	head    fastEntry
	// skips are entries that are no columns.
	skips []*fastEntry
	table []*fastEntry
	mask  uint64
	names int

	// spans are where the columns of the row are in the output; stamps tell which of them were given in this row
	spans  []span
	stamps []uint32
	row    uint32

	// reported: some skips are properties that this page has reported as unknown
	reported bool

	buf []byte
	out *Output
}

// newFastRows prepares for a layout.
func newFastRows(l *Layout) fastRows {
	n := len(l.Columns)
	f := fastRows{l: l, usable: n > 0, entries: make([]fastEntry, n), spans: make([]span, n), stamps: make([]uint32, n)}
	f.rehash(4 * n)
	f.end.kind, f.end.bias, f.end.lessons = fastEnd, 1, lessonsAtMost
	f.head.bias = 1
	last := &f.head
	for i := range l.Columns {
		e := &f.entries[i]
		e.column, e.c, e.name = i, &l.Columns[i], []byte(l.Columns[i].Name)
		e.bias, e.lessons, e.width = 1, lessonsAtMost, 1
		e.configure(l)
		if e.c.Shape != Blank {
			last.next, last = e, e
			f.insert(e)
		}
	}
	last.next = &f.end
	return f
}

// configure chooses how the column's values are read.
func (e *fastEntry) configure(l *Layout) {
	c := e.c
	if c.Optional {
		e.optional = 1
	}
	if c.Shape != Primitive || len(c.steps) > 0 {
		return
	}
	switch c.Type {
	case EdmString:
		e.kind = fastText
	case EdmByte, EdmSByte, EdmInt16, EdmInt32, EdmInt64:
		e.kind = fastInteger
		bounds := integerBounds[c.Type]
		e.low, e.high = bounds[0], bounds[1]
	case EdmDecimal:
		if c.As == AsUsual && c.Scale >= 0 && c.Scale <= 18 {
			e.kind, e.scale, e.digits = fastDecimal, c.Scale, c.Precision
		}
	case EdmDouble:
		e.kind = fastDouble
	case EdmBoolean:
		e.kind = fastBoolean
	case EdmDateTime, EdmDateTimeOffset:
		if c.As == AsUsual && (l.Local == nil || c.Type == EdmDateTimeOffset) {
			e.kind = fastMoment
		}
	case EdmGuid:
		e.kind = fastGUID
	}
}

var integerBounds = map[Edm][2]int64{EdmByte: {0, 255}, EdmSByte: {-128, 127}, EdmInt16: {-32768, 32767},
	EdmInt32: {-2147483648, 2147483647}, EdmInt64: {-9223372036854775808, 9223372036854775807}}

// hash of a name that stands at p.
func hashAt(in unsafe.Pointer, p, size int) uint64 {
	w := fast.Load(in, p)
	if size < 8 {
		w &= 1<<(8*size) - 1
	}
	h := w * 0x9e3779b97f4a7c15
	if size > 8 {
		h ^= fast.Load(in, p+size-8) * 0xc2b2ae3d27d4eb4f
	}
	h += uint64(size) * 0x165667b19e3779f9
	return h ^ h>>29
}

// rehash makes the table of names anew, with room for n of them.
func (f *fastRows) rehash(n int) {
	size := 16
	for size < n {
		size *= 2
	}
	old := f.table
	f.table, f.mask, f.names = make([]*fastEntry, size), uint64(size-1), 0
	for _, e := range old {
		if e != nil {
			f.insert(e)
		}
	}
}

func (f *fastRows) insert(e *fastEntry) {
	if 2*f.names > len(f.table) {
		f.rehash(2 * len(f.table))
	}
	padded := append(bytes.Clone(e.name), make([]byte, 8)...)
	h := hashAt(unsafe.Pointer(&padded[0]), 0, len(e.name))
	for f.table[h&f.mask] != nil {
		h++
	}
	f.table[h&f.mask] = e
	f.names++
}

// lookup finds the entry of a name at p, nil if there is none.
func (f *fastRows) lookup(in unsafe.Pointer, p, size int) *fastEntry {
	for h := hashAt(in, p, size); ; h++ {
		e := f.table[h&f.mask]
		if e == nil || len(e.name) == size && startsWith(in, p, e.name) {
			return e
		}
	}
}

// skipsAtMost bounds how many members that are no columns are remembered.
const skipsAtMost = 200

// newSkip makes an entry for a member that is no column; free: its value may be anything.
func (f *fastRows) newSkip(name []byte, free bool) *fastEntry {
	if len(f.skips) == skipsAtMost {
		return nil
	}
	e := &fastEntry{kind: fastSkip, name: bytes.Clone(name), bias: 1, lessons: lessonsAtMost, free: free}
	f.skips = append(f.skips, e)
	f.insert(e)
	return e
}

// follows notes that e came behind prev. A guess is changed when another was right three times running: a page without its
// nulls must not spoil the order.
func (prev *fastEntry) follows(e *fastEntry) {
	const enough = 3
	if e.next == nil && e.kind == fastSkip {
		e.next, prev.next = prev.next, e
		return
	}
	if prev.candidate != e {
		prev.candidate, prev.times = e, 0
	}
	if prev.times++; prev.times >= enough {
		prev.next, prev.times = e, 0
	}
}

// room makes sure that the output can take what is left of the text, and writes the sentinel behind the text.
func (f *fastRows) room(out *Output, text int) {
	need := len(out.Data) + text + 48*len(f.l.Columns) + 2*fast.Room
	if cap(out.Data) >= need {
		return
	}
	grown := make([]byte, len(out.Data), need+need/4)
	copy(grown, out.Data)
	out.Data = grown
}

// nulls writes null for the columns from..to-1, which the row leaves out; o is the place in the output, -1: one is not nullable.
func (f *fastRows) nulls(arena unsafe.Pointer, o, from, to int) int {
	for ; from < to; from++ {
		if f.entries[from].optional == 0 {
			return -1
		}
		fast.Put(arena, o, 0)
		f.spans[from] = span{o, o + 1}
		o++
	}
	return o
}

// sort puts the columns of a row, which came in another order, in theirs; those not given are null. It returns the end of the
// row in the output, -1 if a column is not nullable. The row is from start to o.
func (f *fastRows) sort(arena unsafe.Pointer, start, o int) int {
	p := o
	for i := range f.spans {
		if f.stamps[i] != f.row {
			if f.entries[i].optional == 0 {
				return -1
			}
			fast.Put(arena, p, 0)
			f.spans[i] = span{p, p + 1}
			p++
			continue
		}
		s := f.spans[i]
		size := s.end - s.start
		if size <= 16 {
			fast.Store(arena, p, fast.Load(arena, s.start))
			fast.Store(arena, p+8, fast.Load(arena, s.start+8))
		} else {
			copy(unsafe.Slice((*byte)(unsafe.Add(arena, p)), size), unsafe.Slice((*byte)(unsafe.Add(arena, s.start)), size))
		}
		f.spans[i] = span{p, p + size}
		p += size
	}
	size := p - o
	copy(unsafe.Slice((*byte)(unsafe.Add(arena, start)), size), unsafe.Slice((*byte)(unsafe.Add(arena, o)), size))
	for i := range f.spans {
		f.spans[i].start -= o - start
		f.spans[i].end -= o - start
	}
	return start + size
}
