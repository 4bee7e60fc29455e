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

// templateDecoder is the fast path: it decodes rows that resemble earlier rows of the page. It learns one entry per
// property from rows of the plain parser, with the text around the value and the way to read it, and package fast
// decodes rows by these entries. The result must be what the plain parser would return for the same bytes. A truncated
// row is given up and decoded again with more text.
//
// Invariants: entries[i] belongs to column i; the table contains each named entry once; Next is never nil for an entry
// with a pattern. spans, stamps and optionals describe the current row, by column.
type templateDecoder struct {
	format  templateFormat
	schema  *RowSchema
	entries []entry
	// head precedes the first entry; end matches the end of the row.
	head, end entry
	// names are the entries by name, table the same for package fast. skips counts entries that are not columns.
	names map[string]*entry
	skips int
	table []*entry

	row               fast.Row
	spans             []textRange
	stamps, optionals []uint64
	// discardedRows is memory for the rows that package fast writes for nested structs.
	discardedRows []wit.Row

	buf []byte
	out *Output
	stats
}

// templateFormat is the part of a templateDecoder that differs between JSON and Atom. If a method returns false, the
// plain parser must decode the row or the value.
type templateFormat interface {
	// read decodes the row at p, writes its columns at outStart, and returns the end of the row.
	read(p, outStart int) (end int, ok bool)
	// afterRow goes from the end of a row to the next one, or past the end of the rows.
	afterRow(p int) (next int, closed, ok bool)
	// memberEnd returns the end of the unknown property whose value is at r.P, or zero for the plain parser. If
	// possible, it stores a template of the value in learned, unless learned is nil.
	memberEnd(r *fast.Row, learned *fast.Template) (end int)
	// structure decodes the struct at r.P.
	structure(r *fast.Row) bool
	// plain appends the value at r.P with the plain parser.
	plain(r *fast.Row, dst []byte) (out []byte, end int, ok bool)
}

// stats counts attempts and successes of the fast path.
type stats struct {
	decoded int // rows of the fast path
	samples int // rows that it learned from
	// failedAt is the position of the last failed attempt, -1 if none failed in this text.
	failedAt int
	// truncatedRow is the position in the page of the last row that the end of the text, truncatedAt, cut off.
	truncatedRow, truncatedAt int64
	// failures counts consecutive failed attempts, rowsToSkip the rows left to the plain parser as backoff.
	failures, rowsToSkip int
	hasUnknown           bool // some skipped properties were reported as unknown on this page
}

// entry is one part of a row, with what is needed to learn it.
type entry struct {
	fast.Entry
	column *Column
	name   []byte
	// kind is the kind of values of the usual form. valuePrefix is the number of bytes of Prefix that belong to the
	// value.
	kind, valuePrefix int
	skip              fast.Template
	// templateBudget limits how many more templates of a skipped value are learned; anyValue skips any value.
	templateBudget int
	anyValue       bool
}

func entryOf(e *fast.Entry) *entry { return (*entry)(unsafe.Pointer(e)) }

// maxSamples limits the rows that a decoder learns from, besides one in 16 that it decodes, and the templates of one
// entry: learning costs more than a row.
const maxSamples = 64

func (e *stats) canSample() bool {
	if e.samples >= maxSamples+e.decoded/16 {
		return false
	}
	e.samples++
	return true
}

func (f *templateDecoder) init(form templateFormat, schema *RowSchema, markup int) {
	n := len(schema.Columns)
	*f = templateDecoder{format: form, schema: schema, entries: make([]entry, n), names: map[string]*entry{},
		spans:  make([]textRange, n+1),
		stamps: make([]uint64, n+1), optionals: make([]uint64, n+1)}
	f.rehash(4 * n)
	f.end.reset(fast.End)
	f.end.Next = &f.end.Entry
	last := &f.head
	for i := range schema.Columns {
		part := &f.entries[i]
		part.Column, part.column, part.Width = i, &schema.Columns[i], 1
		part.reset(part.configure(markup))
		f.optionals[i] = uint64(part.Optional)
		if part.column.Kind != Synthetic {
			last.Next, last = &part.Entry, part
		}
	}
	last.Next = &f.end.Entry
	r := &f.row
	r.SetTables()
	r.Markup, r.Head, r.Columns, r.ValueEnd = markup, &f.head.Entry, n, -1
	if len(schema.Keys) > 0 {
		r.KeyFirst, r.KeyLast = 16*schema.Keys[0], 16*schema.Keys[len(schema.Keys)-1]+8
	}
	if schema.ValueColumns < n {
		r.ValueEnd = 16 * schema.ValueColumns
	}
	r.Spans, r.Stamps, r.Optionals = unsafe.Pointer(&f.spans[0]), unsafe.Pointer(&f.stamps[0]),
		unsafe.Pointer(&f.optionals[0])
}

func (e *entry) reset(kind int) {
	e.kind, e.Kind, e.templateBudget = kind, kind, maxSamples
	e.Prefix, e.Null, e.Suffix = fast.NoPattern, fast.NoPattern, fast.NoPattern
}

func (e *entry) configure(markup int) (kind int) {
	column := e.column
	if column.Optional {
		e.Optional = 1
	}
	if column.Kind != Primitive {
		return fast.Slow
	}
	switch column.Type {
	case edm.String:
		return fast.JSONString + markup
	case edm.Byte, edm.SByte, edm.Int16, edm.Int32, edm.Int64:
		least, most, _ := column.Type.Bounds()
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
		if column.Mapping == DefaultMapping && column.Zone == nil {
			e.Low, e.High = datetime.FirstMs, datetime.LastMs
			return fast.DateTime
		}
	case edm.Guid:
		return fast.GUID
	}
	return fast.Slow
}

func (e *entry) decimal() (kind int) {
	column := e.column
	limit := uint64(1 << 63)
	if column.Precision > 0 && column.Precision < 19 {
		limit = 1
		for range column.Precision {
			limit *= 10
		}
	}
	switch {
	case column.Mapping == Float64Mapping:
		return fast.Double
	case column.Mapping == Int64Mapping:
		e.High = int(limit - 1)
		e.Low = -e.High
		if limit == 1<<63 {
			e.Low = math.MinInt64
		}
		return fast.Integer
	case column.Scale >= 0 && column.Scale <= 18:
		e.Scale, e.Limit = column.Scale, limit
		return fast.Decimal
	}
	return fast.Slow
}

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

func (f *templateDecoder) add(part *entry, name []byte) {
	part.name = bytes.Clone(name)
	f.names[string(name)] = part
	if 2*len(f.names) > len(f.table) {
		f.rehash(2 * len(f.table))
		return
	}
	f.insert(part)
}

func (f *templateDecoder) insert(part *entry) {
	padded := append(bytes.Clone(part.name), make([]byte, 8)...)
	at := fast.Hash(unsafe.Pointer(&padded[0]), 0, len(part.name))
	for f.table[at&f.row.Mask] != nil {
		at++
	}
	f.table[at&f.row.Mask] = part
}

// maxSkips limits the entries for properties that are not columns.
const maxSkips = 200

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

func (e *entry) followedBy(next *entry) {
	switch {
	case next.Next == nil:
		next.Next, e.Next = e.Next, &next.Entry
	case e.Next != &next.Entry:
		fast.Follows(&e.Entry, &next.Entry)
	}
}

func (f *templateDecoder) setBuffers(buf []byte, out *Output) {
	f.buf, f.out, f.failedAt = buf, out, -1
}

// decodeRows decodes as many rows as it can from p on. It returns the position in front of the next row, or after the
// end of the rows. progress is false if it could not decode the row at p; the error asks for more text.
func (f *templateDecoder) decodeRows(input *stream, pos int, out *Output) (next int, closed, progress bool,
	err *scan.Error) {
	if input.flush || input.skipNextRow {
		return pos, false, false, nil
	}
	if !input.ended && f.needsMore(input, pos) {
		return pos, false, false, scan.ErrNeedMore
	}
	if f.shouldTry() {
		next, closed, progress = f.readRows(input, pos, out)
		f.recordAttempt(progress)
	}
	if !progress && !input.ended && f.isTruncated(len(input.buf)) {
		return pos, false, false, scan.ErrNeedMore
	}
	return next, closed, progress, nil
}

func (f *templateDecoder) readRows(input *stream, pos int, out *Output) (next int, closed, progress bool) {
	f.setBuffers(input.buf, out)
	for {
		f.reserve(pos, len(out.Data))
		f.prepareRows(&input.page)
		rowEnd, ok := f.format.read(pos, len(out.Data))
		progress = progress || f.row.RowCount > 0
		var start int
		pos, start = f.commitRows(input)
		if !ok {
			f.recordUndecoded(input, pos)
			return pos, false, progress
		}
		outEnd := f.completeRow(start)
		if outEnd < 0 {
			return pos, false, progress
		}
		// The text after a row must be valid before the row counts.
		next, closed, ok := f.format.afterRow(rowEnd)
		if !ok || !f.finishRow(input, start, outEnd) {
			return pos, false, progress
		}
		progress = true
		if closed || next >= len(f.buf) {
			return next, closed, true
		}
		pos = next
	}
}

func (f *templateDecoder) beginRow(p, o int) *fast.Row {
	r := &f.row
	r.In, r.Arena = unsafe.Pointer(unsafe.SliceData(f.buf)), unsafe.Pointer(unsafe.SliceData(f.out.Data))
	r.P, r.O, r.Expected, r.OutOfOrder = p, o, 0, 0
	r.RowText, r.RowOutput = p, o
	r.Before, r.Entry = &f.head.Entry, f.head.Next
	r.First = ^uint64(0)
	if r.Markup == 0 {
		// The first member's separator is { instead of a comma.
		r.First = ^uint64(0xff)
	}
	r.Stamp++
	return r
}

// prepareRows lets package fast decode consecutive rows by itself and write them to the output, if the schema allows it
// and the text between rows is known.
func (f *templateDecoder) prepareRows(page *Page) {
	r := &f.row
	r.RowCount, r.MaxRows = 0, 0
	if !f.schema.keyIsInPlace() || f.end.Skip == nil {
		return
	}
	const some = 64
	r.KeyEncoding = uint64(wit.WithSchema) | uint64(f.schema.KeySchema)<<32
	r.ValueEncoding = uint64(wit.WithSchema) | uint64(f.schema.ValueSchema)<<32
	f.out.Rows = slices.Grow(f.out.Rows, some)
	n := len(f.out.Rows)
	r.Rows, r.MaxRows = unsafe.Pointer(&f.out.Rows[:n+1][n]), some
	r.RowIndex = uint64(page.Rows)
	r.Slack = cap(f.out.Data) - f.maxOutput(0)
}

// prepareItems is prepareRows for structs inside a row.
func (f *templateDecoder) prepareItems() {
	r := &f.row
	r.RowCount, r.MaxRows = 0, 0
	if f.end.Skip == nil {
		return
	}
	if f.discardedRows == nil {
		f.discardedRows = make([]wit.Row, 16)
	}
	r.Rows, r.MaxRows = unsafe.Pointer(&f.discardedRows[0]), len(f.discardedRows)
	r.Slack = cap(f.out.Data) - f.maxOutput(0)
}

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

func (f *templateDecoder) skipMember(r *fast.Row) bool {
	entry := entryOf(r.Entry)
	t := &entry.skip
	if entry.templateBudget == 0 {
		t = nil
	}
	end := f.format.memberEnd(r, t)
	if end > 0 && t != nil {
		entry.templateBudget--
		entry.Skip = t.Program()
	}
	if end > 0 {
		r.SkipTo(end)
	}
	return end > 0
}

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

// retractUnknown removes the unknown properties after the first n: the plain parser reports them again with the row. It
// reports whether there were any.
func (s *stream) retractUnknown(known int) bool {
	reported := s.page.Unknown[known:]
	for _, path := range reported {
		delete(s.unknown, path)
	}
	s.page.Unknown = s.page.Unknown[:known]
	return len(reported) > 0
}

// isTruncated reports whether the last attempt failed at the end of the text, so that more text helps and the plain
// parser does not.
func (e *stats) isTruncated(size int) bool { return e.failedAt >= 0 && e.failedAt+fast.Padding > size }

func (e *stats) recordFailure(p int) { e.failedAt = max(e.failedAt, p) }

func (f *templateDecoder) recordUndecoded(input *stream, p int) {
	f.recordFailure(f.row.P)
	if f.isTruncated(len(f.buf)) {
		f.truncatedRow, f.truncatedAt = input.base+int64(p), input.base+int64(len(input.buf))
	}
}

// needsMore reports whether the end of the text is known to cut off the row at p.
func (e *stats) needsMore(input *stream, p int) bool {
	return e.truncatedAt == input.base+int64(len(input.buf)) && e.truncatedRow == input.base+int64(p)
}

// shouldTry is false for some rows after many consecutive failures.
func (e *stats) shouldTry() bool {
	if e.rowsToSkip > 0 {
		e.rowsToSkip--
		return false
	}
	return true
}

func (e *stats) recordAttempt(progress bool) {
	const many, most = 8, 32
	if progress {
		e.failures = 0
	} else if e.failures++; e.failures >= many {
		e.rowsToSkip = min(e.failures, most)
	}
}

// maxOutput limits how much output the text from p on can produce.
func (f *templateDecoder) maxOutput(p int) int {
	return len(f.buf) - p + 48*len(f.entries) + 2*fast.Padding
}

// reserve grows the output for the text from p on, keeping its bytes up to o.
func (f *templateDecoder) reserve(p, o int) {
	if cap(f.out.Data)-o < f.maxOutput(p) {
		f.grow(o, f.maxOutput(p))
	}
	f.row.Arena = unsafe.Pointer(unsafe.SliceData(f.out.Data))
}

func (f *templateDecoder) grow(o, n int) {
	size := len(f.out.Data)
	grown := make([]byte, o, (o+n)*5/4)
	copy(grown, f.out.Data[:o])
	f.out.Data = grown[:size]
}

// endStructure continues after a struct that ends at p in the text and at o in the output.
func (f *templateDecoder) endStructure(r *fast.Row, pos, outEnd int, ok bool) bool {
	if !ok { // the output may have moved all the same
		r.Arena = unsafe.Pointer(unsafe.SliceData(f.out.Data))
		return false
	}
	f.reserve(pos, outEnd)
	r.EndColumn(pos, outEnd)
	return true
}

// completeRow writes null for missing columns and puts all in schema order. It returns the end of the row in the
// output, or -1 if a required column is null.
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

func (f *templateDecoder) writeNulls(outEnd, from int) int {
	for ; from < len(f.entries); from++ {
		if f.optionals[from] == 0 {
			return -1
		}
		fast.Put(f.row.Arena, outEnd, 0)
		f.spans[from] = textRange{outEnd, outEnd + 1}
		outEnd++
	}
	return outEnd
}

// commitRows adds the rows that package fast wrote, and returns where the current row begins in the text and the
// output.
func (f *templateDecoder) commitRows(input *stream) (p, start int) {
	n := f.row.RowCount
	f.out.Rows, f.out.Data = f.out.Rows[:len(f.out.Rows)+n], f.out.Data[:f.row.RowOutput]
	input.page.Rows += uint32(n)
	f.decoded += n
	return f.row.RowText, f.row.RowOutput
}

func (f *templateDecoder) finishRow(input *stream, start, o int) bool {
	f.out.Data = f.out.Data[:o]
	if m := finishRow(f.out, f.schema, input.page.Rows, start, f.spans[:len(f.entries)]); m != nil {
		f.out.Data = f.out.Data[:start]
		return false
	}
	input.page.Rows++
	f.decoded++
	return true
}

// writeCount writes the number of an array's items at offset from, before the items, and the end marker after them.
func (f *templateDecoder) writeCount(from, outEnd, count int) int {
	if count == 0 {
		f.out.Data[:from+1][from] = 0
		return from + 1
	}
	var number [10]byte
	width := binary.PutUvarint(number[:], uint64(count)<<1)
	if width > 1 && cap(f.out.Data)-outEnd < width+fast.Padding {
		f.grow(outEnd, width+fast.Padding)
	}
	data := f.out.Data[: outEnd+width : cap(f.out.Data)]
	if width > 1 {
		copy(data[from+width:], data[from+1:outEnd])
	}
	copy(data[from:], number[:width])
	data[outEnd+width-1] = 0
	return outEnd + width
}

// writeLength writes the length prefix of a text whose prefix needs another width than expected, and moves the text.
func (f *templateDecoder) writeLength() int {
	r := &f.row
	n, outEnd := r.Size, r.O+r.Entry.Optional
	var length [10]byte
	width := binary.PutUvarint(length[:], uint64(n)<<1)
	if from := outEnd + r.Entry.Width; width != r.Entry.Width {
		copy(unsafe.Slice((*byte)(unsafe.Add(r.Arena, outEnd+width)), n),
			unsafe.Slice((*byte)(unsafe.Add(r.Arena, from)),
				n))
		r.Entry.Width = width
	}
	copy(unsafe.Slice((*byte)(unsafe.Add(r.Arena, outEnd)), width), length[:])
	return outEnd + width + n
}
