package kernel

import (
	"math/bits"
	"unsafe"
)

// mismatch returns zero if the pattern's text is at p. firstMask masks the first word.
func mismatch(in unsafe.Pointer, p int, m *Pattern, firstMask uint64) uint64 {
	d := (Load(in, p)^m.Words[0])&m.Words[1]&firstMask | (Load(in, p+8)^m.Words[2])&m.Words[3] |
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

// skipSpace returns the offset after white skipSpace.
func skipSpace(in unsafe.Pointer, p int) int {
	if Byte(in, p) > ' ' {
		return p
	}
	for Byte(in, p) <= ' ' && blanks>>uint64(Byte(in, p)&63)&1 != 0 {
		p++
	}
	return p
}

const blanks = 1<<' ' | 1<<'\t' | 1<<'\n' | 1<<'\r' // a bit for each character

// nameEnd returns the end of the name at p.
func nameEnd(s *Struct, in unsafe.Pointer, p int) int {
	for {
		x := Load(in, p)
		m := endsName(x)
		if s.Markup == 0 {
			m = stops(x, Ones*0x02, Ones*0x21, Ones*'\\')
		}
		if m != 0 {
			return p + bits.TrailingZeros64(m)>>3
		}
		p += 8
	}
}

// pointer loads the pointer to a property at p+i.
func pointer(p unsafe.Pointer, i int) *Property { return *(**Property)(unsafe.Add(p, i)) }

// beginColumn begins column c, which is not the expected one. It writes null for up to three columns before it, or
// marks the row as out of order. It returns the end of the output, -1 for a repeated column.
func beginColumn(s *Struct, c, o int) int {
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

// RecordFollower records that e followed before. After minRepeats times in a row, e becomes before.Next.
func RecordFollower(before, e *Property) {
	if before.Candidate != e {
		before.Candidate = e
		before.Repeats = 0
	}
	before.Repeats++
	if before.Repeats >= minRepeats {
		before.Next = e
		before.Repeats = 0
	}
}

func endColumn(s *Struct, c, start, o int) {
	touch(s)
	Store(s.Spans, c*16, uint64(start))
	Store(s.Spans, c*16+8, uint64(o))
	Store(s.Stamps, c*8, s.Stamp)
	if c >= s.Expected {
		s.Expected = c + 1
	}
}

// finishRow completes the row whose output ends at o, and starts the next one at s.NextText. It returns where the
// output of the next row starts, or -1 if Go must complete the row.
func finishRow(s *Struct, o int) int {
	touch(s)
	if s.RowCount >= s.MaxRows || o+s.Columns-s.NextText > s.MaxLead {
		return -1
	}
	if s.OutOfOrder == 0 {
		for k := s.Expected; k < s.Columns; k++ {
			if Load(s.Optionals, k*8) == 0 {
				return -1
			}
			Store(s.Arena, o, 0)
			Store(s.Spans, k*16, uint64(o))
			o++
			Store(s.Spans, k*16+8, uint64(o))
		}
	} else {
		if o+o-s.RowOutput > s.OutputLimit {
			return -1
		}
		o = sortColumns(s)
		if o < 0 {
			return -1
		}
	}
	if s.Rows != nil {
		row := unsafe.Add(s.Rows, s.RowCount*rowBytes)
		first := Load(s.Spans, s.KeyFirst)
		end := uint64(o)
		if s.ValueEnd >= 0 {
			end = Load(s.Spans, s.ValueEnd)
		}
		Store(row, 72, 0)                                                 // Headers.Start, Headers.Size
		Store(row, 64, 0)                                                 // Headers.Encoding, Headers.Schema
		Store(row, 56, uint64(s.RowOutput)|(end-uint64(s.RowOutput))<<32) // Value.Start, Value.Size
		Store(row, 48, s.ValueEncoding)                                   // Value.Encoding, Value.Schema
		Store(row, 40, first|(Load(s.Spans, s.KeyLast)-first)<<32)        // Key.Start, Key.Size
		Store(row, 32, s.KeyEncoding)                                     // Key.Encoding, Key.Schema
		Store(row, 24, ^uint64(0))                                        // Timestamp: -1
		Store(row, 16, ^uint64(0))                                        // Offset: -1
		Store(row, 8, 0xffffffff)                                         // Partition: -1
		Store(row, 0, s.RowIndex)                                         // RowIndex, Topic: 0
		s.RowIndex++
	}
	s.RowCount++
	s.RowText = s.NextText
	s.RowOutput = o
	s.Expected = 0
	s.OutOfOrder = 0
	s.Stamp++
	s.Previous = s.Head
	if s.Markup == 0 {
		s.FirstMask = ^uint64(0xff)
	}
	return o
}

// findProperty sets e to the property at p, which may have white space before it, or is not the expected one. It
// returns 0 if the Prefix matches, 1 if its Null matches, -1 for an unknown property. It sets s.P to where the pattern
// matches, and records which property followed the previous one.
func findProperty(s *Struct, in unsafe.Pointer, p int, e **Property) int {
	first := s.FirstMask
	p = skipSpace(in, p)
	if s.Markup == 0 && Byte(in, p) != '}' {
		if Byte(in, p) != ',' && first == ^uint64(0) {
			return -1
		}
		p = skipSpace(in, p+1) - 1
		first = ^uint64(0xff)
	}
	if first != ^uint64(0) && Byte(in, p+1) != '"' {
		return -1
	}
	if s.OutOfOrder == 0 {
		near := 3
		for {
			touch(*e)
			// The end would match everywhere if its only byte is masked.
			if mismatch(in, p, &(*e).Prefix, first) == 0 && ((*e).Kind != End || first == ^uint64(0)) {
				s.P = p
				return 0
			}
			if s.Markup != 0 {
				if mismatch(in, p, &(*e).Null, first) == 0 {
					s.P = p
					return 1
				}
			}
			if near == 0 {
				break
			}
			*e = (*e).Next
			near--
		}
	}
	n := 0
	slot := uint64(0)
	if Byte(in, p) != '}' {
		n = nameEnd(s, in, p+2-s.Markup) - p - 2 + s.Markup
		slot = Hash(in, p+2-s.Markup, n)
	}
	for {
		if n == 0 {
			if first != ^uint64(0) {
				return -1
			}
			*e = s.End
		} else {
			*e = pointer(s.Table, int(slot&s.Mask)*8)
			if *e == nil {
				return -1
			}
		}
		touch(*e)
		if mismatch(in, p, &(*e).Prefix, first) == 0 {
			break
		}
		if n == 0 {
			return -1
		}
		if mismatch(in, p, &(*e).Null, first) == 0 {
			s.P = p
			RecordFollower(s.Previous, *e)
			return 1
		}
		slot++
	}
	s.P = p
	if n != 0 { // the end must not follow the head: with its only byte masked, it would match everywhere
		RecordFollower(s.Previous, *e)
	}
	return 0
}

// nextObject returns the offset of the next object after the one that ends at p, and sets NextText to it. It returns
// zero if no object follows.
func nextObject(s *Struct, in unsafe.Pointer, p int) int {
	p = skipSpace(in, p)
	if Byte(in, p) != ',' {
		return 0
	}
	p = skipSpace(in, p+1)
	if Byte(in, p) != '{' {
		return 0
	}
	s.NextText = p
	return p
}

// skipMember skips a value that is no column, the elements around the properties of an entry, or what separates two
// structs. If the next struct is another row, it sets s.NextText. It returns zero with the reason if Go must do so.
func skipMember(s *Struct, in unsafe.Pointer, p int, e *Property) int {
	s.NextText = 0
	if e.Kind == Surroundings {
		return skipElements(s, in, p)
	}
	if e.Kind == Skip {
		s.Reason = NoValue
		s.FirstMask = ^uint64(0)
		if s.Markup == 0 {
			return skipJSON(s, e, in, p)
		}
		if e.SkipsAny == 0 {
			return 0
		}
		p = textEnd(in, p)
		if mismatch(in, p, &e.Suffix, ^uint64(0)) != 0 {
			return 0
		}
		return p + e.Suffix.Size
	}
	s.Reason = AtEnd
	if s.Markup != 0 {
		return 0
	}
	return nextObject(s, in, p)
}

// readValue writes the value at p. It returns both ends, the first one -1 if Go must read the value.
func readValue(s *Struct, e *Property, in unsafe.Pointer, p int, arena unsafe.Pointer, o int) (int, int) {
	s.Quoted = 0
	if s.Markup == 0 {
		p = skipSpace(in, p)
		if Byte(in, p) == '"' {
			s.Quoted = 1
			p++
		} else {
			if Byte(in, p) == 'n' {
				return readNull(e, in, p, arena, o)
			}
			if e.Kind < Integer || e.Kind > Boolean {
				return -1, 0
			}
		}
	}
	if e.Kind <= XMLText {
		p, o = readText(s, e, in, p, arena, o)
	} else {
		if e.Kind <= Double {
			p, o = readNumber(s, e, in, p, arena, o)
		} else {
			if e.Kind == DateTime {
				p, o = readTime(s, e, in, p, arena, o)
			} else {
				p, o = readOther(e.Kind, in, p, arena, o)
			}
		}
	}
	if p < 0 {
		return p, o
	}
	touch(e)
	if s.Markup != 0 {
		if mismatch(in, p, &e.Suffix, ^uint64(0)) != 0 {
			return -1, 0
		}
		return p + e.Suffix.Size, o
	}
	if s.Quoted != 0 {
		if Byte(in, p) != '"' {
			return -1, 0
		}
		return p + 1, o
	}
	if Byte(in, p) != ',' && Byte(in, p) != '}' && uint64(Byte(in, p))-1 >= ' ' {
		return -1, 0
	}
	return p, o
}

// readNull reads null in JSON.
func readNull(e *Property, in unsafe.Pointer, p int, arena unsafe.Pointer, o int) (int, int) {
	if e.Optional == 0 || Load(in, p)&0xffffffff != 'n'|'u'<<8|'l'<<16|'l'<<24 {
		return -1, 0
	}
	Put(arena, o-1, 0)
	return p + 4, o
}

// writeNull writes the value of an element that matches Null: null or, if Empty is set, an empty string. It returns -1
// for null in a required column.
func writeNull(e *Property, arena unsafe.Pointer, o int) int {
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

// writeNullMember writes the column of an element that matches Null. It returns the end of the output, -1 if Go must
// read the element.
func writeNullMember(s *Struct, e *Property, arena unsafe.Pointer, o int) int {
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
	start := o
	o = writeNull(e, arena, o)
	if o >= 0 {
		endColumn(s, e.Column, start, o)
	}
	return o
}

// kernel(e, s): goRead reads the properties of rows as [Property] describes them.
//
// It reads entries of Atom in this circle, without a return between them:
//
//	Kind of e     text at p                  what happens
//	Surroundings  <id/><link/><content>      skipElements skips it; Place becomes InContent
//	Surroundings  <m:properties>             skipElements returns; Entered becomes 1, e the first property
//	Integer       <d:ID>7</d:ID>             readValue, endColumn; e becomes e.Next
//	End           </m:properties>            e becomes Surroundings
//	Surroundings  </content></entry> <entry  skipElements sets NextText; finishRow; Place becomes InFeed
//	Surroundings  <entry>                    skipElements opens it, and tries skipSameElements
//
// Surroundings has an empty Prefix, which matches everywhere. A row ends when the next <entry is seen. At the end of
// the last row, or if finishRow returns -1, Read returns EntryEnd, and Go finishes the row.
func goRead(s *Struct) int {
	in := s.In
	arena := s.Arena
	p := s.P
	o := s.O
	e := s.Property
	for {
		touch(e)
		touch(s)
		if mismatch(in, p, &e.Prefix, s.FirstMask) != 0 {
			s.P = p
			s.O = o
			null := findProperty(s, in, p, &e)
			if null != 0 {
				if null < 0 {
					return NoProperty
				}
				p = s.P
				touch(e)
				o = writeNullMember(s, e, arena, o)
				if o < 0 {
					return NoProperty
				}
				p += e.Null.Size
				s.Previous = e
				e = e.Next
				continue
			}
			p = s.P
		}
		touch(e)
		if e.Kind >= Skip {
			if e.Kind != Value {
				p += e.Prefix.Size
				s.P = p
				s.O = o
				if e.Kind == End && s.Surroundings != nil {
					e = s.Surroundings
					continue
				}
				s.Property = e
				p = skipMember(s, in, p, e)
				if p == 0 {
					return s.Reason
				}
				if s.NextText != 0 {
					o = finishRow(s, o)
					if o < 0 {
						return s.Reason
					}
					if e.Kind == Surroundings {
						s.Place = InFeed
						continue
					}
				}
				if e.Kind != Skip {
					s.Entered = 1
					e = s.Head
				}
				s.Previous = e
				e = e.Next
				continue
			}
			e = s.Target
			touch(e)
			p -= e.Prefix.Size
		}
		if e.Column != s.Expected {
			s.P = p + e.Prefix.Size
			s.O = o
			o = beginColumn(s, e.Column, o)
			if o < 0 {
				s.Property = e
				return Repeated
			}
		}
		p += e.Prefix.Size
		s.FirstMask = ^uint64(0)
		s.P = p
		s.O = o
		s.Property = e
		Put(arena, o, 2)
		p, o = readValue(s, e, in, p, arena, o+e.Optional)
		if p < 0 {
			return NoValue
		}
		endColumn(s, e.Column, s.O, o)
		s.Previous = e
		e = e.Next
	}
}

// kernel(s): goSort implements Sort.
func goSort(s *Struct) int {
	o := sortColumns(s)
	return o
}

// sortColumns puts the columns of the current struct into schema order, with null for missing ones: it writes them
// after the struct, then moves them back. It returns the end, or -1 if a required column is missing.
func sortColumns(s *Struct) int {
	for i := 0; i < s.Columns; i++ {
		if Load(s.Stamps, i*8) != s.Stamp && Load(s.Optionals, i*8) == 0 {
			return -1
		}
	}
	p := s.O
	for i := 0; i < s.Columns; {
		touch(s)
		if Load(s.Stamps, i*8) != s.Stamp {
			Store(s.Arena, p, 0)
			Store(s.Spans, i*16, uint64(p-s.O+s.RowOutput))
			p++
			Store(s.Spans, i*16+8, uint64(p-s.O+s.RowOutput))
			i++
			continue
		}
		from := int(Load(s.Spans, i*16))
		end := from
		for {
			Store(s.Spans, i*16, uint64(end-from+p-s.O+s.RowOutput))
			end = int(Load(s.Spans, i*16+8))
			Store(s.Spans, i*16+8, uint64(end-from+p-s.O+s.RowOutput))
			i++
			if i == s.Columns {
				break
			}
			if Load(s.Stamps, i*8) != s.Stamp || int(Load(s.Spans, i*16)) != end {
				break
			}
		}
		Copy(s.Arena, p, s.Arena, from, end-from)
		p += end - from
	}
	Copy(s.Arena, s.RowOutput, s.Arena, s.O, p-s.O)
	return p - s.O + s.RowOutput
}
