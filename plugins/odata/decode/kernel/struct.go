package kernel

import "unsafe"

// PatternSize limits the text of a [Pattern], in bytes.
const PatternSize = 8 * patternWords

const patternWords = 10

// Pattern is a short text: words, each followed by a mask. It never matches if Disabled is not 0; the zero Pattern
// matches everywhere.
type Pattern struct {
	Disabled uint64
	Size     int
	Words    [2 * patternWords]uint64
}

// NoPattern never matches.
var NoPattern = Pattern{Disabled: 1}

// NewPattern returns a pattern, or [NoPattern] if the text is longer than [PatternSize].
func NewPattern(text []byte) Pattern {
	if len(text) > PatternSize || len(text) == 0 {
		return NoPattern
	}
	m := Pattern{Size: len(text)}
	for i := range patternWords {
		part := text[min(len(text), 8*i):min(len(text), 8*i+8)]
		for k, c := range part {
			m.Words[2*i] |= uint64(c) << (8 * k)
		}
		m.Words[2*i+1] = ^uint64(0)
		if len(part) < 8 {
			m.Words[2*i+1] = 1<<(8*len(part)) - 1
		}
	}
	return m
}

// HasText reports whether p is the pattern of a text.
func (p *Pattern) HasText(text []byte) bool {
	if len(text) != p.Size {
		return false
	}
	for i, c := range text {
		if byte(p.Words[i/8*2]>>(i%8*8)) != c {
			return false
		}
	}
	return p.Disabled == 0
}

// Kinds of [Property]. Their order counts: code compares ranges of them, and adds [Cursor.Markup] to JSONString.
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
	GoValue // Go reads the value
	Skip    // no column
	End
	Surroundings // the elements of an entry around its properties
	Value        // the value of Struct.Target, without its Prefix
)

// Property is a property that a struct may have, or its end. Assembly reads its fields, so each has eight bytes; the
// ones that are always read are together at the end, for the processor's cache.
type Property struct {
	Null  Pattern // in Atom: the whole text of a null
	Empty int     // 1 if Null stands for an empty string instead

	Low      int    // of integers and of points in time; above High for an Edm.Date
	High     int    // of integers and of points in time
	Scale    int    // of decimals
	Limit    uint64 // the first unscaled value that is too large for a decimal
	SkipsAny int    // 1 if the value of a skipped property may be any, 0 if it must be deferred

	// Candidate followed this property instead of Next the last Times times. It becomes Next after minRepeats.
	Candidate *Property
	Repeats   int

	Suffix Pattern // in Atom: the end tag
	// Prefix is the text before the value: in JSON from the comma on, also for the first property.
	Prefix   Pattern
	Next     *Property // expected after this one, never nil
	Width    int       // of the last text's length, in bytes
	Column   int
	Optional int // 1 if a union branch precedes the value
	Kind     int
}

const minRepeats = 3

// Struct is the state of [Read] within the text of one struct. Assembly reads its fields by offset.
type Struct struct {
	Cursor
	Order
	Batch
	Entry
	tables
}

// Cursor is the position of [Read].
type Cursor struct {
	In        unsafe.Pointer // the text
	Arena     unsafe.Pointer // the output
	P         int            // the offset in the text
	O         int            // the offset in the output
	Property  *Property      // expected at P, or its value is there
	Previous  *Property      // the previous property
	Head      *Property      // precedes the first property
	End       *Property      // the end of the struct
	Target    *Property      // see Value
	FirstMask uint64         // masks the byte before the first property of an object
	Markup    int            // 1 for XML
	Depth     int            // nesting allowed in a value of JSON, less than 64
	Reason    int            // why Read stopped
	Quoted    int            // 1 for a value in quotes
	Table     unsafe.Pointer // hash table of Mask+1 properties by name, with linear probing
	Mask      uint64
}

// Order is the order of the current struct's columns.
type Order struct {
	Expected   int            // the next column in order
	OutOfOrder int            // 1 if another one occurred
	Spans      unsafe.Pointer // start and end of each column in the output
	Stamps     unsafe.Pointer // equals Stamp for each column that the struct has
	Stamp      uint64
	Optionals  unsafe.Pointer // 1 for each nullable column
	Columns    int            // their number
}

// Batch lets [Read] go on with the next struct by itself: the next row, or the next item of an array. With MaxRows 0,
// Read stops after each struct.
type Batch struct {
	Rows          unsafe.Pointer // memory for MaxRows values of wit.Row, nil for items of an array
	MaxRows       int
	RowCount      int // rows that Read finished
	RowText       int // start of the current row in the text
	NextText      int // start of the next row, 0 for none
	RowOutput     int // start of the current row in the output
	MaxLead       int // limits how far O may be ahead of P before another row starts
	OutputLimit   int // the end of the memory for output that is out of order, less a row of nulls
	KeyFirst      int // offset in Spans
	KeyLast       int // offset in Spans
	ValueEnd      int // offset in Spans, -1 if the value ends with the row
	RowIndex      uint64
	KeyEncoding   uint64 // start of the wit.ValueSlice of the key
	ValueEncoding uint64 // start of the wit.ValueSlice of the value
}

const rowBytes = 80 // of a wit.Row, which finishRow writes

// Entry is the state of an entry of Atom around its properties.
type Entry struct {
	Surroundings *Property // the pseudo property for the elements around the properties; nil for other structs
	Place        int       // see InEntry
	Links        int       // 1 if Go must see links with a relation to other entities
	Entered      int       // 1 if Read opened properties
	Relation     int       // offset of the relation of the link at P, below 2 for others
	TagEnd       int       // offset after the start tag of that link
	Empty        int       // 1 if that link is empty
	Properties   Pattern   // the start tag of the properties

	// Elements is the offset after the start tag of the last entry whose properties Read opened, if Read skipped all
	// elements before them; otherwise zero. The next entry is compared with that one.
	Elements        int
	ElementsEnd     int // the offset after the start tag of that entry's properties
	PropertiesPlace int // the Place of that start tag
}

// Places in an entry. Their order counts: properties may start at the places before InFeed.
const (
	InEntry = iota
	InContent
	InFeed    // before an entry
	InElement // in a child of the entry that has children; P is at its start tag. Go treats it like InEntry
)

type tables struct {
	Powers      unsafe.Pointer
	ExactPowers unsafe.Pointer
	Escapes     unsafe.Pointer
}

// Init sets the tables.
func (s *Struct) Init() {
	s.Powers = unsafe.Pointer(&powers)
	s.ExactPowers = unsafe.Pointer(&exactPowers)
	s.Escapes = unsafe.Pointer(&escapes)
}

// BeginColumn begins a column at O. It writes null for columns before it, and returns false if the struct already has
// the column.
func (s *Struct) BeginColumn(column int) bool {
	if column == s.Expected {
		return true
	}
	o := beginColumn(s, column, s.O)
	if o >= 0 {
		s.O = o
	}
	return o >= 0
}

// EndColumn records that the column that starts at O ends at o, and its text at p. It sets P and O to these.
func (s *Struct) EndColumn(column, p, o int) {
	endColumn(s, column, s.O, o)
	s.P = p
	s.O = o
}

// Reasons why [Read] stopped. From Markup on, P is outside of properties.
const (
	AtEnd      = iota // P is after the struct
	NoProperty        // the property at P is not known, repeated, or in an unusual form
	NoValue           // the value of Property at P is in an unusual form; nothing was written at O
	Repeated          // the struct already has the column of Property, whose value is at P
	Markup            // the element at P, around the properties of an entry, is unusual
	Link              // a link with a relation to other entities is at P
	EntryEnd          // P is after an entry
)

var exactPowers = [23]float64{1, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16,
	1e17, 1e18, 1e19, 1e20, 1e21, 1e22}

var powers = [20]uint64{1, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16, 1e17,
	1e18, 1e19}

var escapes = [256]byte{'"': '"', '\\': '\\', '/': '/', 'b': '\b', 'f': '\f', 'n': '\n', 'r': '\r', 't': '\t'}
