package kernel

import "unsafe"

// Rows is the state of a kernel. All fields have 8 bytes, as the assembly requires.
type Rows struct {
	Program *Program
	Input
	EncodingWords
	Output
	Progress
	Calendar [7]uint64 // year, month, day, hour, minute, second and milliseconds of the date being formatted
}

// Input is the rows of a call.
type Input struct {
	In    unsafe.Pointer // array of wit.Row in little-endian order
	Count int            // rows in In
	First int            // index of In's first row in the call
	Topic uint64         // topic of the rows. Another one stops the kernel.
	Data  unsafe.Pointer // bytes of the call
	Limit int            // end of Data without Room. A value that ends later stops the kernel.
}

// EncodingWords selects the values that the kernel accepts, by encoding and schema, and specifies encoding and schema
// of the results. Each word is the first word of a value slice.
type EncodingWords struct {
	Mask     uint64 // the bits in which a value's word must equal Value
	Value    uint64 // what a value's word must be in the bits of Mask
	KeepMask uint64 // the bits that the result's word takes over from the value's word
	Result   uint64 // the other bits of the result's word
}

// Output receives the results.
type Output struct {
	Out      unsafe.Pointer // array of wit.Row
	OutCount int            // rows in Out
	OutLimit int            // capacity of Out, in rows
	OutTopic uint64         // topic of the results
	Dst      unsafe.Pointer // bytes of the results
	DstEnd   int            // length of Dst
	DstSize  int            // capacity of Dst
	DstFull  int            // no row starts once DstEnd reaches it
}

// Progress is what a kernel has done of the current row.
type Progress struct {
	N          int            // index of the current row in In
	Field      int            // next field to find
	Position   int            // offset of that field in Data
	Ends       unsafe.Pointer // offset of each field in Data, and where the last one ends
	Edited     int            // 0 until the caller has stored the edited values, then their total size plus 1
	OpsStart   int            // where the ops write in Dst
	KeyEnd     int            // where the new key ends in Dst
	HeadersEnd int            // where the new headers end in Dst
}

// Program processes values of one kind: it finds their fields, then executes the ops.
type Program struct {
	StructPattern
	MapPattern
	Ops         *Op    // ends with an op of kind End
	Extra       int    // how many bytes the result may be longer than the value
	Key         uint64 // encoding word of the new key, or 0
	Headers     uint64 // encoding word of the new headers, or 0
	GrowthShift uint64 // a byte of the row is written at most 1<<GrowthShift times
	Edits       int    // 1 if the caller computes the edited values of each row, else 0
	Appends     int    // 1 if the ops write after the value, which stays in place
	Count       int    // new number of a map's entries if the program appends
}

// StructPattern describes the structs that a program processes.
type StructPattern struct {
	Fields unsafe.Pointer // codes of the fields, then Last or Rest
	Root   uint64         // 0 if values have no union branch, else the branch of a value plus 1
}

// MapPattern describes the maps that a program processes: their keys, in order.
type MapPattern struct {
	Keys              *Key    // one for each entry
	FieldCount        int     // entries
	Head              uint64  // first bytes of the map, its tag and count, in the bits of HeadMask
	HeadMask          uint64  // see Head
	HeadSize          int     // size of Head in bytes
	Choices           *Choice // restrictions of the entries' types
	ChoiceCount       int     // number of Choices
	MissingAttributes uint64  // a bit each for partition, offset and timestamp, which the rows must not have
}

// Codes of fields. Optional adds a union branch, whose value is in bits 8 to 15. OptionalText has the number of
// consecutive fields of its kind from bit Run on.
const (
	LengthPrefixed uint64 = iota
	Number
	Boolean
	FourBytes
	EightBytes
	Other        // the caller finds the end of the field
	Last         // no more fields
	Rest         // no more fields are read: they stay together. Bits from 8 on are the index in Ends for their end.
	Optional     = 8
	OptionalText = LengthPrefixed | Optional | 2<<8
	Run          = 16
)

// Key is the key of a map's entry with its tag. Each word has a mask. Rest holds the words from the third on, each
// followed by its mask.
type Key struct {
	Size       int
	First      uint64
	Mask       uint64
	Second     uint64
	SecondMask uint64
	Rest       unsafe.Pointer
}

// Choice restricts the type of an entry's value. Another one stops the kernel.
type Choice struct {
	Field   int    // byte offset of the entry in Ends
	KeySize int    // size of the entry's key
	Allowed uint64 // a bit for each allowed tag
}

// Op writes a part of the result.
type Op struct {
	Kind       uint64
	First      int            // byte offset of the first field in Ends. An attribute has its offset in the row.
	Last       int            // byte offset of the end of the last field in Ends
	KeySize    int            // size of the entry's key, which precedes the value
	Bytes      unsafe.Pointer // a constant, a replacement or the pieces
	Size       int            // of Bytes. An attribute has 1 if the row must have it.
	Null       uint64         // branch of the null to replace. An attribute has not 0 if it gets a branch.
	Conversion uint64         // see [Conversion.Word]; 0 if the caller converts
	Date       unsafe.Pointer // the [Date] of a conversion to text
}

// Kinds of ops.
const (
	Constant       uint64 = iota
	Copied                // fields of the input
	OrDefault             // a field of the input, or a replacement if it is null
	Choosing              // a piece that the first byte of a field selects
	Attribute             // partition, offset or timestamp of the row
	Edited                // a converted value, or a piece that the caller computed
	EndOfKey              // nothing: the key ends here
	EndOfHeaders          // nothing: the headers end here
	HeaderCount           // the number of headers, Size more than the row has, and the row's headers
	CopiedWithSize        // fields of the input, with a length prefix
	End
)

// Conversion converts a number.
type Conversion struct {
	Kind       uint8 // ByCaller and following
	HasLead    bool  // a branch or tag, the lead, precedes the value
	ValueLead  byte  // lead of a value to convert
	ResultLead byte  // lead of its result
	NullLead   byte  // lead of a null
	ResultNull byte  // lead of the result of a null
	UnusedBits uint8 // of 64 bits, how many the input does not use
	LostBits   uint8 // of 64 bits, how many the result lacks
}

// Kinds of conversions.
const (
	ByCaller uint8 = iota // the kernel does not convert
	Integer               // an integer of another size
	Digits                // a decimal text
	DateText              // a date text of milliseconds
	Single                // a float32 of a float64
)

const MaxConverted = 24 // largest size of a converted value, except date texts

// Word encodes the conversion for an op.
func (c Conversion) Word() uint64 {
	word := uint64(c.Kind) | uint64(c.ValueLead)<<16 | uint64(c.ResultLead)<<24 | uint64(c.NullLead)<<32 |
		uint64(c.ResultNull)<<40 | uint64(c.UnusedBits)<<48 | uint64(c.LostBits)<<56
	if c.HasLead {
		word |= 1 << 8
	}
	return word
}

// Date is a date format: fixed text, and the numbers in it up to a 0. The lowest byte of a number is its index in
// [Rows.Calendar], then follow the position of its last digit and the number of digits.
type Date struct {
	Size    int
	Numbers [16]uint64
	Text    [Room]byte
}

const Partition, Offset, Timestamp = 8, 16, 24 // offsets in a wit.Row

// Piece is a range of bytes with Room after it.
type Piece struct {
	Bytes unsafe.Pointer
	Size  int
}

// Reasons why a kernel returned.
const (
	Done = iota // no row is left, or the current one does not match the program
	Skip        // the caller must find the end of field Field-1, which starts at Position, and call again
	Full        // the caller must grow Dst and call again
	Edit        // the caller must compute all pieces of the row, set Edited, and call again
)

const ready = -1 // the row can be processed: no reason to return
