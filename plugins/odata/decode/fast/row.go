package fast

import "unsafe"

// MarkSize is the longest text that a [Mark] compares: names of properties have up to 40 characters in SAP's services,
// and a start tag of Atom holds one with its type, as in `<d:RequiredDeliveryDate m:type="Edm.DateTimeOffset">`.
const MarkSize = 8 * markWords

const markWords = 10

// Mark is a short text to be compared whole: as words, and what of them counts. Bias is not 0 for texts that are longer
// than [MarkSize], and while there is none.
type Mark struct {
	Words, Masks [markWords]uint64
	Bias         uint64
	Size         int
}

// NewMark makes a mark; texts of more than [MarkSize] bytes never match.
func NewMark(text []byte) Mark {
	m := Mark{Size: len(text)}
	if len(text) > MarkSize || len(text) == 0 {
		m.Bias = 1
		return m
	}
	for i := range markWords {
		part := text[min(len(text), 8*i):min(len(text), 8*i+8)]
		m.Words[i] = word(part)
		m.Masks[i] = ^uint64(0)
		if len(part) < 8 {
			m.Masks[i] = 1<<(8*len(part)) - 1
		}
	}
	return m
}

// Kinds of entries: how their values are read.
const (
	// Slow: by somebody else.
	Slow = iota
	Text
	Integer
	Decimal
	Double
	Boolean
	Moment
	Clock
	GUID
	// Skip: its value is passed.
	Skip
	// End is the end of the row.
	End
)

// Entry is one thing that may stand in a row: a property, something to be passed, the end. All its fields have eight
// bytes, since assembly reads them.
type Entry struct {
	// Open is what stands in front of the value: in JSON separator, name and colon, in Atom the start tag and the white
	// space before it. Close is the end tag, Null what stands for null; Atom only.
	Open, Close, Null Mark
	// Next is the entry expected behind it, never nil.
	Next *Entry
	Kind int
	// Column, and whether a branch number precedes its value (1) or not (0).
	Column, Optional int
	// Width is the size of the last text's length.
	Width int
	// Low and High bound integers; Scale and Limit are a decimal's (Limit: the first unscaled value that is too large).
	Low, High int
	Scale     int
	Limit     uint64
	// Skip is the template of what is passed, nil: none was learned.
	Skip *uint64
	// Candidate came behind it lately instead of Next, Times times running. A guess is changed when another was right
	// three times running: a page without its nulls must not spoil the order.
	Candidate *Entry
	Times     int
}

// Enough is how often another entry must come behind one to be expected there.
const Enough = 3

// Row is a row being read. A kernel reads on until something comes up that is not for it, and says what.
type Row struct {
	// In is the text, P the place in it; Arena the output, O the place there. The caller has made room.
	In, Arena unsafe.Pointer
	P, O      int
	// Entry is expected at P, or its value is there if AtValue is 1. Before is the entry before it.
	Entry, Before *Entry
	AtValue       int
	// First masks the first byte in front of the first member of a row in JSON.
	First uint64
	// Expected is the column that would be next in order; Mixed is 1 once another came.
	Expected, Mixed int
	// Spans are two numbers for each column, start and end in the arena; Stamps one, equal to Stamp if the row has
	// given it.
	Spans, Stamps unsafe.Pointer
	Stamp         uint64
	// Optionals are one number for each column: may it be null.
	Optionals unsafe.Pointer
	// Powers, Exact and Plain are the tables of this package.
	Powers, Exact, Plain unsafe.Pointer
	// Table has Mask+1 places for entries, each at the hash of its name or behind it.
	Table unsafe.Pointer
	Mask  uint64
	// Size is the number of bytes of a text that wants its length written.
	Size int
	// Negative and Places are of the number being read.
	Negative, Places int
	// Filled is 0 if the member at P is null.
	Filled uint64
	// Rows has room for Most rows (wit.Row as it lies in memory); Made is how many were written there. The row at work
	// begins at From in the text and at Start in the arena. Most is 0 where rows are not to be written.
	Rows        unsafe.Pointer
	Made, Most  int
	From, Start int
	// Columns is how many a row has that may be written here: all are given, in order. Head stands in front of the
	// first one.
	Columns int
	Head    *Entry
	// Slack is what O may be ahead of P at most for another row to have room.
	Slack int
	// KeyFirst and KeyLast are where in Spans the key's beginning and end are, Hidden the end of the value, -1: it is
	// the row's.
	KeyFirst, KeyLast, Hidden int
	// Origin is that of the next row; KeyForm and ValueForm are form and schema of its key and value.
	Origin, KeyForm, ValueForm uint64
}

// rowBytes is the size of a wit.Row.
const rowBytes = 80

// Use gives the row its tables.
func (r *Row) Use() {
	r.Powers, r.Exact, r.Plain = unsafe.Pointer(&powers), unsafe.Pointer(&exact), unsafe.Pointer(&plain)
}

// Hash of a name of size bytes at p.
func Hash(in unsafe.Pointer, p, size int) uint64 { return hash(in, p, size) }

// Follows notes that e came behind another entry than was expected.
func Follows(before, e *Entry) { follows(before, e) }

// Given notes that the row has a column, before its value is written; false: it has it already.
func (r *Row) Given(column int) bool {
	if column == r.Expected {
		return true
	}
	o := given(r, column, r.O)
	if o >= 0 {
		r.O = o
	}
	return o >= 0
}

// Done notes that a column was written, from r.O to o, with its text up to p: what comes behind it is next.
func (r *Row) Done(p, o int) {
	done(r, r.Entry.Column, r.O, o)
	r.P, r.O, r.AtValue = p, o, 0
	r.Before, r.Entry = r.Entry, r.Entry.Next
}

// Passed notes that a member that is no column ends at p.
func (r *Row) Passed(p int) {
	r.P, r.AtValue = p, 0
	r.Before, r.Entry = r.Entry, r.Entry.Next
}

// What a kernel says when it stops.
const (
	// AtEnd: the row's end was passed.
	AtEnd = iota
	// Missed: neither Entry nor the ones behind it stand at P.
	Missed
	// OddValue: the value of Entry at P is for somebody else; nothing was written at O.
	OddValue
	// OddMember: the member at P, behind the text in front of it, is to be passed and is not as its template.
	OddMember
	// OddRow: the plain parser must read the row.
	OddRow
	// Unsealed: a text of Size bytes stands at O behind the branch number and Width bytes for its length, which is
	// wrong; P is behind it.
	Unsealed
	// Cut: the text at P, amid a value, has ended, or holds a 0.
	Cut
)

// exact are the powers of ten that a float64 holds exactly.
var exact = [23]float64{1, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16, 1e17,
	1e18, 1e19, 1e20,
	1e21, 1e22}

// plain is what stands behind a backslash in JSON, 0 for what does not.
var plain = [256]byte{'"': '"', '\\': '\\', '/': '/', 'b': '\b', 'f': '\f', 'n': '\n', 'r': '\r', 't': '\t'}
