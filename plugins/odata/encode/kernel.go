package encode

import (
	"math/bits"
	"unsafe"

	"github.com/culvert-project/culvert/wit/datum"
)

//go:generate go run ../../assembler kernel.go word.go state.go

// copied copies n bytes, a word at a time, and returns the place after them.
func copied(out unsafe.Pointer, o int, from unsafe.Pointer, at, n int) int {
	i := 0
	for i < n {
		Store(out, o+i, Load(from, at+i))
		i += 8
	}
	return o + n
}

// write writes n bytes.
func write(s *Object, from unsafe.Pointer, at, n int) {
	i := 0
	for i < n {
		Store(s.Out, s.O+i, Load(from, at+i))
		i += 8
	}
	s.O += n
}

// number reads a number as wit/encoding.md has it; the second result is the place after it, 0 where it is none.
func number(in unsafe.Pointer, at int) (int, int) {
	c := uint64(Byte(in, at))
	at++
	u := c & 0x7f
	shift := uint64(7)
	for c > 0x7f {
		c = uint64(Byte(in, at))
		at++
		if shift == 63 {
			if c > 1 {
				return 0, 0
			}
		}
		u |= c & 0x7f << shift
		shift += 7
	}
	return int(u>>1 ^ -(u & 1)), at
}

// eight turns a number below 1e8 into its eight digits, the first one lowest, without '0' in them.
func eight(v uint64) uint64 {
	w := v/10000 | v%10000<<32
	h := w * 10486 >> 20 & 0x7f0000007f
	w = h | (w-100*h)<<16
	h = w * 103 >> 10 & 0x000f000f000f000f
	return h | (w-10*h)<<8
}

// head writes a number below 1e8, which is not 0.
func head(s *Object, v uint64) {
	w := eight(v)
	v = uint64(bits.TrailingZeros64(w) & 56)
	Store(s.Out, s.O, (w|zeros)>>v)
	s.O += 8 - int(v>>3)
}

// tail writes the last eight digits of a number.
func tail(s *Object, v uint64) {
	w := eight(v)
	Store(s.Out, s.O, w|zeros)
	s.O += 8
}

// digits writes a number.
func digits(s *Object, v int) {
	u := uint64(v)
	if v < 0 {
		Put(s.Out, s.O, '-')
		s.O++
		u = -u
	}
	if u < 10 {
		Put(s.Out, s.O, byte(u+'0'))
		s.O++
	} else {
		if u < 1e8 {
			head(s, u)
		} else {
			if u < 1e16 {
				head(s, u/1e8)
			} else {
				head(s, u/1e16)
				tail(s, u/1e8%1e8)
			}
			tail(s, u%1e8)
		}
	}
}

// quote writes one, which XML has none of.
func quote(s *Object) {
	if s.XML == 0 {
		Put(s.Out, s.O, '"')
		s.O++
	}
}

// invalid is not 0 if the bytes from i to end are not UTF-8.
func invalid(p unsafe.Pointer, i, end int) int {
	for i < end {
		w := Load(p, i)
		if w&highs == 0 {
			i += 8
			continue
		}
		i += bits.TrailingZeros64(w&highs) >> 3
		if i >= end {
			break
		}
		w = Load(p, i)
		if w&0xff < 0xe0 {
			if w&0xff < 0xc2 || w&0xc000 != 0x8000 {
				return 1
			}
			i += 2
		} else {
			if w&0xff < 0xf0 {
				if w&0xc0c000 != 0x808000 || w&0xff == 0xe0 && w>>8&0xff < 0xa0 || w&0xff == 0xed && w>>8&0xff > 0x9f {
					return 1
				}
				i += 3
			} else {
				if w&0xff > 0xf4 || w&0xc0c0c000 != 0x80808000 || w&0xff == 0xf0 && w>>8&0xff < 0x90 ||
					w&0xff == 0xf4 && w>>8&0xff > 0x8f {
					return 1
				}
				i += 4
			}
		}
		if i > end {
			return 1
		}
	}
	return 0
}

// text writes n bytes as a JSON string; 1: one of them has to be written otherwise, or they are not UTF-8.
func text(s *Object, at, n int) int {
	quote(s)
	i := 0
	all := uint64(0)
	for i < n {
		w := Load(s.In, at+i)
		m := stops(w)
		if m != 0 {
			if i+bits.TrailingZeros64(m)>>3 < n {
				return 1
			}
		}
		all |= w
		Store(s.Out, s.O+i, w)
		i += 8
	}
	if all&highs != 0 {
		i = invalid(s.In, at, at+n)
		if i != 0 {
			return 1
		}
	}
	s.O += n
	quote(s)
	return 0
}

// content writes n bytes as the text of an element; 1: one of them has to be written otherwise, they are not UTF-8, or
// one may be of a character that XML can't hold.
func content(s *Object, at, n int) int {
	i := 0
	all := uint64(0)
	rare := uint64(0)
	for i < n {
		w := Load(s.In, at+i)
		m := stopsXML(w)
		if m != 0 {
			if i+bits.TrailingZeros64(m)>>3 < n {
				return 1
			}
		}
		all |= w
		m = w ^ ones*0xef // which U+FFFE and U+FFFF begin with
		rare |= (m - ones) &^ m & highs
		Store(s.Out, s.O+i, w)
		i += 8
	}
	if all&highs != 0 {
		if rare != 0 {
			return 1
		}
		i = invalid(s.In, at, at+n)
		if i != 0 {
			return 1
		}
	}
	s.O += n
	return 0
}

// decimal writes an unscaled number in quotes.
func decimal(s *Object, v int, f *Field) {
	quote(s)
	if f.Unit == 0 {
		digits(s, v)
	} else {
		if v < 0 {
			Put(s.Out, s.O, '-')
			s.O++
			v = -v
		}
		digits(s, v/f.Power)
		Put(s.Out, s.O, '.')
		w := eight(uint64(v % f.Power))
		Store(s.Out, s.O+1, (w|zeros)>>(64-8*uint64(f.Unit)))
		s.O += 1 + f.Unit
	}
	quote(s)
}

// unscaled reads n bytes, big-endian, at most eight.
func unscaled(in unsafe.Pointer, at, n int) int {
	x := Load(in, at)
	x = x>>8&0x00ff00ff00ff00ff | x&0x00ff00ff00ff00ff<<8
	x = x>>16&0x0000ffff0000ffff | x&0x0000ffff0000ffff<<16
	x = x>>32 | x<<32
	return int(x) >> (64 - 8*uint64(n))
}

// numeral writes the digits of a decimal in quotes; 1: they are no such.
func numeral(s *Object, at, n int, f *Field) int {
	end := at + n
	first := at
	if Byte(s.In, at) == '-' {
		first++
	}
	point := end
	i := first
	for i < end {
		c := uint64(Byte(s.In, i))
		if c == '.' {
			if point != end {
				return 1
			}
			point = i
		} else {
			if c-'0' > 9 {
				return 1
			}
		}
		i++
	}
	if point == first || point == end-1 || end-point-1 > f.Scale || point-first > f.Most || n == 0 {
		return 1
	}
	quote(s)
	write(s, s.In, at, n)
	quote(s)
	return 0
}

// dashes and colons are what stands between the numbers of a point in time.
const (
	dashes = 0x2d30302d30303030 // 0000-00-
	colons = 0x30303a3030543030 // 00T00:00
	ending = 0x30303a30303a3030 // 00:00:00
)

// moment reads 2006-01-02T15:04:05, with a Z after it or without, of n bytes, as milliseconds since
// 1970, or noMoment where it is none, or of the year 0.
func moment(s *Object, at, n int) int {
	if n != 19 {
		if n != 20 || Byte(s.In, at+19) != 'Z' {
			return noMoment
		}
	}
	a := Load(s.In, at) ^ dashes
	b := Load(s.In, at+8) ^ colons
	second := Load(s.In, at+11) ^ ending
	if nondigits(a)|nondigits(b)|nondigits(second)|a&0xff0000ff00000000|b&0x0000ff0000ff0000|
		second&0x0000ff0000ff0000 != 0 {
		return noMoment
	}
	year := (a&15)*1000 + a>>8&15*100 + a>>16&15*10 + a>>24&15
	month := a>>40&15*10 + a>>48&15
	day := b&15*10 + b>>8&15
	a = b>>24&15*10 + b>>32&15 // hours
	b = b>>48&15*10 + b>>56&15 // minutes
	second = second>>48&15*10 + second>>56&15
	if year == 0 || month-1 > 11 || day-1 > 30 || a > 23 || b > 59 || second > 59 {
		return noMoment
	}
	if day > 28 {
		if month == 2 {
			if day > 29 || year&3 != 0 || year%100 == 0 && year%400 != 0 {
				return noMoment
			}
		}
		if day > 30 {
			if month == 4 || month == 6 || month == 9 || month == 11 {
				return noMoment
			}
		}
	}
	// Years begin in March here, so that leap days are their last ones.
	if month <= 2 {
		year--
		month += 12
	}
	day += 365*year + year>>2 - year/100 + year/400 + (153*(month-3)+2)/5 - 1
	return (int(day)-719468)*86400000 + int((a*60+b)*60+second)*1000
}

// noMoment is none, in milliseconds.
const noMoment = -1 << 63

// Points in time of the years 1 to 9999, in milliseconds.
const (
	firstMilli = -62_135_596_800_000
	lastMilli  = 253_402_300_799_999
)

// instant writes a point in time; 1: it is out of range.
func instant(s *Object, ms int, offset uint64) int {
	if ms < firstMilli || ms > lastMilli {
		return 1
	}
	Store(s.Out, s.O, 0x28657461442f5c22) // "\/Date(
	s.O += 8
	digits(s, ms)
	if offset != 0 {
		Store(s.Out, s.O, 0x303030302b) // +0000
		s.O += 5
	}
	Store(s.Out, s.O, 0x222f5c29) // )\/"
	s.O += 4
	return 0
}

// named goes past the name of a field, 0: it is another one.
func named(in unsafe.Pointer, at int, f *Field) int {
	i := 0
	last := f.RawSize - 8
	for i < last {
		if Load(in, at+i) != Load(f.Raw, i) {
			return 0
		}
		i += 8
	}
	if (Load(in, at+i)^Load(f.Raw, i))&f.RawMask != 0 {
		return 0
	}
	return at + f.RawSize
}

// truth writes a boolean.
func truth(s *Object, yes uint64) {
	if yes != 0 {
		Store(s.Out, s.O, 0x65757274) // true
		s.O += 4
	} else {
		Store(s.Out, s.O, 0x65736c6166) // false
		s.O += 5
	}
}

// value writes a field's value after its name and returns the place after it in the row, 0: it is the caller's to
// write.
func value(s *Object, at int, f *Field, kind uint64) int {
	if kind == False || kind == True {
		truth(s, kind-False)
		return at
	}
	if kind == Boolean {
		if Byte(s.In, at) > 1 {
			return 0
		}
		truth(s, uint64(Byte(s.In, at)))
		return at + 1
	}
	n, next := number(s.In, at)
	if next == 0 || next > s.End {
		return 0
	}
	if kind <= Quoted {
		if n < f.Least || n > f.Most {
			return 0
		}
		if kind == Quoted {
			quote(s)
		}
		digits(s, n)
		if kind == Quoted {
			quote(s)
		}
		return next
	}
	failed := 0
	if kind == Date || kind == DateOffset {
		if n < f.Least || n > f.Most {
			return 0
		}
		failed = instant(s, n*f.Unit, kind-Date)
		if failed != 0 {
			return 0
		}
		return next
	}
	if kind == SkipNumber {
		return next
	}
	if n < 0 || n > s.End-next {
		return 0
	}
	return block(s, next, n, f, kind)
}

// block is value for one of n bytes that begin at a place.
func block(s *Object, at, n int, f *Field, kind uint64) int {
	failed := 0
	if kind == SkipBlock {
		if f.Unit != 0 {
			failed = invalid(s.In, at, at+n)
			if failed != 0 {
				return 0
			}
		}
		return at + n
	}
	if kind == Text {
		if n > f.Most || n > s.Limit-s.O-f.BehindSize {
			return 0
		}
		if s.XML != 0 {
			failed = content(s, at, n)
		} else {
			failed = text(s, at, n)
		}
	} else {
		if kind == Decimal {
			if n == 0 || n > 8 {
				return 0
			}
			failed = unscaled(s.In, at, n)
			if failed >= f.Bound || failed <= -f.Bound {
				return 0
			}
			decimal(s, failed, f)
			return at + n
		}
		if kind == DecimalText {
			if n > 40 {
				return 0
			}
			failed = numeral(s, at, n, f)
		} else {
			failed = textInstant(s, at, n, kind-Instant)
		}
	}
	if failed != 0 {
		return 0
	}
	return at + n
}

// textInstant writes a point in time that is a text; 1: it is none.
func textInstant(s *Object, at, n int, offset uint64) int {
	ms := moment(s, at, n)
	if ms == noMoment {
		return 1
	}
	if s.XML == 0 {
		return instant(s, ms, offset)
	}
	write(s, s.In, at, 19)
	if offset != 0 {
		Put(s.Out, s.O, 'Z')
		s.O++
	}
	return 0
}

// member writes a field whose value is not null; 0: it is the caller's to write.
func member(s *Object, at int, f *Field, kind uint64) int {
	s.Begin = at
	if kind < SkipNumber {
		write(s, f.Before, 0, f.Size)
	}
	at = value(s, at, f, kind)
	if at != 0 {
		if kind < SkipNumber {
			write(s, f.Behind, 0, f.BehindSize)
		}
		if f.Key != 0 {
			place := unsafe.Add(unsafe.Pointer(s.Keys), (f.Key-1)*32)
			Store(place, 0, uint64(s.Begin))
			Store(place, 8, uint64(at))
			Store(place, 16, uint64(s.Start+f.Size))
			Store(place, 24, uint64(s.O))
		}
	}
	return at
}

// kernel: see Members.
func goMembers(s *Object) int {
	for s.Next < s.Count {
		f := (*Field)(unsafe.Add(s.Fields, s.Next*fieldSize))
		at := s.At
		s.Start = s.O
		if s.O+f.Size+f.BehindSize > s.Limit {
			return Full
		}
		if at >= s.End {
			return Odd
		}
		kind := f.Kind
		if s.Named != 0 {
			at = named(s.In, at, f)
			if at == 0 || at >= s.End {
				return Odd
			}
			kind = uint64(Byte(s.In, at))
			if kind > uint64(datum.TagStruct) {
				return Odd
			}
			kind = f.Kinds >> (4 * kind) & 15
			at++
		}
		if f.Optional != 0 {
			if Byte(s.In, at)&^2 != 0 {
				return Odd
			}
			if uint64(Byte(s.In, at)) == f.Null {
				kind = Null
			}
			at++
		}
		if kind == Other {
			return Odd
		}
		if kind == Null {
			if f.Key != 0 {
				return Odd
			}
			if f.Writes != 0 {
				write(s, f.None, 0, f.NoneSize)
			}
		} else {
			at = member(s, at, f, kind)
			if at == 0 {
				s.O = s.Start
				return Odd
			}
		}
		s.At = at
		s.Next++
	}
	return Done
}

// fieldSize is that of a Field, in bytes.
const fieldSize = 21 * 8

// It is as large as is said.
var _ = [1]struct{}{}[unsafe.Sizeof(Field{})-fieldSize]

// kernel: see Gather.
func goGather(out unsafe.Pointer, o int, pieces *Piece, count int) int {
	i := 0
	for i < count {
		piece := (*Piece)(unsafe.Add(unsafe.Pointer(pieces), i*16))
		n := piece.Size
		if n > 512 {
			Copy(out, o, piece.From, 0, n)
			o += n
		} else {
			o = copied(out, o, piece.From, 0, n)
		}
		i++
	}
	return o
}

const factor = 1099511628211

// kernel: see Hash.
func goHash(p unsafe.Pointer, n int, h uint64) uint64 {
	i := 0
	for i+8 <= n {
		h = (h ^ Load(p, i)) * factor
		h = h ^ h>>29
		i += 8
	}
	for i < n {
		h = (h ^ uint64(Byte(p, i))) * factor
		i++
	}
	return h
}

// kernel: see Find.
func goFind(p unsafe.Pointer, n int, word uint64) int {
	i := 0
	for i < n {
		x := Load(p, i) ^ ones*'_'
		x = (x - ones) &^ x & highs
		if x == 0 {
			i += 8
			continue
		}
		i += bits.TrailingZeros64(x) >> 3
		if i < n {
			if Load(p, i) == word {
				return 1
			}
		}
		i++
	}
	return 0
}

// noted notes in a place, unless it has one, that the value of a header stands between its colon and end. 0: between
// the name and its colon is something that is not common.
func noted(p unsafe.Pointer, colon, end int, place unsafe.Pointer) int {
	c := uint64(Byte(p, colon))
	if c == ' ' || c > 0x7f {
		return 0
	}
	if c == ':' && Load(place, 0) == 0 {
		Store(place, 0, uint64(colon+1))
		Store(place, 8, uint64(end))
	}
	return 1
}

// header notes the value of a header that begins at a place, where it is one of the few. 0: between the name and its
// colon is something that is not common.
func header(s *Answers, p unsafe.Pointer, at, end int) int {
	a := lower(Load(p, at))
	if a == 0x2d746e65746e6f63 { // content-
		a = lower(Load(p, at+8))
		if a&0xffffffff == 0x65707974 { // type
			return noted(p, at+12, end, unsafe.Pointer(&s.TypeFrom))
		}
		if a&0xffff == 0x6469 { // id
			return noted(p, at+10, end, unsafe.Pointer(&s.IDFrom))
		}
		if a&0xffffffffffff == 0x6874676e656c { // length
			return noted(p, at+14, end, unsafe.Pointer(&s.LengthFrom))
		}
		return 1
	}
	if a == 0x6e6f697461636f6c { // location
		return noted(p, at+8, end, unsafe.Pointer(&s.LocationFrom))
	}
	if a == 0x6261746165706572 { // repeatab
		a = lower(Load(p, at+8))
		if a == 0x65722d7974696c69 { // ility-re, and sult after it, which is OASIS's name for it
			return 0
		}
		if a == 0x7365727974696c69 { // ilityres
			if lower(Load(p, at+16))&0xffffff == 0x746c75 { // ult
				if Byte(p, at+19) != ':' {
					return 0
				}
				return noted(p, at+19, end, unsafe.Pointer(&s.RepeatedFrom))
			}
		}
		return 1
	}
	if a&0xffffffffffff == 0x656d2d706173 { // sap-me, and ssage after it
		s.Message = 1
	}
	return 1
}

// lines goes over headers to after the empty line at their end: 1. 0: something is there that is not common, or it is
// too near to the end.
func lines(s *Answers) int {
	p := s.Text
	at := s.At
	for at < s.End-32 {
		c := uint64(Byte(p, at))
		if c == '\r' {
			if Byte(p, at+1) != '\n' {
				return 0
			}
			s.At = at + 2
			return 1
		}
		if c <= ' ' || c > 0x7f || c == '-' {
			return 0
		}
		end := at
		for end < s.End-32 {
			w := Load(p, end)
			m := (w - ones*0x20) &^ w & highs
			if m != 0 {
				end += bits.TrailingZeros64(m) >> 3
				break
			}
			end += 8
		}
		if end >= s.End-32 {
			return 0
		}
		if Byte(p, end) != '\r' || Byte(p, end+1) != '\n' {
			return 0
		}
		usual := header(s, p, at, end)
		if usual == 0 {
			return 0
		}
		at = end + 2
	}
	return 0
}

// first is where a value begins, after blanks. 0: what stands there may be a blank of another kind.
func first(p unsafe.Pointer, at, end int) int {
	for at < end {
		if Byte(p, at) != ' ' {
			break
		}
		at++
	}
	if at < end {
		if Byte(p, at) > 0x7f {
			return 0
		}
	}
	return at
}

// last is first for the end of a value.
func last(p unsafe.Pointer, at, end int) int {
	for at < end {
		if Byte(p, end-1) != ' ' {
			break
		}
		end--
	}
	if at < end {
		if Byte(p, end-1) > 0x7f {
			return 0
		}
	}
	return end
}

// trimmed takes the blanks off the value in a place. 0: what stands at one of its ends may be a blank of another kind.
func trimmed(p, place unsafe.Pointer) int {
	from := int(Load(place, 0))
	to := int(Load(place, 8))
	from = first(p, from, to)
	to = last(p, from, to)
	Store(place, 0, uint64(from))
	Store(place, 8, uint64(to))
	if from == 0 || to == 0 {
		return 0
	}
	return 1
}

// counted is the number that digits say, -1 where others are among them, or it is far above a limit.
func counted(p unsafe.Pointer, at, end, limit int) int {
	n := 0
	for at < end {
		c := int(Byte(p, at)) - '0'
		if uint64(c) > 9 || n > limit {
			return -1
		}
		n = n*10 + c
		at++
	}
	return n
}

// same is 1 if n bytes are the same at two places. It reads no others.
func same(p unsafe.Pointer, at int, q unsafe.Pointer, from, n int) int {
	i := 0
	for i+8 <= n {
		if Load(p, at+i) != Load(q, from+i) {
			return 0
		}
		i += 8
	}
	for i < n {
		if Byte(p, at+i) != Byte(q, from+i) {
			return 0
		}
		i++
	}
	return 1
}

// ended is the place after a line end, 0 where none stands here.
func ended(p unsafe.Pointer, at, end int) int {
	if at+2 > end {
		return 0
	}
	if Byte(p, at) != '\r' || Byte(p, at+1) != '\n' {
		return 0
	}
	return at + 2
}

// delimited is the place after the boundary of a changeset, 0 where it doesn't stand here.
func delimited(s *Answers, at int) int {
	p := s.Text
	n := s.InnerSize
	if at+2+n > s.End {
		return 0
	}
	if Byte(p, at) != '-' || Byte(p, at+1) != '-' {
		return 0
	}
	alike := same(p, at+2, p, s.InnerFrom, n)
	if alike == 0 {
		return 0
	}
	return at + 2 + n
}

// Parts of the Content-Type of a changeset: " multipart/mixed; boundary=".
const (
	multi    = 0x617069746c756d20
	mixed    = 0x646578696d2f7472
	bounding = 0x61646e756f62203b
	equals   = 0x3d7972
)

// opened takes the boundary of a changeset, whose headers were gone over: 1. 0: they are not common.
func opened(s *Answers) int {
	p := s.Text
	at := s.TypeFrom
	n := s.TypeTo - at - 27
	if at == 0 || n <= 0 {
		return 0
	}
	if Load(p, at) != multi || Load(p, at+8) != mixed || Load(p, at+16) != bounding {
		return 0
	}
	if Load(p, at+24)&0xffffff != equals {
		return 0
	}
	at += 27
	if Byte(p, at) == '"' || Byte(p, at) == ' ' || Byte(p, at+n-1) == ' ' {
		return 0
	}
	i := 0
	for i < n {
		w := Load(p, at+i) ^ ones*';'
		w = (w - ones) &^ w & highs
		if w != 0 {
			if i+bits.TrailingZeros64(w)>>3 < n {
				return 0
			}
		}
		i += 8
	}
	if n == s.OuterSize-2 {
		i = same(p, at, s.Outer, 2, n)
		if i != 0 {
			return 0
		}
	}
	s.InnerFrom = at
	s.InnerSize = n
	at = delimited(s, s.At)
	if at == 0 {
		return 0
	}
	at = ended(p, at, s.End)
	if at == 0 {
		return 0
	}
	s.At = at
	s.Inside = 1
	return 1
}

// closed goes past the end of a changeset, from after its boundary to the next part or the end of the answer: 1.
func closed(s *Answers, at int) int {
	p := s.Text
	if at+2 > s.End {
		return 0
	}
	if Byte(p, at) != '-' || Byte(p, at+1) != '-' {
		return 0
	}
	at = ended(p, at+2, s.End)
	if at == 0 {
		return 0
	}
	after := at
	for after != 0 {
		at = after
		after = ended(p, at, s.End)
	}
	s.Inside = 0
	if at+s.OuterSize > s.End {
		return 0
	}
	next := same(p, at, s.Outer, 0, s.OuterSize)
	if next == 0 {
		return 0
	}
	at += s.OuterSize
	next = ended(p, at, s.End)
	if next != 0 {
		s.At = next
		return 1
	}
	if at+2 > s.End {
		return 0
	}
	if Byte(p, at) != '-' || Byte(p, at+1) != '-' {
		return 0
	}
	at += 2
	if at != s.End {
		at = ended(p, at, s.End)
		if at == 0 {
			return 0
		}
	}
	s.At = at
	s.Complete = 1
	return 1
}

// status is 1 where a status line stands here that proves that all was done: a success, and neither 202 nor from 206 to
// 209.
func status(p unsafe.Pointer, at int) int {
	if Load(p, at) != 0x312e312f50545448 { // HTTP/1.1
		return 0
	}
	if Byte(p, at+8) != ' ' || Byte(p, at+9) != '2' {
		return 0
	}
	a := uint64(Byte(p, at+10)) - '0'
	b := uint64(Byte(p, at+11)) - '0'
	if a > 9 || b > 9 {
		return 0
	}
	if Byte(p, at+12) != ' ' && Byte(p, at+12) != '\r' {
		return 0
	}
	if a == 0 {
		if b == 2 || b > 5 {
			return 0
		}
	}
	return 1
}

// values takes what the headers of an answer say, and returns the length of its body; -1: something is not common.
func values(s *Answers, p unsafe.Pointer) int {
	n := 0
	usual := 1
	if s.LengthFrom != 0 {
		usual = trimmed(p, unsafe.Pointer(&s.LengthFrom))
		n = counted(p, s.LengthFrom, s.LengthTo, s.End)
	}
	s.Number = -1
	if s.IDFrom != 0 && usual != 0 {
		usual = trimmed(p, unsafe.Pointer(&s.IDFrom))
		if s.IDFrom < s.IDTo {
			if Byte(p, s.IDFrom) != '0' {
				s.Number = counted(p, s.IDFrom, s.IDTo, s.End)
			}
		}
	}
	if s.LocationFrom != 0 && usual != 0 {
		usual = trimmed(p, unsafe.Pointer(&s.LocationFrom))
	}
	if s.RepeatedFrom != 0 && usual != 0 {
		usual = trimmed(p, unsafe.Pointer(&s.RepeatedFrom))
	}
	if usual == 0 {
		return -1
	}
	return n
}

// kernel: see Next.
func goNext(s *Answers) int {
	p := s.Text
	step := 1
	s.First = 0
	if s.Inside == 0 {
		step = 0
		s.First = 1
	}
	s.TypeFrom = 0
	for step < 3 {
		if step < 2 {
			s.IDFrom = 0 // that of the message counts where the part has none
		}
		s.LengthFrom = 0
		s.LengthTo = 0
		s.LocationFrom = 0
		s.RepeatedFrom = 0
		usual := lines(s)
		if usual == 0 || s.Message != 0 {
			return 0
		}
		if step == 0 {
			usual = opened(s)
		}
		if step == 1 {
			usual = status(p, s.At) // its line is none of a header that is looked for
		}
		if usual == 0 {
			return 0
		}
		step++
	}
	n := values(s, p)
	if n < 0 {
		return 0
	}
	at := s.At
	if n > s.End-at {
		return 0
	}
	s.BodyFrom = at
	at += n
	s.BodyTo = at
	next := ended(p, at, s.End)
	if next == 0 && n > 0 {
		return 0
	}
	for next != 0 {
		at = next
		next = ended(p, at, s.End)
	}
	at = delimited(s, at)
	if at == 0 {
		return 0
	}
	next = ended(p, at, s.End)
	if next != 0 {
		s.At = next
		return 1
	}
	next = closed(s, at)
	return next
}
