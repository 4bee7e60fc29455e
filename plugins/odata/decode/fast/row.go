package fast

import "unsafe"

// PatternSize is the longest text that a [Pattern] compares: names of properties have up to 40 characters in SAP's
// services, and a start tag of Atom holds one with its type, as in `<d:RequiredDeliveryDate
// m:type="Edm.DateTimeOffset">`.
const PatternSize = 8 * patternWords

const patternWords = 10

// Pattern is a short text to be compared whole: Parts are words of it, each with what of it counts after it. Bias is
// not 0 for texts that are longer than [PatternSize], and while there is none.
type Pattern struct {
	Disabled uint64
	Size     int
	Words    [2 * patternWords]uint64
}

// NoPattern never matches.
var NoPattern = Pattern{Disabled: 1}

// NewPattern makes a mark; texts of more than [PatternSize] bytes never match.
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
	// JSONString is text of a JSON string, Marked that of an element.
	JSONString = iota
	XMLText
	Integer
	Decimal
	Double
	Boolean
	DateTime
	TimeOfDay
	GUID
	// Slow: by somebody else.
	Slow
	// Skip: its value is passed.
	Skip
	// End is the end of the row.
	End
)

// Entry is one thing that may stand in a row: a property, something to be passed, the end. All its fields have eight
// bytes, since assembly reads them; what each member needs stands together at the end, for the processor's cache.
type Entry struct {
	// Candidate came after it lately instead of Next, Times times running. A guess is changed when another was right
	// three times running: a page without its nulls must not spoil the order.
	Candidate *Entry
	Times     int
	// Skip is the template of what is passed, nil: none was learned. Of the end it is what stands between two rows, and
	// of what stands in front of the first entry what stands before a row's members.
	Skip *uint64
	// Null is the whole member where it is null, or with Empty 1 where it is an empty text.
	Null  Pattern
	Empty int
	// Low and High bound integers; Scale and Limit are a decimal's (Limit: the first unscaled value that is too large).
	Low, High int
	Scale     int
	Limit     uint64
	// Prefix is all that stands in front of the value: in JSON separator, name, colon, the quote and the beginning that
	// all values have, as of points in time; in Atom white space and the start tag. Close is what stands after it.
	Suffix, Prefix Pattern
	// Next is the entry expected after it, never nil.
	Next *Entry
	// Unquoted is 1 for numbers and booleans of JSON without quotes, which end at a comma or at the row's end.
	Unquoted int
	// Width is the size of the last text's length.
	Width int
	// Column, and whether a branch number precedes its value (1) or not (0).
	Column, Optional int
	Kind             int
}

// minRepeats is how often another entry must come after one to be expected there.
const minRepeats = 3

// Row is a row being read. A kernel reads on until something comes up that is not for it, and says what.
type Row struct {
	// In is the text, P the place in it; Arena the output, O the place there. The caller has made room.
	In, Arena unsafe.Pointer
	P, O      int
	// Entry is expected at P, or its value is there. Before is the entry before it.
	Entry, Before *Entry
	// Markup is 1 where names are those of elements.
	Markup int
	// First masks the first byte in front of the first member of a row in JSON; elsewhere it masks nothing.
	First uint64
	// Expected is the column that would be next in order; Mixed is 1 once another came.
	Expected, OutOfOrder int
	// Spans are two numbers for each column, start and end in the arena; Stamps one, equal to Stamp if the row has
	// given it.
	Spans, Stamps unsafe.Pointer
	Stamp         uint64
	// Optionals are one number for each column: may it be null.
	Optionals unsafe.Pointer
	// Powers, Exact and Plain are the tables of this package.
	Powers, Exact, Escapes unsafe.Pointer
	// Table has Mask+1 places for entries, each at the hash of its name or after it; the row's end has no name.
	Table unsafe.Pointer
	Mask  uint64
	// Size is the number of bytes of a text that wants its length written.
	Size int
	// Rows has room for Most rows (wit.Row as it lies in memory); Made is how many were written there. The row at work
	// begins at From in the text and at Start in the arena. Most is 0 where rows are not to be written.
	Rows               unsafe.Pointer
	RowCount, MaxRows  int
	RowText, RowOutput int
	// Columns is how many a row has that may be written here: all are given, in order. Head stands in front of the
	// first one.
	Columns int
	Head    *Entry
	// Slack is what O may be ahead of P at most for another row to have room.
	Slack int
	// KeyFirst and KeyLast are where in Spans the key's beginning and end are, Hidden the end of the value, -1: it is
	// the row's.
	KeyFirst, KeyLast, ValueEnd int
	// RowIndex is that of the next row; KeyForm and ValueForm are form and schema of its key and value.
	RowIndex, KeyEncoding, ValueEncoding uint64
}

// rowBytes is the size of a wit.Row.
const rowBytes = 80

// SetTables gives the row its tables.
func (r *Row) SetTables() {
	r.Powers, r.Exact, r.Escapes = unsafe.Pointer(&powers), unsafe.Pointer(&exactPowers), unsafe.Pointer(&escapes)
}

// BeginColumn notes that the row has a column, before its value is written; false: it has it already.
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

// EndColumn notes that a column was written, from r.O to o, with its text up to p: what comes after it is next.
func (r *Row) EndColumn(p, o int) {
	endColumn(r, r.Entry.Column, r.O, o)
	r.P, r.O = p, o
	r.Before, r.Entry = r.Entry, r.Entry.Next
}

// SkipSuffix reports whether what closes the value of Entry stands at P, and goes past it.
func (r *Row) SkipSuffix() bool {
	if mismatch(r.In, r.P, &r.Entry.Suffix, ^uint64(0)) != 0 {
		return false
	}
	r.P += r.Entry.Suffix.Size
	return true
}

// SkipTo notes that a member that is no column ends at p.
func (r *Row) SkipTo(p int) {
	r.P = p
	r.Before, r.Entry = r.Entry, r.Entry.Next
}

// What a kernel says when it stops.
const (
	// AtEnd: the row's end was passed.
	AtEnd = iota
	// NoEntry: no entry is known that stands at P.
	NoEntry
	// UnexpectedValue: the value of Entry at P is for somebody else; nothing was written at O.
	UnexpectedValue
	// UnexpectedProperty: the member at P, after the text in front of it, is to be passed and is not as its template.
	UnexpectedProperty
	// UnexpectedRow: the plain parser must read the row.
	UnexpectedRow
	// NeedsLength: a text of Size bytes stands at O after the branch number and Width bytes for its length, which is
	// wrong; P is after it, and [Row.SkipSuffix] has to be asked.
	NeedsLength
	// Truncated: the text at P, amid a value, has ended, or holds a 0.
	Truncated
)

// exactPowers are the powers of ten that a float64 holds exactly.
var exactPowers = [23]float64{1, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16,
	1e17,
	1e18, 1e19, 1e20,
	1e21, 1e22}

// escapes is what stands after a backslash in JSON, 0 for what does not.
var escapes = [256]byte{'"': '"', '\\': '\\', '/': '/', 'b': '\b', 'f': '\f', 'n': '\n', 'r': '\r', 't': '\t'}
