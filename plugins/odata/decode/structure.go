package decode

import (
	"encoding/binary"
	"math"
	"slices"
	"unsafe"

	"github.com/culvert-project/culvert/plugins/odata/decode/kernel"
	"github.com/culvert-project/culvert/wit"
)

// structure decodes the structs of one row schema: the rows, or the values of a column. Package kernel reads the usual
// properties and values, and the decoder of the format everything else. Values are appended to the output in the order
// of the text; complete moves them into the order of the schema.
//
// Invariants: properties[i] belongs to column i; the table contains each named property once; Next is never nil. spans,
// stamps and optionals describe the current struct, by column; the span of a column that could not be read is empty.
type structure struct {
	kernel.Struct
	stream     *stream
	schema     *RowSchema
	column     *Column    // the column that contains the structs; nil for rows
	path       string     // of the struct in the row: empty or ending in a slash
	properties []property // by column
	head       property   // precedes the first property
	end        property   // the end of the struct
	// pendingValue is the pseudo property for the value at P, which belongs to Target. Its empty Prefix matches.
	pendingValue property
	propertyTable

	spans     []textRange  // where the value of each column is in the output
	stamps    []uint64     // equals Stamp for each column that the struct has
	optionals []uint64     // 1 for each column that may be null
	inner     []*structure // of the columns with structs; nil until the first value
	result
	entryState
}

// propertyTable holds the named properties: by name, and in a hash table for package kernel, at least half empty.
type propertyTable struct {
	names  map[string]*property
	others int         // number of properties that are no columns
	table  []*property // hash table with linear probing
}

// wholeStruct is the problemColumn of an error that makes the struct unusable as a whole, such as a repeated column. It
// precedes all columns.
const wholeStruct = -1

// result has the problem and the next link of the current struct, nil if they are missing.
type result struct {
	problem       *conversionError // the error of the first column in schema order that could not be read
	problemColumn int              // wholeStruct for an error of the struct as a whole
	link          *nestedNextLink  // the next link of the first expanded feed that has one, in schema order
	linkColumn    int
}

// with returns the result of an array after one more item: the first problem and the first link count.
func (r result) with(item result) result {
	if r.problem == nil {
		r.problem = item.problem
	}
	if r.link == nil {
		r.link = item.link
	}
	return r
}

// has reports whether the current struct has the column already.
func (s *structure) has(column int) bool { return s.stamps[column] == s.Stamp }

// newStructure returns the structure of a schema. markup is 1 for XML, 0 for JSON; path is the path of the structs.
func newStructure(input *stream, schema *RowSchema, path string, markup int) *structure {
	n := len(schema.Columns)
	// The slices whose addresses package kernel gets are never empty.
	s := &structure{stream: input, schema: schema, path: path, properties: make([]property, n),
		propertyTable: propertyTable{names: map[string]*property{}}, spans: make([]textRange, n+1),
		stamps: make([]uint64, n+1), optionals: make([]uint64, n+1), inner: make([]*structure, n)}
	s.Init()
	s.Markup = markup
	s.Head = &s.head.Property
	s.End = &s.end.Property
	s.Struct.Columns = n
	s.ValueEnd = -1
	s.rehash(4 * n) // with room for properties that are no columns
	s.end.reset(kernel.End)
	last := &s.head
	for i := range schema.Columns {
		p := &s.properties[i]
		p.Column = i
		p.column = &schema.Columns[i]
		p.Width = 1
		p.reset(p.configure(markup))
		// A missing optional column is null, unless Go has to look for its value outside of the properties.
		if markup == 0 || len(p.column.steps) == 0 || p.column.Kind == Synthetic {
			s.optionals[i] = uint64(p.Optional)
		}
		if p.column.Kind != Synthetic {
			last.Next = &p.Property
			last = p
		}
	}
	if last == &s.head { // the end must not follow the head: see package kernel
		placeholder := &property{}
		placeholder.reset(kernel.Skip)
		last.Next = &placeholder.Property
		last = placeholder
	}
	last.Next = &s.end.Property
	s.end.Next = &s.end.Property
	if len(schema.Keys) > 0 {
		s.KeyFirst = spanBytes * schema.Keys[0]
		s.KeyLast = spanBytes*schema.Keys[len(schema.Keys)-1] + spanBytes/2 // the end of that span
	}
	if schema.ValueColumns < n {
		s.ValueEnd = spanBytes * schema.ValueColumns
	}
	s.Spans = unsafe.Pointer(&s.spans[0])
	s.Stamps = unsafe.Pointer(&s.stamps[0])
	s.Optionals = unsafe.Pointer(&s.optionals[0])
	return s
}

const spanBytes = 16 // size of a textRange: two ints of eight bytes in package kernel

// structureIn returns the structure of a column's values, and creates it for the first value.
func (s *structure) structureIn(column int) *structure {
	if s.inner[column] == nil {
		c := &s.schema.Columns[column]
		s.inner[column] = newStructure(s.stream, c.Nested, c.path(s.path), s.Markup)
		s.inner[column].column = c
		s.inner[column].prefixes = s.prefixes
		s.stream.format.prepareStructure(s.inner[column])
	}
	return s.inner[column]
}

// rehash replaces the table by one with at least n places.
func (s *structure) rehash(n int) {
	size := 16
	for size < n {
		size *= 2
	}
	s.table = make([]*property, size)
	s.Table = unsafe.Pointer(&s.table[0])
	s.Mask = uint64(size - 1)
	for _, p := range s.names {
		s.insert(p)
	}
}

// add adds a property to the table.
func (s *structure) add(p *property, name []byte) {
	p.name = slices.Clone(name)
	s.names[string(name)] = p
	if 2*len(s.names) > len(s.table) {
		s.rehash(2 * len(s.table))
		return
	}
	s.insert(p)
}

// insert adds a property to the hash table, which has room for it.
func (s *structure) insert(p *property) {
	name := append(slices.Clone(p.name), make([]byte, 8)...) // Hash loads eight bytes at once
	slot := kernel.Hash(unsafe.Pointer(&name[0]), 0, len(p.name))
	for s.table[slot&s.Mask] != nil {
		slot++
	}
	s.table[slot&s.Mask] = p
}

// maxOthers limits the properties of a structure that are not columns.
const maxOthers = 200

// addOther adds a property that is no column, or returns nil if there are too many.
func (s *structure) addOther(name []byte, anyValue bool) *property {
	if s.others == maxOthers || len(name) == 0 {
		return nil
	}
	s.others++
	p := &property{}
	p.reset(kernel.Skip)
	if anyValue {
		p.SkipsAny = 1
	}
	s.add(p, name)
	return p
}

// expect lets package kernel expect the property after the previous one in the next structs.
func (s *structure) expect(p *property) {
	if p.Next == nil {
		p.Next = s.Previous.Next
		s.Previous.Next = &p.Property
	} else if s.Previous.Next != &p.Property {
		kernel.RecordFollower(s.Previous, &p.Property)
	}
}

// advance continues at pos, after the property's value.
func (s *structure) advance(p *property, pos int) {
	s.P = pos
	s.Previous = &p.Property
	s.Property = p.Next
}

// begin starts a struct whose text is at pos and whose output starts at o.
func (s *structure) begin(pos, o int) {
	s.In = unsafe.Pointer(unsafe.SliceData(s.stream.text))
	s.reserve(pos, o)
	s.P = pos
	s.O = o
	s.Expected = 0
	s.OutOfOrder = 0
	s.RowText = pos
	s.RowOutput = o
	s.RowCount = 0
	s.Previous = &s.head.Property
	s.Property = s.head.Next
	s.FirstMask = math.MaxUint64 // JSON changes it for the first property
	s.Elements = 0               // it may be an offset in another text
	s.Stamp++
	s.problem = nil
	s.link = nil
}

// repeat lets package kernel read several consecutive structs.
func (s *structure) repeat() {
	s.Struct.Rows = nil
	s.MaxRows = s.stream.batch
	s.MaxLead = cap(s.stream.out.Data) - s.maxOutput(0) // the rest of the text then has room
	s.OutputLimit = cap(s.stream.out.Data) - len(s.properties) - 2*kernel.Padding
}

// repeatRows lets package kernel read rows from pos on and write them to the output, if the schema allows it.
func (s *structure) repeatRows(pos int) {
	s.MaxRows = 0
	if s.stream.batch == 0 || !s.schema.kernelWritesRows() {
		return
	}
	out := s.stream.out
	s.reserve(pos, len(out.Data))
	s.repeat()
	// The first two fields of a wit.ValueSlice, of four bytes each.
	s.KeyEncoding = uint64(wit.WithSchema) | uint64(s.schema.KeySchema)<<32
	s.ValueEncoding = uint64(wit.WithSchema) | uint64(s.schema.ValueSchema)<<32
	out.Rows = slices.Grow(out.Rows, s.MaxRows)
	n := len(out.Rows)
	s.Struct.Rows = unsafe.Pointer(&out.Rows[:n+1][n])
	s.RowIndex = uint64(s.stream.page.Rows)
}

// commitRows adds the rows that package kernel finished.
func (s *structure) commitRows() {
	out := s.stream.out
	n := s.RowCount
	if n == 0 {
		return
	}
	out.Rows = out.Rows[:len(out.Rows)+n]
	out.Data = out.Data[:s.RowOutput]
	s.stream.page.Rows += uint32(n)
}

// maxOutput limits how much output the text from pos on can produce.
func (s *structure) maxOutput(pos int) int {
	const columnReserve = 48 // bytes that a column may need in addition to the length of its text
	return len(s.stream.text) - pos + columnReserve*len(s.properties) + 2*kernel.Padding
}

// reserve grows the output for the text from pos on, keeping its bytes up to o.
func (s *structure) reserve(pos, o int) {
	if cap(s.stream.out.Data)-o < s.maxOutput(pos) {
		s.stream.grow(o, s.maxOutput(pos))
	}
	s.Arena = unsafe.Pointer(unsafe.SliceData(s.stream.out.Data))
}

// grow makes room for n more bytes of output after o.
func (s *stream) grow(o, n int) {
	size := len(s.out.Data)
	s.out.Data = append(s.allocate((o+n)*5/4), s.out.Data[:o]...)[:size]
}

// fail records why a column could not be read. Package kernel must not finish the struct.
func (s *structure) fail(column int, problem *conversionError) {
	s.MaxRows = 0
	if s.problem == nil || column < s.problemColumn {
		s.problem = problem
		s.problemColumn = column
	}
}

// endValue ends a column's value at pos in the text. dst is its encoding; problem means that it has no encoding.
func (s *structure) endValue(p *property, pos int, dst []byte, problem *conversionError) {
	out := s.stream.out
	end := s.O
	if problem != nil {
		s.fail(p.Column, problem)
	} else {
		end = len(dst)
		if unsafe.SliceData(dst) != unsafe.SliceData(out.Data) { // append has moved the output
			out.Data = dst[:len(out.Data)]
		}
		s.reserve(pos, end)
	}
	s.EndColumn(p.Column, pos, end)
	s.advance(p, pos)
}

// endStruct continues after the inner struct or array in a column. pos and end are its ends in text and output.
func (s *structure) endStruct(p *property, pos, end int, inner result) {
	column := p.Column
	if inner.problem != nil {
		s.fail(column, inner.problem.within(s.schema.Columns[column].Name))
		end = s.O
	}
	if inner.link != nil && (s.link == nil || column < s.linkColumn) {
		s.link = inner.link
		s.linkColumn = column
		s.MaxRows = 0
	}
	s.reserve(pos, end)
	s.EndColumn(column, pos, end)
	s.advance(p, pos)
}

// complete ends the struct: it writes null for missing columns and puts all into the order of the schema. It returns
// the end of the output.
func (s *structure) complete() (end int) {
	if end = s.order(); end >= 0 {
		return end
	}
	for i := range s.properties {
		if s.properties[i].Optional == 0 && !s.has(i) && (i >= s.Expected || s.OutOfOrder != 0) {
			_, problem := appendNull(nil, &s.schema.Columns[i], false)
			s.fail(i, problem)
		}
	}
	if s.problem == nil {
		panic("decode: a struct without a problem is not complete")
	}
	return s.RowOutput
}

// order does what complete does if the struct has no problem, and else returns -1.
func (s *structure) order() (end int) {
	if s.problem != nil {
		return -1
	}
	if s.OutOfOrder == 0 {
		end = s.O
		for i := s.Expected; i < len(s.properties); i++ {
			if s.properties[i].Optional == 0 {
				return -1
			}
			kernel.Put(s.Arena, end, 0)
			s.spans[i] = textRange{end, end + 1}
			end++
		}
		return end
	}
	// Sort copies the columns of the struct after it, with nulls for missing ones.
	if need := s.O - s.RowOutput + len(s.spans) + 2*kernel.Padding; cap(s.stream.out.Data)-s.O < need {
		s.stream.grow(s.O, need)
		s.Arena = unsafe.Pointer(unsafe.SliceData(s.stream.out.Data))
	}
	return kernel.Sort(&s.Struct)
}

// key appends the encoded key of the struct to dst. It returns nil if the key is not complete or empty.
func (s *structure) key(dst []byte) []byte {
	if len(s.schema.Keys) == 0 || (s.problem != nil && s.problemColumn == wholeStruct) {
		return nil
	}
	for _, i := range s.schema.Keys {
		if !s.has(i) {
			return nil
		}
		column := s.stream.out.Data[:cap(s.stream.out.Data)][s.spans[i].start:s.spans[i].end]
		if len(column) == 0 || s.schema.Columns[i].isNull(column) {
			return nil
		}
		dst = append(dst, column...)
	}
	return dst
}

// writeCount writes the number of an array's items before them, at start, and the end marker after them, at end. It
// returns the end of the array. The output has one byte for the number; for a larger one the items are moved.
func (s *stream) writeCount(start, end, count int) int {
	if count == 0 {
		s.out.Data[:start+1][start] = 0
		return start + 1
	}
	var number [binary.MaxVarintLen64]byte
	width := binary.PutVarint(number[:], int64(count))
	if cap(s.out.Data)-end < width+kernel.Padding {
		s.grow(end, width+kernel.Padding)
	}
	data := s.out.Data[:end+width]
	if width > 1 {
		copy(data[start+width:], data[start+1:end])
	}
	copy(data[start:], number[:width])
	data[end+width-1] = 0
	return end + width
}
