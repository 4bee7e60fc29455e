package fast

import "unsafe"

const PatternSize = 8 * patternWords // limits the text of a Pattern

const patternWords = 10

// Pattern is a short text: words, each followed by a mask. It never matches if Disabled is not 0.
type Pattern struct {
	Disabled uint64
	Size     int
	Words    [2 * patternWords]uint64
}

var NoPattern = Pattern{Disabled: 1}

// NewPattern returns a pattern, or [NoPattern] if the text is longer than [PatternSize].
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

// Kinds of [Entry].
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
	Slow // for the plain parser
	Skip
	End
)

// Entry is one possible part of a row: a property, a property to skip, or the end. Assembly reads its fields, so each
// has eight bytes; the ones that are always read are together at the end, for the processor's cache.
type Entry struct {
	// Candidate followed this entry instead of Next the last Times times. It becomes Next after minRepeats.
	Candidate *Entry
	Times     int
	// Skip is the template of a skipped value; of the end, the text between two rows; of the head, the text before the
	// first property. Nil means unknown.
	Skip *uint64
	// Null is the whole text of a null or, with Empty 1, of an empty string.
	Null      Pattern
	Empty     int
	Low, High int // limits of integers
	Scale     int
	Limit     uint64 // first unscaled value that is too large for a decimal
	// Prefix is the text before the value, from the separator on, Suffix the text after it.
	Suffix, Prefix   Pattern
	Next             *Entry // expected after this entry, never nil
	Unquoted         int    // 1 for JSON numbers and booleans, which end at a comma or at the end of the row
	Width            int    // of the last text's length prefix
	Column, Optional int    // Optional is 1 if a union branch precedes the value
	Kind             int
}

const minRepeats = 3

// Row is the state of [Read] within a page. Assembly reads its fields by offset.
type Row struct {
	// In is the text and P the position in it. Arena is the output and O the position there.
	In, Arena unsafe.Pointer
	P, O      int
	// Entry is expected at P, or its value is there. Before is the previous entry.
	Entry, Before *Entry
	Markup        int    // 1 for XML
	First         uint64 // masks the byte before the first property of a JSON row
	// Expected is the next column in order. OutOfOrder is 1 if another one occurred.
	Expected, OutOfOrder int
	// Spans are start and end of each column in the arena. A column's entry in Stamps equals Stamp if the row has it.
	Spans, Stamps          unsafe.Pointer
	Stamp                  uint64
	Optionals              unsafe.Pointer // 1 for each nullable column
	Powers, Exact, Escapes unsafe.Pointer
	// Table is a hash table of Mask+1 entries by name, with linear probing. The end of the row has no name.
	Table unsafe.Pointer
	Mask  uint64
	Size  int // see NeedsLength
	// Rows is memory for MaxRows values of wit.Row, of which RowCount were written. The current row begins at RowText
	// in the text and at RowOutput in the arena. With MaxRows 0, Read stops after each row.
	Rows                        unsafe.Pointer
	RowCount, MaxRows           int
	RowText, RowOutput          int
	Columns                     int
	Head                        *Entry // precedes the first entry
	Slack                       int    // limits how far O may be ahead of P before another row starts
	KeyFirst, KeyLast, ValueEnd int    // offsets in Spans; ValueEnd is -1 if the value ends with the row
	// RowIndex is the index of the next row. KeyEncoding and ValueEncoding start the wit.ValueSlice of key and value.
	RowIndex, KeyEncoding, ValueEncoding uint64
}

const rowBytes = 80 // of a wit.Row

func (r *Row) SetTables() {
	r.Powers, r.Exact, r.Escapes = unsafe.Pointer(&powers), unsafe.Pointer(&exactPowers), unsafe.Pointer(&escapes)
}

// BeginColumn returns false if the row already has the column.
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

func (r *Row) EndColumn(p, o int) {
	endColumn(r, r.Entry.Column, r.O, o)
	r.P, r.O = p, o
	r.Before, r.Entry = r.Entry, r.Entry.Next
}

func (r *Row) SkipSuffix() bool {
	if mismatch(r.In, r.P, &r.Entry.Suffix, ^uint64(0)) != 0 {
		return false
	}
	r.P += r.Entry.Suffix.Size
	return true
}

func (r *Row) SkipTo(p int) {
	r.P = p
	r.Before, r.Entry = r.Entry, r.Entry.Next
}

// Results of [Read]: why it stopped.
const (
	AtEnd              = iota
	NoEntry            // no known entry is at P
	UnexpectedValue    // the value of Entry at P cannot be read, nothing was written at O
	UnexpectedProperty // the value at P must be skipped and does not match its template
	UnexpectedRow      // the plain parser must decode the row
	NeedsLength        // Size bytes of text before P were copied, their length has another width than expected
	Truncated          // the text ends at P inside a value, or contains a zero byte
)

var exactPowers = [23]float64{1, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16,
	1e17, 1e18, 1e19, 1e20, 1e21, 1e22}

var escapes = [256]byte{'"': '"', '\\': '\\', '/': '/', 'b': '\b', 'f': '\f', 'n': '\n', 'r': '\r', 't': '\t'}
