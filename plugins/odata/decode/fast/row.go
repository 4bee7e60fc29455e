package fast

import "unsafe"

// PatternSize is the longest text that a [Pattern] compares: SAP's property names have up to 40 characters, and a start
// tag adds the type, as in `<d:RequiredDeliveryDate m:type="Edm.DateTimeOffset">`.
const PatternSize = 8 * patternWords

const patternWords = 10

// Pattern is a short text to compare: Words of it, each followed by a mask. It never matches if Disabled is not 0.
type Pattern struct {
	Disabled uint64
	Size     int
	Words    [2 * patternWords]uint64
}

// NoPattern never matches.
var NoPattern = Pattern{Disabled: 1}

// NewPattern returns a pattern. A text of more than [PatternSize] bytes never matches.
func NewPattern(text []byte) Pattern {
	if len(text) > PatternSize || len(text) == 0 {
		return NoPattern
	}
	m := Pattern{Size: len(text)}
	for i := range patternWords {
		part := text[min(len(text), 8*i):min(len(text), 8*i+8)]
		m.Words[2*i] = word(part)
		m.Words[2*i+1] = ^uint64(0)
		if len(part) < 8 {
			m.Words[2*i+1] = 1<<(8*len(part)) - 1
		}
	}
	return m
}

// Kinds of entries: how their values are read.
const (
	JSONString = iota
	XMLText
	Integer
	Decimal
	Double
	Boolean
	DateTime
	TimeOfDay
	GUID
	// Slow values are left to the plain parser.
	Slow
	Skip
	End
)

// Entry is one possible part of a row: a property, a member to skip, or the end. Assembly reads its fields, so all have
// eight bytes; the ones that each member needs are together at the end, for the processor's cache.
type Entry struct {
	// Candidate followed this entry instead of Next, the last Times times. Next changes only after minRepeats, so that
	// a page without its nulls does not change the order.
	Candidate *Entry
	Times     int
	// Skip is the template of a skipped value, or nil. At the end entry it matches the text between two rows, at the
	// head the text before a row's members.
	Skip *uint64
	// Null is the whole member if it is null or, with Empty 1, an empty text.
	Null  Pattern
	Empty int
	// Low and High limit integers. Scale and Limit, the first unscaled value that is too large, are used for decimals.
	Low, High int
	Scale     int
	Limit     uint64
	// Prefix is the text before the value: in JSON separator, name, colon, quote and the common start of values such as
	// dates; in Atom white space and the start tag. Suffix is the text after it.
	Suffix, Prefix Pattern
	// Next is the expected next entry, never nil.
	Next *Entry
	// Unquoted is 1 for JSON numbers and booleans, which end at a comma or at the end of the row.
	Unquoted int
	// Width is the size of the last text's length prefix.
	Width int
	// Optional is 1 if a union branch precedes the value.
	Column, Optional int
	Kind             int
}

const minRepeats = 3

// Row is the state of a kernel. The kernel reads rows until it reaches a part that it cannot read, and returns the
// reason.
type Row struct {
	// In is the text and P the position in it. Arena is the output and O the position there. The caller provides enough
	// memory.
	In, Arena unsafe.Pointer
	P, O      int
	// Entry is expected at P, or its value is there. Before is the previous entry.
	Entry, Before *Entry
	// Markup is 1 if names are element names.
	Markup int
	// First masks the byte before the first member of a JSON row.
	First uint64
	// Expected is the next column in order. OutOfOrder is 1 once another one came.
	Expected, OutOfOrder int
	// Spans are start and end of each column in the arena. A column's entry in Stamps equals Stamp if the row has it.
	Spans, Stamps unsafe.Pointer
	Stamp         uint64
	// Optionals are 1 for nullable columns.
	Optionals              unsafe.Pointer
	Powers, Exact, Escapes unsafe.Pointer
	// Table is a hash table of Mask+1 entries by name, with linear probing. The end of the row has no name.
	Table unsafe.Pointer
	Mask  uint64
	// Size is the length of a text whose length prefix is still missing.
	Size int
	// Rows has room for Most rows (wit.Row as it lies in memory); Made is how many were written there. The row at work
	// begins at From in the text and at Start in the arena. Most is 0 where rows are not to be written.
	Rows               unsafe.Pointer
	RowCount, MaxRows  int
	RowText, RowOutput int
	// Columns is the number of columns of rows that the kernel writes, all present and in order. Head precedes the
	// first entry.
	Columns int
	Head    *Entry
	// Slack limits how far O may be ahead of P before another row starts.
	Slack int
	// KeyFirst, KeyLast and ValueEnd are positions in Spans: of the key's start and end, and of the value's end.
	// ValueEnd is -1 if the value ends with the row.
	KeyFirst, KeyLast, ValueEnd int
	// RowIndex belongs to the next row. KeyEncoding and ValueEncoding hold encoding and schema of its key and value.
	RowIndex, KeyEncoding, ValueEncoding uint64
}

// rowBytes is the size of a wit.Row.
const rowBytes = 80

func (r *Row) SetTables() {
	r.Powers, r.Exact, r.Escapes = unsafe.Pointer(&powers), unsafe.Pointer(&exactPowers), unsafe.Pointer(&escapes)
}

// BeginColumn starts a column before its value is written. It returns false if the row already has the column.
func (r *Row) BeginColumn(column int) bool {
	if column == r.Expected {
		return true
	}
	o := beginColumn(r, column, r.O)
	if o >= 0 {
		r.O = o
	}
	return o >= 0
}

// EndColumn ends a column that was written from r.O to o and read up to p.
func (r *Row) EndColumn(p, o int) {
	endColumn(r, r.Entry.Column, r.O, o)
	r.P, r.O = p, o
	r.Before, r.Entry = r.Entry, r.Entry.Next
}

// SkipSuffix skips the text after the value of Entry. It reports whether that text is at P.
func (r *Row) SkipSuffix() bool {
	if mismatch(r.In, r.P, &r.Entry.Suffix, ^uint64(0)) != 0 {
		return false
	}
	r.P += r.Entry.Suffix.Size
	return true
}

// SkipTo continues after a skipped member that ends at p.
func (r *Row) SkipTo(p int) {
	r.P = p
	r.Before, r.Entry = r.Entry, r.Entry.Next
}

// Reasons why a kernel stopped.
const (
	AtEnd = iota
	// NoEntry: no known entry is at P.
	NoEntry
	// UnexpectedValue: the kernel cannot read the value of Entry at P. Nothing was written at O.
	UnexpectedValue
	// UnexpectedProperty: the member whose value is at P must be skipped and does not match its template.
	UnexpectedProperty
	// UnexpectedRow: the plain parser must decode the row.
	UnexpectedRow
	// NeedsLength: a text of Size bytes is at O, after the union branch and Width bytes for its length, which is not
	// written yet. P is after the text; call [Row.SkipSuffix].
	NeedsLength
	// Truncated: the text ends at P inside a value, or contains a zero byte.
	Truncated
)

// exactPowers are the powers of ten that a float64 represents exactly.
var exactPowers = [23]float64{1, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16,
	1e17,
	1e18, 1e19, 1e20,
	1e21, 1e22}

// escapes maps the byte after a JSON backslash to its value, zero if invalid.
var escapes = [256]byte{'"': '"', '\\': '\\', '/': '/', 'b': '\b', 'f': '\f', 'n': '\n', 'r': '\r', 't': '\t'}
