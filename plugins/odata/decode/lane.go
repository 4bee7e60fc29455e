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
type templateDecoder struct {
	format  templateFormat
	l       *RowSchema
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
	stats
}

// form is what differs between JSON and Atom, of a lane or of one of the structures inside.
type templateFormat interface {
	// read reads the row at p and writes its columns at o. It returns the place after it; false: the plain parser must
	// read it.
	read(p, o int) (int, bool)
	// afterRow goes from the end of a row to the next one, or after the end of the rows; false: it is not as it should
	// be.
	afterRow(p int) (next int, closed, ok bool)
	// memberEnd is where the member ends that is no column and whose value is at r.P; 0: the plain parser must read the
	// row. It makes t, if there is one, a template of the value, if it can be one.
	memberEnd(r *fast.Row, t *fast.Template) (end int)
	// structure reads the structure at r.P; false: there is none, or the plain parser must read it.
	structure(r *fast.Row) bool
	// plain has the plain parser read the value at r.P: it is appended to dst, and ends at end.
	plain(r *fast.Row, dst []byte) (out []byte, end int, ok bool)
}

// stats is how much a lane has tried, and what came of it.
type stats struct {
	// decoded counts rows that the lane read, learned those that it learned from.
	decoded, samples int
	// failedAt is where in the text the last try failed, -1: it did not, or not for what stands there.
	failedAt int
	// truncatedRow is where in the page the last row stood that the end of the text, at cutEnd there, had cut off; 0:
	// none.
	truncatedRow, truncatedAt int64
	// failures is how many tries failed running, rest how many rows are left to the plain parser for that.
	failures, rowsToSkip int
	// hasUnknown: some skips are properties that this page has reported as unknown
	hasUnknown bool
}

// entry is one thing that may stand in a row, with what is needed to learn it.
type entry struct {
	fast.Entry
	c    *Column
	name []byte
	// kind is how values of the column are read where their text is as usual; inside is how many bytes of Open belong
	// to the value.
	kind, valuePrefix int
	skip              fast.Template
	// templateBudget is how many more of a value to be passed may be learned; free: nothing about the value matters.
	templateBudget int
	anyValue       bool
}

func entryOf(e *fast.Entry) *entry { return (*entry)(unsafe.Pointer(e)) }

// maxSamples bounds how many rows a lane learns from, and how many templates one entry does, besides one row of 16
// that it reads: learning costs more than a row.
const maxSamples = 64

// canSample reports whether one more lesson is worth it, and counts it.
func (e *stats) canSample() bool {
	if e.samples >= maxSamples+e.decoded/16 {
		return false
	}
	e.samples++
	return true
}

// init prepares for a layout.
func (f *templateDecoder) init(form templateFormat, l *RowSchema, markup int) {
	n := len(l.Columns)
	*f = templateDecoder{format: form, l: l, entries: make([]entry, n), names: map[string]*entry{},
		spans:  make([]textRange, n+1),
		stamps: make([]uint64, n+1), optionals: make([]uint64, n+1)}
	f.rehash(4 * n)
	f.end.reset(fast.End)
	f.end.Next = &f.end.Entry
	last := &f.head
	for i := range l.Columns {
		e := &f.entries[i]
		e.Column, e.c, e.Width = i, &l.Columns[i], 1
		e.reset(e.configure(markup))
		f.optionals[i] = uint64(e.Optional)
		if e.c.Kind != Synthetic {
			last.Next, last = &e.Entry, e
		}
	}
	last.Next = &f.end.Entry
	r := &f.row
	r.SetTables()
	r.Markup, r.Head, r.Columns, r.ValueEnd = markup, &f.head.Entry, n, -1
	if len(l.Keys) > 0 {
		r.KeyFirst, r.KeyLast = 16*l.Keys[0], 16*l.Keys[len(l.Keys)-1]+8
	}
	if l.ValueColumns < n {
		r.ValueEnd = 16 * l.ValueColumns
	}
	r.Spans, r.Stamps, r.Optionals = unsafe.Pointer(&f.spans[0]), unsafe.Pointer(&f.stamps[0]),
		unsafe.Pointer(&f.optionals[0])
}

// reset gives an entry its kind, and no marks.
func (e *entry) reset(kind int) {
	e.kind, e.Kind, e.templateBudget = kind, kind, maxSamples
	e.Prefix, e.Null, e.Suffix = fast.NoPattern, fast.NoPattern, fast.NoPattern
}

// configure chooses how the column's values are read.
func (e *entry) configure(markup int) (kind int) {
	c := e.c
	if c.Optional {
		e.Optional = 1
	}
	if c.Kind != Primitive {
		return fast.Slow
	}
	switch c.Type {
	case edm.String:
		return fast.JSONString + markup
	case edm.Byte, edm.SByte, edm.Int16, edm.Int32, edm.Int64:
		least, most, _ := c.Type.Bounds()
		e.Low, e.High = int(least), int(most)
		return fast.Integer
	case edm.Time:
		return fast.TimeOfDay
	case edm.Decimal:
		return e.decimal()
	case edm.Double:
		return fast.Double
	case edm.Boolean:
		return fast.Boolean
	case edm.DateTime, edm.DateTimeOffset:
		if c.Mapping == DefaultMapping && c.Zone == nil {
			e.Low, e.High = datetime.FirstMs, datetime.LastMs
			return fast.DateTime
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
	case c.Mapping == Float64Mapping:
		return fast.Double
	case c.Mapping == Int64Mapping:
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
func (f *templateDecoder) rehash(n int) {
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
func (f *templateDecoder) add(e *entry, name []byte) {
	e.name = bytes.Clone(name)
	f.names[string(name)] = e
	if 2*len(f.names) > len(f.table) {
		f.rehash(2 * len(f.table))
		return
	}
	f.insert(e)
}

func (f *templateDecoder) insert(e *entry) {
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
func (f *templateDecoder) newSkip(name []byte, free bool) *entry {
	if f.skips == maxSkips || len(name) == 0 {
		return nil
	}
	f.skips++
	e := &entry{anyValue: free}
	e.reset(fast.Skip)
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

// setBuffers has the lane read a text and write to an output.
func (f *templateDecoder) setBuffers(buf []byte, out *Output) {
	f.buf, f.out, f.failedAt = buf, out, -1
}

// decodeRows reads as many rows as it can, from the one at p on, and returns where it stopped: in front of a row, or
// after the rows' end. progress is false if it could not read the row at p; the error is that more text must come
// first.
func (f *templateDecoder) decodeRows(s *stream, p int, out *Output) (next int, closed, progress bool, err *scan.Error) {
	if s.flush || s.skipNextRow {
		return p, false, false, nil
	}
	if !s.ended && f.needsMore(s, p) {
		return p, false, false, scan.ErrNeedMore
	}
	if f.shouldTry() {
		next, closed, progress = f.readRows(s, p, out)
		f.recordAttempt(progress)
	}
	if !progress && !s.ended && f.isTruncated(len(s.buf)) {
		return p, false, false, scan.ErrNeedMore
	}
	return next, closed, progress, nil
}

func (f *templateDecoder) readRows(s *stream, p int, out *Output) (next int, closed, progress bool) {
	f.setBuffers(s.buf, out)
	for {
		f.reserve(p, len(out.Data))
		f.prepareRows(&s.page)
		q, ok := f.format.read(p, len(out.Data))
		progress = progress || f.row.RowCount > 0
		var start int
		p, start = f.commitRows(s)
		if !ok {
			f.recordUndecoded(s, p)
			return p, false, progress
		}
		o := f.completeRow(start)
		if o < 0 {
			return p, false, progress
		}
		// What is after the row must be right, as the plain parser has it, before the row counts.
		next, closed, ok := f.format.afterRow(q)
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

// beginRow starts a row at p, to be written at o.
func (f *templateDecoder) beginRow(p, o int) *fast.Row {
	r := &f.row
	r.In, r.Arena = unsafe.Pointer(unsafe.SliceData(f.buf)), unsafe.Pointer(unsafe.SliceData(f.out.Data))
	r.P, r.O, r.Expected, r.OutOfOrder = p, o, 0, 0
	r.RowText, r.RowOutput = p, o
	r.Before, r.Entry = &f.head.Entry, f.head.Next
	r.First = ^uint64(0)
	if r.Markup == 0 {
		// of the separator in front of the first member, { stands for the comma
		r.First = ^uint64(0xff)
	}
	r.Stamp++
	return r
}

// prepareRows has the kernel go from one row to the next by itself as long as all is regular, where it is known what
// stands between rows, and make rows of them in out, if the layout allows it.
func (f *templateDecoder) prepareRows(page *Page) {
	r := &f.row
	r.RowCount, r.MaxRows = 0, 0
	if !f.l.keyIsInPlace() || f.end.Skip == nil {
		return
	}
	const some = 64
	r.KeyEncoding = uint64(wit.WithSchema) | uint64(f.l.KeySchema)<<32
	r.ValueEncoding = uint64(wit.WithSchema) | uint64(f.l.ValueSchema)<<32
	f.out.Rows = slices.Grow(f.out.Rows, some)
	n := len(f.out.Rows)
	r.Rows, r.MaxRows = unsafe.Pointer(&f.out.Rows[:n+1][n]), some
	r.RowIndex = uint64(page.Rows)
	r.Slack = cap(f.out.Data) - f.maxOutput(0)
}

// prepareItems is several for structures inside a row, of which no rows are made.
func (f *templateDecoder) prepareItems() {
	r := &f.row
	r.RowCount, r.MaxRows = 0, 0
	if f.end.Skip == nil {
		return
	}
	if f.unused == nil {
		f.unused = make([]wit.Row, 16)
	}
	r.Rows, r.MaxRows = unsafe.Pointer(&f.unused[0]), len(f.unused)
	r.Slack = cap(f.out.Data) - f.maxOutput(0)
}

// readMembers reads members up to the row's end; false: the plain parser must read the row.
func (f *templateDecoder) readMembers(r *fast.Row, root *stats) bool {
	for {
		switch fast.Read(r) {
		case fast.AtEnd:
			return true
		case fast.UnexpectedProperty:
			if !f.skipMember(r) {
				return false
			}
		case fast.UnexpectedValue:
			if !f.format.structure(r) && (root.isTruncated(len(f.buf)) || !f.readPlain(r)) {
				return false
			}
		case fast.NeedsLength:
			if !r.SkipSuffix() {
				return false
			}
			r.EndColumn(r.P, f.writeLength())
		default:
			return false
		}
	}
}

// skipMember passes a member that is no column, and learns a template of it.
func (f *templateDecoder) skipMember(r *fast.Row) bool {
	e := entryOf(r.Entry)
	t := &e.skip
	if e.templateBudget == 0 {
		t = nil
	}
	end := f.format.memberEnd(r, t)
	if end > 0 && t != nil {
		e.templateBudget--
		e.Skip = t.Program()
	}
	if end > 0 {
		r.SkipTo(end)
	}
	return end > 0
}

// readPlain lets the plain parser read one value.
func (f *templateDecoder) readPlain(r *fast.Row) bool {
	dst, end, ok := f.format.plain(r, f.out.Data[:r.O])
	if !ok {
		return false
	}
	f.out.Data = dst[:len(f.out.Data)]
	f.reserve(end, len(dst))
	r.EndColumn(end, len(dst))
	return true
}

// retractUnknown takes back what the plain parser has reported in reading one value: it is to say so with the row.
// false: there was nothing.
func (s *stream) retractUnknown(known int) bool {
	reported := s.page.Unknown[known:]
	for _, path := range reported {
		delete(s.unknown, path)
	}
	s.page.Unknown = s.page.Unknown[:known]
	return len(reported) > 0
}

// isTruncated reports whether the last try failed at the end of the text, of so many bytes: more of it will do what the
// plain parser cannot.
func (e *stats) isTruncated(size int) bool { return e.failedAt >= 0 && e.failedAt+fast.Padding > size }

// recordFailure takes it down that a try failed at p.
func (e *stats) recordFailure(p int) { e.failedAt = max(e.failedAt, p) }

// recordUndecoded takes it down that the row at p could not be read.
func (f *templateDecoder) recordUndecoded(s *stream, p int) {
	f.recordFailure(f.row.P)
	if f.isTruncated(len(f.buf)) {
		f.truncatedRow, f.truncatedAt = s.base+int64(p), s.base+int64(len(s.buf))
	}
}

// needsMore reports whether the row at p is known to be cut off by the end of the text.
func (e *stats) needsMore(s *stream, p int) bool {
	return e.truncatedAt == s.base+int64(len(s.buf)) && e.truncatedRow == s.base+int64(p)
}

// shouldTry reports whether to try the next row: where many tries failed running, only some rows are tried.
func (e *stats) shouldTry() bool {
	if e.rowsToSkip > 0 {
		e.rowsToSkip--
		return false
	}
	return true
}

// recordAttempt notes whether tries read a row.
func (e *stats) recordAttempt(progress bool) {
	const many, most = 8, 32
	if progress {
		e.failures = 0
	} else if e.failures++; e.failures >= many {
		e.rowsToSkip = min(e.failures, most)
	}
}

// need is how much room the text from p on may take in the output.
func (f *templateDecoder) maxOutput(p int) int {
	return len(f.buf) - p + 48*len(f.entries) + 2*fast.Padding
}

// reserve makes room after o in the output, whose bytes up to o count, for the text from p on.
func (f *templateDecoder) reserve(p, o int) {
	if cap(f.out.Data)-o < f.maxOutput(p) {
		f.grow(o, f.maxOutput(p))
	}
	f.row.Arena = unsafe.Pointer(unsafe.SliceData(f.out.Data))
}

// grow makes room for n more bytes after o.
func (f *templateDecoder) grow(o, n int) {
	size := len(f.out.Data)
	grown := make([]byte, o, (o+n)*5/4)
	copy(grown, f.out.Data[:o])
	f.out.Data = grown[:size]
}

// leave goes on after a structure, which ends at p in the text and at o in the output, if it was read.
func (f *templateDecoder) endStructure(r *fast.Row, p, o int, ok bool) bool {
	if !ok { // the output may have moved all the same
		r.Arena = unsafe.Pointer(unsafe.SliceData(f.out.Data))
		return false
	}
	f.reserve(p, o)
	r.EndColumn(p, o)
	return true
}

// completeRow completes a row whose members were read: columns left out are null, and all are in order. It returns the
// row's end in the output, -1: a column that must not be null is.
func (f *templateDecoder) completeRow(start int) int {
	r := &f.row
	if r.OutOfOrder == 0 {
		return f.writeNulls(r.O, r.Expected)
	}
	if need := r.O - start + len(f.spans) + 2*fast.Padding; cap(f.out.Data)-r.O < need {
		f.grow(r.O, need)
	}
	r.Arena = unsafe.Pointer(unsafe.SliceData(f.out.Data))
	return fast.Sort(r, start, len(f.entries))
}

// writeNulls writes null for the columns after those given.
func (f *templateDecoder) writeNulls(o, from int) int {
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

// commitRows takes the rows that the kernel made by itself. It returns where the row at work begins in the text and in
// the output.
func (f *templateDecoder) commitRows(s *stream) (p, start int) {
	n := f.row.RowCount
	f.out.Rows, f.out.Data = f.out.Rows[:len(f.out.Rows)+n], f.out.Data[:f.row.RowOutput]
	s.page.Rows += uint32(n)
	f.decoded += n
	return f.row.RowText, f.row.RowOutput
}

// finishRow adds the row whose members were read, from start to o in the output.
func (f *templateDecoder) finishRow(s *stream, start, o int) bool {
	f.out.Data = f.out.Data[:o]
	if m := finishRow(f.out, f.l, s.page.Rows, start, f.spans[:len(f.entries)]); m != nil {
		f.out.Data = f.out.Data[:start]
		return false
	}
	s.page.Rows++
	f.decoded++
	return true
}

// writeCount writes the number of items of an array whose bytes are from from+1 to o, and its end; it returns the place
// after.
func (f *templateDecoder) writeCount(from, o, count int) int {
	if count == 0 {
		f.out.Data[:from+1][from] = 0
		return from + 1
	}
	var number [10]byte
	width := binary.PutUvarint(number[:], uint64(count)<<1)
	if width > 1 && cap(f.out.Data)-o < width+fast.Padding {
		f.grow(o, width+fast.Padding)
	}
	data := f.out.Data[: o+width : cap(f.out.Data)]
	if width > 1 {
		copy(data[from+width:], data[from+1:o])
	}
	copy(data[from:], number[:width])
	data[o+width-1] = 0
	return o + width
}

// writeLength writes the length in front of a text that has moved or is longer than was guessed, and returns the place
// after the text.
func (f *templateDecoder) writeLength() int {
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
