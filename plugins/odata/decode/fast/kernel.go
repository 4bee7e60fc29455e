package fast

import (
	"math"
	"math/bits"
	"unsafe"
)

func quotient(u uint64, p unsafe.Pointer, i int) uint64 {
	return math.Float64bits(float64(u) / *(*float64)(unsafe.Add(p, i)))
}

// stops sets the high bit of the first byte that is one of the [Stops]; higher bytes may be wrong.
func stops(x, flip, limit, stop uint64) uint64 {
	return (((x ^ flip) - limit) | ((x ^ stop) - Ones)) &^ x & Highs
}

// mismatch returns zero if the pattern's text is at p. first masks the first word.
func mismatch(in unsafe.Pointer, p int, m *Pattern, first uint64) uint64 {
	d := (Load(in, p)^m.Words[0])&m.Words[1]&first | (Load(in, p+8)^m.Words[2])&m.Words[3] |
		(Load(in, p+16)^m.Words[4])&m.Words[5] | m.Disabled
	if d == 0 && m.Size > 24 {
		d = (Load(in, p+24)^m.Words[6])&m.Words[7] |
			(Load(in, p+32)^m.Words[8])&m.Words[9] |
			(Load(in, p+40)^m.Words[10])&m.Words[11] |
			(Load(in, p+48)^m.Words[12])&m.Words[13] |
			(Load(in, p+56)^m.Words[14])&m.Words[15] |
			(Load(in, p+64)^m.Words[16])&m.Words[17] |
			(Load(in, p+72)^m.Words[18])&m.Words[19]
	}
	return d
}

// number writes a zigzag varint (wit/encoding.md) and returns the offset after it.
func number(p unsafe.Pointer, i int, v int) int {
	u := uint64(v<<1 ^ v>>63)
	if u < 0x80 {
		Store(p, i, u)
		return i + 1
	}
	if u >= 1<<56 {
		for u >= 0x80 {
			Store(p, i, u&0x7f|0x80)
			u >>= 7
			i++
		}
		Store(p, i, u)
		return i + 1
	}
	n := (bits.Len64(u) + 6) * 37 >> 8
	u = u&0x0fffffff | u&0x00fffffff0000000<<4
	u = u&0x00003fff00003fff | u&0x0fffc0000fffc000<<2
	u = u&0x007f007f007f007f | u&0x3f803f803f803f80<<1
	Store(p, i, u|Highs&(1<<(8*uint64(n)-8)-1))
	return i + n
}

// unscaled writes the unscaled value of a Decimal: its size, then the shortest big-endian two's complement.
func unscaled(p unsafe.Pointer, i int, v int) int {
	n := (bits.Len64(uint64(v^v>>63)) + 8) >> 3
	Store(p, i, uint64(n)<<1)
	x := uint64(v) << (64 - 8*uint64(n))
	x = x>>8&0x00ff00ff00ff00ff | x&0x00ff00ff00ff00ff<<8
	x = x>>16&0x0000ffff0000ffff | x&0x0000ffff0000ffff<<16
	Store(p, i+1, x>>32|x<<32)
	return i + 1 + n
}

// digits reads up to 18 digits and returns their number, 19 if there are more.
func digits(powers, p unsafe.Pointer, i int) (uint64, int) {
	w := Load(p, i) ^ Zeros
	m := Nondigits(w)
	if m != 0 {
		m = uint64(bits.TrailingZeros64(m) & 56)
		if m == 0 {
			return 0, 0
		}
		w = w << (64 - m)
		return eightDigits(w), int(m >> 3)
	}
	v := eightDigits(w)
	w = Load(p, i+8) ^ Zeros
	m = Nondigits(w)
	if m != 0 {
		m = uint64(bits.TrailingZeros64(m) & 56)
		if m == 0 {
			return v, 8
		}
		w = w << (64 - m)
		return v*Load(powers, int(m)) + eightDigits(w), 8 + int(m>>3)
	}
	v = v*1e8 + eightDigits(w)
	for m = 16; m < 19; m++ {
		w = uint64(Byte(p, i+int(m))) - '0'
		if w > 9 {
			return v, int(m)
		}
		if m < 18 {
			v = v*10 + w
		}
	}
	return v, 19
}

// eightDigits parses digits with '0' subtracted; the first digit is in the lowest byte.
func eightDigits(w uint64) uint64 {
	return ((w*10+w>>8)&0x000000ff000000ff*0x000f424000000064 +
		(w*10+w>>8)>>16&0x000000ff000000ff*0x0000271000000001) >> 32
}

func match(src unsafe.Pointer, n int, at unsafe.Pointer) int {
	for {
		head := Load(at, 0)
		words := head & 0xffffff
		for words != 0 {
			at = unsafe.Add(at, 8)
			if Load(src, n) != Load(at, 0) {
				return 0
			}
			n += 8
			words--
		}
		if (Load(src, n)^Load(at, 8))&Load(at, 16) != 0 {
			return 0
		}
		n += int(head >> 32 & 0xff)
		if head>>63 != 0 {
			return n
		}
		flip := Load(at, 24)
		limit := Load(at, 32)
		stop := Load(at, 40)
		for {
			m := stops(Load(src, n), flip, limit, stop)
			if m != 0 {
				n += bits.TrailingZeros64(m) >> 3
				break
			}
			n += 8
		}
		at = unsafe.Add(at, 48)
	}
}

// invalid returns 1 if n bytes at i are not UTF-8 or, in XML, contain U+FFFE or U+FFFF.
func invalid(p unsafe.Pointer, i, n int, xml int) int {
	end := i + n
	for i < end {
		w := Load(p, i)
		if w&Highs == 0 {
			if (Load(p, i+8)|Load(p, i+16)|Load(p, i+24))&Highs == 0 {
				i += 32
			} else {
				i += 8
			}
			continue
		}
		i += bits.TrailingZeros64(w&Highs) >> 3
		if i >= end {
			break
		}
		w = Load(p, i)
		if w&0xff < 0xe0 {
			if w&0xff < 0xc2 || w&0xc000 != 0x8000 {
				return 1
			}
			i += 2
			if i > end {
				return 1
			}
			continue
		}
		if w&0xff < 0xf0 {
			if w&0xc0c000 != 0x808000 || w&0xff == 0xe0 && w>>8&0xff < 0xa0 || w&0xff == 0xed && w>>8&0xff > 0x9f {
				return 1
			}
			if xml != 0 && w&0xfeffff == 0xbebfef {
				return 1
			}
			i += 3
			if i > end {
				return 1
			}
			continue
		}
		if w&0xff > 0xf4 || w&0xc0c0c000 != 0x80808000 || w&0xff == 0xf0 && w>>8&0xff < 0x90 || w&0xff == 0xf4 &&
			w>>8&0xff > 0x8f {
			return 1
		}
		i += 4
		if i > end {
			return 1
		}
	}
	return 0
}

// Hash hashes a name of n bytes at p. The last bytes, which distinguish FIELD01 from FIELD02, hardly affect the low
// bits of a product, so the top bits are used.
func Hash(in unsafe.Pointer, p, n int) uint64 {
	w := Load(in, p)
	if n < 8 {
		w = w & (1<<(8*uint64(n)) - 1)
	}
	w = w * golden
	if n > 8 {
		w = w ^ Load(in, p+n-8)*0xc2b2ae3d27d4eb4f
	}
	w += uint64(n) * 0x165667b19e3779f9
	return (w ^ w>>32) * golden >> 40
}

const golden = 0x9e3779b97f4a7c15 // 2^64 divided by the golden ratio

// name returns start and length of the name of the property at p, length zero at the row's end.
func name(s *Row, in unsafe.Pointer, p int) (int, int) {
	n := 0
	if s.Markup == 0 {
		if (Load(in, p)^(','|'"'<<8))&s.First&0xffff != 0 {
			return 0, 0
		}
		p += 2
		for {
			m := stops(Load(in, p+n), Ones*0x02, Ones*0x21, Ones*'\\')
			if m != 0 {
				return p, n + bits.TrailingZeros64(m)>>3
			}
			n += 8
		}
	}
	for uint64(Byte(in, p))-1 < ' ' {
		p++
	}
	if Byte(in, p) != '<' {
		return 0, 0
	}
	p++
	for {
		m := endsName(Load(in, p+n))
		if m != 0 {
			return p, n + bits.TrailingZeros64(m)>>3
		}
		n += 8
	}
}

func endsName(x uint64) uint64 {
	return (((x ^ Ones*' ') - Ones) | ((x ^ Ones*'>') - Ones) | ((x ^ Ones*'/') - Ones) | (x - Ones)) &^ x & Highs
}

func pointer(p unsafe.Pointer, i int) *Entry { return *(**Entry)(unsafe.Add(p, i)) }

// beginColumn writes null for skipped columns, or marks the row as out of order. It returns -1 for a repeated column.
func beginColumn(s *Row, c, o int) int {
	touch(s)
	k := s.Expected
	if c > k && s.OutOfOrder == 0 {
		i := k
		for i < c && Load(s.Optionals, i*8) != 0 {
			i++
		}
		if i == c && c-k <= 3 {
			for k < c {
				Store(s.Arena, o, 0)
				Store(s.Spans, k*16, uint64(o))
				o++
				Store(s.Spans, k*16+8, uint64(o))
				k++
			}
			return o
		}
	}
	if Load(s.Stamps, c*8) == s.Stamp {
		return -1
	}
	s.OutOfOrder = 1
	return o
}

func Follows(before, e *Entry) {
	if before.Candidate != e {
		before.Candidate = e
		before.Times = 0
	}
	before.Times++
	if before.Times >= minRepeats {
		before.Next = e
		before.Times = 0
	}
}

func endColumn(s *Row, c, start, o int) {
	touch(s)
	Store(s.Spans, c*16, uint64(start))
	Store(s.Spans, c*16+8, uint64(o))
	Store(s.Stamps, c*8, s.Stamp)
	if c >= s.Expected {
		s.Expected = c + 1
	}
}

func finishRow(s *Row, p, o int) {
	touch(s)
	row := unsafe.Add(s.Rows, s.RowCount*rowBytes)
	first := Load(s.Spans, s.KeyFirst)
	end := uint64(o)
	if s.ValueEnd >= 0 {
		end = Load(s.Spans, s.ValueEnd)
	}
	Store(row, 72, 0)
	Store(row, 64, 0)
	Store(row, 56, uint64(s.RowOutput)|(end-uint64(s.RowOutput))<<32)
	Store(row, 48, s.ValueEncoding)
	Store(row, 40, first|(Load(s.Spans, s.KeyLast)-first)<<32)
	Store(row, 32, s.KeyEncoding)
	Store(row, 24, ^uint64(0))
	Store(row, 16, ^uint64(0))
	Store(row, 8, 0xffffffff)
	Store(row, 0, s.RowIndex)
	s.RowIndex++
	s.RowCount++
	s.RowText = p
	s.RowOutput = o
	s.Expected = 0
	s.Stamp++
	s.Before = s.Head
}

// writeLength writes the length n of a text, or returns zero if it does not have the expected width.
func writeLength(arena unsafe.Pointer, o, n, width int) int {
	if n < 64 {
		if width != 1 {
			return 0
		}
		Put(arena, o, byte(n<<1))
		return 1
	}
	if n < 8192 {
		if width != 2 {
			return 0
		}
		Put(arena, o, byte(n<<1|0x80))
		Put(arena, o+1, byte(n>>6))
		return 1
	}
	return 0
}

// writeDecimal writes u, with this number of digits before and after the point. It returns -1 if it does not fit.
func writeDecimal(powers unsafe.Pointer, e *Entry, arena unsafe.Pointer, o int, u uint64, whole, places,
	negative int) int {
	touch(e)
	for places > e.Scale {
		if u%10 != 0 {
			return -1
		}
		u /= 10
		places--
	}
	if whole+e.Scale > 18 {
		return -1
	}
	u = u * Load(powers, (e.Scale-places)*8)
	if u >= e.Limit {
		return -1
	}
	v := int(u)
	if negative != 0 {
		v = -v
	}
	return unscaled(arena, o, v)
}

// isoTime reads yyyy-mm-ddThh:mm:ss, up to nine fraction digits and Z. It returns the offset after it, -1 for other
// forms, and milliseconds since 1970.
func isoTime(s *Row, in unsafe.Pointer, p int) (int, int) {
	ms := 0
	{
		a := Load(in, p)
		b := Load(in, p+8)
		c := Load(in, p+12)
		if a&0xff0000ff00000000 != '-'<<32|'-'<<56 || b&0x0000ff0000ff0000 != 'T'<<16|':'<<40 ||
			c&0xff00000000 != ':'<<32 {
			return -1, 0
		}
		d := (a&0xffffffff | a>>8&0xffff00000000 | b<<48) ^ Zeros
		b = (b>>24&0xffff | b>>32&0xffff0000 | c>>8&0xffff00000000 | '0'<<48 | '0'<<56) ^ Zeros
		if Nondigits(d)|Nondigits(b) != 0 {
			return -1, 0
		}
		d = eightDigits(d) // yyyymmdd
		b = eightDigits(b) // hhmmss00
		a = d % 100
		c = d / 100 % 100
		d = d / 10000
		if d < 1 || c < 1 || c > 12 || a < 1 || b >= 24000000 || b/10000%100 > 59 || b/100%100 > 59 {
			return -1, 0
		}
		if a > 28 {
			days := uint64(31)
			if c == 4 || c == 6 || c == 9 || c == 11 {
				days = 30
			}
			if c == 2 {
				days = 28
				if d&3 == 0 && (d%100 != 0 || d%400 == 0) {
					days = 29
				}
			}
			if a > days {
				return -1, 0
			}
		}
		if c <= 2 { // years begin in March, so that the leap day is the last
			d--
			c += 12
		}
		ms = int(365*d+d/4-d/100+d/400+(153*(c-3)+2)/5+a) - 719469
		ms = ((ms*24+int(b/1000000))*60+int(b/10000%100))*60000 + int(b/100%100)*1000
	}
	p += 19
	if Byte(in, p) == '.' {
		p++
		u, n := digits(s.Powers, in, p)
		if n == 0 || n > 9 {
			return -1, 0
		}
		p += n
		if n >= 3 {
			u = u / Load(s.Powers, n*8-24)
		} else {
			u = u * Load(s.Powers, 24-n*8)
		}
		ms += int(u)
	}
	if Byte(in, p) == 'Z' {
		p++
	}
	return p, ms
}

// timeOfDay reads PThhHmmMssS in milliseconds. It returns -1 for other forms.
func timeOfDay(in unsafe.Pointer, p int) int {
	a := Load(in, p)
	b := Load(in, p+8)
	if a&0xff0000ff0000ffff != 'P'|'T'<<8|'H'<<32|'M'<<56 || b&0xff0000 != 'S'<<16 {
		return -1
	}
	a = (a>>16&0xffff | a>>24&0xffff0000 | b&0xffff<<32 | '0'<<48 | '0'<<56) ^ Zeros
	if Nondigits(a) != 0 {
		return -1
	}
	a = eightDigits(a)
	b = a/1000000*3600000 + a/10000%100*60000 + a/100%100*1000
	if b >= 86400000 {
		return -1
	}
	return int(b)
}

func notGUID(in unsafe.Pointer, p int) uint64 {
	return (uint64(Byte(in, p+8)) ^ '-') | (uint64(Byte(in, p+13)) ^ '-') | (uint64(Byte(in,
		p+18)) ^ '-') | (uint64(Byte(in, p+23)) ^ '-') |
		(hex(Load(in, p))&hex(Load(in, p+9)&0xffffffff|Load(in, p+14)<<32)&
			hex(Load(in, p+19)&0xffffffff|Load(in, p+24)<<32)&hex(Load(in, p+28)) ^ Highs)
}

func putGUID(in unsafe.Pointer, p int, arena unsafe.Pointer, o int) int {
	Put(arena, o, 72)
	Store(arena, o+1, Load(in, p))
	Store(arena, o+9, Load(in, p+8))
	Store(arena, o+17, Load(in, p+16))
	Store(arena, o+25, Load(in, p+24))
	Store(arena, o+33, Load(in, p+32))
	return o + 37
}

// copyText copies up to 32 bytes, to the next stop. It returns both ends, all bytes or'ed, and the stop as a mask.
func copyText(in unsafe.Pointer, p int, arena unsafe.Pointer, q int, all, flip, stop uint64) (int, int, uint64,
	uint64) {
	x := Load(in, p)
	Store(arena, q, x)
	m := stops(x, flip, Ones*0x21, stop)
	if m == 0 { // written out four times: loops are charged at their heads
		all |= x
		x = Load(in, p+8)
		Store(arena, q+8, x)
		p += 8
		q += 8
		m = stops(x, flip, Ones*0x21, stop)
		if m == 0 {
			all |= x
			x = Load(in, p+8)
			Store(arena, q+8, x)
			p += 8
			q += 8
			m = stops(x, flip, Ones*0x21, stop)
			if m == 0 {
				all |= x
				x = Load(in, p+8)
				Store(arena, q+8, x)
				p += 8
				q += 8
				m = stops(x, flip, Ones*0x21, stop)
				if m == 0 {
					return p + 8, q + 8, all | x, 0
				}
			}
		}
	}
	x = x & ((m & -m >> 7) - 1)
	n := bits.TrailingZeros64(m) >> 3
	return p + n, q + n, all | x, m
}

// copyJSONString copies a string to q. It returns both ends, the second one 0 on failure, and all bytes or'ed.
func copyJSONString(plain, in unsafe.Pointer, p int, arena unsafe.Pointer, q int) (int, int, uint64) {
	all := uint64(0)
	for {
		m := uint64(0)
		p, q, all, m = copyText(in, p, arena, q, all, Ones*0x02, Ones*'\\')
		if m == 0 {
			continue
		}
		m = uint64(Byte(in, p))
		if m == '"' {
			return p, q, all
		}
		if m != '\\' {
			return p, 0, 0
		}
		m = uint64(Byte(plain, int(Byte(in, p+1))))
		if m == 0 {
			return p, 0, 0
		}
		Store(arena, q, m)
		p += 2
		q++
	}
}

func copyXMLText(in unsafe.Pointer, p int, arena unsafe.Pointer, q int) (int, int, uint64) {
	all := uint64(0)
	for {
		m := uint64(0)
		p, q, all, m = copyText(in, p, arena, q, all, Ones*0x06, Ones*'<')
		if m == 0 {
			continue
		}
		m = Load(in, p)
		if m&0xff == '<' {
			return p, q, all
		}
		c, n := entity(m)
		if n == 0 {
			return p, 0, 0
		}
		Store(arena, q, c)
		p += n
		q++
	}
}

// entity returns the character of an entity, line end or tab, and its length, or zero for the plain parser.
func entity(x uint64) (uint64, int) {
	c := x & 0xff
	if c == '\n' || c == '\t' {
		return c, 1
	}
	if x&0xffffffffff == '&'|'a'<<8|'m'<<16|'p'<<24|';'<<32 {
		return '&', 5
	}
	if x&0xffffffff == '&'|'l'<<8|'t'<<16|';'<<24 {
		return '<', 4
	}
	if x&0xffffffff == '&'|'g'<<8|'t'<<16|';'<<24 {
		return '>', 4
	}
	if x&0xffffffffffff == '&'|'q'<<8|'u'<<16|'o'<<24|'t'<<32|';'<<40 {
		return '"', 6
	}
	if x&0xffffffffffff == '&'|'a'<<8|'p'<<16|'o'<<24|'s'<<32|';'<<40 {
		return '\'', 6
	}
	return 0, 0
}

func readText(s *Row, e *Entry, in unsafe.Pointer, p int, arena unsafe.Pointer, o int) (int, int) {
	q := 0
	all := uint64(0)
	if e.Kind == JSONString {
		p, q, all = copyJSONString(s.Escapes, in, p, arena, o+e.Width)
	} else {
		p, q, all = copyXMLText(in, p, arena, o+e.Width)
	}
	if q == 0 {
		if Byte(in, p) == 0 {
			s.P = p
			return -1, Truncated
		}
		return -1, UnexpectedValue
	}
	touch(e)
	n := q - o - e.Width
	if all&Highs != 0 {
		if invalid(arena, q-n, n, e.Kind) != 0 {
			return -1, UnexpectedValue
		}
	}
	if writeLength(arena, o, n, e.Width) == 0 {
		s.P = p
		s.Size = n
		return -1, NeedsLength
	}
	return p, q
}

func readNumber(s *Row, e *Entry, in unsafe.Pointer, p int, arena unsafe.Pointer, o int) (int, int) {
	negative := 0
	if Byte(in, p) == '-' {
		negative = 1
		p++
	}
	if e.Unquoted != 0 && Byte(in, p) == '0' && uint64(Byte(in, p+1))-'0' <= 9 {
		return -1, UnexpectedValue
	}
	u, n := digits(s.Powers, in, p)
	if n == 0 || n > 18 {
		return -1, UnexpectedValue
	}
	p += n
	if e.Kind == Integer {
		i := int(u)
		if negative != 0 {
			i = -i
		}
		if i < e.Low || i > e.High {
			return -1, UnexpectedValue
		}
		o = number(arena, o, i)
		return p, o
	}
	places := 0
	if Byte(in, p) == '.' {
		p++
		part, k := digits(s.Powers, in, p)
		if k == 0 || n+k > 18 {
			return -1, UnexpectedValue
		}
		u = u*Load(s.Powers, k*8) + part
		p += k
		places = k
	}
	if e.Kind == Decimal {
		o = writeDecimal(s.Powers, e, arena, o, u, n, places, negative)
		if o < 0 {
			return -1, UnexpectedValue
		}
		return p, o
	}
	if u >= 1<<53 {
		return -1, UnexpectedValue
	}
	Store(arena, o, quotient(u, s.Exact, places*8)|uint64(negative)<<63)
	return p, o + 8
}

func readOther(s *Row, kind int, in unsafe.Pointer, p int, arena unsafe.Pointer, o int) (int, int) {
	if kind == DateTime {
		ms := 0
		p, ms = isoTime(s, in, p)
		if p < 0 {
			return -1, UnexpectedValue
		}
		o = number(arena, o, ms)
		return p, o
	}
	if kind == TimeOfDay {
		ms := timeOfDay(in, p)
		if ms < 0 {
			return -1, UnexpectedValue
		}
		o = number(arena, o, ms)
		return p + 11, o
	}
	if kind == GUID {
		if notGUID(in, p) != 0 {
			return -1, UnexpectedValue
		}
		return p + 36, putGUID(in, p, arena, o)
	}
	v := Load(in, p)
	if v&0xffffffff == 't'|'r'<<8|'u'<<16|'e'<<24 {
		Put(arena, o, 1)
		return p + 4, o + 1
	}
	if kind == Slow || v&0xffffffffff != 'f'|'a'<<8|'l'<<16|'s'<<24|'e'<<32 {
		return -1, UnexpectedValue
	}
	Put(arena, o, 0)
	return p + 5, o + 1
}

// search finds the entry of a property at p that is not the expected one: 0 found, 1 found by its Null, -1 unknown.
func search(s *Row, in unsafe.Pointer, p int, e **Entry) int {
	if s.OutOfOrder == 0 {
		near := 3
		for {
			touch(*e)
			if mismatch(in, p, &(*e).Null, s.First) == 0 {
				return 1
			}
			if near == 0 {
				break
			}
			*e = (*e).Next
			near--
			touch(*e)
			if mismatch(in, p, &(*e).Prefix, s.First) == 0 {
				return 0
			}
		}
	}
	from, n := name(s, in, p)
	at := Hash(in, from, n)
	n = 0
	for {
		*e = pointer(s.Table, int(at&s.Mask)*8)
		if *e == nil {
			return -1
		}
		touch(*e)
		if mismatch(in, p, &(*e).Prefix, s.First) == 0 {
			break
		}
		if mismatch(in, p, &(*e).Null, s.First) == 0 {
			n = 1
			break
		}
		at++
	}
	Follows(s.Before, *e)
	return n
}

func nextRow(s *Row, in unsafe.Pointer, p, o int, end *Entry) int {
	if s.RowCount >= s.MaxRows || s.OutOfOrder != 0 || s.Expected != s.Columns || o-p > s.Slack {
		return 0
	}
	p = match(in, p, unsafe.Pointer(end.Skip))
	if p == 0 {
		return 0
	}
	from := p
	if s.Markup == 0 {
		if Byte(in, p) != '{' {
			return 0
		}
		s.First = ^uint64(0xff)
	} else {
		p = match(in, p, unsafe.Pointer(s.Head.Skip))
	}
	if p != 0 {
		finishRow(s, from, o)
	}
	return p
}

// skipMember skips a value that is no column, or moves to the next row. It returns zero if the caller must do so.
func skipMember(s *Row, in unsafe.Pointer, p, o int, e *Entry) int {
	if e.Kind != Skip {
		if s.First != ^uint64(0) {
			return 0 // with its only byte masked, the end would match everywhere
		}
		return nextRow(s, in, p, o, e)
	}
	s.First = ^uint64(0)
	if e.Skip == nil {
		return 0
	}
	return match(in, p, unsafe.Pointer(e.Skip))
}

func skipResult(s *Row, e *Entry) int {
	if e.Kind == Skip {
		return UnexpectedProperty
	}
	if s.First != ^uint64(0) {
		return NoEntry
	}
	return AtEnd
}

func readValue(s *Row, e *Entry, in unsafe.Pointer, p int, arena unsafe.Pointer, o int) (int, int) {
	if e.Kind <= XMLText {
		p, o = readText(s, e, in, p, arena, o)
	} else {
		if e.Kind <= Double {
			p, o = readNumber(s, e, in, p, arena, o)
		} else {
			p, o = readOther(s, e.Kind, in, p, arena, o)
		}
		if p >= 0 && e.Unquoted != 0 && Byte(in, p) != ',' && Byte(in, p) != '}' {
			return -1, UnexpectedValue
		}
	}
	return p, o
}

func skipSuffix(e *Entry, in unsafe.Pointer, p int) int {
	touch(e)
	if mismatch(in, p, &e.Suffix, ^uint64(0)) != 0 {
		return -1
	}
	return p + e.Suffix.Size
}

func writeNull(e *Entry, arena unsafe.Pointer, o int) int {
	if e.Empty != 0 {
		Put(arena, o, 2)
		o += e.Optional
	} else {
		if e.Optional == 0 {
			return -1
		}
	}
	Put(arena, o, 0)
	return o + 1
}

func unquotedNull(s *Row, e *Entry, in, arena unsafe.Pointer) (int, int) {
	p := s.P - e.Prefix.Size
	if mismatch(in, p, &e.Null, ^uint64(0xff)) != 0 {
		return p, -1
	}
	return p + e.Null.Size, writeNull(e, arena, s.O)
}

func nullMember(s *Row, e *Entry, arena unsafe.Pointer, o int) int {
	s.First = ^uint64(0)
	if e.Kind == Skip {
		return o
	}
	if e.Column != s.Expected {
		o = beginColumn(s, e.Column, o)
		if o < 0 {
			return -1
		}
		touch(e)
	}
	s.O = o
	o = writeNull(e, arena, o)
	endColumn(s, e.Column, s.O, o)
	return o
}

// kernel(e, s): goRead reads the properties of rows as their entries describe them.
func goRead(s *Row) int {
	in := s.In
	arena := s.Arena
	p := s.P
	o := s.O
	e := s.Entry
	for {
		touch(e)
		touch(s)
		if mismatch(in, p, &e.Prefix, s.First) != 0 {
			s.P = p
			s.O = o
			null := search(s, in, p, &e)
			if null != 0 {
				if null < 0 {
					return NoEntry
				}
				touch(e)
				o = nullMember(s, e, arena, o)
				if o < 0 {
					return UnexpectedRow
				}
				p += e.Null.Size
				s.Before = e
				e = e.Next
				continue
			}
		}
		touch(e)
		if e.Kind >= Skip {
			s.P = p + e.Prefix.Size
			s.O = o
			s.Entry = e
			p = skipMember(s, in, s.P, o, e)
			if p == 0 {
				return skipResult(s, e)
			}
			if e.Kind == End {
				e = s.Head
			}
			s.Before = e
			e = e.Next
			continue
		}
		if e.Column != s.Expected {
			o = beginColumn(s, e.Column, o)
			if o < 0 {
				return UnexpectedRow
			}
		}
		p += e.Prefix.Size
		s.First = ^uint64(0)
		s.P = p
		s.O = o
		s.Entry = e
		Put(arena, o, 2)
		p, o = readValue(s, e, in, p, arena, o+e.Optional)
		if p >= 0 {
			p = skipSuffix(e, in, p)
			if p < 0 {
				return UnexpectedValue
			}
		} else {
			if e.Unquoted == 0 {
				return o
			}
			p, o = unquotedNull(s, e, in, arena)
			if o < 0 {
				return UnexpectedValue
			}
		}
		endColumn(s, e.Column, s.O, o)
		s.Before = e
		e = e.Next
	}
}

// kernel(s): goSort implements Sort.
func goSort(s *Row, start, columns int) int {
	arena := s.Arena
	p := s.O
	shift := p - start
	spans := s.Spans
	stamps := s.Stamps
	stamp := s.Stamp
	for i := 0; i < columns; {
		if Load(stamps, i*8) != stamp {
			if Load(s.Optionals, i*8) == 0 {
				return -1
			}
			Store(arena, p, 0)
			Store(spans, i*16, uint64(p-shift))
			p++
			Store(spans, i*16+8, uint64(p-shift))
			i++
			continue
		}
		from := int(Load(spans, i*16))
		end := from
		by := p - shift - from
		for {
			Store(spans, i*16, uint64(end+by))
			end = int(Load(spans, i*16+8))
			Store(spans, i*16+8, uint64(end+by))
			i++
			if i == columns {
				break
			}
			if Load(stamps, i*8) != stamp || int(Load(spans, i*16)) != end {
				break
			}
		}
		Copy(arena, p, arena, from, end-from)
		p += end - from
	}
	Copy(arena, start, arena, s.O, p-s.O)
	return p - shift
}

// kernel(at, src): goMatch implements Match.
func goMatch(src unsafe.Pointer, program *uint64) int {
	at := unsafe.Pointer(program)
	from := src
	for {
		head := Load(at, 0)
		words := head & 0xffffff
		for words >= 4 {
			if (Load(src, 24)^Load(at, 32))|(Load(src, 16)^Load(at, 24))|(Load(src, 8)^Load(at, 16))|
				(Load(src, 0)^Load(at, 8)) != 0 {
				return int(uintptr(from)) - int(uintptr(src))
			}
			src = unsafe.Add(src, 32)
			at = unsafe.Add(at, 32)
			words -= 4
		}
		for words != 0 {
			at = unsafe.Add(at, 8)
			if Load(src, 0) != Load(at, 0) {
				return int(uintptr(from)) - int(uintptr(src))
			}
			src = unsafe.Add(src, 8)
			words--
		}
		if Load(at, 16)&(Load(src, 0)^Load(at, 8)) != 0 {
			return int(uintptr(from)) - int(uintptr(src))
		}
		src = unsafe.Add(src, int(head>>32&0xff))
		if head>>63 != 0 {
			return int(uintptr(src)) - int(uintptr(from))
		}
		stop := Load(at, 40)
		limit := Load(at, 32)
		flip := Load(at, 24)
		for {
			second := Load(src, 8)
			m := stops(Load(src, 0), flip, limit, stop)
			if m != 0 {
				src = unsafe.Add(src, bits.TrailingZeros64(m)>>3)
				break
			}
			m = stops(second, flip, limit, stop)
			if m != 0 {
				src = unsafe.Add(src, 8+bits.TrailingZeros64(m)>>3)
				break
			}
			src = unsafe.Add(src, 16)
		}
		at = unsafe.Add(at, 48)
	}
}
