package kernel

import (
	"math/bits"
	"unsafe"
)

// skipJSON returns the end of the value at p, which is no column, or zero: Go reads numbers and words.
func skipJSON(s *Struct, e *Property, in unsafe.Pointer, p int) int {
	if e.SkipsAny == 0 &&
		(Load(in, p) != deferred || Load(in, p+8)&0xffffffffff != 'r'|'r'<<8|'e'<<16|'d'<<24|'"'<<32) {
		return 0
	}
	nesting := uint64(1) // followed by a bit for each open bracket, 1 for an object
	for {
		p = skipSpace(in, p)
		c := uint64(Byte(in, p))
		p++
		if c == '{' || c == '[' {
			if nesting>>uint64(s.Depth) != 0 {
				return 0
			}
			nesting = nesting<<1 | c>>5&1
			p = skipSpace(in, p)
			if uint64(Byte(in, p)) == c+2 {
				p++
				nesting = nesting >> 1
			} else {
				if c == '{' {
					p = skipName(in, p)
					if p == 0 {
						return 0
					}
				}
				continue
			}
		} else {
			if c != '"' {
				return 0
			}
			p = stringEnd(in, p)
			if p == 0 {
				return 0
			}
		}
		for {
			if nesting == 1 {
				return p
			}
			p = skipSpace(in, p)
			c = uint64(Byte(in, p))
			p++
			if c == ',' {
				if nesting&1 != 0 {
					p = skipName(in, p)
					if p == 0 {
						return 0
					}
				}
				break
			}
			if c != ']'|nesting&1<<5 {
				return 0
			}
			nesting = nesting >> 1
		}
	}
}

// deferred is the start of a navigation property that was not expanded.
const deferred = '{' | '"'<<8 | '_'<<16 | '_'<<24 | 'd'<<32 | 'e'<<40 | 'f'<<48 | 'e'<<56

// skipName returns the offset after a name and its colon, or zero.
func skipName(in unsafe.Pointer, p int) int {
	p = skipSpace(in, p)
	if Byte(in, p) != '"' {
		return 0
	}
	p = stringEnd(in, p+1)
	if p == 0 {
		return 0
	}
	p = skipSpace(in, p)
	if Byte(in, p) != ':' {
		return 0
	}
	return p + 1
}

// stringEnd returns the offset after the string whose text is at p, or zero.
func stringEnd(in unsafe.Pointer, p int) int {
	for {
		p = find(in, p, Ones*0x02, Ones*0x21, Ones*'\\')
		if Byte(in, p) == '"' {
			return p + 1
		}
		if Byte(in, p) != '\\' {
			return 0
		}
		p += 2
	}
}

// textEnd returns the offset of the next '<' or zero byte.
func textEnd(in unsafe.Pointer, p int) int {
	return find(in, p, 0, Ones, Ones*'<')
}

// find returns the offset of the next of the [stops].
func find(in unsafe.Pointer, p int, flip, limit, stop uint64) int {
	for {
		m := stops(Load(in, p), flip, limit, stop)
		if m == 0 { // unrolled: each round of a loop is metered
			p += 8
			m = stops(Load(in, p), flip, limit, stop)
			if m == 0 {
				p += 8
				m = stops(Load(in, p), flip, limit, stop)
				if m == 0 {
					p += 8
					m = stops(Load(in, p), flip, limit, stop)
				}
			}
		}
		if m != 0 {
			return p + bits.TrailingZeros64(m)>>3
		}
		p += 8
	}
}

const (
	contentTag = '<' | 'c'<<8 | 'o'<<16 | 'n'<<24 | 't'<<32 | 'e'<<40 | 'n'<<48 | 't'<<56
	entryTag   = '<' | 'e'<<8 | 'n'<<16 | 't'<<24 | 'r'<<32 | 'y'<<40
)

// skipElements goes from p, inside of an entry or before one, to the start tag of its properties, or past its end to
// the next entry. It skips other elements; their children may contain text, but no elements. It returns the offset
// after the start tag of the properties, or the offset of the next entry, which is NextText. It returns zero with the
// reason if Go must read the element at P.
func skipElements(s *Struct, in unsafe.Pointer, p int) int {
	s.Reason = Markup
	start := 0 // the offset after the start tag of the entry, zero if an earlier call of Read was in it
	if s.Place == InElement {
		s.Place = InEntry
	}
	for {
		if Byte(in, p) != '<' {
			p = textEnd(in, p)
		}
		touch(s)
		x := Load(in, p)
		if s.Place == InElement { // P stays at its start tag: Go would read the whole element
			if x&0xffff == '<'|'/'<<8 {
				n := nameSize(in, s.P+1)
				if difference(in, s.P+1, p+2, n) != 0 || Byte(in, p+2+n) != '>' {
					return 0
				}
				p += n + 3
				s.Place = InEntry
				continue
			}
		} else {
			s.P = p
		}
		if x&0xffff == '<'|'/'<<8 {
			if s.Place == InContent {
				if x != '<'|'/'<<8|'c'<<16|'o'<<24|'n'<<32|'t'<<40|'e'<<48|'n'<<56 ||
					Load(in, p+8)&0xffff != 't'|'>'<<8 {
					return 0
				}
				p += 10
				s.Place = InEntry
				continue
			}
			if s.Place == InFeed || x != '<'|'/'<<8|'e'<<16|'n'<<24|'t'<<32|'r'<<40|'y'<<48|'>'<<56 {
				return 0
			}
			p += 8
			s.P = p
			s.Reason = EntryEnd
			p = skipSpace(in, p)
			if Load(in, p)&0xffffffffffff != entryTag {
				return 0
			}
			s.NextText = p
			return p
		}
		if s.Place < InFeed && (x^s.Properties.Words[0])&s.Properties.Words[1]|s.Properties.Disabled == 0 {
			if mismatch(in, p, &s.Properties, ^uint64(0)) == 0 {
				p += s.Properties.Size
				s.Elements = start
				s.ElementsEnd = p
				s.PropertiesPlace = s.Place
				return p
			}
		}
		n := nameSize(in, p+1)
		if n == 0 || x&0xff != '<' { // the end of the text, or a zero byte in it
			return 0
		}
		s.Relation = 0
		if n == 4 && x&0xffffffffff == '<'|'l'<<8|'i'<<16|'n'<<24|'k'<<32 {
			if s.Place == InFeed {
				return 0
			}
			if s.Place == InEntry {
				s.Relation = s.Links
			}
		}
		q, empty := skipAttributes(s, in, p+1+n)
		if q == 0 {
			return 0
		}
		touch(s)
		if s.Relation > 1 {
			s.TagEnd = q
			s.Empty = empty
			s.Reason = Link
			return 0
		}
		if s.Place == InEntry && n == 7 && x == contentTag {
			p = q
			if empty == 0 {
				s.Place = InContent
			}
			continue
		}
		if s.Place == InFeed && n == 5 && x&0xffffffffffff == entryTag {
			if empty != 0 {
				return 0
			}
			s.Place = InEntry
			s.RowText = p
			start = q
			p = q
			if s.Elements != 0 {
				q = skipSameElements(s, in, q, s.Elements)
				if q != 0 {
					s.Place = s.PropertiesPlace
					s.Elements = p
					s.ElementsEnd = q
					return q
				}
			}
			continue
		}
		if empty == 0 {
			q = textEnd(in, q)
			if Load(in, q)&0xffff == '<'|'/'<<8 {
				if difference(in, p+1, q+2, n) != 0 || Byte(in, q+2+n) != '>' {
					return 0
				}
				q += n + 3
			} else {
				if s.Place != InEntry {
					return 0
				}
				s.Place = InElement
			}
		}
		p = q
	}
}

// skipSameElements skips the elements between the start tag of an entry, which ends at p, and its properties. They must
// be the elements at q, of the previous entry, except for text and attribute values. It returns the offset after the
// start tag of the properties, or zero if anything else differs, or the relation of a link, which may be a navigation.
func skipSameElements(s *Struct, in unsafe.Pointer, p, q int) int {
	for {
		d := Load(in, p) ^ Load(in, q)
		if d == 0 { // unrolled: each round of a loop is metered
			p += 8
			q += 8
			d = Load(in, p) ^ Load(in, q)
			if d == 0 {
				p += 8
				q += 8
				d = Load(in, p) ^ Load(in, q)
			}
		}
		p += bits.TrailingZeros64(d) >> 3
		q += bits.TrailingZeros64(d) >> 3
		if q >= s.ElementsEnd {
			return p - q + s.ElementsEnd
		}
		if d == 0 {
			continue
		}
		// The last '"', '<' or '>' before the difference, at k, shows what differs: after '<' a name, after '="' a
		// value, after another '"' what is between values, after '>' text. No value ends in '=' (skipAttributes), so
		// the '"' after a '=' opens one. A '>' may be part of a value, which then does not end at '<', and '="' part
		// of a text, up to whose next '"' is text too.
		k := q
		for {
			d = Load(in, k-8)
			quotes := d ^ Ones*'"'
			brackets := (d | Ones*('<'^'>')) ^ Ones*'>'
			d = Highs &^ ((quotes&(Ones*0x7f) + Ones*0x7f | quotes) & (brackets&(Ones*0x7f) + Ones*0x7f | brackets))
			if d != 0 {
				break
			}
			k -= 8
		}
		k += bits.Len64(d)>>3 - 9
		if Byte(in, k) == '"' {
			if Byte(in, k-1) != '=' || Load(in, k-4)&0xffffff == 'r'|'e'<<8|'l'<<16 {
				return 0
			}
		}
		last := uint64(Byte(in, k)) // '"' for a value; '>' for a text, which is '<' with bit 1; '<' for a name: no end
		p = find(in, p, Ones*0x02, Ones*0x21, Ones*'<')
		q = find(in, q, Ones*0x02, Ones*0x21, Ones*'<')
		if uint64(Byte(in, p))|2 != last || uint64(Byte(in, q))|2 != last || Byte(in, p-1) == '=' {
			return 0
		}
	}
}

// nameSize returns the length of the element's name at p, or zero if it has a prefix or more than 15 bytes.
func nameSize(in unsafe.Pointer, p int) int {
	n := 0
	x := Load(in, p)
	m := (endsName(x) | ((x ^ Ones*':') - Ones)) &^ x & Highs
	if m == 0 {
		n = 8
		x = Load(in, p+8)
		m = (endsName(x) | ((x ^ Ones*':') - Ones)) &^ x & Highs
		if m == 0 {
			return 0
		}
	}
	n += bits.TrailingZeros64(m) >> 3
	if Byte(in, p+n) == ':' {
		return 0
	}
	return n
}

// endsName sets the high bit of the first byte that ends a name: below '-', '/' and '<' to '?'.
func endsName(x uint64) uint64 {
	return ((x - Ones*'-') | ((x ^ Ones*'/') - Ones) | ((x ^ Ones*'<') - Ones*4)) &^ x & Highs
}

// difference returns zero if the n bytes at p, 1 to 15, are also at q.
func difference(in unsafe.Pointer, p, q, n int) uint64 {
	d := Load(in, p) ^ Load(in, q)
	if n <= 8 {
		return d & (^uint64(0) >> (64 - 8*uint64(n)))
	}
	return d | (Load(in, p+8)^Load(in, q+8))&(^uint64(0)>>(128-8*uint64(n)))
}

// skipAttributes returns the offset after the tag whose name ends at p, and 1 if the element is empty. The offset is
// zero for attributes that declare a namespace or xml:base, for values that end in '=' (see skipSameElements), and
// for unusual white space and quotes. If s.Relation is 1, it becomes the offset of the relation if that has a slash.
func skipAttributes(s *Struct, in unsafe.Pointer, p int) (int, int) {
	for {
		x := Load(in, p)
		if x&0xff == '>' {
			return p + 1, 0
		}
		if x&0xffff == '/'|'>'<<8 {
			return p + 2, 1
		}
		p++
		x = x >> 8
		if Byte(in, p-1) != ' ' || x&0xffffff == 'x'|'m'<<8|'l'<<16 || x&0xff == '=' {
			return 0, 0
		}
		if s.Relation == 1 && x&0xffffffff == 'r'|'e'<<8|'l'<<16|'='<<24 {
			s.Relation = 0
			q := find(in, p+5, Ones*0x02, Ones*0x21, Ones*'/')
			if Byte(in, q) == '/' {
				s.Relation = p + 5
			}
		}
		x = endsName(Load(in, p))
		if x == 0 {
			p += 8
			x = endsName(Load(in, p))
			if x == 0 {
				return 0, 0
			}
		}
		p += bits.TrailingZeros64(x) >> 3
		if Load(in, p)&0xffff != '='|'"'<<8 {
			return 0, 0
		}
		p = find(in, p+2, Ones*0x02, Ones*0x21, Ones*'<')
		if Byte(in, p) != '"' || Byte(in, p-1) == '=' {
			return 0, 0
		}
		p++
	}
}
