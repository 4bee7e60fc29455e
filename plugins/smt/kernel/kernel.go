package kernel

import (
	"math/bits"
	"unsafe"

	"github.com/culvert-project/culvert/wit"
	"github.com/culvert-project/culvert/wit/connectdata"
)

const (
	highs = 0x8080808080808080
	// schema and formAndSchema select parts of the encoding word of a value slice.
	low           = 0xffffffff
	schema        = 0xffffffff00000000
	formAndSchema = 0xffffffff000000ff
	// Offsets in a wit.Row.
	key, value, headers = 32, 48, 64
	opBytes             = int(unsafe.Sizeof(Op{}))
	calendarAt          = int(unsafe.Offsetof(Rows{}.Calendar))
	textAt              = int(unsafe.Offsetof(Date{}.Text))
)

func pointer(p unsafe.Pointer, i int) unsafe.Pointer { return *(*unsafe.Pointer)(unsafe.Add(p, i)) }

func finishRow(rows *Rows, row unsafe.Pointer, end int) {
	out := unsafe.Add(rows.Out, rows.OutCount*rowBytes)
	Store(out, 0, uint64(rows.First+rows.N)|rows.OutTopic<<32)
	Store(out, Partition, Load(row, Partition))
	Store(out, Offset, Load(row, Offset))
	Store(out, Timestamp, Load(row, Timestamp))
	word := rows.Program.Key
	if word != 0 {
		Store(out, key, word)
		Store(out, key+8, uint64(rows.DstEnd)|uint64(rows.KeyEnd-rows.DstEnd)<<32)
	} else {
		Store(out, key, Load(row, key)&schema|uint64(wit.Unchanged))
		Store(out, key+8, 0)
	}
	word = rows.Program.Headers
	if word != 0 {
		Store(out, headers, word)
		Store(out, headers+8, uint64(rows.KeyEnd)|uint64(rows.HeadersEnd-rows.KeyEnd)<<32)
	} else {
		Store(out, headers, uint64(wit.Unchanged))
		Store(out, headers+8, 0)
	}
	Store(out, value, rows.Result)
	Store(out, value+8, uint64(rows.HeadersEnd)|uint64(end-rows.HeadersEnd)<<32)
	rows.DstEnd = end
	rows.N++
	rows.OutCount++
	rows.Field = 0
	rows.Edited = 0
}

// writeRow executes the ops, from at on for the value, and writes the row. It returns Full if the row is
// done. There must be space.
func writeRow(rows *Rows, row unsafe.Pointer, end int) (reason int) {
	dst := rows.Dst
	rows.KeyEnd = rows.DstEnd
	rows.HeadersEnd = rows.DstEnd
	op := rows.Program.Ops
	for op.Kind != End {
		src := op.Bytes
		size := op.Size
		if op.Kind == Copied {
			first := int(Load(rows.Ends, op.First)) + op.KeySize
			size = int(Load(rows.Ends, op.Last)) - first
			src = unsafe.Add(rows.Data, first)
		} else if op.Kind != Constant { // the most common kinds first
			if op.Kind == Attribute {
				number := int64(Load(row, op.First))
				if op.First == Partition {
					number = number << 32 >> 32
				}
				if size != 0 && number < 0 {
					return Done // a required attribute is missing
				}
				size = 0
				if op.Null != 0 {
					Put(dst, end, 2&^byte(number>>63))
					end++
				}
				if number >= 0 {
					end = putNumber(dst, end, uint64(number)<<1)
				}
			} else if op.Kind == Edited {
				if rows.Edited != 0 {
					size = int(Load(src, 8))
					src = pointer(src, 0)
				} else {
					end = putConverted(rows, op, dst, end)
					if end == 0 {
						return Edit
					}
				}
			} else if op.Kind == EndOfKey {
				rows.KeyEnd = end
				rows.HeadersEnd = end
			} else if op.Kind == EndOfHeaders {
				rows.HeadersEnd = end
			} else if op.Kind == HeaderCount {
				count := uint64(size)
				size = 0
				if Load(row, headers)&0xff != uint64(wit.Absent) {
					first := int(Load(row, headers+8) & low)
					size = int(Load(row, headers+8)>>32) - 1
					rowCount := uint64(Byte(rows.Data, first))
					count += rowCount >> 1
					if first+size >= rows.Limit || rowCount&0x81 != 0 || size < 0 {
						return Done
					}
					src = unsafe.Add(rows.Data, first+1)
				}
				if count >= 64 {
					return Done
				}
				Put(dst, end, byte(count<<1))
				end++
			} else if op.Kind == Sized {
				first := int(Load(rows.Ends, op.First)) + op.KeySize
				size = int(Load(rows.Ends, op.Last)) - first
				src = unsafe.Add(rows.Data, first)
				end = putNumber(dst, end, uint64(size)<<1)
			} else {
				src, size = choose(rows, op, src, size)
			}
		}
		copyBytes(dst, end, src, size)
		end += size
		op = (*Op)(unsafe.Add(unsafe.Pointer(op), opBytes))
	}
	finishRow(rows, row, end)
	return Full
}

// choose returns the source and size of a Choosing or OrDefault op. They depend on the first byte of a field.
func choose(rows *Rows, op *Op, src unsafe.Pointer, size int) (unsafe.Pointer, int) {
	first := int(Load(rows.Ends, op.First)) + op.KeySize
	choice := uint64(Byte(rows.Data, first))
	if op.Kind == Choosing {
		piece := int(choice) * 16
		size = int(Load(src, piece+8))
		src = pointer(src, piece)
	} else if choice != op.Null {
		size = int(Load(rows.Ends, op.Last)) - first
		src = unsafe.Add(rows.Data, first)
	}
	return src, size
}

// copyBytes copies n bytes. It copies small sizes by whole words, up to 15 bytes more, which is faster than a call.
func copyBytes(dst unsafe.Pointer, position int, src unsafe.Pointer, size int) {
	if size > Room {
		Copy(dst, position, src, 0, size)
	} else {
		for offset := 0; offset < size; offset += 16 {
			Store(dst, position+offset, Load(src, offset))
			Store(dst, position+offset+8, Load(src, offset+8))
		}
	}
}

// putNumber writes a zigzag-encoded number and returns its end.
func putNumber(dst unsafe.Pointer, position int, encoded uint64) (end int) {
	for encoded >= 0x80 {
		Put(dst, position, byte(encoded|0x80))
		position++
		encoded >>= 7
	}
	Put(dst, position, byte(encoded))
	return position + 1
}

// putConverted writes the converted value of a field or entry and returns its end, 0 if the caller must do it.
func putConverted(rows *Rows, op *Op, dst unsafe.Pointer, position int) (end int) {
	source := unsafe.Add(rows.Data, int(Load(rows.Ends, op.First))+op.KeySize)
	if op.Conversion == uint64(ByCaller) {
		return 0
	}
	if op.Conversion>>8&1 != 0 {
		lead := uint64(Byte(source, 0))
		if lead != op.Conversion>>16&0xff {
			if lead != op.Conversion>>32&0xff {
				return 0
			}
			Put(dst, position, byte(op.Conversion>>40))
			return position + 1
		}
		Put(dst, position, byte(op.Conversion>>24))
		position++
		source = unsafe.Add(source, 1)
	}
	if op.Conversion&0xff == uint64(Single) {
		bits32 := toFloat32(Load(source, 0))
		if bits32 == bad {
			return 0
		}
		Store(dst, position, bits32)
		return position + 4
	}
	number := readNumber(source)
	if number<<(op.Conversion>>48&0xff)>>(op.Conversion>>48&0xff) != number {
		return 0
	}
	if op.Conversion&0xff == uint64(Integer) {
		number = number << (op.Conversion >> 56) >> (op.Conversion >> 56)
		position = putNumber(dst, position, uint64(number<<1^number>>63))
	} else if op.Conversion&0xff == uint64(Digits) {
		position = putDigits(dst, position, number)
	} else {
		if number < firstDay || number >= lastDay {
			return 0
		}
		splitDate(rows, uint64(number+beforeEpoch))
		position = putDate(rows, op.Date, dst, position)
	}
	return position
}

// readNumber reads a zigzag-encoded number.
func readNumber(source unsafe.Pointer) (number int64) {
	encoded := uint64(0)
	shift := uint64(0)
	for Byte(source, 0) >= 0x80 {
		encoded |= uint64(Byte(source, 0)&0x7f) << shift
		shift += 7
		source = unsafe.Add(source, 1)
	}
	encoded |= uint64(Byte(source, 0)) << shift
	return int64(encoded>>1) ^ -int64(encoded&1)
}

// toFloat32 returns the bits of the float32 nearest to a float64. It returns bad for infinite, NaN and subnormal ones.
func toFloat32(word uint64) (bits32 uint64) {
	rebased := word&(1<<63-1) - 896<<52
	if word<<1 == 0 {
		rebased = 0
	} else if rebased-1<<52 >= 253<<52 {
		return bad
	}
	return word>>63<<31 | (rebased+1<<28-1+rebased>>29&1)>>29
}

func putDigits(dst unsafe.Pointer, position int, number int64) (end int) {
	magnitude := uint64(number^number>>63) + uint64(number)>>63
	size := 1
	for limit := uint64(10); magnitude >= limit; limit *= 10 {
		size++
	}
	if number < 0 {
		Put(dst, position, byte(size<<1+2))
		Put(dst, position+1, '-')
		position++
	} else {
		Put(dst, position, byte(size<<1))
	}
	for digit := position + size; digit > position; digit-- {
		quotient := magnitude * 0xcccccccd >> 35
		if magnitude>>32 != 0 {
			quotient = magnitude / 10
		}
		Put(dst, digit, byte('0'+magnitude-quotient*10))
		magnitude = quotient
	}
	return position + size + 1
}

// Range of the times that are formatted, in ms. beforeEpoch is the days from March 1st of year 0 to 1970.
const (
	day         = 86_400_000
	firstDay    = -141427 * day
	lastDay     = 2_932_897 * day
	beforeEpoch = 719_468 * day
)

// splitDate stores the fields of a date. Its years start in March, so the leap day is the last day.
func splitDate(rows *Rows, ms uint64) {
	days := ms / day
	ms -= days * day
	rows.Calendar[3] = ms / 3_600_000
	rows.Calendar[4] = ms / 60_000 % 60
	rows.Calendar[5] = ms / 1000 % 60
	rows.Calendar[6] = ms % 1000
	era := days / 146_097
	days -= era * 146_097
	year := (days - days/1460 + days/36_524 - days/146_096) / 365
	days -= 365*year + year/4 - year/100
	month := (5*days + 2) / 153
	rows.Calendar[2] = days - (153*month+2)/5 + 1
	year += era * 400
	month += 3
	if month > 12 {
		month -= 12
		year++
	}
	rows.Calendar[0] = year
	rows.Calendar[1] = month
}

func putDate(rows *Rows, date, dst unsafe.Pointer, position int) (end int) {
	for digit := 0; digit < int(Load(date, 0)); digit += 8 {
		Store(dst, position+1+digit, Load(date, textAt+digit))
	}
	Put(dst, position, byte(Load(date, 0)<<1))
	for list := date; Load(list, 8) != 0; list = unsafe.Add(list, 8) {
		spec := Load(list, 8)
		number := Load(unsafe.Pointer(rows), calendarAt+int(spec&0xff)*8)
		digit := position + 1 + int(spec>>8&0xff)
		for spec >= 1<<16 {
			quotient := number * 0xcccccccd >> 35
			Put(dst, digit, byte('0'+number-quotient*10))
			number = quotient
			digit--
			spec -= 1 << 16
		}
	}
	return position + 1 + int(Load(date, 0))
}

// kernel(row, out) of Pass
func goPass(rows *Rows) int {
	row := unsafe.Add(rows.In, rows.N*rowBytes)
	out := unsafe.Add(rows.Out, rows.OutCount*rowBytes)
	first := rows.N
	count := rows.Count
	if count-rows.N > rows.OutLimit-rows.OutCount {
		count = rows.N + rows.OutLimit - rows.OutCount
	}
	rowIndex := rows.N
	topic := rows.Topic
	mask := rows.Mask
	want := rows.Value
	keep := rows.KeepMask
	result := rows.Result
	origin := uint64(rows.First+rowIndex) | rows.OutTopic<<32
	dstEnd := uint64(rows.DstEnd)
	for rowIndex < count {
		head := Load(row, value)
		if Load(row, 0)>>32 != topic || head&mask != want {
			break
		}
		Store(out, headers+8, 0)
		Store(out, headers, uint64(wit.Unchanged))
		Store(out, value+8, dstEnd)
		Store(out, value, head&keep|result)
		Store(out, key+8, 0)
		Store(out, key, Load(row, key)&schema|uint64(wit.Unchanged))
		Store(out, Timestamp, Load(row, Timestamp))
		Store(out, Offset, Load(row, Offset))
		Store(out, Partition, Load(row, Partition))
		Store(out, 0, origin)
		origin++
		rowIndex++
		row = unsafe.Add(row, rowBytes)
		out = unsafe.Add(out, rowBytes)
	}
	rows.OutCount += rowIndex - first
	rows.N = rowIndex
	if rowIndex != first {
		rows.Field = 0
	}
	return Done
}

// bad is a size larger than any value, for values that the kernel does not support.
const bad = 1 << 40

// textSize returns the size of a short string with its length prefix, or bad. w starts one byte before it.
func textSize(word uint64) int {
	size := bad
	if word&0x8100 == 0 {
		size = int(word>>9&0x3f) + 2
	} else if word&0x808100 == 0x8000 {
		size = int(word>>9&0x3f|word>>10&0x1fc0) + 3
	}
	return size
}

// findFields stores the offsets of a struct's fields in s.Ends. It returns Full at the end.
func findFields(rows *Rows, row unsafe.Pointer, end int) (reason int) {
	if rows.Field == 0 {
		if Load(row, 0)>>32 != rows.Topic || Load(row, value)&formAndSchema != rows.Value || end > rows.Limit ||
			rows.OutCount >= rows.OutLimit || rows.DstEnd >= rows.DstFull {
			return Done
		}
		rows.Position = int(Load(row, value+8) & low)
		root := rows.Program.Root
		if root != 0 {
			if uint64(Byte(rows.Data, rows.Position))+1 != root {
				return Done
			}
			rows.Position++
		}
	}
	found := scanFields(rows, end)
	return found
}

// scanFields is findFields after its checks. It reads all fields itself: a call per field would keep more state.
func scanFields(rows *Rows, end int) (reason int) {
	data := rows.Data
	ends := rows.Ends
	fields := rows.Program.Fields
	position := rows.Position
	field := rows.Field
	code := Load(fields, field*8)
	for code&0xfe != Last { // or Rest, which is Last+1
		if code >= 1<<Run {
			code >>= Run
			fieldEnds := unsafe.Add(ends, field*8)
			field += int(code)
			for code != 0 {
				Store(fieldEnds, 0, uint64(position))
				word := Load(data, position)
				length := 1
				if word&0xff == 2 {
					length = textSize(word)
				} else if word&0xff != 0 {
					length = bad
				}
				position += length
				if position > end {
					return Done
				}
				fieldEnds = unsafe.Add(fieldEnds, 8)
				code--
			}
			code = Load(fields, field*8)
			continue
		}
		Store(ends, field*8, uint64(position))
		field++
		if code&Optional != 0 {
			branch := uint64(Byte(data, position))
			if branch&^2 != 0 {
				return Done
			}
			position++
			if branch != code>>8&0xff {
				if position > end {
					return Done
				}
				code = Load(fields, field*8)
				continue
			}
			code &= Optional - 1
		}
		if code == LengthPrefixed {
			size := uint64(Byte(data, position))
			position++
			if size >= 0x80 {
				next := uint64(Byte(data, position))
				if next >= 0x80 {
					return Done // 8 KiB and more
				}
				size = size&0x7f | next<<7
				position++
			}
			if size&1 != 0 {
				return Done
			}
			position += int(size >> 1)
		} else if code == Number {
			stop := ^Load(data, position) & highs
			if stop == 0 {
				return Done // 9 bytes and more
			}
			position += bits.TrailingZeros64(stop)>>3 + 1
		} else if code == Boolean {
			if Byte(data, position) > 1 {
				return Done
			}
			position++
		} else if code == FourBytes {
			position += 4
		} else if code == EightBytes {
			position += 8
		} else {
			rows.Field = field
			rows.Position = position
			return Skip
		}
		if position > end {
			return Done
		}
		code = Load(fields, field*8)
	}
	if code != Last {
		if position > end {
			return Done
		}
		Store(ends, int(code>>8)*8, uint64(end))
	} else if position != end {
		return Done
	}
	Store(ends, field*8, uint64(position))
	rows.Field = field
	rows.Position = position
	return Full
}

// kernel(rows, row) of Separated
func goSeparated(rows *Rows) int {
	row := rows.In
	end := 0
	for remaining := rows.Count; remaining != 0; remaining-- {
		if Load(row, key)&0xff != uint64(wit.Absent) {
			start := int(Load(row, key+8) & low)
			if start < end {
				return Done
			}
			end = start + int(Load(row, key+8)>>32)
		}
		if Load(row, value)&0xff != uint64(wit.Absent) {
			start := int(Load(row, value+8) & low)
			if start < end {
				return Done
			}
			end = start + int(Load(row, value+8)>>32) + Room
		}
		if Load(row, headers)&0xff != uint64(wit.Absent) {
			start := int(Load(row, headers+8) & low)
			if start < end {
				return Done
			}
			end = start + int(Load(row, headers+8)>>32)
		}
		row = unsafe.Add(row, rowBytes)
	}
	if end > rows.Limit+Room {
		return Done
	}
	return Full
}

// findEnd finds the place after a value for results that are appended in place.
func findEnd(rows *Rows, row unsafe.Pointer, end int) (reason int) {
	if Load(row, 0)>>32 != rows.Topic || Load(row, value)&formAndSchema != rows.Value ||
		rows.OutCount >= rows.OutLimit {
		return Done
	}
	position := int(Load(row, value+8) & low)
	root := rows.Program.Root
	if root != 0 {
		if position == end || uint64(Byte(rows.Data, position))+1 != root {
			return Done
		}
		position++
	}
	rows.DstEnd = position
	return Full
}

func findEntries(rows *Rows, row unsafe.Pointer, end int) (reason int) {
	data := rows.Data
	ends := rows.Ends
	position := rows.Position
	entry := rows.Field
	if entry == 0 {
		program := rows.Program
		if Load(row, 0)>>32 != rows.Topic || Load(row, value)&0xff != uint64(wit.Schemaless) || end > rows.Limit ||
			rows.OutCount >= rows.OutLimit || rows.DstEnd >= rows.DstFull {
			return Done
		}
		if Load(row, Partition)>>31&1|Load(row, Offset)>>63<<1|Load(row,
			Timestamp)>>63<<2 != program.MissingAttributes {
			return Done
		}
		position = int(Load(row, value+8) & low)
		if (Load(data, position)^program.Head)&program.HeadMask != 0 {
			return Done
		}
		position += program.HeadSize
	}
	entries := rows.Program.FieldCount
	key := (*Key)(unsafe.Add(unsafe.Pointer(rows.Program.Keys), entry*48))
	for entry < entries {
		Store(ends, entry*8, uint64(position))
		entry++
		if position+key.Size > end || (Load(data, position)^key.First)&key.Mask != 0 {
			return Done
		}
		if key.Size > 8 {
			differs := (Load(data, position+8) ^ key.Second) & key.SecondMask
			rest := key.Rest
			for k := 16; k < key.Size; k += 8 {
				differs |= (Load(data, position+k) ^ Load(rest, 0)) & Load(rest, 8)
				rest = unsafe.Add(rest, 16)
			}
			if differs != 0 {
				return Done
			}
		}
		position += key.Size
		key = (*Key)(unsafe.Add(unsafe.Pointer(key), 48))
		// A value may extend beyond the end here. The next key, or the check after the last one, detects that.
		size := commonSize(data, position)
		if size == bad {
			rows.Field = entry
			rows.Position = position
			return Skip
		}
		position += size
	}
	if position != end {
		return Done
	}
	Store(ends, entry*8, uint64(position))
	choice := rows.Program.Choices
	for remaining := rows.Program.ChoiceCount; remaining != 0; remaining-- {
		if choice.Allowed>>uint64(Byte(data, int(Load(ends, choice.Field))+choice.KeySize))&1 == 0 {
			return Done
		}
		choice = (*Choice)(unsafe.Add(unsafe.Pointer(choice), 24))
	}
	rows.Field = entry
	rows.Position = position
	return Full
}

// commonSize returns the size of a value without schema, with its tag, if its type is common, else bad.
func commonSize(data unsafe.Pointer, position int) int {
	word := Load(data, position)
	tag := word & 0xff
	size := bad
	if tag == uint64(connectdata.TagString) {
		size = textSize(word)
	} else if tag <= uint64(connectdata.TagTrue) {
		size = 1
	} else if tag <= uint64(connectdata.TagInt64) {
		size = bits.TrailingZeros64(^Load(data, position+1)&highs)>>3 + 2
		if size > 1+1<<(tag-uint64(connectdata.TagInt8)) { // too many bytes for the type
			size = bad
		}
	} else if tag == uint64(connectdata.TagFloat64) {
		size = 9
	} else if tag == uint64(connectdata.TagBytes) {
		size = textSize(word)
	}
	return size
}

// prepareRow finds the fields or entries of a row and the place for its result. It returns ready, or why it stopped.
func prepareRow(rows *Rows, row unsafe.Pointer) (reason int) {
	size := int(Load(row, value+8) >> 32)
	end := int(Load(row, value+8)&low) + size
	found := Done
	if rows.Program.Keys != nil {
		found = findEntries(rows, row, end)
	} else if rows.Program.Appends == 0 {
		found = findFields(rows, row, end)
	} else {
		found = findEnd(rows, row, end)
	}
	if found == Full && rows.Program.Appends != 0 {
		if rows.Program.Keys != nil {
			rows.DstEnd = end - size
			Put(rows.Data, rows.DstEnd+1, byte(rows.Program.Count))
		}
		rows.OpsStart = end
		return ready
	}
	if found == Full && rows.Edited < rows.Program.Edits {
		return Edit
	}
	rows.OpsStart = rows.DstEnd
	size += int(Load(row, headers+8)>>32) + rows.Edited
	if found == Full && rows.DstEnd+size<<rows.Program.GrowthShift+rows.Program.Extra+Room <= rows.DstSize {
		return ready
	}
	return found
}

const ready = -1

// kernel(rows, row) of Values
func goValues(rows *Rows) int {
	for rows.N < rows.Count {
		row := unsafe.Add(rows.In, rows.N*rowBytes)
		reason := prepareRow(rows, row)
		if reason != ready {
			return reason
		}
		reason = writeRow(rows, row, rows.OpsStart)
		if reason != Full {
			return reason
		}
	}
	return Done
}
