package kernel

import "unsafe"

// Rows holds the state of a kernel. All fields have 8 bytes, as the assembly requires.
type Rows struct {
	// In and Out are arrays of wit.Row in little-endian order: the rows of the call and of the result.
	In, Out unsafe.Pointer
	// N is the current row of Count, First the index of row 0 in the call, OutCount the size of the result so far.
	N, Count, First, OutCount, OutLimit int
	// Data holds the bytes of the call. Limit is Room bytes before its end: a value that ends later is not processed.
	Data  unsafe.Pointer
	Limit int
	// Dst receives the results. DstEnd is its length, DstSize its capacity. No row starts once DstEnd reaches DstFull.
	Dst                      unsafe.Pointer
	DstEnd, DstSize, DstFull int
	// Topic is the topic of the rows, OutTopic the topic of the results.
	Topic, OutTopic uint64
	// The encoding word of a value must equal Value in the bits of Mask. The result's is KeepMask of it, and Result.
	Mask, Value, KeepMask, Result uint64
	// Field and Position are where reading of row N continues.
	Program         *Program
	Field, Position int
	// Edited is 0 until the caller has stored the edited values of row N, then one more than their total size.
	Edited int
	// Ends receives the offset of each field, and where the last one ends.
	Ends unsafe.Pointer
	// OpsStart is where the ops of row N write in Dst; KeyEnd and HeadersEnd are where its key and headers end.
	OpsStart, KeyEnd, HeadersEnd int
	Calendar                     [7]uint64
}

// Program processes values of one kind: it skips their fields, then executes the ops.
type Program struct {
	// Fields holds the codes of fields, then Last. Root is 0 without a branch, else the branch of a value plus 1.
	Fields unsafe.Pointer
	Root   uint64
	// Keys holds FieldCount keys of entries. The map must start with HeadSize bytes of Head, in the bits of HeadMask.
	Keys           *Key
	FieldCount     int
	Head, HeadMask uint64
	HeadSize       int
	// Choices restricts the tags of entries. Another tag stops the kernel.
	Choices     *Choice
	ChoiceCount int
	// MissingAttributes has a bit each for partition, offset and timestamp that the rows must not have.
	MissingAttributes uint64
	// Ops ends with an op of kind End. Extra is how many bytes the result may be longer than the value.
	Ops   *Op
	Extra int
	// Key and Headers are new encoding words, or 0. A byte is written up to 1<<GrowthShift times.
	Key, Headers, GrowthShift uint64
	// Edits is 1 if the caller computes the edited values of each row, else 0.
	Edits int
	// Appends is 1 if the ops write after the value, which is not read. Count replaces a map's number of entries.
	Appends, Count int
}

// Codes of fields. Optional adds a branch, whose value is in bits 8 to 15. OptionalText has the number of consecutive
// fields of its kind from bit Run on.
const (
	LengthPrefixed uint64 = iota
	Number
	Boolean
	FourBytes
	EightBytes
	// Other is a field that the caller skips.
	Other
	// Last ends the codes.
	Last
	// Rest ends the codes if the other fields stay together. Bits from 8 on are the index in Ends for their end.
	Rest
	Optional     = 8
	OptionalText = LengthPrefixed | Optional | 2<<8
	Run          = 16
)

// Key is an entry's key with its tag. Each word has a mask; Rest holds words and masks in turns.
type Key struct {
	Size                            int
	First, Mask, Second, SecondMask uint64
	Rest                            unsafe.Pointer
}

// Choice is the set of tags that an entry's value may have. Field is the entry's byte offset in Ends.
type Choice struct {
	Field, KeySize int
	Allowed        uint64
}

// Op writes a part of the result.
type Op struct {
	Kind uint64
	// First and Last are byte offsets in Ends of copied fields, or of one to examine. For an attribute, First is its
	// offset in the row.
	First, Last int
	// KeySize is the size of the entry's key, which precedes the value.
	KeySize int
	// Bytes and Size are a constant, a replacement or the pieces. An attribute has Size 1 if the row must have it.
	Bytes unsafe.Pointer
	Size  int
	// Null is the branch of the null to replace. For an attribute, it is not 0 if there is a branch.
	Null uint64
	// Conversion is a word, see [Conversion.Word], or 0 if the caller converts. Date is its date format.
	Conversion uint64
	Date       unsafe.Pointer
}

// Conversion converts a number, or for Single a float64.
type Conversion struct {
	Kind uint8
	// HasLead reports whether a branch or tag precedes the value. ValueLead becomes ResultLead, NullLead ResultNull.
	HasLead                                     bool
	ValueLead, ResultLead, NullLead, ResultNull byte
	// UnusedBits is the number of bits of 64 that the input does not use, LostBits the number that the result lacks.
	UnusedBits, LostBits uint8
}

const (
	ByCaller uint8 = iota
	Integer
	Digits
	DateText
	Single
)

// MaxConverted is the maximum size of a converted value, except date texts.
const MaxConverted = 24

// Word encodes the conversion for an op.
func (c Conversion) Word() uint64 {
	word := uint64(c.Kind) | uint64(c.ValueLead)<<16 | uint64(c.ResultLead)<<24 | uint64(c.NullLead)<<32 |
		uint64(c.ResultNull)<<40 |
		uint64(c.UnusedBits)<<48 | uint64(c.LostBits)<<56
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

// Kinds of ops.
const (
	Constant uint64 = iota
	// Copied copies fields. OrDefault copies one field and replaces a null.
	Copied
	OrDefault
	// Choosing writes a piece that the first byte of a field selects.
	Choosing
	// Attribute writes the partition, offset or timestamp of the row.
	Attribute
	// Edited writes a converted value, or a piece that the caller computed.
	Edited
	// EndOfKey and EndOfHeaders write nothing. They mark the end of the key and of the headers.
	EndOfKey
	EndOfHeaders
	// HeaderCount writes the number of headers, Size more than the row has, and the row's headers.
	HeaderCount
	// Sized is Copied with a length prefix.
	Sized
	End
)

// Offsets of attributes in a row.
const Partition, Offset, Timestamp = 8, 16, 24

// Piece is a range of bytes with Room after it.
type Piece struct {
	Bytes unsafe.Pointer
	Size  int
}

// Reasons why a kernel returned.
const (
	// Done: there is no further row, or row N is not supported.
	Done = iota
	// Skip: the caller must skip field Field at Position and call again.
	Skip
	// Full: the result needs more space. The caller grows it and calls again.
	Full
	// Edit: a value of row N needs the caller. It must compute all pieces of the row, set Edited, and call again.
	Edit
)
