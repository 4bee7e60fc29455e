package kernel

import (
	"math/bits"
	"unsafe"

	"github.com/culvert-project/culvert/wit"
	"github.com/culvert-project/culvert/wit/connectdata"
)

const (
	highs = 0x8080808080808080
	// low is the lower half of a word; form and schema are what counts of the word that has both.
	low           = 0xffffffff
	schema        = 0xffffffff00000000
	formAndSchema = 0xffffffff000000ff
	// places in a row
	key, value, headers = 32, 48, 64
	partBytes           = int(unsafe.Sizeof(Part{}))
	calendarAt          = int(unsafe.Offsetof(Rows{}.Calendar))
	textAt              = int(unsafe.Offsetof(Date{}.Text))
)

// pointer reads a pointer.
func pointer(p unsafe.Pointer, i int) unsafe.Pointer { return *(*unsafe.Pointer)(unsafe.Add(p, i)) }

// finish writes the row of the result: its key, its headers and its value, which ends at at.
func finish(s *Rows, in unsafe.Pointer, at int) {
	out := unsafe.Add(s.Out, s.Made*rowBytes)
	Store(out, 0, uint64(s.First+s.N)|s.To<<32)
	Store(out, Partition, Load(in, Partition))
	Store(out, Offset, Load(in, Offset))
	Store(out, Timestamp, Load(in, Timestamp))
	made := s.Program.Key
	if made != 0 {
		Store(out, key, made)
		Store(out, key+8, uint64(s.At)|uint64(s.KeyEnd-s.At)<<32)
	} else {
		Store(out, key, Load(in, key)&schema|uint64(wit.Unchanged))
		Store(out, key+8, 0)
	}
	made = s.Program.Headers
	if made != 0 {
		Store(out, headers, made)
		Store(out, headers+8, uint64(s.KeyEnd)|uint64(s.HeadersEnd-s.KeyEnd)<<32)
	} else {
		Store(out, headers, uint64(wit.Unchanged))
		Store(out, headers+8, 0)
	}
	Store(out, value, s.Result)
	Store(out, value+8, uint64(s.HeadersEnd)|uint64(at-s.HeadersEnd)<<32)
	s.At = at
	s.N++
	s.Made++
	s.Member = 0
	s.Edited = 0
}

// emit writes a row's parts from at on, and the row. What the row gets begins at s.At: its key and its headers, where
// parts make them, and after them its value, which begins before at where the parts are appended to it. There is room
// for them. It returns Full, or why the row is not done.
func emit(s *Rows, in unsafe.Pointer, at int) (why int) {
	dst := s.Dst
	s.KeyEnd = s.At
	s.HeadersEnd = s.At
	part := s.Program.Parts
	for part.Kind != End {
		src := part.Bytes
		n := part.Size
		if part.Kind == Copied {
			first := int(Load(s.Ends, part.First)) + part.Behind
			n = int(Load(s.Ends, part.Last)) - first
			src = unsafe.Add(s.Data, first)
		} else if part.Kind != Constant { // these two are the most common
			if part.Kind == Attribute {
				v := int64(Load(in, part.First))
				if part.First == Partition {
					v = v << 32 >> 32
				}
				if n != 0 && v < 0 {
					return Done // it has to be there
				}
				n = 0
				if part.Null != 0 {
					Put(dst, at, 2&^byte(v>>63))
					at++
				}
				if v >= 0 {
					at = number(dst, at, uint64(v)<<1)
				}
			} else if part.Kind == Edited {
				if s.Edited != 0 {
					n = int(Load(src, 8))
					src = pointer(src, 0)
				} else {
					at = converted(s, part, dst, at)
					if at == 0 {
						return Edit
					}
				}
			} else if part.Kind == KeyEnd {
				s.KeyEnd = at
				s.HeadersEnd = at
			} else if part.Kind == HeadersEnd {
				s.HeadersEnd = at
			} else if part.Kind == HeaderCount {
				count := uint64(n)
				n = 0
				if Load(in, headers)&0xff != uint64(wit.Absent) {
					first := int(Load(in, headers+8) & low)
					n = int(Load(in, headers+8)>>32) - 1
					given := uint64(Byte(s.Data, first))
					count += given >> 1
					if first+n >= s.Limit || given&0x81 != 0 || n < 0 {
						return Done
					}
					src = unsafe.Add(s.Data, first+1)
				}
				if count >= 64 {
					return Done
				}
				Put(dst, at, byte(count<<1))
				at++
			} else if part.Kind == Sized {
				first := int(Load(s.Ends, part.First)) + part.Behind
				n = int(Load(s.Ends, part.Last)) - first
				src = unsafe.Add(s.Data, first)
				at = number(dst, at, uint64(n)<<1)
			} else {
				src, n = chosen(s, part, src, n)
			}
		}
		copied(dst, at, src, n)
		at += n
		part = (*Part)(unsafe.Add(unsafe.Pointer(part), partBytes))
	}
	finish(s, in, at)
	return Full
}

// chosen is what a part that looks at the first byte of a member writes, src and its size n: by that byte a piece of
// those at src, or the member; what the part has in place of a null stays as it is given.
func chosen(s *Rows, part *Part, src unsafe.Pointer, n int) (unsafe.Pointer, int) {
	first := int(Load(s.Ends, part.First)) + part.Behind
	choice := uint64(Byte(s.Data, first))
	if part.Kind == Choosing {
		piece := int(choice) * 16
		n = int(Load(src, piece+8))
		src = pointer(src, piece)
	} else if choice != part.Null {
		n = int(Load(s.Ends, part.Last)) - first
		src = unsafe.Add(s.Data, first)
	}
	return src, n
}

// copied copies n bytes: few of them by whole words, which may write up to 15 bytes more, as that takes less time than
// to begin a copy of any size.
func copied(dst unsafe.Pointer, at int, src unsafe.Pointer, n int) {
	if n > Room {
		Copy(dst, at, src, 0, n)
	} else {
		for k := 0; k < n; k += 16 {
			Store(dst, at+k, Load(src, k))
			Store(dst, at+k+8, Load(src, k+8))
		}
	}
}

// number writes a number that has been folded to one without a sign, and returns where it ends.
func number(dst unsafe.Pointer, at int, u uint64) (end int) {
	for u >= 0x80 {
		Put(dst, at, byte(u|0x80))
		at++
		u >>= 7
	}
	Put(dst, at, byte(u))
	return at + 1
}

// converted writes what becomes of a member or entry by a part's conversion, and returns where it ends, 0 where the
// caller has to make it.
func converted(s *Rows, part *Part, dst unsafe.Pointer, at int) (end int) {
	i := unsafe.Add(s.Data, int(Load(s.Ends, part.First))+part.Behind)
	if part.How == uint64(ByCaller) {
		return 0
	}
	if part.How>>8&1 != 0 {
		lead := uint64(Byte(i, 0))
		if lead != part.How>>16&0xff {
			if lead != part.How>>32&0xff {
				return 0
			}
			Put(dst, at, byte(part.How>>40))
			return at + 1
		}
		Put(dst, at, byte(part.How>>24))
		at++
		i = unsafe.Add(i, 1)
	}
	if part.How&0xff == uint64(Single) {
		real := single(Load(i, 0))
		if real == bad {
			return 0
		}
		Store(dst, at, real)
		return at + 4
	}
	v := unfolded(i)
	if v<<(part.How>>48&0xff)>>(part.How>>48&0xff) != v {
		return 0
	}
	if part.How&0xff == uint64(Integer) {
		v = v << (part.How >> 56) >> (part.How >> 56)
		at = number(dst, at, uint64(v<<1^v>>63))
	} else if part.How&0xff == uint64(Digits) {
		at = digits(dst, at, v)
	} else {
		if v < firstDay || v >= lastDay {
			return 0
		}
		calendar(s, uint64(v+beforeEpoch))
		at = dateText(s, part.Date, dst, at)
	}
	return at
}

// unfolded reads a number.
func unfolded(i unsafe.Pointer) (v int64) {
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

// single is the bits of the float32 of a float64, bad where that is none of the common ones: infinite, no number, or so
// close to zero that it loses bits.
func single(w uint64) (real uint64) {
	x := w&(1<<63-1) - 896<<52
	if w<<1 == 0 {
		x = 0
	} else if x-1<<52 >= 253<<52 {
		return bad
	}
	return w>>63<<31 | (x+1<<28-1+x>>29&1)>>29
}

// digits writes the text of a number.
func digits(dst unsafe.Pointer, at int, v int64) (end int) {
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

// Times that a date's text is made of: from the first day of the Gregorian calendar to the last of the year 9999.
// beforeEpoch is from a March 1st, at the beginning of 400 years of that calendar, to 1970.
const (
	day         = 86_400_000
	firstDay    = -141427 * day
	lastDay     = 2_932_897 * day
	beforeEpoch = 719_468 * day
)

// calendar notes the numbers of a time since that March 1st. Years begin in March there: a leap day is the last.
func calendar(s *Rows, ms uint64) {
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

// dateText writes the text of the time that [Rows.Calendar] has.
func dateText(s *Rows, date, dst unsafe.Pointer, at int) (end int) {
	for k := 0; k < int(Load(date, 0)); k += 8 {
		Store(dst, at+1+k, Load(date, textAt+k))
	}
	Put(dst, at, byte(Load(date, 0)<<1))
	for list := date; Load(list, 8) != 0; list = unsafe.Add(list, 8) {
		how := Load(list, 8)
		u := Load(unsafe.Pointer(s), calendarAt+int(how&0xff)*8)
		k := at + 1 + int(how>>8&0xff)
		for how >= 1<<16 {
			q := u * 0xcccccccd >> 35
			Put(dst, k, byte('0'+u-q*10))
			u = q
			k--
			how -= 1 << 16
		}
	}
	return at + 1 + int(Load(date, 0))
}

// kernel(in, out) of Pass
func goPass(s *Rows) int {
	in := unsafe.Add(s.In, s.N*rowBytes)
	out := unsafe.Add(s.Out, s.Made*rowBytes)
	first := s.N
	count := s.Count
	if count-s.N > s.Most-s.Made {
		count = s.N + s.Most - s.Made
	}
	n := s.N
	topic := s.Topic
	mask := s.Mask
	wanted := s.Value
	keep := s.Keep
	result := s.Result
	origin := uint64(s.First+n) | s.To<<32
	at := uint64(s.At)
	for n < count {
		head := Load(in, value)
		if Load(in, 0)>>32 != topic || head&mask != wanted {
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
	s.Made += n - first
	s.N = n
	if n != first {
		s.Member = 0
	}
	return Done
}

// bad is the size of what is none of a program's values: further than any value reaches.
const bad = 1 << 40

// text is the size of a text of less than 8 KiB, with the byte in front of its size; w is the beginning of that. bad:
// the text is longer, or none.
func text(w uint64) int {
	n := bad
	if w&0x8100 == 0 {
		n = int(w>>9&0x3f) + 2
	} else if w&0x808100 == 0x8000 {
		n = int(w>>9&0x3f|w>>10&0x1fc0) + 3
	}
	return n
}

// structure notes in s.Ends where the members of a structure begin, from s.Member on. It returns Full when it has come
// to the end, or why it stopped.
func structure(s *Rows, in unsafe.Pointer, end int) (why int) {
	if s.Member == 0 {
		if Load(in, 0)>>32 != s.Topic || Load(in, value)&formAndSchema != s.Value || end > s.Limit ||
			s.Made >= s.Most || s.At >= s.Full {
			return Done
		}
		s.Place = int(Load(in, value+8) & low)
		root := s.Program.Root
		if root != 0 {
			if uint64(Byte(s.Data, s.Place))+1 != root {
				return Done
			}
			s.Place++
		}
	}
	found := members(s, end)
	return found
}

// members notes in s.Ends where the members of a value that ends at end begin, from s.Member on, which is at s.Place:
// those before Rest. It returns as structure does. It is one function, since one that reads a member alone would have
// each round of the loop keep where the member begins until it is known whether the caller has to pass over it.
func members(s *Rows, end int) (why int) {
	data := s.Data
	ends := s.Ends
	fields := s.Program.Fields
	i := s.Place
	m := s.Member
	code := Load(fields, m*8)
	for code&0xfe != Last { // nor Rest, which is one more
		if code >= 1<<Run {
			code >>= Run
			at := unsafe.Add(ends, m*8)
			m += int(code)
			for code != 0 {
				Store(at, 0, uint64(i))
				w := Load(data, i)
				n := 1
				if w&0xff == 2 {
					n = text(w)
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
		if code == Block {
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
		} else if code == Four {
			i += 4
		} else if code == Eight {
			i += 8
		} else {
			s.Member = m
			s.Place = i
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
	s.Member = m
	s.Place = i
	return Full
}

// kernel(s, in) of Apart
func goApart(s *Rows) int {
	in := s.In
	at := 0
	for left := s.Count; left != 0; left-- {
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

// appended finds where what is appended to a value goes: after it, which ends at end.
func appended(s *Rows, in unsafe.Pointer, end int) (why int) {
	if Load(in, 0)>>32 != s.Topic || Load(in, value)&formAndSchema != s.Value || s.Made >= s.Most {
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
	s.At = place
	return Full
}

// entries is structure for the entries of a map.
func entries(s *Rows, in unsafe.Pointer, end int) (why int) {
	data := s.Data
	ends := s.Ends
	i := s.Place
	m := s.Member
	if m == 0 {
		program := s.Program
		if Load(in, 0)>>32 != s.Topic || Load(in, value)&0xff != uint64(wit.Schemaless) || end > s.Limit ||
			s.Made >= s.Most || s.At >= s.Full {
			return Done
		}
		if Load(in, Partition)>>31&1|Load(in, Offset)>>63<<1|Load(in, Timestamp)>>63<<2 != program.Lacks {
			return Done
		}
		i = int(Load(in, value+8) & low)
		if (Load(data, i)^program.Head)&program.HeadMask != 0 {
			return Done
		}
		i += program.HeadSize
	}
	members := s.Program.Members
	key := (*Key)(unsafe.Add(unsafe.Pointer(s.Program.Keys), m*48))
	for m < members {
		Store(ends, m*8, uint64(i))
		m++
		if i+key.Size > end || (Load(data, i)^key.First)&key.Mask != 0 {
			return Done
		}
		if key.Size > 8 {
			differs := (Load(data, i+8) ^ key.Second) & key.Masking
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
		// what is passed over here may run past the end: the next key shows that, or the end after the last
		n := common(data, i)
		if n == bad {
			s.Member = m
			s.Place = i
			return Skip
		}
		i += n
	}
	if i != end {
		return Done
	}
	Store(ends, m*8, uint64(i))
	choice := s.Program.Choices
	for left := s.Program.Chosen; left != 0; left-- {
		if choice.Allowed>>uint64(Byte(data, int(Load(ends, choice.Place))+choice.Behind))&1 == 0 {
			return Done
		}
		choice = (*Choice)(unsafe.Add(unsafe.Pointer(choice), 24))
	}
	s.Member = m
	s.Place = i
	return Full
}

// common is the size of a value without schema, its tag included, where it is one of the common kinds; bad: it is
// another, or none.
func common(data unsafe.Pointer, i int) int {
	w := Load(data, i)
	tag := w & 0xff
	n := bad
	if tag == uint64(connectdata.TagText) {
		n = text(w)
	} else if tag <= uint64(connectdata.TagTrue) {
		n = 1
	} else if tag <= uint64(connectdata.TagInt64) {
		n = bits.TrailingZeros64(^Load(data, i+1)&highs)>>3 + 2
		if n > 1+1<<(tag-uint64(connectdata.TagInt8)) { // as many bytes as the number has always fit
			n = bad
		}
	} else if tag == uint64(connectdata.TagFloat64) {
		n = 9
	} else if tag == uint64(connectdata.TagBytes) {
		n = text(w)
	}
	return n
}

// prepared finds the members or entries of a row's value, and where its parts go: ready, or why it stopped.
func prepared(s *Rows, in unsafe.Pointer) (why int) {
	size := int(Load(in, value+8) >> 32)
	end := int(Load(in, value+8)&low) + size
	found := Done
	if s.Program.Keys != nil {
		found = entries(s, in, end)
	} else if s.Program.Appends == 0 {
		found = structure(s, in, end)
	} else {
		found = appended(s, in, end)
	}
	if found == Full && s.Program.Appends != 0 {
		if s.Program.Keys != nil {
			s.At = end - size
			Put(s.Data, s.At+1, byte(s.Program.Count))
		}
		s.From = end
		return ready
	}
	if found == Full && s.Edited < s.Program.Edits {
		return Edit
	}
	s.From = s.At
	size += int(Load(in, headers+8)>>32) + s.Edited
	if found == Full && s.At+size<<s.Program.Twice+s.Program.Extra+Room <= s.Size {
		return ready
	}
	return found
}

// ready: nothing stands in the way of a row.
const ready = -1

// kernel(s, in) of Values
func goValues(s *Rows) int {
	for s.N < s.Count {
		in := unsafe.Add(s.In, s.N*rowBytes)
		why := prepared(s, in)
		if why != ready {
			return why
		}
		why = emit(s, in, s.From)
		if why != Full {
			return why
		}
	}
	return Done
}
