package decode

import (
	"bytes"
	"encoding/binary"
	"math"
	"slices"
	"unsafe"

	"github.com/culvert-project/culvert/plugins/odata/decode/fast"
	"github.com/culvert-project/culvert/plugins/odata/edm"
	"github.com/culvert-project/culvert/wit"
)

// The fast path: rows like those before them are read by comparing what stands between values with what stood there
// last time, whole words at a time, and going straight to the values. It does only what the plain parser would have
// done with the same bytes; where anything else turns up it gives the row, or one property of it, to the plain parser
// and goes on with the next. fast.Room zero bytes behind the text end every scan, so a row that is cut off is given up
// too, and tried again with more text.

// fastEntry is one thing that may stand in a row, with what is needed to learn it.
type fastEntry struct {
	fast.Entry
	// open is the text of Open in full; name is the member's, or the element's with its prefix.
	open, name []byte
	c          *Column
	skip       fast.Template
	// free: nothing about the value of a member to be passed matters
	free bool
	// lessons is how often it may still learn.
	lessons int
}

func entryOf(e *fast.Entry) *fastEntry { return (*fastEntry)(unsafe.Pointer(e)) }

// maxLessons bounds how often an entry learns, since learning costs more than a row: a page that changes all the
// time is read by looking names up.
const maxLessons = 64

// learn remembers the text in front of an entry's value.
func (e *fastEntry) learn(text []byte) {
	if e.lessons == 0 || bytes.Equal(text, e.open) {
		return
	}
	e.lessons--
	e.open = append(e.open[:0], text...)
	e.Open = fast.NewMark(text)
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
	l       *RowLayout
	entries []fastEntry
	// head stands in front of the first entry, end for the end of the row.
	head, end fastEntry
	// skips are entries that are no columns.
	skips []*fastEntry
	table []*fastEntry
	mask  uint64
	names int

	row fast.Row
	// spans are where the columns of the row are in the output; stamps tell which of them the row has given
	spans             []textRange
	stamps, optionals []uint64
	// reported: some skips are properties that this page has reported as unknown
	reported bool

	buf []byte
	out *Output
	// taken counts rows, for tests
	taken int
	// stopped is where in the text the last try failed, -1: it did not, or not for what stands there.
	stopped int
	// cutRow is where in the page the last row stood that the end of the text, at cutEnd there, had cut off; 0: none.
	cutRow, cutEnd int64
	// failures is how many tries failed running, rest how many rows are left to the plain parser for that.
	failures, rest int
}

// cut tells whether the last try failed at the end of the text: more of it will do what the plain parser cannot.
func (f *fastRows) cut() bool { return f.stopped >= 0 && f.stopped+fast.Room > len(f.buf) }

// failed takes it down that a try failed at p.
func (f *fastRows) failed(p int) { f.stopped = max(f.stopped, p) }

// gaveUp takes it down that the row at p could not be read.
func (f *fastRows) gaveUp(s *stream, p int) {
	f.failed(f.row.P)
	if f.cut() {
		f.cutRow, f.cutEnd = s.base+int64(p), s.base+int64(len(s.buf))
	}
}

// waits tells whether the row at p is known to be cut off by the end of the text.
func (f *fastRows) waits(s *stream, p int) bool {
	return f.cutEnd == s.base+int64(len(s.buf)) && f.cutRow == s.base+int64(p)
}

// worthwhile tells whether to try the next row: where many tries failed running, only some rows are tried.
func (f *fastRows) worthwhile() bool {
	if f.rest > 0 {
		f.rest--
		return false
	}
	return true
}

// tried notes whether tries read a row.
func (f *fastRows) tried(progress bool) {
	const many, most = 8, 32
	switch {
	case progress:
		f.failures = 0
	case f.rest == 0:
		if f.failures++; f.failures >= many {
			f.rest = min(f.failures, most)
		}
	}
}

// init prepares for a layout.
func (f *fastRows) init(l *RowLayout) {
	n := len(l.Columns)
	*f = fastRows{l: l, entries: make([]fastEntry, n), spans: make([]textRange, n+1), stamps: make([]uint64, n+1),
		optionals: make([]uint64, n+1)}
	f.rehash(4 * n)
	f.end.Kind, f.end.Open.Bias, f.end.Null.Bias, f.end.lessons = fast.End, 1, 1, maxLessons
	f.end.Next = &f.end.Entry
	last := &f.head
	for i := range l.Columns {
		e := &f.entries[i]
		e.Column, e.c, e.name = i, &l.Columns[i], []byte(l.Columns[i].Name)
		e.Open.Bias, e.Null.Bias, e.Close.Bias = 1, 1, 1
		e.lessons, e.Width = maxLessons, 1
		e.configure(l)
		f.optionals[i] = uint64(e.Optional)
		if e.c.Shape != Blank {
			last.Next, last = &e.Entry, e
		}
	}
	last.Next = &f.end.Entry
	f.row.Use()
	f.row.Head = &f.head.Entry
	f.row.Columns, f.row.Hidden = n, -1
	if len(l.Keys) > 0 {
		f.row.KeyFirst, f.row.KeyLast = 16*l.Keys[0], 16*l.Keys[len(l.Keys)-1]+8
	}
	if l.Visible < n {
		f.row.Hidden = 16 * l.Visible
	}
	f.row.Spans, f.row.Stamps, f.row.Optionals = unsafe.Pointer(&f.spans[0]), unsafe.Pointer(&f.stamps[0]),
		unsafe.Pointer(&f.optionals[0])
}

// begin starts a row at p, to be written at o.
func (f *fastRows) begin(p, o int) *fast.Row {
	r := &f.row
	r.In, r.Arena = unsafe.Pointer(unsafe.SliceData(f.buf)), unsafe.Pointer(unsafe.SliceData(f.out.Data))
	r.P, r.O, r.AtValue, r.Expected, r.Mixed = p, o, 0, 0, 0
	r.From, r.Start = p, o
	r.Before, r.Entry = &f.head.Entry, f.head.Next
	r.Stamp++
	return r
}

// several has the kernel make rows of its own as long as all is regular, where the layout allows it.
func (f *fastRows) several(page *Page) {
	r := &f.row
	r.Made, r.Most = 0, 0
	if !f.l.regular() {
		return
	}
	const some = 64
	r.KeyForm = uint64(wit.Structured) | uint64(f.l.KeySchema)<<32
	r.ValueForm = uint64(wit.Structured) | uint64(f.l.ValueSchema)<<32
	f.out.Rows = slices.Grow(f.out.Rows, some)
	n := len(f.out.Rows)
	r.Rows, r.Most = unsafe.Pointer(&f.out.Rows[:n+1][n]), some
	r.Origin = uint64(page.Rows)
	r.Slack = cap(f.out.Data) - len(f.buf) - 48*len(f.entries) - 2*fast.Room
}

// configure chooses how the column's values are read.
func (e *fastEntry) configure(l *RowLayout) {
	c := e.c
	if c.Optional {
		e.Optional = 1
	}
	if c.Shape != Primitive {
		return
	}
	switch c.Type {
	case edm.String:
		e.Kind = fast.Text
	case edm.Byte, edm.SByte, edm.Int16, edm.Int32, edm.Int64:
		e.Kind = fast.Integer
		bounds := integerBounds[c.Type]
		e.Low, e.High = bounds[0], bounds[1]
	case edm.Time:
		e.Kind = fast.Clock
	case edm.Decimal:
		switch {
		case c.As == AsFloat64:
			e.Kind = fast.Double
		case c.As == AsInt64:
			e.Kind, e.Low, e.High = fast.Integer, math.MinInt64, math.MaxInt64
			if c.Precision > 0 && c.Precision < 19 {
				e.High = 9
				for range c.Precision - 1 {
					e.High = e.High*10 + 9
				}
				e.Low = -e.High
			}
		case c.Scale >= 0 && c.Scale <= 18:
			e.Kind, e.Scale, e.Limit = fast.Decimal, c.Scale, 1<<63
			if c.Precision > 0 && c.Precision < 19 {
				e.Limit = 1
				for range c.Precision {
					e.Limit *= 10
				}
			}
		}
	case edm.Double:
		e.Kind = fast.Double
	case edm.Boolean:
		e.Kind = fast.Boolean
	case edm.DateTime, edm.DateTimeOffset:
		if c.As == AsUsual && c.Zone == nil {
			e.Kind = fast.Moment
		}
	case edm.Guid:
		e.Kind = fast.GUID
	}
}

var integerBounds = map[edm.Primitive][2]int{edm.Byte: {0, 255}, edm.SByte: {-128, 127}, edm.Int16: {-32768, 32767},
	edm.Int32: {-2147483648, 2147483647}, edm.Int64: {-9223372036854775808, 9223372036854775807}}

// rehash makes the table of names anew, with room for n of them.
func (f *fastRows) rehash(n int) {
	size := 16
	for size < n {
		size *= 2
	}
	old := f.table
	f.table, f.mask, f.names = make([]*fastEntry, size), uint64(size-1), 0
	f.row.Table, f.row.Mask = unsafe.Pointer(&f.table[0]), f.mask
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
	h := fast.Hash(unsafe.Pointer(&padded[0]), 0, len(e.name))
	for f.table[h&f.mask] != nil {
		h++
	}
	f.table[h&f.mask] = e
	f.names++
}

// lookup finds the entry of a name at p, nil if there is none.
func (f *fastRows) lookup(in unsafe.Pointer, p, size int) *fastEntry {
	for h := fast.Hash(in, p, size); ; h++ {
		e := f.table[h&f.mask]
		if e == nil || len(e.name) == size && startsWith(in, p, e.name) {
			return e
		}
	}
}

// maxSkips bounds how many members that are no columns are remembered.
const maxSkips = 200

// newSkip makes an entry for a member that is no column; free: its value may be anything.
func (f *fastRows) newSkip(name []byte, free bool) *fastEntry {
	if len(f.skips) == maxSkips {
		return nil
	}
	e := &fastEntry{name: bytes.Clone(name), lessons: maxLessons, free: free}
	e.Kind, e.Open.Bias, e.Null.Bias, e.Close.Bias = fast.Skip, 1, 1, 1
	f.skips = append(f.skips, e)
	f.insert(e)
	return e
}

// followedBy notes that next came behind e, where something else was expected.
func (e *fastEntry) followedBy(next *fastEntry) {
	if next.Next == nil {
		next.Next, e.Next = e.Next, &next.Entry
		return
	}
	fast.Follows(&e.Entry, &next.Entry)
}

// room makes sure that the output can take what is left of the text.
func (f *fastRows) room(out *Output, text int) {
	need := len(out.Data) + text + 48*len(f.l.Columns) + 2*fast.Room
	if cap(out.Data) >= need {
		return
	}
	grown := make([]byte, len(out.Data), need+need/4)
	copy(grown, out.Data)
	out.Data = grown
}

// grow makes room for n more bytes behind o in the output, whose bytes up to o count.
func (f *fastRows) grow(out *Output, o, n int) {
	size := len(out.Data)
	grown := make([]byte, o, (o+n)*5/4)
	copy(grown, out.Data[:o])
	out.Data = grown[:size]
}

// finish completes a row whose members were read: columns left out are null, and all are in order. It returns the row's
// end in the output, -1: a column that must not be null is.
func (f *fastRows) finish(start int) int {
	r := &f.row
	if r.Mixed == 0 {
		return f.nulls(r.O, r.Expected)
	}
	if need := r.O - start + len(f.spans) + 2*fast.Room; cap(f.out.Data)-r.O < need {
		f.grow(f.out, r.O, need)
	}
	r.Arena = unsafe.Pointer(unsafe.SliceData(f.out.Data))
	return fast.Sort(r, start, len(f.entries))
}

// count writes the number of items of an array whose bytes are from from+1 to o, and its end; it returns the place
// behind.
func (f *fastRows) count(from, o, count int) int {
	if count == 0 {
		f.out.Data[:from+1][from] = 0
		return from + 1
	}
	var number [10]byte
	width := binary.PutUvarint(number[:], uint64(count)<<1)
	if width > 1 && cap(f.out.Data)-o < width+fast.Room {
		f.grow(f.out, o, width+fast.Room)
	}
	data := f.out.Data[: o+width : cap(f.out.Data)]
	if width > 1 {
		copy(data[from+width:], data[from+1:o])
	}
	copy(data[from:], number[:width])
	data[o+width-1] = 0
	return o + width
}

// nulls writes null for the columns behind those given.
func (f *fastRows) nulls(o, from int) int {
	for ; from < len(f.entries); from++ {
		if f.optionals[from] == 0 {
			return -1
		}
		fast.Put(f.row.Arena, o, 0)
		f.spans[from] = textRange{o, o + 1}
		o++
	}
	return o
}

// seal writes the length in front of a text that has moved or is longer than was guessed, and returns the place behind
// the text.
func (f *fastRows) seal() int {
	r := &f.row
	n, o := r.Size, r.O+r.Entry.Optional
	var length [10]byte
	width := binary.PutUvarint(length[:], uint64(n)<<1)
	if from := o + r.Entry.Width; width != r.Entry.Width {
		copy(unsafe.Slice((*byte)(unsafe.Add(r.Arena, o+width)), n), unsafe.Slice((*byte)(unsafe.Add(r.Arena, from)),
			n))
		r.Entry.Width = width
	}
	copy(unsafe.Slice((*byte)(unsafe.Add(r.Arena, o)), width), length[:])
	return o + width + n
}
