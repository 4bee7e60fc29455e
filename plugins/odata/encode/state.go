package encode

import "unsafe"

// Object is a row that becomes the members of a JSON object, each with a comma before it, or the elements of an entry.
// All fields have 8 bytes, as the assembly takes them.
type Object struct {
	// In has the row's fields from At to End.
	In      unsafe.Pointer
	At, End int
	// Out is written at O, up to Limit, which is Room before its end.
	Out      unsafe.Pointer
	O, Limit int
	// Fields are all of them, Count many, of which that of number Next is the next. Named fields, those of schemaless
	// rows, have names and tags before their values, others nothing.
	Fields      unsafe.Pointer
	Next, Count int
	Named       uint64
	// XML is not 0 where values become elements; these have no Quoted, Date and DateOffset.
	XML uint64
	// Keys is where the places of keys are written.
	Keys *Place
	// Start and Begin are where the field at work stands, in Out and in In.
	Start, Begin int
}

// Place is where the value of a key stands in the row, and in the JSON.
type Place struct{ From, To, OutFrom, OutTo int }

// Field is what is known of a field beforehand.
type Field struct {
	// Kind is how its value is read and written; those of named fields are by tag, four bits each.
	Kind, Kinds uint64
	// Optional is not 0 where a branch stands before the value; Null is the branch that is null.
	Optional, Null uint64
	// Writes is not 0 where a null is written.
	Writes uint64
	// Before and Behind are what stands before and after the value: in JSON its name with comma and colon, and
	// nothing. None stands for a null, and has at most 32 bytes more than both. All have Room after them.
	Before     unsafe.Pointer
	Size       int
	Behind     unsafe.Pointer
	BehindSize int
	None       unsafe.Pointer
	NoneSize   int
	// Raw is what stands before the tag of a named field; RawMask has the bits of its last word.
	Raw     unsafe.Pointer
	RawSize int
	RawMask uint64
	// Least and Most bound integers. Of texts Most is the most bytes, of decimals the most digits before the point.
	Least, Most int
	// Unit is how many milliseconds an integer of a point in time counts; of decimals it is the scale of their numbers,
	// Scale that of the property, Power ten to the former, and Bound what such a number must be below. Of a block that
	// is passed over it is not 0 where that is text.
	Unit, Scale, Power, Bound int
	// Key is one more than the number of the key property, 0 for none.
	Key int
}

// How values are read and written.
const (
	// Other is left to the caller.
	Other uint64 = iota
	// Null is written where the field says so.
	Null
	// Number is an integer; Quoted one that is written in quotes.
	Number
	Quoted
	// Boolean is a byte that is 0 or 1.
	Boolean
	// Text is a text that is written as a JSON string.
	Text
	// Date and DateOffset are integers that are points in time.
	Date
	DateOffset
	// Decimal is the big-endian unscaled number of one.
	Decimal
	// DecimalText is a decimal's digits.
	DecimalText
	// Instant and InstantOffset are points in time as 2006-01-02T15:04:05, with or without a Z.
	Instant
	InstantOffset
	// False and True have no bytes but their tag.
	False
	True
	// SkipNumber and SkipBlock are passed over.
	SkipNumber
	SkipBlock
)

// Why a row stopped.
const (
	// Done: nothing is left of it.
	Done = iota
	// Odd: its next field is the caller's to write.
	Odd
	// Full: there is no room for the next field.
	Full
)

// Piece is a part of a text that is put together. Room bytes after it may be read.
type Piece struct {
	From unsafe.Pointer
	Size int
}

// Answers are those to the operations of a batch, in Text from At to End. Nothing after the end is read.
type Answers struct {
	Text    unsafe.Pointer
	At, End int
	// Outer is the boundary of the batch's parts with the dashes before it, of OuterSize bytes. That of the changeset,
	// without dashes, stands in the text; Inside is not 0 where it has not ended. Complete is not 0 after the end.
	Outer                unsafe.Pointer
	OuterSize            int
	InnerFrom, InnerSize int
	Inside, Complete     uint64
	// First is not 0 for the first answer of its part.
	First uint64
	// Number is that of the Content-ID, -1 for none, or a text that is none in its shortest form.
	Number int
	// BodyFrom and BodyTo are where its body stands. Of a few headers the places of the values are written, those of
	// the first one of a name; From is 0 where there is none. Repeated is that of RepeatabilityResult. Message is not 0
	// where there is a sap-message.
	BodyFrom, BodyTo         int
	TypeFrom, TypeTo         int
	IDFrom, IDTo             int
	LengthFrom, LengthTo     int
	LocationFrom, LocationTo int
	RepeatedFrom, RepeatedTo int
	Message                  int
}
