package fast

import (
	"math"
	"math/bits"
	"unsafe"
)

//go:generate go run ../../../assembler kernel.go word.go row.go template.go

// quotient is u divided by the power of ten at p+i, as bits.
func quotient(u uint64, p unsafe.Pointer, i int) uint64 {
	return math.Float64bits(float64(u) / *(*float64)(unsafe.Add(p, i)))
}

// stops is Stops.In with the fields by themselves.
func stops(x, flip, limit, stop uint64) uint64 {
	return (((x ^ flip) - limit) | ((x ^ stop) - Ones)) &^ x & Highs
}

// differs compares the first 16 bytes at once, which is all there is of most marks, then 16 more and the rest where
// there are such.
func differs(in unsafe.Pointer, p int, e *Entry, first uint64) uint64 {
	touch(e)
	d := (Load(in, p)^e.Open.Words[0])&e.Open.Masks[0]&first |
		(Load(in, p+8)^e.Open.Words[1])&e.Open.Masks[1] | e.Open.Bias
	if d == 0 && e.Open.Size > 16 {
		d = (Load(in, p+16)^e.Open.Words[2])&e.Open.Masks[2] |
			(Load(in, p+24)^e.Open.Words[3])&e.Open.Masks[3]
		if e.Open.Size > 32 {
			d |= (Load(in, p+32)^e.Open.Words[4])&e.Open.Masks[4] |
				(Load(in, p+40)^e.Open.Words[5])&e.Open.Masks[5] |
				(Load(in, p+48)^e.Open.Words[6])&e.Open.Masks[6] |
				(Load(in, p+56)^e.Open.Words[7])&e.Open.Masks[7] |
				(Load(in, p+64)^e.Open.Words[8])&e.Open.Masks[8] |
				(Load(in, p+72)^e.Open.Words[9])&e.Open.Masks[9]
		}
	}
	return d
}

func notClosed(in unsafe.Pointer, p int, e *Entry) uint64 {
	touch(e)
	d := (Load(in, p)^e.Close.Words[0])&e.Close.Masks[0] |
		(Load(in, p+8)^e.Close.Words[1])&e.Close.Masks[1] | e.Close.Bias
	if d == 0 && e.Close.Size > 16 {
		d = (Load(in, p+16)^e.Close.Words[2])&e.Close.Masks[2] |
			(Load(in, p+24)^e.Close.Words[3])&e.Close.Masks[3]
		if e.Close.Size > 32 {
			d |= (Load(in, p+32)^e.Close.Words[4])&e.Close.Masks[4] |
				(Load(in, p+40)^e.Close.Words[5])&e.Close.Masks[5] |
				(Load(in, p+48)^e.Close.Words[6])&e.Close.Masks[6] |
				(Load(in, p+56)^e.Close.Words[7])&e.Close.Masks[7] |
				(Load(in, p+64)^e.Close.Words[8])&e.Close.Masks[8] |
				(Load(in, p+72)^e.Close.Words[9])&e.Close.Masks[9]
		}
	}
	return d
}

func notNull(in unsafe.Pointer, p int, e *Entry) uint64 {
	touch(e)
	d := (Load(in, p)^e.Null.Words[0])&e.Null.Masks[0] |
		(Load(in, p+8)^e.Null.Words[1])&e.Null.Masks[1] | e.Null.Bias
	if d == 0 && e.Null.Size > 16 {
		d = (Load(in, p+16)^e.Null.Words[2])&e.Null.Masks[2] |
			(Load(in, p+24)^e.Null.Words[3])&e.Null.Masks[3]
		if e.Null.Size > 32 {
			d |= (Load(in, p+32)^e.Null.Words[4])&e.Null.Masks[4] |
				(Load(in, p+40)^e.Null.Words[5])&e.Null.Masks[5] |
				(Load(in, p+48)^e.Null.Words[6])&e.Null.Masks[6] |
				(Load(in, p+56)^e.Null.Words[7])&e.Null.Masks[7] |
				(Load(in, p+64)^e.Null.Words[8])&e.Null.Masks[8] |
				(Load(in, p+72)^e.Null.Words[9])&e.Null.Masks[9]
		}
	}
	return d
}

// number writes a number as wit/encoding.md has it (zigzag, seven bits a byte) and returns the place behind it.
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
	// divided by 7
	n := (bits.Len64(u) + 6) * 37 >> 8
	u = u&0x0fffffff | u&0x00fffffff0000000<<4
	u = u&0x00003fff00003fff | u&0x0fffc0000fffc000<<2
	u = u&0x007f007f007f007f | u&0x3f803f803f803f80<<1
	Store(p, i, u|Highs&(1<<(8*uint64(n)-8)-1))
	return i + n
}

// unscaled writes the unscaled value of a Decimal: the number of bytes, then two's complement, big-endian, shortest.
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
func digits(s *Row, p unsafe.Pointer, i int) (uint64, int) {
	w := Load(p, i) ^ Zeros
	m := Nondigits(w)
	if m != 0 {
		m = uint64(bits.TrailingZeros64(m) & 56)
		if m == 0 {
			return 0, 0
		}
		w = w << (64 - m)
		return eight(w), int(m >> 3)
	}
	v := eight(w)
	w = Load(p, i+8) ^ Zeros
	m = Nondigits(w)
	if m != 0 {
		m = uint64(bits.TrailingZeros64(m) & 56)
		if m == 0 {
			return v, 8
		}
		w = w << (64 - m)
		return v*Load(s.Powers, int(m)) + eight(w), 8 + int(m>>3)
	}
	v = v*1e8 + eight(w)
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

// eight is the number of eight digits, '0' taken out of each; the first digit is in the lowest byte.
func eight(w uint64) uint64 {
	return ((w*10+w>>8)&0x000000ff000000ff*0x000f424000000064 +
		(w*10+w>>8)>>16&0x000000ff000000ff*0x0000271000000001) >> 32
}

// match is Match, from n on: it returns the place behind what matches, 0 for none.
func match(src unsafe.Pointer, n int, program *uint64) int {
	at := unsafe.Pointer(program)
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

// invalid is not 0 if n bytes at i are not UTF-8; XML: or hold U+FFFE or U+FFFF.
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

// hash of a name of n bytes at p.
func hash(in unsafe.Pointer, p, n int) uint64 {
	w := Load(in, p)
	if n < 8 {
		w = w & (1<<(8*uint64(n)) - 1)
	}
	w = w * 0x9e3779b97f4a7c15
	if n > 8 {
		w = w ^ Load(in, p+n-8)*0xc2b2ae3d27d4eb4f
	}
	w += uint64(n) * 0x165667b19e3779f9
	return w ^ w>>29
}

// nameJSON is the length of the name, in quotes, that stands at p+1 behind a comma (or what First says); 0: there is
// none.
func nameJSON(s *Row, in unsafe.Pointer, p int) int {
	if (Load(in, p)^(','|'"'<<8))&s.First&0xffff != 0 {
		return 0
	}
	n := 0
	for {
		m := stops(Load(in, p+n+2), Ones*0x02, Ones*0x21, Ones*'\\')
		if m != 0 {
			n += bits.TrailingZeros64(m) >> 3
			break
		}
		n += 8
	}
	if Byte(in, p+n+2) != '"' {
		return 0
	}
	return n
}

// nameAtom is the length of the name in the tag at p; 0: there is none.
func nameAtom(in unsafe.Pointer, p int) int {
	if Byte(in, p) != '<' {
		return 0
	}
	n := 0
	for {
		x := Load(in, p+n+1)
		x = (((x ^ Ones*' ') - Ones) | ((x ^ Ones*'>') - Ones) | ((x ^ Ones*'/') - Ones) | (x - Ones)) &^ x & Highs
		if x != 0 {
			n += bits.TrailingZeros64(x) >> 3
			break
		}
		n += 8
	}
	return n
}

// pointer reads a pointer.
func pointer(p unsafe.Pointer, i int) *Entry { return *(**Entry)(unsafe.Add(p, i)) }

// given notes that the row has a column: it is in order, nulls stand for those left out, or the row is mixed. It
// returns the place in the arena, -1 if the row has the column already.
func given(s *Row, c, o int) int {
	touch(s)
	k := s.Expected
	if c > k && s.Mixed == 0 {
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
	s.Mixed = 1
	return o
}

// follows notes that e came behind another entry than was expected.
func follows(before, e *Entry) int {
	if before.Candidate != e {
		before.Candidate = e
		before.Times = 0
	}
	before.Times++
	if before.Times >= Enough {
		before.Next = e
		before.Times = 0
	}
	return 0
}

// done notes where a column is.
func done(s *Row, c, start, o int) int {
	touch(s)
	Store(s.Spans, c*16, uint64(start))
	Store(s.Spans, c*16+8, uint64(o))
	Store(s.Stamps, c*8, s.Stamp)
	if c >= s.Expected {
		s.Expected = c + 1
	}
	return 0
}

// complete makes a row of the columns, which end at o in the arena, and begins the next one, which is at p in JSON.
func complete(s *Row, p, o int) int {
	touch(s)
	row := unsafe.Add(s.Rows, s.Made*rowBytes)
	first := Load(s.Spans, s.KeyFirst)
	end := uint64(o)
	if s.Hidden >= 0 {
		end = Load(s.Spans, s.Hidden)
	}
	Store(row, 72, 0)
	Store(row, 64, 0)
	Store(row, 56, uint64(s.Start)|(end-uint64(s.Start))<<32)
	Store(row, 48, s.ValueForm)
	Store(row, 40, first|(Load(s.Spans, s.KeyLast)-first)<<32)
	Store(row, 32, s.KeyForm)
	Store(row, 24, ^uint64(0))
	Store(row, 16, ^uint64(0))
	Store(row, 8, 0xffffffff)
	Store(row, 0, s.Origin)
	s.Origin++
	s.Made++
	s.From = p
	s.Start = o
	s.First = ^uint64(0xff)
	s.Expected = 0
	s.Stamp++
	s.Before = s.Head
	return 0
}

// seal writes the length of a text of n bytes if it is as long as was guessed; 0: it is not.
func seal(arena unsafe.Pointer, o, n, width int) int {
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

// scaled writes a number of n digits, s.Places of them behind the point, as a decimal, and returns the place behind it;
// -1: it does not fit.
func scaled(s *Row, e *Entry, arena unsafe.Pointer, u uint64, n, o int) int {
	places := s.Places
	for places > e.Scale {
		if u%10 != 0 {
			return -1
		}
		u /= 10
		places--
		n--
	}
	if n+e.Scale-places > 18 {
		return -1
	}
	u = u * Load(s.Powers, (e.Scale-places)*8)
	if u >= e.Limit {
		return -1
	}
	v := int(u)
	if s.Negative != 0 {
		v = -v
	}
	o = unscaled(arena, o, v)
	return o
}

// ticks reads milliseconds since 1970, up to what stands behind them. It returns the place there, -1: not for us.
func ticks(s *Row, in unsafe.Pointer, p int) (int, int) {
	s.Negative = 0
	if Byte(in, p) == '-' {
		s.Negative = 1
		p++
	}
	u, n := digits(s, in, p)
	if n == 0 || n > 15 {
		return -1, 0
	}
	p += n
	n = int(u)
	if s.Negative != 0 {
		n = -n
	}
	if n < -62135596800000 || n > 253402300799999 {
		return -1, 0
	}
	if Load(in, p)&0xffffffffff == '+'|'0'<<8|'0'<<16|'0'<<24|'0'<<32 {
		p += 5
	}
	return p, n
}

// iso reads yyyy-mm-ddThh:mm:ss, a fraction of up to nine digits and Z. The result is as that of ticks.
func iso(s *Row, in unsafe.Pointer, p int) (int, int) {
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
		// d is yyyymmdd, b hhmmss00
		d = eight(d)
		b = eight(b)
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
		// years begin in March, so that the leap day is the last
		if c <= 2 {
			d--
			c += 12
		}
		ms = int(365*d+d/4-d/100+d/400+(153*(c-3)+2)/5+a) - 719469
		ms = ((ms*24+int(b/1000000))*60+int(b/10000%100))*60000 + int(b/100%100)*1000
	}
	p += 19
	if Byte(in, p) == '.' {
		p++
		u, n := digits(s, in, p)
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

// clock reads PThhHmmMssS as milliseconds of a day, which takes 11 bytes; -1: not for us.
func clock(in unsafe.Pointer, p int) int {
	a := Load(in, p)
	b := Load(in, p+8)
	if a&0xff0000ff0000ffff != 'P'|'T'<<8|'H'<<32|'M'<<56 || b&0xff0000 != 'S'<<16 {
		return -1
	}
	a = (a>>16&0xffff | a>>24&0xffff0000 | b&0xffff<<32 | '0'<<48 | '0'<<56) ^ Zeros
	if Nondigits(a) != 0 {
		return -1
	}
	// hhmmss00
	a = eight(a)
	b = a/1000000*3600000 + a/10000%100*60000 + a/100%100*1000
	if b >= 86400000 {
		return -1
	}
	return int(b)
}

// notGUID is not 0 if 36 characters are no GUID.
func notGUID(in unsafe.Pointer, p int) uint64 {
	return (uint64(Byte(in, p+8)) ^ '-') | (uint64(Byte(in, p+13)) ^ '-') | (uint64(Byte(in,
		p+18)) ^ '-') | (uint64(Byte(in, p+23)) ^ '-') |
		(hex(Load(in, p))&hex(Load(in, p+9)&0xffffffff|Load(in, p+14)<<32)&
			hex(Load(in, p+19)&0xffffffff|Load(in, p+24)<<32)&hex(Load(in, p+28)) ^ Highs)
}

// putGUID copies 36 characters behind their length.
func putGUID(in unsafe.Pointer, p int, arena unsafe.Pointer, o int) int {
	Put(arena, o, 72)
	Store(arena, o+1, Load(in, p))
	Store(arena, o+9, Load(in, p+8))
	Store(arena, o+17, Load(in, p+16))
	Store(arena, o+25, Load(in, p+24))
	Store(arena, o+33, Load(in, p+32))
	return o + 37
}

// kernel(e, s): goRowJSON reads members of a row of verbose JSON.
func goRowJSON(s *Row) int {
	in := s.In
	arena := s.Arena
	p := s.P
	o := s.O
	e := s.Entry
	for {
		touch(s)
		if s.AtValue == 0 {
			different := differs(in, p, e, s.First)
			if different != 0 {
				s.P = p
				s.O = o
				s.Entry = e
				other := uint64(1)
				// once a row is mixed, what comes next is anybody's guess
				if s.Mixed == 0 {
					e = e.Next
					other = differs(in, p, e, s.First)
					if other != 0 {
						e = e.Next
						other = differs(in, p, e, s.First)
						if other != 0 {
							e = e.Next
							other = differs(in, p, e, s.First)
						}
					}
				}
				if other != 0 {
					n := nameJSON(s, in, p)
					if n == 0 {
						return Missed
					}
					at := hash(in, p+2, n)
					for {
						e = pointer(s.Table, int(at&s.Mask)*8)
						if e == nil {
							return Missed
						}
						different := differs(in, p, e, s.First)
						if different == 0 {
							break
						}
						at++
					}
					_ = follows(s.Before, e)
				}
			}
			touch(e)
			touch(s)
			// with its only byte masked, the end would be everywhere
			if e.Kind == End && s.First != ^uint64(0) {
				return Missed
			}
			p += e.Open.Size
			s.First = ^uint64(0)
			if e.Kind == End && s.Made < s.Most && s.Mixed == 0 && s.Expected == s.Columns && o-p <= s.Slack &&
				Load(in, p)&0xffff == ','|'{'<<8 {
				// the row is whole and another follows: on to it
				p++
				_ = complete(s, p, o)
				e = s.Head.Next
				continue
			}
			if e.Kind >= Skip {
				s.P = p
				s.O = o
				s.Entry = e
				if e.Kind == End {
					return AtEnd
				}
				if e.Skip == nil {
					return OddMember
				}
				n := match(in, p, e.Skip)
				if n == 0 {
					return OddMember
				}
				p = n
				s.Before = e
				e = e.Next
				continue
			}
			if e.Column != s.Expected {
				o = given(s, e.Column, o)
				if o < 0 {
					return OddRow
				}
			}
		}
		touch(e)
		touch(s)
		s.AtValue = 0
		s.P = p
		s.O = o
		s.Entry = e
		v := Load(in, p)
		Put(arena, o, 2)
		o += e.Optional
		if v&0xff == 'n' {
			if v&0xffffffff != 'n'|'u'<<8|'l'<<16|'l'<<24 || e.Optional == 0 {
				return OddValue
			}
			Put(arena, s.O, 0)
			p += 4
		} else if e.Kind == Text {
			if v&0xff != '"' {
				return OddValue
			}
			p++
			q := o + e.Width
			ascii := uint64(0)
			for {
				x := Load(in, p)
				Store(arena, q, x)
				m := stops(x, Ones*0x02, Ones*0x21, Ones*'\\')
				// written out four times: loops are charged at their heads
				if m == 0 {
					ascii |= x
					x = Load(in, p+8)
					Store(arena, q+8, x)
					p += 8
					q += 8
					m = stops(x, Ones*0x02, Ones*0x21, Ones*'\\')
					if m == 0 {
						ascii |= x
						x = Load(in, p+8)
						Store(arena, q+8, x)
						p += 8
						q += 8
						m = stops(x, Ones*0x02, Ones*0x21, Ones*'\\')
						if m == 0 {
							ascii |= x
							x = Load(in, p+8)
							Store(arena, q+8, x)
							p += 8
							q += 8
							m = stops(x, Ones*0x02, Ones*0x21, Ones*'\\')
							if m == 0 {
								ascii |= x
								p += 8
								q += 8
								continue
							}
						}
					}
				}
				m = uint64(bits.TrailingZeros64(m) & 56)
				ascii |= x & (1<<m - 1)
				p += int(m >> 3)
				q += int(m >> 3)
				x = uint64(Byte(in, p))
				if x == '"' {
					break
				}
				if x != '\\' {
					if x == 0 {
						s.P = p
						return Cut
					}
					return OddValue
				}
				x = uint64(Byte(s.Plain, int(Byte(in, p+1))))
				if x == 0 {
					return OddValue
				}
				Store(arena, q, x)
				p += 2
				q++
			}
			p++
			touch(e)
			n := q - o - e.Width
			if ascii&Highs != 0 {
				bad := invalid(arena, q-n, n, 0)
				if bad != 0 {
					return OddValue
				}
			}
			sealed := seal(arena, o, n, e.Width)
			if sealed == 0 {
				s.P = p
				s.Size = n
				return Unsealed
			}
			o = q
		} else if e.Kind <= Double {
			if e.Kind == Slow {
				return OddValue
			}
			if v&0xff == '"' {
				p++
			}
			s.Negative = 0
			if Byte(in, p) == '-' {
				s.Negative = 1
				p++
			}
			if v&0xff != '"' && Byte(in, p) == '0' && uint64(Byte(in, p+1))-'0' <= 9 {
				return OddValue
			}
			u, n := digits(s, in, p)
			if n == 0 || n > 18 {
				return OddValue
			}
			p += n
			s.Places = 0
			if Byte(in, p) == '.' && e.Kind != Integer {
				p++
				part, k := digits(s, in, p)
				if k == 0 || n+k > 18 {
					return OddValue
				}
				u = u*Load(s.Powers, k*8) + part
				p += k
				n += k
				s.Places = k
			}
			if v&0xff == '"' {
				if Byte(in, p) != '"' {
					return OddValue
				}
				p++
			} else if Byte(in, p) != ',' && Byte(in, p) != '}' {
				return OddValue
			}
			if e.Kind == Integer {
				i := int(u)
				if s.Negative != 0 {
					i = -i
				}
				if i < e.Low || i > e.High {
					return OddValue
				}
				o = number(arena, o, i)
			} else if e.Kind == Decimal {
				o = scaled(s, e, arena, u, n, o)
				if o < 0 {
					return OddValue
				}
			} else {
				if u >= 1<<53 {
					return OddValue
				}
				Store(arena, o, quotient(u, s.Exact, s.Places*8)|uint64(s.Negative)<<63)
				o += 8
			}
		} else if e.Kind == Boolean {
			if v&0xffffffff == 't'|'r'<<8|'u'<<16|'e'<<24 {
				Put(arena, o, 1)
				p += 4
			} else {
				if v&0xffffffffff != 'f'|'a'<<8|'l'<<16|'s'<<24|'e'<<32 {
					return OddValue
				}
				Put(arena, o, 0)
				p += 5
			}
			o++
			v = uint64(Byte(in, p))
			if v != ',' && v != '}' {
				return OddValue
			}
		} else if e.Kind == Moment {
			q := 0
			ms := 0
			if v == '"'|'\\'<<8|'/'<<16|'D'<<24|'a'<<32|'t'<<40|'e'<<48|'('<<56 {
				q, ms = ticks(s, in, p+8)
				if q < 0 || Load(in, q)&0xffffffff != ')'|'\\'<<8|'/'<<16|'"'<<24 {
					return OddValue
				}
				p = q + 4
			} else if v&0xffffffffffffff == '"'|'/'<<8|'D'<<16|'a'<<24|'t'<<32|'e'<<40|'('<<48 {
				q, ms = ticks(s, in, p+7)
				if q < 0 || Load(in, q)&0xffffff != ')'|'/'<<8|'"'<<16 {
					return OddValue
				}
				p = q + 3
			} else {
				q, ms = iso(s, in, p+1)
				if q < 0 || v&0xff != '"' || Byte(in, q) != '"' {
					return OddValue
				}
				p = q + 1
			}
			o = number(arena, o, ms)
		} else if e.Kind == Clock {
			ms := clock(in, p+1)
			if ms < 0 || v&0xff != '"' || Byte(in, p+12) != '"' {
				return OddValue
			}
			o = number(arena, o, ms)
			p += 13
		} else {
			if v&0xff != '"' || Byte(in, p+37) != '"' || notGUID(in, p+1) != 0 {
				return OddValue
			}
			o = putGUID(in, p+1, arena, o)
			p += 38
		}
		touch(e)
		_ = done(s, e.Column, s.O, o)
		s.Before = e
		e = e.Next
	}
}

// kernel(e, s): goRowAtom reads the properties of an entry.
func goRowAtom(s *Row) int {
	in := s.In
	arena := s.Arena
	p := s.P
	o := s.O
	e := s.Entry
	for {
		touch(s)
		s.Filled = 1
		if s.AtValue == 0 {
			different := differs(in, p, e, ^uint64(0))
			if different != 0 {
				filled := notNull(in, p, e)
				s.Filled = filled
				if s.Filled != 0 {
					s.P = p
					s.O = o
					s.Entry = e
					other := uint64(1)
					if s.Mixed == 0 {
						e = e.Next
						other = differs(in, p, e, ^uint64(0))
						if other != 0 {
							filled := notNull(in, p, e)
							s.Filled = filled
							if s.Filled != 0 {
								e = e.Next
								other = differs(in, p, e, ^uint64(0))
								if other != 0 {
									filled := notNull(in, p, e)
									s.Filled = filled
								}
							}
						}
					}
					if other != 0 && s.Filled != 0 {
						q := p
						for Byte(in, q) == ' ' || Byte(in, q) == '\n' || Byte(in, q) == '\t' || Byte(in, q) == '\r' {
							q++
						}
						n := nameAtom(in, q)
						if n == 0 {
							return Missed
						}
						at := hash(in, q+1, n)
						for {
							e = pointer(s.Table, int(at&s.Mask)*8)
							if e == nil {
								return Missed
							}
							different := differs(in, p, e, ^uint64(0))
							if different == 0 {
								break
							}
							filled := notNull(in, p, e)
							s.Filled = filled
							if s.Filled == 0 {
								break
							}
							at++
						}
						_ = follows(s.Before, e)
					}
				}
			}
			touch(e)
			touch(s)
			if e.Kind >= Skip {
				p += e.Open.Size
				s.P = p
				s.O = o
				s.Entry = e
				if e.Kind == End {
					return AtEnd
				}
				if e.Skip == nil {
					return OddMember
				}
				n := match(in, p, e.Skip)
				if n == 0 {
					return OddMember
				}
				p = n
				s.Before = e
				e = e.Next
				continue
			}
			if e.Column != s.Expected {
				o = given(s, e.Column, o)
				if o < 0 {
					return OddRow
				}
			}
			if s.Filled == 0 {
				if e.Optional == 0 {
					return OddRow
				}
				Put(arena, o, 0)
				p += e.Null.Size
				_ = done(s, e.Column, o, o+1)
				o++
				s.Before = e
				e = e.Next
				continue
			}
			p += e.Open.Size
		}
		touch(e)
		touch(s)
		s.AtValue = 0
		s.P = p
		s.O = o
		s.Entry = e
		Put(arena, o, 2)
		o += e.Optional
		if e.Kind == Text {
			q := o + e.Width
			ascii := uint64(0)
			for {
				x := Load(in, p)
				Store(arena, q, x)
				m := stops(x, Ones*0x06, Ones*0x21, Ones*'<')
				// written out four times: loops are charged at their heads
				if m == 0 {
					ascii |= x
					x = Load(in, p+8)
					Store(arena, q+8, x)
					p += 8
					q += 8
					m = stops(x, Ones*0x06, Ones*0x21, Ones*'<')
					if m == 0 {
						ascii |= x
						x = Load(in, p+8)
						Store(arena, q+8, x)
						p += 8
						q += 8
						m = stops(x, Ones*0x06, Ones*0x21, Ones*'<')
						if m == 0 {
							ascii |= x
							x = Load(in, p+8)
							Store(arena, q+8, x)
							p += 8
							q += 8
							m = stops(x, Ones*0x06, Ones*0x21, Ones*'<')
							if m == 0 {
								ascii |= x
								p += 8
								q += 8
								continue
							}
						}
					}
				}
				m = uint64(bits.TrailingZeros64(m) & 56)
				ascii |= x & (1<<m - 1)
				p += int(m >> 3)
				q += int(m >> 3)
				x = Load(in, p)
				m = x & 0xff
				if m == '<' {
					break
				}
				if m == '&' {
					if x&0xffffffffff == '&'|'a'<<8|'m'<<16|'p'<<24|';'<<32 {
						p += 5
					} else if x&0xffffffff == '&'|'l'<<8|'t'<<16|';'<<24 {
						m = '<'
						p += 4
					} else if x&0xffffffff == '&'|'g'<<8|'t'<<16|';'<<24 {
						m = '>'
						p += 4
					} else if x&0xffffffffffff == '&'|'q'<<8|'u'<<16|'o'<<24|'t'<<32|';'<<40 {
						m = '"'
						p += 6
					} else {
						if x&0xffffffffffff != '&'|'a'<<8|'p'<<16|'o'<<24|'s'<<32|';'<<40 {
							return OddValue
						}
						m = '\''
						p += 6
					}
				} else {
					if m != '\n' && m != '\t' {
						if m == 0 {
							s.P = p
							return Cut
						}
						return OddValue
					}
					p++
				}
				Store(arena, q, m)
				q++
			}
			touch(e)
			n := q - o - e.Width
			if ascii&Highs != 0 {
				bad := invalid(arena, q-n, n, 1)
				if bad != 0 {
					return OddValue
				}
			}
			open := notClosed(in, p, e)
			if open != 0 {
				return OddValue
			}
			sealed := seal(arena, o, n, e.Width)
			if sealed == 0 {
				s.P = p + e.Close.Size
				s.Size = n
				return Unsealed
			}
			o = q
		} else if e.Kind <= Double {
			if e.Kind == Slow {
				return OddValue
			}
			s.Negative = 0
			if Byte(in, p) == '-' {
				s.Negative = 1
				p++
			}
			u, n := digits(s, in, p)
			if n == 0 || n > 18 {
				return OddValue
			}
			p += n
			s.Places = 0
			if Byte(in, p) == '.' && e.Kind != Integer {
				p++
				part, k := digits(s, in, p)
				if k == 0 || n+k > 18 {
					return OddValue
				}
				u = u*Load(s.Powers, k*8) + part
				p += k
				n += k
				s.Places = k
			}
			if e.Kind == Integer {
				i := int(u)
				if s.Negative != 0 {
					i = -i
				}
				if i < e.Low || i > e.High {
					return OddValue
				}
				o = number(arena, o, i)
			} else if e.Kind == Decimal {
				o = scaled(s, e, arena, u, n, o)
				if o < 0 {
					return OddValue
				}
			} else {
				if u >= 1<<53 {
					return OddValue
				}
				Store(arena, o, quotient(u, s.Exact, s.Places*8)|uint64(s.Negative)<<63)
				o += 8
			}
			open := notClosed(in, p, e)
			if open != 0 {
				return OddValue
			}
		} else {
			if e.Kind == Boolean {
				w := Load(in, p)
				if w&0xffffffff == 't'|'r'<<8|'u'<<16|'e'<<24 {
					Put(arena, o, 1)
					p += 4
				} else {
					if w&0xffffffffff != 'f'|'a'<<8|'l'<<16|'s'<<24|'e'<<32 {
						return OddValue
					}
					Put(arena, o, 0)
					p += 5
				}
				o++
			} else if e.Kind == Moment {
				q, ms := iso(s, in, p)
				if q < 0 {
					return OddValue
				}
				p = q
				o = number(arena, o, ms)
			} else if e.Kind == Clock {
				ms := clock(in, p)
				if ms < 0 {
					return OddValue
				}
				o = number(arena, o, ms)
				p += 11
			} else {
				if notGUID(in, p) != 0 {
					return OddValue
				}
				o = putGUID(in, p, arena, o)
				p += 36
			}
			open := notClosed(in, p, e)
			if open != 0 {
				return OddValue
			}
		}
		touch(e)
		p += e.Close.Size
		_ = done(s, e.Column, s.O, o)
		s.Before = e
		e = e.Next
	}
}

// kernel(s): goSort puts the columns of a row, which is from start to s.O and came in another order, in theirs; those
// not given are null. It returns the row's end, -1: a column that is not given must not be null. The arena needs room
// for the row twice.
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
		// columns that lie one behind the other, as most do, are copied at once
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

// kernel(at, src): goMatch returns the length of what matches a template. If it does not match, the result is 0 or
// negative: how far it did, to some words.
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
