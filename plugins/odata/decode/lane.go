package decode

import (
	"bytes"
	"encoding/binary"
	"math"
	"slices"
	"unsafe"

	"github.com/culvert-project/culvert/plugins/odata/datetime"
	"github.com/culvert-project/culvert/plugins/odata/decode/fast"
	"github.com/culvert-project/culvert/plugins/odata/edm"
	"github.com/culvert-project/culvert/plugins/odata/scan"
	"github.com/culvert-project/culvert/wit"
)

// lane is the fast lane: it reads rows that are like those before them. Its entries are the program of a kernel
// (package fast): one for each thing that may stand in a row, with the text before and after its value, and how the
// value is read. They are learned from rows that the plain parser has read, and do only what that would have done with
// the same bytes: where anything else turns up, the row, or one value of it, is the plain parser's. fast.Room zero
// bytes after the text end every scan, so a row that is cut off is given up too, and tried again with more text.
//
// Invariants: entries[i] is that of the layout's column i; the table holds each entry whose name is known once; no Next
// is nil of an entry that has a mark. spans, stamps and optionals are the row's, by column.
type lane struct {
	form    form
	l       *RowLayout
	entries []entry
	// head stands in front of the first entry, end for the end of the row.
	head, end entry
	// names are the entries by name, skips how many of them are no columns; table is the kernel's form of them.
	names map[string]*entry
	skips int
	table []*entry

	row               fast.Row
	spans             []textRange
	stamps, optionals []uint64
	// unused is where the kernel writes rows of structures, which are none.
	unused []wit.Row

	buf []byte
	out *Output
	effort
}

// form is what differs between JSON and Atom, of a lane or of one of the structures inside.
type form interface {
	// read reads the row at p and writes its columns at o. It returns the place after it; false: the plain parser must
	// read it.
	read(p, o int) (int, bool)
	// after goes from the end of a row to the next one, or after the end of the rows; false: it is not as it should be.
	after(p int) (next int, closed, ok bool)
	// memberEnd is where the member ends that is no column and whose value is at r.P; 0: the plain parser must read the
	// row. It makes t, if there is one, a template of the value, if it can be one.
	memberEnd(r *fast.Row, t *fast.Template) (end int)
	// structure reads the structure at r.P; false: there is none, or the plain parser must read it.
	structure(r *fast.Row) bool
	// plain has the plain parser read the value at r.P: it is appended to dst, and ends at end.
	plain(r *fast.Row, dst []byte) (out []byte, end int, ok bool)
}

// effort is how much a lane has tried, and what came of it.
type effort struct {
	// taken counts rows that the lane read, learned those that it learned from.
	taken, learned int
	// stopped is where in the text the last try failed, -1: it did not, or not for what stands there.
	stopped int
	// cutRow is where in the page the last row stood that the end of the text, at cutEnd there, had cut off; 0: none.
	cutRow, cutEnd int64
	// failures is how many tries failed running, rest how many rows are left to the plain parser for that.
	failures, rest int
	// reported: some skips are properties that this page has reported as unknown
	reported bool
}

// entry is one thing that may stand in a row, with what is needed to learn it.
type entry struct {
	fast.Entry
	c    *Column
	name []byte
	// kind is how values of the column are read where their text is as usual; inside is how many bytes of Open belong
	// to the value.
	kind, inside int
	skip         fast.Template
	// templates is how many more of a value to be passed may be learned; free: nothing about the value matters.
	templates int
	free      bool
}

func entryOf(e *fast.Entry) *entry { return (*entry)(unsafe.Pointer(e)) }

// maxLessons bounds how many rows a lane learns from, and how many templates one entry does, besides one row of 16
// that it reads: learning costs more than a row.
const maxLessons = 64

// mayLearn reports whether one more lesson is worth it, and counts it.
func (e *effort) mayLearn() bool {
	if e.learned >= maxLessons+e.taken/16 {
		return false
	}
	e.learned++
	return true
}

// init prepares for a layout.
func (f *lane) init(form form, l *RowLayout, markup int) {
	n := len(l.Columns)
	*f = lane{form: form, l: l, entries: make([]entry, n), names: map[string]*entry{}, spans: make([]textRange, n+1),
		stamps: make([]uint64, n+1), optionals: make([]uint64, n+1)}
	f.rehash(4 * n)
	f.end.unlearn(fast.End)
	f.end.Next = &f.end.Entry
	last := &f.head
	for i := range l.Columns {
		e := &f.entries[i]
		e.Column, e.c, e.Width = i, &l.Columns[i], 1
		e.unlearn(e.configure(markup))
		f.optionals[i] = uint64(e.Optional)
		if e.c.Shape != Blank {
			last.Next, last = &e.Entry, e
		}
	}
	last.Next = &f.end.Entry
	r := &f.row
	r.Use()
	r.Markup, r.Head, r.Columns, r.Hidden = markup, &f.head.Entry, n, -1
	if len(l.Keys) > 0 {
		r.KeyFirst, r.KeyLast = 16*l.Keys[0], 16*l.Keys[len(l.Keys)-1]+8
	}
	if l.Visible < n {
		r.Hidden = 16 * l.Visible
	}
	r.Spans, r.Stamps, r.Optionals = unsafe.Pointer(&f.spans[0]), unsafe.Pointer(&f.stamps[0]),
		unsafe.Pointer(&f.optionals[0])
}

// unlearn gives an entry its kind, and no marks.
func (e *entry) unlearn(kind int) {
	e.kind, e.Kind, e.templates = kind, kind, maxLessons
	e.Open, e.Null, e.Close = fast.NoMark, fast.NoMark, fast.NoMark
}

// configure chooses how the column's values are read.
func (e *entry) configure(markup int) (kind int) {
	c := e.c
	if c.Optional {
		e.Optional = 1
	}
	if c.Shape != Primitive {
		return fast.Slow
	}
	switch c.Type {
	case edm.String:
		return fast.Quoted + markup
	case edm.Byte, edm.SByte, edm.Int16, edm.Int32, edm.Int64:
		least, most, _ := c.Type.Bounds()
		e.Low, e.High = int(least), int(most)
		return fast.Integer
	case edm.Time:
		return fast.Clock
	case edm.Decimal:
		return e.decimal()
	case edm.Double:
		return fast.Double
	case edm.Boolean:
		return fast.Boolean
	case edm.DateTime, edm.DateTimeOffset:
		if c.As == AsUsual && c.Zone == nil {
			e.Low, e.High = datetime.FirstMs, datetime.LastMs
			return fast.Moment
		}
	case edm.Guid:
		return fast.GUID
	}
	return fast.Slow
}

// decimal is configure for a Decimal.
func (e *entry) decimal() (kind int) {
	c := e.c
	limit := uint64(1 << 63)
	if c.Precision > 0 && c.Precision < 19 {
		limit = 1
		for range c.Precision {
			limit *= 10
		}
	}
	switch {
	case c.As == AsFloat64:
		return fast.Double
	case c.As == AsInt64:
		e.High = int(limit - 1)
		e.Low = -e.High
		if limit == 1<<63 {
			e.Low = math.MinInt64
		}
		return fast.Integer
	case c.Scale >= 0 && c.Scale <= 18:
		e.Scale, e.Limit = c.Scale, limit
		return fast.Decimal
	}
	return fast.Slow
}

// rehash makes the table of names, with room for n of them.
func (f *lane) rehash(n int) {
	size := 16
	for size < n {
		size *= 2
	}
	f.table = make([]*entry, size)
	f.row.Table, f.row.Mask = unsafe.Pointer(&f.table[0]), uint64(size-1)
	f.insert(&f.end)
	for _, e := range f.names {
		f.insert(e)
	}
}

// add makes an entry known by a name.
func (f *lane) add(e *entry, name []byte) {
	e.name = bytes.Clone(name)
	f.names[string(name)] = e
	if 2*len(f.names) > len(f.table) {
		f.rehash(2 * len(f.table))
		return
	}
	f.insert(e)
}

func (f *lane) insert(e *entry) {
	padded := append(bytes.Clone(e.name), make([]byte, 8)...)
	at := fast.Hash(unsafe.Pointer(&padded[0]), 0, len(e.name))
	for f.table[at&f.row.Mask] != nil {
		at++
	}
	f.table[at&f.row.Mask] = e
}

// maxSkips bounds how many members that are no columns are remembered.
const maxSkips = 200

// newSkip makes an entry for a member that is no column; free: its value may be anything.
func (f *lane) newSkip(name []byte, free bool) *entry {
	if f.skips == maxSkips || len(name) == 0 {
		return nil
	}
	f.skips++
	e := &entry{free: free}
	e.unlearn(fast.Skip)
	f.add(e, name)
	return e
}

// followedBy notes that next came after e.
func (e *entry) followedBy(next *entry) {
	switch {
	case next.Next == nil:
		next.Next, e.Next = e.Next, &next.Entry
	case e.Next != &next.Entry:
		fast.Follows(&e.Entry, &next.Entry)
	}
}

// use has the lane read a text and write to an output.
func (f *lane) use(buf []byte, out *Output) { f.buf, f.out, f.stopped = buf, out, -1 }

// try reads as many rows as it can, from the one at p on, and returns where it stopped: in front of a row, or after the
// rows' end. progress is false if it could not read the row at p; the error is that more text must come first.
func (f *lane) try(s *stream, p int, out *Output) (next int, closed, progress bool, err *scan.Error) {
	if s.eager || s.leaving {
		return p, false, false, nil
	}
	if !s.ended && f.waits(s, p) {
		return p, false, false, scan.More
	}
	if f.worthwhile() {
		next, closed, progress = f.rows(s, p, out)
		f.tried(progress)
	}
	if !progress && !s.ended && f.cut(len(s.buf)) {
		return p, false, false, scan.More
	}
	return next, closed, progress, nil
}

func (f *lane) rows(s *stream, p int, out *Output) (next int, closed, progress bool) {
	f.use(s.buf, out)
	for {
		f.promise(p, len(out.Data))
		f.several(&s.page)
		q, ok := f.form.read(p, len(out.Data))
		progress = progress || f.row.Made > 0
		var start int
		p, start = f.made(s)
		if !ok {
			f.gaveUp(s, p)
			return p, false, progress
		}
		o := f.finish(start)
		if o < 0 {
			return p, false, progress
		}
		// What is after the row must be right, as the plain parser has it, before the row counts.
		next, closed, ok := f.form.after(q)
		if !ok || !f.finishRow(s, start, o) {
			return p, false, progress
		}
		progress = true
		if closed || next >= len(f.buf) {
			return next, closed, true
		}
		p = next
	}
}

// begin starts a row at p, to be written at o.
func (f *lane) begin(p, o int) *fast.Row {
	r := &f.row
	r.In, r.Arena = unsafe.Pointer(unsafe.SliceData(f.buf)), unsafe.Pointer(unsafe.SliceData(f.out.Data))
	r.P, r.O, r.Expected, r.Mixed = p, o, 0, 0
	r.From, r.Start = p, o
	r.Before, r.Entry = &f.head.Entry, f.head.Next
	r.First = ^uint64(0)
	if r.Markup == 0 {
		// of the separator in front of the first member, { stands for the comma
		r.First = ^uint64(0xff)
	}
	r.Stamp++
	return r
}

// several has the kernel go from one row to the next by itself as long as all is regular, where it is known what stands
// between rows, and make rows of them in out, if the layout allows it.
func (f *lane) several(page *Page) {
	r := &f.row
	r.Made, r.Most = 0, 0
	if !f.l.regular() || f.end.Skip == nil {
		return
	}
	const some = 64
	r.KeyForm = uint64(wit.WithSchema) | uint64(f.l.KeySchema)<<32
	r.ValueForm = uint64(wit.WithSchema) | uint64(f.l.ValueSchema)<<32
	f.out.Rows = slices.Grow(f.out.Rows, some)
	n := len(f.out.Rows)
	r.Rows, r.Most = unsafe.Pointer(&f.out.Rows[:n+1][n]), some
	r.Origin = uint64(page.Rows)
	r.Slack = cap(f.out.Data) - f.need(0)
}

// items is several for structures inside a row, of which no rows are made.
func (f *lane) items() {
	r := &f.row
	r.Made, r.Most = 0, 0
	if f.end.Skip == nil {
		return
	}
	if f.unused == nil {
		f.unused = make([]wit.Row, 16)
	}
	r.Rows, r.Most = unsafe.Pointer(&f.unused[0]), len(f.unused)
	r.Slack = cap(f.out.Data) - f.need(0)
}

// members reads members up to the row's end; false: the plain parser must read the row.
func (f *lane) members(r *fast.Row, root *effort) bool {
	for {
		switch fast.Read(r) {
		case fast.AtEnd:
			return true
		case fast.OddMember:
			if !f.pass(r) {
				return false
			}
		case fast.OddValue:
			if !f.form.structure(r) && (root.cut(len(f.buf)) || !f.slow(r)) {
				return false
			}
		case fast.Unsealed:
			if !r.Closed() {
				return false
			}
			r.Done(r.P, f.seal())
		default:
			return false
		}
	}
}

// pass passes a member that is no column, and learns a template of it.
func (f *lane) pass(r *fast.Row) bool {
	e := entryOf(r.Entry)
	t := &e.skip
	if e.templates == 0 {
		t = nil
	}
	end := f.form.memberEnd(r, t)
	if end > 0 && t != nil {
		e.templates--
		e.Skip = t.Program()
	}
	if end > 0 {
		r.Passed(end)
	}
	return end > 0
}

// slow lets the plain parser read one value.
func (f *lane) slow(r *fast.Row) bool {
	dst, end, ok := f.form.plain(r, f.out.Data[:r.O])
	if !ok {
		return false
	}
	f.out.Data = dst[:len(f.out.Data)]
	f.promise(end, len(dst))
	r.Done(end, len(dst))
	return true
}

// unreported takes back what the plain parser has reported in reading one value: it is to say so with the row. false:
// there was nothing.
func (s *stream) unreported(known int) bool {
	reported := s.page.Unknown[known:]
	for _, path := range reported {
		delete(s.unknown, path)
	}
	s.page.Unknown = s.page.Unknown[:known]
	return len(reported) > 0
}

// cut reports whether the last try failed at the end of the text, of so many bytes: more of it will do what the plain
// parser cannot.
func (e *effort) cut(size int) bool { return e.stopped >= 0 && e.stopped+fast.Room > size }

// failed takes it down that a try failed at p.
func (e *effort) failed(p int) { e.stopped = max(e.stopped, p) }

// gaveUp takes it down that the row at p could not be read.
func (f *lane) gaveUp(s *stream, p int) {
	f.failed(f.row.P)
	if f.cut(len(f.buf)) {
		f.cutRow, f.cutEnd = s.base+int64(p), s.base+int64(len(s.buf))
	}
}

// waits reports whether the row at p is known to be cut off by the end of the text.
func (e *effort) waits(s *stream, p int) bool {
	return e.cutEnd == s.base+int64(len(s.buf)) && e.cutRow == s.base+int64(p)
}

// worthwhile reports whether to try the next row: where many tries failed running, only some rows are tried.
func (e *effort) worthwhile() bool {
	if e.rest > 0 {
		e.rest--
		return false
	}
	return true
}

// tried notes whether tries read a row.
func (e *effort) tried(progress bool) {
	const many, most = 8, 32
	if progress {
		e.failures = 0
	} else if e.failures++; e.failures >= many {
		e.rest = min(e.failures, most)
	}
}

// need is how much room the text from p on may take in the output.
func (f *lane) need(p int) int { return len(f.buf) - p + 48*len(f.entries) + 2*fast.Room }

// promise makes room after o in the output, whose bytes up to o count, for the text from p on.
func (f *lane) promise(p, o int) {
	if cap(f.out.Data)-o < f.need(p) {
		f.grow(o, f.need(p))
	}
	f.row.Arena = unsafe.Pointer(unsafe.SliceData(f.out.Data))
}

// grow makes room for n more bytes after o.
func (f *lane) grow(o, n int) {
	size := len(f.out.Data)
	grown := make([]byte, o, (o+n)*5/4)
	copy(grown, f.out.Data[:o])
	f.out.Data = grown[:size]
}

// leave goes on after a structure, which ends at p in the text and at o in the output, if it was read.
func (f *lane) leave(r *fast.Row, p, o int, ok bool) bool {
	if !ok { // the output may have moved all the same
		r.Arena = unsafe.Pointer(unsafe.SliceData(f.out.Data))
		return false
	}
	f.promise(p, o)
	r.Done(p, o)
	return true
}

// finish completes a row whose members were read: columns left out are null, and all are in order. It returns the row's
// end in the output, -1: a column that must not be null is.
func (f *lane) finish(start int) int {
	r := &f.row
	if r.Mixed == 0 {
		return f.nulls(r.O, r.Expected)
	}
	if need := r.O - start + len(f.spans) + 2*fast.Room; cap(f.out.Data)-r.O < need {
		f.grow(r.O, need)
	}
	r.Arena = unsafe.Pointer(unsafe.SliceData(f.out.Data))
	return fast.Sort(r, start, len(f.entries))
}

// nulls writes null for the columns after those given.
func (f *lane) nulls(o, from int) int {
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

// made takes the rows that the kernel made by itself. It returns where the row at work begins in the text and in the
// output.
func (f *lane) made(s *stream) (p, start int) {
	n := f.row.Made
	f.out.Rows, f.out.Data = f.out.Rows[:len(f.out.Rows)+n], f.out.Data[:f.row.Start]
	s.page.Rows += uint32(n)
	f.taken += n
	return f.row.From, f.row.Start
}

// finishRow adds the row whose members were read, from start to o in the output.
func (f *lane) finishRow(s *stream, start, o int) bool {
	f.out.Data = f.out.Data[:o]
	if m := finishRow(f.out, f.l, s.page.Rows, start, f.spans[:len(f.entries)]); m != nil {
		f.out.Data = f.out.Data[:start]
		return false
	}
	s.page.Rows++
	f.taken++
	return true
}

// count writes the number of items of an array whose bytes are from from+1 to o, and its end; it returns the place
// after.
func (f *lane) count(from, o, count int) int {
	if count == 0 {
		f.out.Data[:from+1][from] = 0
		return from + 1
	}
	var number [10]byte
	width := binary.PutUvarint(number[:], uint64(count)<<1)
	if width > 1 && cap(f.out.Data)-o < width+fast.Room {
		f.grow(o, width+fast.Room)
	}
	data := f.out.Data[: o+width : cap(f.out.Data)]
	if width > 1 {
		copy(data[from+width:], data[from+1:o])
	}
	copy(data[from:], number[:width])
	data[o+width-1] = 0
	return o + width
}

// seal writes the length in front of a text that has moved or is longer than was guessed, and returns the place after
// the text.
func (f *lane) seal() int {
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
