package kernel

import "unsafe"

// Rows is a run of rows at work. All fields have 8 bytes, as the assembly takes them.
type Rows struct {
	// In are the call's rows, Out those of the result: both as a wit.Row lies in memory, numbers low byte first.
	In, Out unsafe.Pointer
	// N is the row at work, of Count; First is the number of the first of them in the call. Made is how many rows the
	// result has, of at most Most.
	N, Count, First, Made, Most int
	// Data are the call's bytes. A value that ends after Limit, which is Room before their end, is left alone.
	Data  unsafe.Pointer
	Limit int
	// Dst is where results are written: At says how far it is, Size how much there is. From Full on no row is begun.
	Dst            unsafe.Pointer
	At, Size, Full int
	// Topic is that of the rows, To the one that they get.
	Topic, To uint64
	// Of the word with form and schema of a value, the bits of Mask must be those of Value; in the result stand those
	// of Keep, and Result.
	Mask, Value, Keep, Result uint64
	// Program is what is done to values. Member and Place are where its reading of row N goes on.
	Program       *Program
	Member, Place int
	// Edited is 0 until the caller has made the pieces of row N that the program's parts of kind Edited write, then one
	// more than their bytes.
	Edited int
	// Ends has room for a number for each member, and one more: there each begins, and the last ends.
	Ends unsafe.Pointer
	// From is where in Dst the parts of row N are written, KeyEnd and HeadersEnd where its key and its headers end.
	// Calendar has room for the numbers of a date.
	From, KeyEnd, HeadersEnd int
	Calendar                 [7]uint64
}

// Program is what is done to values of one kind: its members are passed over, then its parts are written.
type Program struct {
	// Fields are codes of a structure's members, 8 bytes each, and Last. Root is 0 for a structure without a branch,
	// else one more than the branch of a value.
	Fields unsafe.Pointer
	Root   uint64
	// Keys are those of a map's entries, Members their number. Head are the map's first bytes, under HeadMask, and
	// HeadSize their number.
	Keys           *Key
	Members        int
	Head, HeadMask uint64
	HeadSize       int
	// Choices is Allowed of parts that choose by a tag, which are Chosen many: a tag that is not allowed fails the row.
	Choices *Choice
	Chosen  int
	// Lacks has a bit for each of partition, offset and timestamp that rows are without.
	Lacks uint64
	// Parts are written one after another, up to one of kind End. Extra is how many bytes a result may have more than
	// its value.
	Parts *Part
	Extra int
	// Key and Headers are the words with form and schema of the key and the headers that parts make, 0: they stay.
	// Twice is how often a byte of the input may be written, as a power of two: into the value, the key, a header.
	Key, Headers, Twice uint64
	// Edits is 1 where the caller makes the pieces of each row, else 0.
	Edits int
	// Appends is 1 where the value stays and what the parts write is to stand after it. The members of a structure are
	// not read then. Of a map, whose number of entries takes one byte, that byte becomes Count.
	Appends, Count int
}

// Codes of members. A member with a branch has Optional added, and the branch of a value from bit 8 on. An OptionalText
// has in the bits from Run on how many of its kind follow one another, itself included.
const (
	Block uint64 = iota
	Number
	Boolean
	Four
	Eight
	// Other is a member that the caller passes over.
	Other
	// Last stands after the codes of all members.
	Last
	// Rest stands there instead where the members after it stay together: they are not read. From bit 8 on it has the
	// number in Ends that gets the end of the value.
	Rest
	Optional = 8
	// OptionalText is the most common of all.
	OptionalText = Block | Optional | 2<<8
	Run          = 16
)

// Key is the key of an entry, tag included. Its first words stand here with masks; more may follow in Rest, each word
// with its mask after it.
type Key struct {
	Size                         int
	First, Mask, Second, Masking uint64
	Rest                         unsafe.Pointer
}

// Choice is which tags the value of an entry may have: a bit each. Place is the entry's in Ends, in bytes, and Behind
// how far after that the value is.
type Choice struct {
	Place, Behind int
	Allowed       uint64
}

// Part of a result.
type Part struct {
	Kind uint64
	// First and Last are places in Ends, in bytes: where what is copied begins and ends, or the byte that chooses is.
	// First of an attribute is the place in the row.
	First, Last int
	// Behind is how far after First it is: a value is as far after its entry as the key is long.
	Behind int
	// Bytes and Size: a constant, or what replaces a null; of a part that chooses, pieces by what the byte says; of an
	// edited one the piece. Size of an attribute is not 0 where the row has to have it.
	Bytes unsafe.Pointer
	Size  int
	// Null is the branch of a null, which is replaced. Of an attribute: it is not 0 where there is a branch.
	Null uint64
	// How is what becomes of an edited member or entry of the input where its value is a common one, 0: the caller
	// makes it. It is put together by [Conversion.Word]. Date is what texts of times look like.
	How  uint64
	Date unsafe.Pointer
}

// Conversion is what becomes of a value: of a number, or, in Single, of a float64.
type Conversion struct {
	Kind uint8
	// Lead: in front of the value stands a branch or a tag. That of a value is Full, and becomes Made; that of a null
	// is None, and becomes Null, which is all of it.
	Lead                   bool
	Full, Made, None, Null byte
	// Unused is how many bits of 64 the number has no use for, Lost how many the result has none for.
	Unused, Lost uint8
}

// Kinds of conversions.
const (
	// ByCaller is none.
	ByCaller uint8 = iota
	// Integer is a number of fewer or more bits; Digits is its text.
	Integer
	Digits
	// Day is the text of a time in milliseconds.
	Day
	// Single is a float32 of a float64.
	Single
)

// MaxConverted is the most bytes that a conversion writes, a date's text left out.
const MaxConverted = 24

// Word is a conversion as a part has it.
func (c Conversion) Word() uint64 {
	w := uint64(c.Kind) | uint64(c.Full)<<16 | uint64(c.Made)<<24 | uint64(c.None)<<32 | uint64(c.Null)<<40 |
		uint64(c.Unused)<<48 | uint64(c.Lost)<<56
	if c.Lead {
		w |= 1 << 8
	}
	return w
}

// Date is what the text of a time looks like: its size, the numbers that are put into it, one after another up to a 0,
// and what stands around them. Of a number the lowest byte is its index in [Rows.Calendar] (year, month, day, hour,
// minute, second, millisecond), the next where its last digit stands, and what is above how many it has.
type Date struct {
	Size    int
	Numbers [16]uint64
	Text    [Room]byte
}

// Kinds of parts.
const (
	// Constant is written as it is.
	Constant uint64 = iota
	// Copied is members of the input; OrDefault is one, but for a null.
	Copied
	OrDefault
	// Choosing writes a piece by the first byte of a member.
	Choosing
	// Attribute is a number of the row: partition, offset or timestamp.
	Attribute
	// Edited writes what becomes of a member or entry by a conversion, or a piece that the caller made of it.
	Edited
	// KeyEnd and HeadersEnd write nothing: what stands before them are the key and the headers.
	KeyEnd
	HeadersEnd
	// HeaderCount writes how many headers there are, Size more than the row has, and those.
	HeaderCount
	// Sized is Copied with the size in front.
	Sized
	// End ends the parts.
	End
)

// Places of attributes in a row.
const Partition, Offset, Timestamp = 8, 16, 24

// Piece is bytes that a part chooses, or that the caller made. They have Room after them.
type Piece struct {
	Bytes unsafe.Pointer
	Size  int
}

// Why a kernel returned.
const (
	// Done: row N is not one that it can do, or there is none.
	Done = iota
	// Skip: the caller passes over member Member, which begins at Place, and calls again.
	Skip
	// Full: the result needs more room: the caller makes it and calls again.
	Full
	// Edit: the members of row N are in Ends, and a value among them is none that the kernel converts: the caller makes
	// all pieces of the row, says so in Edited, and calls again.
	Edit
)
