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

func finishRow(s *Rows, in unsafe.Pointer, at int) {
	out := unsafe.Add(s.Out, s.OutCount*rowBytes)
	Store(out, 0, uint64(s.First+s.N)|s.OutTopic<<32)
	Store(out, Partition, Load(in, Partition))
	Store(out, Offset, Load(in, Offset))
	Store(out, Timestamp, Load(in, Timestamp))
	word := s.Program.Key
	if word != 0 {
		Store(out, key, word)
		Store(out, key+8, uint64(s.DstEnd)|uint64(s.KeyEnd-s.DstEnd)<<32)
	} else {
		Store(out, key, Load(in, key)&schema|uint64(wit.Unchanged))
		Store(out, key+8, 0)
	}
	word = s.Program.Headers
	if word != 0 {
		Store(out, headers, word)
		Store(out, headers+8, uint64(s.KeyEnd)|uint64(s.HeadersEnd-s.KeyEnd)<<32)
	} else {
		Store(out, headers, uint64(wit.Unchanged))
		Store(out, headers+8, 0)
	}
	Store(out, value, s.Result)
	Store(out, value+8, uint64(s.HeadersEnd)|uint64(at-s.HeadersEnd)<<32)
	s.DstEnd = at
	s.N++
	s.OutCount++
	s.Field = 0
	s.Edited = 0
}

// writeRow executes the ops, from at on for the value, and writes the row. It returns Full if the row is
// done. There must be space.
func writeRow(s *Rows, in unsafe.Pointer, at int) (reason int) {
	dst := s.Dst
	s.KeyEnd = s.DstEnd
	s.HeadersEnd = s.DstEnd
	op := s.Program.Ops
	for op.Kind != End {
		src := op.Bytes
		n := op.Size
		if op.Kind == Copied {
			first := int(Load(s.Ends, op.First)) + op.KeySize
			n = int(Load(s.Ends, op.Last)) - first
			src = unsafe.Add(s.Data, first)
		} else if op.Kind != Constant { // the most common kinds first
			if op.Kind == Attribute {
				v := int64(Load(in, op.First))
				if op.First == Partition {
					v = v << 32 >> 32
				}
				if n != 0 && v < 0 {
					return Done // a required attribute is missing
				}
				n = 0
				if op.Null != 0 {
					Put(dst, at, 2&^byte(v>>63))
					at++
				}
				if v >= 0 {
					at = putNumber(dst, at, uint64(v)<<1)
				}
			} else if op.Kind == Edited {
				if s.Edited != 0 {
					n = int(Load(src, 8))
					src = pointer(src, 0)
				} else {
					at = putConverted(s, op, dst, at)
					if at == 0 {
						return Edit
					}
				}
			} else if op.Kind == EndOfKey {
				s.KeyEnd = at
				s.HeadersEnd = at
			} else if op.Kind == EndOfHeaders {
				s.HeadersEnd = at
			} else if op.Kind == HeaderCount {
				count := uint64(n)
				n = 0
				if Load(in, headers)&0xff != uint64(wit.Absent) {
					first := int(Load(in, headers+8) & low)
					n = int(Load(in, headers+8)>>32) - 1
					rowCount := uint64(Byte(s.Data, first))
					count += rowCount >> 1
					if first+n >= s.Limit || rowCount&0x81 != 0 || n < 0 {
						return Done
					}
					src = unsafe.Add(s.Data, first+1)
				}
				if count >= 64 {
					return Done
				}
				Put(dst, at, byte(count<<1))
				at++
			} else if op.Kind == Sized {
				first := int(Load(s.Ends, op.First)) + op.KeySize
				n = int(Load(s.Ends, op.Last)) - first
				src = unsafe.Add(s.Data, first)
				at = putNumber(dst, at, uint64(n)<<1)
			} else {
				src, n = choose(s, op, src, n)
			}
		}
		copyBytes(dst, at, src, n)
		at += n
		op = (*Op)(unsafe.Add(unsafe.Pointer(op), opBytes))
	}
	finishRow(s, in, at)
	return Full
}

// choose returns the source and size of a Choosing or OrDefault op. They depend on the first byte of a field.
func choose(s *Rows, op *Op, src unsafe.Pointer, n int) (unsafe.Pointer, int) {
	first := int(Load(s.Ends, op.First)) + op.KeySize
	choice := uint64(Byte(s.Data, first))
	if op.Kind == Choosing {
		piece := int(choice) * 16
		n = int(Load(src, piece+8))
		src = pointer(src, piece)
	} else if choice != op.Null {
		n = int(Load(s.Ends, op.Last)) - first
		src = unsafe.Add(s.Data, first)
	}
	return src, n
}

// copyBytes copies n bytes. It copies small sizes by whole words, up to 15 bytes more, which is faster than a call.
func copyBytes(dst unsafe.Pointer, at int, src unsafe.Pointer, n int) {
	if n > Room {
		Copy(dst, at, src, 0, n)
	} else {
		for k := 0; k < n; k += 16 {
			Store(dst, at+k, Load(src, k))
			Store(dst, at+k+8, Load(src, k+8))
		}
	}
}

// putNumber writes a zigzag-encoded number and returns its end.
func putNumber(dst unsafe.Pointer, at int, u uint64) (end int) {
	for u >= 0x80 {
		Put(dst, at, byte(u|0x80))
		at++
		u >>= 7
	}
	Put(dst, at, byte(u))
	return at + 1
}

// putConverted writes the converted value of a field or entry and returns its end, 0 if the caller must do it.
func putConverted(s *Rows, op *Op, dst unsafe.Pointer, at int) (end int) {
	i := unsafe.Add(s.Data, int(Load(s.Ends, op.First))+op.KeySize)
	if op.Conversion == uint64(ByCaller) {
		return 0
	}
	if op.Conversion>>8&1 != 0 {
		lead := uint64(Byte(i, 0))
		if lead != op.Conversion>>16&0xff {
			if lead != op.Conversion>>32&0xff {
				return 0
			}
			Put(dst, at, byte(op.Conversion>>40))
			return at + 1
		}
		Put(dst, at, byte(op.Conversion>>24))
		at++
		i = unsafe.Add(i, 1)
	}
	if op.Conversion&0xff == uint64(Single) {
		bits32 := toFloat32(Load(i, 0))
		if bits32 == bad {
			return 0
		}
		Store(dst, at, bits32)
		return at + 4
	}
	v := readNumber(i)
	if v<<(op.Conversion>>48&0xff)>>(op.Conversion>>48&0xff) != v {
		return 0
	}
	if op.Conversion&0xff == uint64(Integer) {
		v = v << (op.Conversion >> 56) >> (op.Conversion >> 56)
		at = putNumber(dst, at, uint64(v<<1^v>>63))
	} else if op.Conversion&0xff == uint64(Digits) {
		at = putDigits(dst, at, v)
	} else {
		if v < firstDay || v >= lastDay {
			return 0
		}
		splitDate(s, uint64(v+beforeEpoch))
		at = putDate(s, op.Date, dst, at)
	}
	return at
}

// readNumber reads a zigzag-encoded number.
func readNumber(i unsafe.Pointer) (v int64) {
	u := uint64(0)
	shift := uint64(0)
	for Byte(i, 0) >= 0x80 {
		u |= uint64(Byte(i, 0)&0x7f) << shift
		shift += 7
		i = unsafe.Add(i, 1)
	}
	u |= uint64(Byte(i, 0)) << shift
	return int64(u>>1) ^ -int64(u&1)
}

// toFloat32 returns the bits of the float32 nearest to a float64. It returns bad for infinite, NaN and subnormal ones.
func toFloat32(w uint64) (bits32 uint64) {
	x := w&(1<<63-1) - 896<<52
	if w<<1 == 0 {
		x = 0
	} else if x-1<<52 >= 253<<52 {
		return bad
	}
	return w>>63<<31 | (x+1<<28-1+x>>29&1)>>29
}

func putDigits(dst unsafe.Pointer, at int, v int64) (end int) {
	u := uint64(v^v>>63) + uint64(v)>>63
	size := 1
	for limit := uint64(10); u >= limit; limit *= 10 {
		size++
	}
	if v < 0 {
		Put(dst, at, byte(size<<1+2))
		Put(dst, at+1, '-')
		at++
	} else {
		Put(dst, at, byte(size<<1))
	}
	for k := at + size; k > at; k-- {
		q := u * 0xcccccccd >> 35
		if u>>32 != 0 {
			q = u / 10
		}
		Put(dst, k, byte('0'+u-q*10))
		u = q
	}
	return at + size + 1
}

// Range of the times that are formatted, in ms. beforeEpoch is the days from March 1st of year 0 to 1970.
const (
	day         = 86_400_000
	firstDay    = -141427 * day
	lastDay     = 2_932_897 * day
	beforeEpoch = 719_468 * day
)

// splitDate stores the fields of a date. Its years start in March, so the leap day is the last day.
func splitDate(s *Rows, ms uint64) {
	z := ms / day
	ms -= z * day
	s.Calendar[3] = ms / 3_600_000
	s.Calendar[4] = ms / 60_000 % 60
	s.Calendar[5] = ms / 1000 % 60
	s.Calendar[6] = ms % 1000
	era := z / 146_097
	z -= era * 146_097
	year := (z - z/1460 + z/36_524 - z/146_096) / 365
	z -= 365*year + year/4 - year/100
	month := (5*z + 2) / 153
	s.Calendar[2] = z - (153*month+2)/5 + 1
	year += era * 400
	month += 3
	if month > 12 {
		month -= 12
		year++
	}
	s.Calendar[0] = year
	s.Calendar[1] = month
}

func putDate(s *Rows, date, dst unsafe.Pointer, at int) (end int) {
	for k := 0; k < int(Load(date, 0)); k += 8 {
		Store(dst, at+1+k, Load(date, textAt+k))
	}
	Put(dst, at, byte(Load(date, 0)<<1))
	for list := date; Load(list, 8) != 0; list = unsafe.Add(list, 8) {
		spec := Load(list, 8)
		u := Load(unsafe.Pointer(s), calendarAt+int(spec&0xff)*8)
		k := at + 1 + int(spec>>8&0xff)
		for spec >= 1<<16 {
			q := u * 0xcccccccd >> 35
			Put(dst, k, byte('0'+u-q*10))
			u = q
			k--
			spec -= 1 << 16
		}
	}
	return at + 1 + int(Load(date, 0))
}

// kernel(in, out) of Pass
func goPass(s *Rows) int {
	in := unsafe.Add(s.In, s.N*rowBytes)
	out := unsafe.Add(s.Out, s.OutCount*rowBytes)
	first := s.N
	count := s.Count
	if count-s.N > s.OutLimit-s.OutCount {
		count = s.N + s.OutLimit - s.OutCount
	}
	n := s.N
	topic := s.Topic
	mask := s.Mask
	want := s.Value
	keep := s.KeepMask
	result := s.Result
	origin := uint64(s.First+n) | s.OutTopic<<32
	at := uint64(s.DstEnd)
	for n < count {
		head := Load(in, value)
		if Load(in, 0)>>32 != topic || head&mask != want {
			break
		}
		Store(out, headers+8, 0)
		Store(out, headers, uint64(wit.Unchanged))
		Store(out, value+8, at)
		Store(out, value, head&keep|result)
		Store(out, key+8, 0)
		Store(out, key, Load(in, key)&schema|uint64(wit.Unchanged))
		Store(out, Timestamp, Load(in, Timestamp))
		Store(out, Offset, Load(in, Offset))
		Store(out, Partition, Load(in, Partition))
		Store(out, 0, origin)
		origin++
		n++
		in = unsafe.Add(in, rowBytes)
		out = unsafe.Add(out, rowBytes)
	}
	s.OutCount += n - first
	s.N = n
	if n != first {
		s.Field = 0
	}
	return Done
}

// bad is a size larger than any value, for values that the kernel does not support.
const bad = 1 << 40

// textSize returns the size of a short string with its length prefix, or bad. w starts one byte before it.
func textSize(w uint64) int {
	n := bad
	if w&0x8100 == 0 {
		n = int(w>>9&0x3f) + 2
	} else if w&0x808100 == 0x8000 {
		n = int(w>>9&0x3f|w>>10&0x1fc0) + 3
	}
	return n
}

// findFields stores the offsets of a struct's fields in s.Ends. It returns Full at the end.
func findFields(s *Rows, in unsafe.Pointer, end int) (reason int) {
	if s.Field == 0 {
		if Load(in, 0)>>32 != s.Topic || Load(in, value)&formAndSchema != s.Value || end > s.Limit ||
			s.OutCount >= s.OutLimit || s.DstEnd >= s.DstFull {
			return Done
		}
		s.Position = int(Load(in, value+8) & low)
		root := s.Program.Root
		if root != 0 {
			if uint64(Byte(s.Data, s.Position))+1 != root {
				return Done
			}
			s.Position++
		}
	}
	found := scanFields(s, end)
	return found
}

// scanFields is findFields after its checks. It reads all fields itself: a call per field would keep more state.
func scanFields(s *Rows, end int) (reason int) {
	data := s.Data
	ends := s.Ends
	fields := s.Program.Fields
	i := s.Position
	m := s.Field
	code := Load(fields, m*8)
	for code&0xfe != Last { // or Rest, which is Last+1
		if code >= 1<<Run {
			code >>= Run
			at := unsafe.Add(ends, m*8)
			m += int(code)
			for code != 0 {
				Store(at, 0, uint64(i))
				w := Load(data, i)
				n := 1
				if w&0xff == 2 {
					n = textSize(w)
				} else if w&0xff != 0 {
					n = bad
				}
				i += n
				if i > end {
					return Done
				}
				at = unsafe.Add(at, 8)
				code--
			}
			code = Load(fields, m*8)
			continue
		}
		Store(ends, m*8, uint64(i))
		m++
		if code&Optional != 0 {
			branch := uint64(Byte(data, i))
			if branch&^2 != 0 {
				return Done
			}
			i++
			if branch != code>>8&0xff {
				if i > end {
					return Done
				}
				code = Load(fields, m*8)
				continue
			}
			code &= Optional - 1
		}
		if code == LengthPrefixed {
			size := uint64(Byte(data, i))
			i++
			if size >= 0x80 {
				next := uint64(Byte(data, i))
				if next >= 0x80 {
					return Done // 8 KiB and more
				}
				size = size&0x7f | next<<7
				i++
			}
			if size&1 != 0 {
				return Done
			}
			i += int(size >> 1)
		} else if code == Number {
			stop := ^Load(data, i) & highs
			if stop == 0 {
				return Done // 9 bytes and more
			}
			i += bits.TrailingZeros64(stop)>>3 + 1
		} else if code == Boolean {
			if Byte(data, i) > 1 {
				return Done
			}
			i++
		} else if code == FourBytes {
			i += 4
		} else if code == EightBytes {
			i += 8
		} else {
			s.Field = m
			s.Position = i
			return Skip
		}
		if i > end {
			return Done
		}
		code = Load(fields, m*8)
	}
	if code != Last {
		if i > end {
			return Done
		}
		Store(ends, int(code>>8)*8, uint64(end))
	} else if i != end {
		return Done
	}
	Store(ends, m*8, uint64(i))
	s.Field = m
	s.Position = i
	return Full
}

// kernel(s, in) of Separated
func goSeparated(s *Rows) int {
	in := s.In
	at := 0
	for remaining := s.Count; remaining != 0; remaining-- {
		if Load(in, key)&0xff != uint64(wit.Absent) {
			start := int(Load(in, key+8) & low)
			if start < at {
				return Done
			}
			at = start + int(Load(in, key+8)>>32)
		}
		if Load(in, value)&0xff != uint64(wit.Absent) {
			start := int(Load(in, value+8) & low)
			if start < at {
				return Done
			}
			at = start + int(Load(in, value+8)>>32) + Room
		}
		if Load(in, headers)&0xff != uint64(wit.Absent) {
			start := int(Load(in, headers+8) & low)
			if start < at {
				return Done
			}
			at = start + int(Load(in, headers+8)>>32)
		}
		in = unsafe.Add(in, rowBytes)
	}
	if at > s.Limit+Room {
		return Done
	}
	return Full
}

// findEnd finds the place after a value for results that are appended in place.
func findEnd(s *Rows, in unsafe.Pointer, end int) (reason int) {
	if Load(in, 0)>>32 != s.Topic || Load(in, value)&formAndSchema != s.Value || s.OutCount >= s.OutLimit {
		return Done
	}
	place := int(Load(in, value+8) & low)
	root := s.Program.Root
	if root != 0 {
		if place == end || uint64(Byte(s.Data, place))+1 != root {
			return Done
		}
		place++
	}
	s.DstEnd = place
	return Full
}

func findEntries(s *Rows, in unsafe.Pointer, end int) (reason int) {
	data := s.Data
	ends := s.Ends
	i := s.Position
	m := s.Field
	if m == 0 {
		program := s.Program
		if Load(in, 0)>>32 != s.Topic || Load(in, value)&0xff != uint64(wit.Schemaless) || end > s.Limit ||
			s.OutCount >= s.OutLimit || s.DstEnd >= s.DstFull {
			return Done
		}
		if Load(in, Partition)>>31&1|Load(in, Offset)>>63<<1|Load(in, Timestamp)>>63<<2 != program.MissingAttributes {
			return Done
		}
		i = int(Load(in, value+8) & low)
		if (Load(data, i)^program.Head)&program.HeadMask != 0 {
			return Done
		}
		i += program.HeadSize
	}
	members := s.Program.FieldCount
	key := (*Key)(unsafe.Add(unsafe.Pointer(s.Program.Keys), m*48))
	for m < members {
		Store(ends, m*8, uint64(i))
		m++
		if i+key.Size > end || (Load(data, i)^key.First)&key.Mask != 0 {
			return Done
		}
		if key.Size > 8 {
			differs := (Load(data, i+8) ^ key.Second) & key.SecondMask
			rest := key.Rest
			for k := 16; k < key.Size; k += 8 {
				differs |= (Load(data, i+k) ^ Load(rest, 0)) & Load(rest, 8)
				rest = unsafe.Add(rest, 16)
			}
			if differs != 0 {
				return Done
			}
		}
		i += key.Size
		key = (*Key)(unsafe.Add(unsafe.Pointer(key), 48))
		// A value may extend beyond the end here. The next key, or the check after the last one, detects that.
		n := commonSize(data, i)
		if n == bad {
			s.Field = m
			s.Position = i
			return Skip
		}
		i += n
	}
	if i != end {
		return Done
	}
	Store(ends, m*8, uint64(i))
	choice := s.Program.Choices
	for remaining := s.Program.ChoiceCount; remaining != 0; remaining-- {
		if choice.Allowed>>uint64(Byte(data, int(Load(ends, choice.Field))+choice.KeySize))&1 == 0 {
			return Done
		}
		choice = (*Choice)(unsafe.Add(unsafe.Pointer(choice), 24))
	}
	s.Field = m
	s.Position = i
	return Full
}

// commonSize returns the size of a value without schema, with its tag, if its type is common, else bad.
func commonSize(data unsafe.Pointer, i int) int {
	w := Load(data, i)
	tag := w & 0xff
	n := bad
	if tag == uint64(connectdata.TagString) {
		n = textSize(w)
	} else if tag <= uint64(connectdata.TagTrue) {
		n = 1
	} else if tag <= uint64(connectdata.TagInt64) {
		n = bits.TrailingZeros64(^Load(data, i+1)&highs)>>3 + 2
		if n > 1+1<<(tag-uint64(connectdata.TagInt8)) { // too many bytes for the type
			n = bad
		}
	} else if tag == uint64(connectdata.TagFloat64) {
		n = 9
	} else if tag == uint64(connectdata.TagBytes) {
		n = textSize(w)
	}
	return n
}

// prepareRow finds the fields or entries of a row and the place for its result. It returns ready, or why it stopped.
func prepareRow(s *Rows, in unsafe.Pointer) (reason int) {
	size := int(Load(in, value+8) >> 32)
	end := int(Load(in, value+8)&low) + size
	found := Done
	if s.Program.Keys != nil {
		found = findEntries(s, in, end)
	} else if s.Program.Appends == 0 {
		found = findFields(s, in, end)
	} else {
		found = findEnd(s, in, end)
	}
	if found == Full && s.Program.Appends != 0 {
		if s.Program.Keys != nil {
			s.DstEnd = end - size
			Put(s.Data, s.DstEnd+1, byte(s.Program.Count))
		}
		s.OpsStart = end
		return ready
	}
	if found == Full && s.Edited < s.Program.Edits {
		return Edit
	}
	s.OpsStart = s.DstEnd
	size += int(Load(in, headers+8)>>32) + s.Edited
	if found == Full && s.DstEnd+size<<s.Program.GrowthShift+s.Program.Extra+Room <= s.DstSize {
		return ready
	}
	return found
}

const ready = -1

// kernel(s, in) of Values
func goValues(s *Rows) int {
	for s.N < s.Count {
		in := unsafe.Add(s.In, s.N*rowBytes)
		reason := prepareRow(s, in)
		if reason != ready {
			return reason
		}
		reason = writeRow(s, in, s.OpsStart)
		if reason != Full {
			return reason
		}
	}
	return Done
}
