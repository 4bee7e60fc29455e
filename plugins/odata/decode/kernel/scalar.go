package kernel

import (
	"math"
	"math/bits"
	"unsafe"
)

// The functions that read values return the ends of the text and of the output, the first one -1 if Go must read it.

// readNumber writes the integer, Decimal or Double whose digits are at p.
func readNumber(s *Struct, e *Property, in unsafe.Pointer, p int, arena unsafe.Pointer, o int) (int, int) {
	negative := 0
	if Byte(in, p) == '-' {
		negative = 1
		p++
	}
	if s.Markup|s.Quoted == 0 && Byte(in, p) == '0' && uint64(Byte(in, p+1))-'0' <= 9 {
		return -1, 0
	}
	u, n := readDigits(s.Powers, in, p)
	if n == 0 || n > 18 {
		return -1, 0
	}
	p += n
	if e.Kind == Integer {
		i := int(u)
		if negative != 0 {
			i = -i
		}
		if i < e.Low || i > e.High {
			return -1, 0
		}
		o = putNumber(arena, o, i)
		return p, o
	}
	places := 0
	if Byte(in, p) == '.' {
		p++
		part, k := readDigits(s.Powers, in, p)
		if k == 0 || n+k > 18 {
			return -1, 0
		}
		u = u*Load(s.Powers, k*8) + part
		p += k
		places = k
	}
	if e.Kind == Decimal {
		o = writeDecimal(s.Powers, e, arena, o, u, n, places, negative)
		if o < 0 {
			return -1, 0
		}
		return p, o
	}
	if u >= 1<<53 {
		return -1, 0
	}
	Store(arena, o, quotient(u, s.ExactPowers, places*8)|uint64(negative)<<63)
	return p, o + 8
}

// quotient returns the bits of u as a float, divided by the power of ten at p+i. It is exact for up to 2^53.
func quotient(u uint64, p unsafe.Pointer, i int) uint64 {
	return math.Float64bits(float64(u) / *(*float64)(unsafe.Add(p, i)))
}

// writeDecimal writes u, with this number of digits before and after the point. It returns -1 if it does not fit.
func writeDecimal(powers unsafe.Pointer, e *Property, arena unsafe.Pointer, o int, u uint64, whole, places,
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
	return putUnscaled(arena, o, v)
}

// readDigits reads up to 18 digits and returns their number, 19 if there are more.
func readDigits(powers, p unsafe.Pointer, i int) (uint64, int) {
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

// putNumber writes a zigzag varint (wit/encoding.md) and returns the offset after it.
func putNumber(p unsafe.Pointer, i int, v int) int {
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

// putUnscaled writes the unscaled value of a Decimal: its size, then the shortest big-endian two's complement.
func putUnscaled(p unsafe.Pointer, i int, v int) int {
	n := (bits.Len64(uint64(v^v>>63)) + 8) >> 3
	Store(p, i, uint64(n)<<1)
	x := uint64(v) << (64 - 8*uint64(n))
	x = x>>8&0x00ff00ff00ff00ff | x&0x00ff00ff00ff00ff<<8
	x = x>>16&0x0000ffff0000ffff | x&0x0000ffff0000ffff<<16
	Store(p, i+1, x>>32|x<<32)
	return i + 1 + n
}

// readTime writes the days of the Edm.Date at p, or the milliseconds of a point in time: in JSON ticks or, as in Atom,
// ISO 8601.
func readTime(s *Struct, e *Property, in unsafe.Pointer, p int, arena unsafe.Pointer, o int) (int, int) {
	ms := 0
	if s.Markup == 0 && (Byte(in, p) == '/' || Byte(in, p) == '\\') {
		p, ms = readTicks(s, e, in, p)
	} else {
		p, ms = readISOTime(s, e, in, p)
	}
	if p < 0 {
		return -1, 0
	}
	o = putNumber(arena, o, ms)
	return p, o
}

// readTicks reads /Date(1700000000000)/ in UTC, with or without +0000 and a backslash before each slash. It returns the
// offset after it, -1 for other forms, and milliseconds since 1970.
func readTicks(s *Struct, e *Property, in unsafe.Pointer, p int) (int, int) {
	if Byte(in, p) == '\\' {
		p++
	}
	if Load(in, p)&0xffffffffffff != '/'|'D'<<8|'a'<<16|'t'<<24|'e'<<32|'('<<40 {
		return -1, 0
	}
	p += 6
	negative := 0
	if Byte(in, p) == '-' {
		negative = 1
		p++
	}
	u, n := readDigits(s.Powers, in, p)
	if n == 0 || n > 18 {
		return -1, 0
	}
	p += n
	ms := int(u)
	if negative != 0 {
		ms = -ms
	}
	if Load(in, p)&0xffffffffff == '+'|'0'<<8|'0'<<16|'0'<<24|'0'<<32 {
		p += 5
	}
	touch(e)
	if Byte(in, p) != ')' || ms < e.Low || ms > e.High {
		return -1, 0
	}
	p++
	if Byte(in, p) == '\\' {
		p++
	}
	if Byte(in, p) != '/' {
		return -1, 0
	}
	return p + 1, ms
}

// readISOTime reads yyyy-mm-ddThh:mm:ss, up to nine fraction digits and Z, or only the date if e is an Edm.Date. It
// returns the offset after it, -1 for other forms, and milliseconds or days since 1970.
func readISOTime(s *Struct, e *Property, in unsafe.Pointer, p int) (int, int) {
	ms := 0
	{
		a := Load(in, p)
		b := Load(in, p+8)
		c := Load(in, p+12)
		if e.Low > e.High { // as the start of the day
			b = b&0xffff | 'T'<<16 | '0'<<24 | '0'<<32 | ':'<<40 | '0'<<48 | '0'<<56
			c = '0' | ':'<<8 | '0'<<16 | '0'<<24 | ':'<<32 | '0'<<40 | '0'<<48
		}
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
	touch(e)
	if e.Low > e.High {
		return p + 10, ms / 86400000
	}
	p += 19
	if Byte(in, p) == '.' {
		p++
		u, n := readDigits(s.Powers, in, p)
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

// readTimeOfDay reads PThhHmmMssS in milliseconds. It returns -1 for other forms.
func readTimeOfDay(in unsafe.Pointer, p int) int {
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

// notGUID returns zero if a GUID is at p.
func notGUID(in unsafe.Pointer, p int) uint64 {
	return (uint64(Byte(in, p+8)) ^ '-') | (uint64(Byte(in, p+13)) ^ '-') |
		(uint64(Byte(in, p+18)) ^ '-') | (uint64(Byte(in, p+23)) ^ '-') |
		(hexDigits(Load(in, p))&hexDigits(Load(in, p+9)&0xffffffff|Load(in, p+14)<<32)&
			hexDigits(Load(in, p+19)&0xffffffff|Load(in, p+24)<<32)&hexDigits(Load(in, p+28)) ^ Highs)
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

// readOther writes a time of day, a GUID or a Boolean.
func readOther(kind int, in unsafe.Pointer, p int, arena unsafe.Pointer, o int) (int, int) {
	if kind == TimeOfDay {
		ms := readTimeOfDay(in, p)
		if ms < 0 {
			return -1, 0
		}
		o = putNumber(arena, o, ms)
		return p + 11, o
	}
	if kind == GUID {
		if notGUID(in, p) != 0 {
			return -1, 0
		}
		return p + 36, putGUID(in, p, arena, o)
	}
	if kind == GoValue {
		return -1, 0
	}
	v := Load(in, p)
	if v&0xffffffff == 't'|'r'<<8|'u'<<16|'e'<<24 {
		Put(arena, o, 1)
		return p + 4, o + 1
	}
	if v&0xffffffffff != 'f'|'a'<<8|'l'<<16|'s'<<24|'e'<<32 {
		return -1, 0
	}
	Put(arena, o, 0)
	return p + 5, o + 1
}
