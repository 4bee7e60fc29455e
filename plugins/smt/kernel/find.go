package kernel

import (
	"math/bits"
	"unsafe"

	"github.com/culvert-project/culvert/wit"
	"github.com/culvert-project/culvert/wit/connectdata"
)

// findFields stores the offsets of a struct's fields in Ends. It returns ready, or why it stopped.
func findFields(rows *Rows, row unsafe.Pointer, end int) (reason int) {
	if rows.Field == 0 {
		if Load(row, 0)>>32 != rows.Topic || Load(row, value)&encodingAndSchema != rows.Value || end > rows.Limit ||
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
	stopReason := scanFields(rows, end)
	return stopReason
}

// scanFields is findFields after its checks. It stores nothing in rows before it returns, so that the assembly keeps
// position and field in registers.
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
				position += optionalTextSize(Load(data, position))
				if position > end {
					return Done
				}
				fieldEnds = unsafe.Add(fieldEnds, 8)
				code--
			}
		} else {
			Store(ends, field*8, uint64(position))
			field++
			if code == Other {
				rows.Field = field
				rows.Position = position
				return Skip
			}
			position = scanField(data, position, code)
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
	return ready
}

func optionalTextSize(word uint64) (size int) {
	if word&0xff == 2 {
		return textSize(word)
	} else if word&0xff != 0 {
		return bad
	}
	return 1
}

// scanField returns the end of a field, bad if it is invalid or too long for the kernel.
func scanField(data unsafe.Pointer, position int, code uint64) (end int) {
	if code&Optional != 0 {
		branch := uint64(Byte(data, position))
		if branch&^2 != 0 {
			return bad
		}
		position++
		if branch != code>>8&0xff {
			return position // null
		}
		code &= Optional - 1
	}
	if code == LengthPrefixed {
		size := uint64(Byte(data, position))
		position++
		if size >= 0x80 {
			next := uint64(Byte(data, position))
			if next >= 0x80 {
				return bad // 8 KiB and more
			}
			size = size&0x7f | next<<7
			position++
		}
		if size&1 != 0 {
			return bad
		}
		return position + int(size>>1)
	} else if code == Number {
		stop := ^Load(data, position) & highBits
		if stop == 0 {
			return bad // 9 bytes and more
		}
		return position + bits.TrailingZeros64(stop)>>3 + 1
	} else if code == Boolean {
		if Byte(data, position) > 1 {
			return bad
		}
		return position + 1
	} else if code == FourBytes {
		return position + 4
	}
	return position + 8
}

// findEnd prepares for results that are appended in place: Dst is Data, and DstEnd where the value starts.
func findEnd(rows *Rows, row unsafe.Pointer, end int) (reason int) {
	if Load(row, 0)>>32 != rows.Topic || Load(row, value)&encodingAndSchema != rows.Value ||
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
	return ready
}

// findEntries is findFields for a map, which must have the keys of the program in their order.
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
		missing := Load(row, Partition)>>31&1 | Load(row, Offset)>>63<<1 | Load(row, Timestamp)>>63<<2
		if missing != program.MissingAttributes {
			return Done
		}
		position = int(Load(row, value+8) & low)
		if (Load(data, position)^program.Head)&program.HeadMask != 0 {
			return Done
		}
		position += program.HeadSize
	}
	entries := rows.Program.FieldCount
	key := (*Key)(unsafe.Add(unsafe.Pointer(rows.Program.Keys), entry*keyBytes))
	for entry < entries {
		Store(ends, entry*8, uint64(position))
		entry++
		if position+key.Size > end || keyDifference(data, position, key) != 0 {
			return Done
		}
		position += key.Size
		key = (*Key)(unsafe.Add(unsafe.Pointer(key), keyBytes))
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
	if checkChoices(rows) != ready {
		return Done
	}
	rows.Field = entry
	rows.Position = position
	return ready
}

func keyDifference(data unsafe.Pointer, position int, key *Key) (differingBits uint64) {
	differs := (Load(data, position) ^ key.First) & key.Mask
	if key.Size > 8 {
		differs |= (Load(data, position+8) ^ key.Second) & key.SecondMask
		words := key.Rest
		for k := 16; k < key.Size; k += 8 {
			differs |= (Load(data, position+k) ^ Load(words, 0)) & Load(words, 8)
			words = unsafe.Add(words, 16)
		}
	}
	return differs
}

func checkChoices(rows *Rows) (reason int) {
	choice := rows.Program.Choices
	for remaining := rows.Program.ChoiceCount; remaining != 0; remaining-- {
		tag := uint64(Byte(rows.Data, int(Load(rows.Ends, choice.Field))+choice.KeySize))
		if choice.Allowed>>tag&1 == 0 {
			return Done
		}
		choice = (*Choice)(unsafe.Add(unsafe.Pointer(choice), choiceBytes))
	}
	return ready
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
		size = bits.TrailingZeros64(^Load(data, position+1)&highBits)>>3 + 2
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

const bad = 1 << 40 // larger than any size, for values that the kernel does not support

// textSize returns the size of a short string with its length prefix, or bad. word starts one byte before it.
func textSize(word uint64) int {
	size := bad
	if word&0x8100 == 0 {
		size = int(word>>9&0x3f) + 2
	} else if word&0x808100 == 0x8000 {
		size = int(word>>9&0x3f|word>>10&0x1fc0) + 3
	}
	return size
}
