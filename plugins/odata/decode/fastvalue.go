package decode

import (
	"math"
	"unsafe"

	"github.com/culvert-project/culvert/plugins/odata/decode/fast"
)

// Values on the fast path. Each function reads one at p and writes it, behind its branch number, at o; it returns the places
// behind both, or p -1: the plain parser must look at it. What ends the value is the caller's business.

func putInteger(in unsafe.Pointer, p int, e *fastEntry, arena unsafe.Pointer, o int) (int, int) {
	negative := fast.Byte(in, p) == '-'
	if negative {
		p++
	}
	u, n := fast.Digits(in, p)
	if n == 0 || n > 18 {
		return -1, 0
	}
	v := int64(u)
	if negative {
		v = -v
	}
	if v < e.low || v > e.high {
		return -1, 0
	}
	fast.Put(arena, o, 2)
	return p + n, fast.PutNumber(arena, o+e.optional, v)
}

func putDecimal(in unsafe.Pointer, p int, e *fastEntry, arena unsafe.Pointer, o int) (int, int) {
	negative := fast.Byte(in, p) == '-'
	if negative {
		p++
	}
	u, n := fast.Digits(in, p)
	if n == 0 || n > 18 {
		return -1, 0
	}
	p += n
	places := 0
	if fast.Byte(in, p) == '.' {
		var part uint64
		part, places = fast.Digits(in, p+1)
		if places == 0 || n+places > 18 {
			return -1, 0
		}
		u = u*fast.Power(places) + part
		p += 1 + places
		n += places
	}
	for ; places > e.scale; places-- {
		if u%10 != 0 {
			return -1, 0
		}
		u /= 10
	}
	// n digits at most are in u now, leading zeros among them
	if n+e.scale-places > 18 {
		return -1, 0
	}
	u *= fast.Power(e.scale - places)
	if e.digits > 0 && e.digits < 19 && u >= fast.Power(e.digits) {
		return -1, 0
	}
	v := int64(u)
	if negative {
		v = -v
	}
	fast.Put(arena, o, 2)
	return p, fast.PutUnscaled(arena, o+e.optional, v)
}

// exact are the powers of ten that a float64 holds exactly.
var exact = [23]float64{1, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19, 1e20,
	1e21, 1e22}

// putDouble is exact: a whole number below 2^53 divided by a power of ten that is exact is rounded once.
func putDouble(in unsafe.Pointer, p int, e *fastEntry, arena unsafe.Pointer, o int) (int, int) {
	negative := fast.Byte(in, p) == '-'
	if negative {
		p++
	}
	u, n := fast.Digits(in, p)
	if n == 0 || n > 18 {
		return -1, 0
	}
	p += n
	places := 0
	if fast.Byte(in, p) == '.' {
		var part uint64
		part, places = fast.Digits(in, p+1)
		if places == 0 || n+places > 18 {
			return -1, 0
		}
		u = u*fast.Power(places) + part
		p += 1 + places
	}
	if u >= 1<<53 || fast.Byte(in, p)|0x20 == 'e' {
		return -1, 0
	}
	v := float64(u) / exact[places]
	if negative {
		v = -v
	}
	fast.Put(arena, o, 2)
	o += e.optional
	fast.Store(arena, o, math.Float64bits(v))
	return p, o + 8
}

func putBoolean(in unsafe.Pointer, p int, e *fastEntry, arena unsafe.Pointer, o int) (int, int) {
	const word, isTrue, isFalse = 0xffffffff, 't' | 'r'<<8 | 'u'<<16 | 'e'<<24, 'f' | 'a'<<8 | 'l'<<16 | 's'<<24
	fast.Put(arena, o, 2)
	o += e.optional
	switch w := fast.Load(in, p); {
	case w&word == isTrue:
		fast.Put(arena, o, 1)
		return p + 4, o + 1
	case w&word == isFalse && byte(w>>32) == 'e':
		fast.Put(arena, o, 0)
		return p + 5, o + 1
	}
	return -1, 0
}

func putGUID(in unsafe.Pointer, p int, e *fastEntry, arena unsafe.Pointer, o int) (int, int) {
	if !fast.IsGUID(in, p) {
		return -1, 0
	}
	fast.Put(arena, o, 2)
	o += e.optional
	fast.Put(arena, o, 72)
	o++
	for i := 0; i < 40; i += 8 {
		fast.Store(arena, o+i, fast.Load(in, p+i))
	}
	return p + 36, o + 36
}

// putISO reads yyyy-mm-ddThh:mm:ss with up to seven digits of a fraction, and Z.
func putISO(in unsafe.Pointer, p int, e *fastEntry, arena unsafe.Pointer, o int) (int, int) {
	// the punctuation, then two words of digits: yyyymmdd, hhmmss
	const (
		dash, colon, letter = '-', ':', 'T'
	)
	if fast.Byte(in, p+4) != dash || fast.Byte(in, p+7) != dash || fast.Byte(in, p+10) != letter || fast.Byte(in, p+13) != colon ||
		fast.Byte(in, p+16) != colon {
		return -1, 0
	}
	a, b, c := fast.Load(in, p), fast.Load(in, p+8), fast.Load(in, p+12)
	// a: yyyy-mm-  b: ddThh:mm  c: hh is in b; c is :mm:ss?? with its first byte at 12
	date := (a&0xffffffff | a>>8&0xffff00000000 | b<<48) ^ fast.Zeros
	clock := (b>>24&0xffff | b>>32&0xffff0000 | c>>8&0xffff00000000 | '0'<<48 | '0'<<56) ^ fast.Zeros
	if fast.Nondigits(date)|fast.Nondigits(clock) != 0 {
		return -1, 0
	}
	d, t := fast.Eight(date), fast.Eight(clock)
	year, month, day := int64(d/10000), int64(d/100%100), int64(d%100)
	hour, minute, second := int64(t/1000000), int64(t/10000%100), int64(t/100%100)
	if year < 1 || month < 1 || month > 12 || day < 1 || day > 28 && day > daysIn(year, month) || hour > 23 || minute > 59 || second > 59 {
		return -1, 0
	}
	ms := ((daysSince1970(year, month, day)*24+hour)*60+minute)*60_000 + second*1000
	p += 19
	if fast.Byte(in, p) == '.' {
		u, n := fast.Digits(in, p+1)
		if n == 0 || n > 9 {
			return -1, 0
		}
		if n >= 3 {
			ms += int64(u / fast.Power(n-3))
		} else {
			ms += int64(u * fast.Power(3-n))
		}
		p += 1 + n
	}
	if fast.Byte(in, p) == 'Z' {
		p++
	}
	fast.Put(arena, o, 2)
	return p, fast.PutNumber(arena, o+e.optional, ms)
}

// putTicks reads /Date(…) up to the closing bracket: what is in front of it, p is at the first digit or the sign.
func putTicks(in unsafe.Pointer, p int, e *fastEntry, arena unsafe.Pointer, o int) (int, int) {
	negative := fast.Byte(in, p) == '-'
	if negative {
		p++
	}
	u, n := fast.Digits(in, p)
	if n == 0 || n > 15 {
		return -1, 0
	}
	p += n
	ms := int64(u)
	if negative {
		ms = -ms
	}
	if ms < firstMs || ms > lastMs {
		return -1, 0
	}
	const utc = '+' | '0'<<8 | '0'<<16 | '0'<<24 | '0'<<32
	if fast.Load(in, p)&0xffffffffff == utc {
		p += 5
	}
	fast.Put(arena, o, 2)
	return p, fast.PutNumber(arena, o+e.optional, ms)
}
