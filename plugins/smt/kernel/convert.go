package kernel

import "unsafe"

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

// putConverted writes the converted value of a field or entry and returns its end, 0 if the caller must convert it. Its
// shifts select the parts of op.Conversion, see [Conversion.Word].
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

const (
	day         = 86_400_000      // in milliseconds
	firstDay    = -141427 * day   // first time that is formatted, since 1970
	lastDay     = 2_932_897 * day // end of the times that are formatted
	beforeEpoch = 719_468 * day   // from March 1st of year 0 to 1970
)

// splitDate stores the fields of a date in [Rows.Calendar]. Years start in March here, so the leap day is the last one.
func splitDate(rows *Rows, millis uint64) {
	days := millis / day
	millis -= days * day
	rows.Calendar[3] = millis / 3_600_000
	rows.Calendar[4] = millis / 60_000 % 60
	rows.Calendar[5] = millis / 1000 % 60
	rows.Calendar[6] = millis % 1000
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

// putDate writes the fields of [Rows.Calendar] into a copy of the date format's text.
func putDate(rows *Rows, date, dst unsafe.Pointer, position int) (end int) {
	for offset := 0; offset < int(Load(date, 0)); offset += 8 {
		Store(dst, position+1+offset, Load(date, textAt+offset))
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
