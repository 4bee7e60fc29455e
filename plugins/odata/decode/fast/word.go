// Package fast holds what makes decoding fast in a guest of stock Go: loads of eight bytes without bounds checks, tests on eight
// bytes at once, and a few loops that are written in Wasm assembly, each with a twin in Go for other machines.
//
// Nothing here checks bounds. Texts to be read are followed by [Room] zero bytes, where every scan stops: 0 is illegal in both
// formats. What is written to must have [Room] bytes behind what is needed.
package fast

import (
	"math/bits"
	"unsafe"
)

// Room is how many zero bytes follow a text, and how many bytes may be written past an end.
const Room = 64

// Ones has 1 in each byte; Repeat(c) is c in each byte.
const (
	Ones  = 0x0101010101010101
	Highs = 0x8080808080808080
)

// Load reads eight bytes at p+i.
func Load(p unsafe.Pointer, i int) uint64 { return *(*uint64)(unsafe.Add(p, i)) }

// Byte reads one byte at p+i.
func Byte(p unsafe.Pointer, i int) byte { return *(*byte)(unsafe.Add(p, i)) }

// Store writes eight bytes at p+i.
func Store(p unsafe.Pointer, i int, v uint64) { *(*uint64)(unsafe.Add(p, i)) = v }

// Put writes one byte at p+i.
func Put(p unsafe.Pointer, i int, c byte) { *(*byte)(unsafe.Add(p, i)) = c }

// Nondigits turns eight characters, given with '0' taken out of each (w ^ '0'…), into a mask whose lowest bit set is in the
// first byte that is no digit. Bytes above that one may be wrong.
func Nondigits(w uint64) uint64 { return (w + 0x7676767676767676 | w) & Highs }

// Zeros is '0' in each byte.
const Zeros = 0x3030303030303030

// Eight is the number of eight digits, '0' taken out of each; the first digit is in the lowest byte.
func Eight(w uint64) uint64 {
	w = (w * 10) + (w >> 8)
	return ((w&0x000000ff000000ff)*0x000f424000000064 + (w>>16&0x000000ff000000ff)*0x0000271000000001) >> 32
}

// Power is 10 to the power of k, 0 to 19.
func Power(k int) uint64 {
	return *(*uint64)(unsafe.Add(unsafe.Pointer(&powers), k*8))
}

var powers = [20]uint64{1, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19}

// Digits reads up to 18 digits at p+i. n is how many there are, 19 if more than 18.
func Digits(p unsafe.Pointer, i int) (v uint64, n int) {
	w := Load(p, i) ^ Zeros
	m := Nondigits(w)
	if m != 0 {
		k := bits.TrailingZeros64(m) & 56
		if k == 0 {
			return 0, 0
		}
		return Eight(w << (64 - k)), k >> 3
	}
	v = Eight(w)
	w = Load(p, i+8) ^ Zeros
	if m = Nondigits(w); m != 0 {
		k := bits.TrailingZeros64(m) & 56
		if k == 0 {
			return v, 8
		}
		return v*Power(k>>3) + Eight(w<<(64-k)), 8 + k>>3
	}
	v, n = v*1e8+Eight(w), 16
	for ; n < 19; n++ {
		d := Byte(p, i+n) ^ '0'
		if d > 9 {
			return v, n
		}
		if n < 18 {
			v = v*10 + uint64(d)
		}
	}
	return v, 19
}

// PutNumber writes a number as wit/encoding.md has it (zigzag, seven bits a byte) and returns the place behind it.
func PutNumber(p unsafe.Pointer, i int, v int64) int {
	u := uint64(v)<<1 ^ uint64(v>>63)
	if u < 0x80 {
		Put(p, i, byte(u))
		return i + 1
	}
	if u >= 1<<56 {
		for u >= 0x80 {
			Put(p, i, byte(u)|0x80)
			u >>= 7
			i++
		}
		Put(p, i, byte(u))
		return i + 1
	}
	n := (bits.Len64(u) + 6) * 37 >> 8 // divided by 7
	x := u&0x0fffffff | u&0x00fffffff0000000<<4
	x = x&0x00003fff00003fff | x&0x0fffc0000fffc000<<2
	x = x&0x007f007f007f007f | x&0x3f803f803f803f80<<1
	Store(p, i, x|Highs&(1<<(8*n-8)-1))
	return i + n
}

// PutUnscaled writes the unscaled value of a Decimal: a number of bytes, then two's complement, big-endian, shortest.
func PutUnscaled(p unsafe.Pointer, i int, v int64) int {
	n := (bits.Len64(uint64(v^v>>63)) + 8) >> 3
	Put(p, i, byte(n<<1))
	x := uint64(v) << (64 - 8*n)
	x = x>>8&0x00ff00ff00ff00ff | x&0x00ff00ff00ff00ff<<8
	x = x>>16&0x0000ffff0000ffff | x&0x0000ffff0000ffff<<16
	Store(p, i+1, x>>32|x<<32)
	return i + 1 + n
}

// IsGUID tells whether 36 characters at p+i are 8-4-4-4-12 hexadecimal digits.
func IsGUID(p unsafe.Pointer, i int) bool {
	if Byte(p, i+8) != '-' || Byte(p, i+13) != '-' || Byte(p, i+18) != '-' || Byte(p, i+23) != '-' {
		return false
	}
	const low = 0xffffffff
	return hex(Load(p, i))&hex(Load(p, i+9)&low|Load(p, i+14)<<32)&hex(Load(p, i+19)&low|Load(p, i+24)<<32)&hex(Load(p, i+28)) == Highs
}

// hex has the high bit of each byte that is a hexadecimal digit.
func hex(w uint64) uint64 {
	x := w &^ Highs
	letters := x | Ones*0x20
	digit := (x + Ones*(0x80-'0')) &^ (x + Ones*(0x80-'9'-1))
	letter := (letters + Ones*(0x80-'a')) &^ (letters + Ones*(0x80-'f'-1))
	return (digit | letter) &^ w & Highs
}

// Stops are bytes at which a scan stops: those c for which c^flip is below limit, and the byte stop.
type Stops struct{ Flip, Limit, Stop uint64 }

// In has the high bit of the first byte that is a stop; bytes above it may be wrong.
func (s *Stops) In(x uint64) uint64 {
	return (((x ^ s.Flip) - s.Limit) | ((x ^ s.Stop) - Ones)) &^ x & Highs
}

var (
	// JSONText stops at quotes, backslashes and control characters; it serves holes too.
	JSONText = Stops{Ones * 0x02, Ones * 0x21, Ones * '\\'}
	// AtomText stops at ampersands, less-than signs and control characters.
	AtomText = Stops{Ones * 0x06, Ones * 0x21, Ones * '<'}
	// AtomSkip stops at less-than signs and 0: text that nobody looks at.
	AtomSkip = Stops{0, Ones, Ones * '<'}
	// AtomQuoted and AtomApostrophed stop at the end of an attribute's value, less-than signs and control characters.
	AtomQuoted      = Stops{Ones * 0x02, Ones * 0x21, Ones * '<'}
	AtomApostrophed = Stops{Ones * 0x07, Ones * 0x21, Ones * '<'}
)
