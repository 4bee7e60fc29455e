package kernel

import (
	"math/bits"
	"unsafe"
)

// stops sets the high bit of the first byte c for which c^flip is below limit, or that is stop; higher bytes may be
// wrong. Each argument has the same byte eight times.
func stops(x, flip, limit, stop uint64) uint64 {
	return (((x ^ flip) - limit) | ((x ^ stop) - Ones)) &^ x & Highs
}

// readText copies the text at p and writes its length before it. It returns both ends.
func readText(s *Struct, e *Property, in unsafe.Pointer, p int, arena unsafe.Pointer, o int) (int, int) {
	q := 0
	union := uint64(0)
	if e.Kind == JSONString {
		p, q, union = copyJSONString(s.Escapes, in, p, arena, o+e.Width)
	} else {
		p, q, union = copyXMLText(in, p, arena, o+e.Width)
	}
	if q == 0 {
		return -1, 0
	}
	touch(e)
	n := q - o - e.Width
	if union&Highs != 0 {
		if isInvalid(arena, q-n, n, e.Kind) != 0 {
			return -1, 0
		}
	}
	if n >= 1<<27 {
		return -1, 0
	}
	width := writeLength(e, arena, o, n)
	return p, o + width + n
}

// writeLength writes the length of the n bytes of text that follow at the property's width. If the length has another
// width, it moves the text.
func writeLength(e *Property, arena unsafe.Pointer, o, n int) int {
	if n < 64 && e.Width == 1 {
		Put(arena, o, byte(n<<1))
		return 1
	}
	width := 1
	limit := 64
	for n >= limit {
		limit = limit << 7
		width++
	}
	if width != e.Width {
		Copy(arena, o+width, arena, o+e.Width, n)
		e.Width = width
	}
	u := n << 1
	for u >= 0x80 {
		Put(arena, o, byte(u|0x80))
		u = u >> 7
		o++
	}
	Put(arena, o, byte(u))
	return width
}

// copyText copies up to 32 bytes, to the next stop. It returns both ends, all bytes or'ed, and the stop as a mask.
func copyText(in unsafe.Pointer, p int, arena unsafe.Pointer, q int,
	union, flip, stop uint64) (int, int, uint64, uint64) {
	x := Load(in, p)
	Store(arena, q, x)
	m := stops(x, flip, Ones*0x21, stop)
	if m == 0 { // unrolled: each round of a loop is metered
		union |= x
		x = Load(in, p+8)
		Store(arena, q+8, x)
		p += 8
		q += 8
		m = stops(x, flip, Ones*0x21, stop)
		if m == 0 {
			union |= x
			x = Load(in, p+8)
			Store(arena, q+8, x)
			p += 8
			q += 8
			m = stops(x, flip, Ones*0x21, stop)
			if m == 0 {
				union |= x
				x = Load(in, p+8)
				Store(arena, q+8, x)
				p += 8
				q += 8
				m = stops(x, flip, Ones*0x21, stop)
				if m == 0 {
					return p + 8, q + 8, union | x, 0
				}
			}
		}
	}
	x = x & ((m & -m >> 7) - 1)
	n := bits.TrailingZeros64(m) >> 3
	return p + n, q + n, union | x, m
}

// copyJSONString copies a string to q. It returns both ends, the second one 0 on failure, and all bytes or'ed.
func copyJSONString(plain, in unsafe.Pointer, p int, arena unsafe.Pointer, q int) (int, int, uint64) {
	union := uint64(0)
	for {
		m := uint64(0)
		p, q, union, m = copyText(in, p, arena, q, union, Ones*0x02, Ones*'\\')
		if m == 0 {
			continue
		}
		m = uint64(Byte(in, p))
		if m == '"' {
			return p, q, union
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
	union := uint64(0)
	for {
		m := uint64(0)
		p, q, union, m = copyText(in, p, arena, q, union, Ones*0x06, Ones*'<')
		if m == 0 {
			continue
		}
		m = Load(in, p)
		if m&0xff == '<' {
			return p, q, union
		}
		c, n := readEntity(m)
		if n == 0 {
			return p, 0, 0
		}
		Store(arena, q, c)
		p += n
		q++
	}
}

// readEntity returns the character of an entity, line end or tab, and the length of its text. The length is zero for
// others, which Go reads.
func readEntity(x uint64) (uint64, int) {
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

// isInvalid returns 1 if n bytes at i are not UTF-8 or, in XML, contain U+FFFE or U+FFFF.
func isInvalid(p unsafe.Pointer, i, n int, xml int) int {
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
			if w&0xc0c000 != 0x808000 || (w&0xff == 0xe0 && w>>8&0xff < 0xa0) || (w&0xff == 0xed && w>>8&0xff > 0x9f) {
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
		if w&0xff > 0xf4 || w&0xc0c0c000 != 0x80808000 || (w&0xff == 0xf0 && w>>8&0xff < 0x90) || (w&0xff == 0xf4 &&
			w>>8&0xff > 0x8f) {
			return 1
		}
		i += 4
		if i > end {
			return 1
		}
	}
	return 0
}
