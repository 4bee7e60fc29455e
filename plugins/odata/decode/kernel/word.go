package kernel

import "unsafe"

// Padding is the number of zero bytes after a text, and the number of bytes that may be written past an end.
const Padding = 96

// Words with the same byte eight times.
const (
	Ones  = 0x0101010101010101
	Highs = 0x8080808080808080
	Zeros = 0x3030303030303030 // '0'
)

// Load reads eight bytes at p+i, the first one into the lowest byte.
func Load(p unsafe.Pointer, i int) uint64 { return *(*uint64)(unsafe.Add(p, i)) }

// Byte reads one byte at p+i.
func Byte(p unsafe.Pointer, i int) byte { return *(*byte)(unsafe.Add(p, i)) }

// Store writes eight bytes at p+i.
func Store(p unsafe.Pointer, i int, v uint64) { *(*uint64)(unsafe.Add(p, i)) = v }

// Put writes one byte at p+i.
func Put(p unsafe.Pointer, i int, c byte) { *(*byte)(unsafe.Add(p, i)) = c }

// touch is an assembly instruction that checks the bounds of a whole struct once.
func touch[T any](*T) {}

// Copy copies n bytes from src+i to dst+o. The ranges may overlap.
func Copy(dst unsafe.Pointer, o int, src unsafe.Pointer, i int, n int) {
	copy(unsafe.Slice((*byte)(unsafe.Add(dst, o)), n), unsafe.Slice((*byte)(unsafe.Add(src, i)), n))
}

// Nondigits sets the high bit of the first byte that is no digit in eight characters XORed with [Zeros]; higher bytes
// may be wrong.
func Nondigits(w uint64) uint64 { return (w + 0x7676767676767676 | w) & Highs }

// hexDigits sets the high bit of each hexadecimal digit.
func hexDigits(w uint64) uint64 {
	return (((w&^Highs)+Ones*(0x80-'0'))&^((w&^Highs)+Ones*(0x80-'9'-1)) |
		((w&^Highs|Ones*0x20)+Ones*(0x80-'a'))&^((w&^Highs|Ones*0x20)+Ones*(0x80-'f'-1))) &^ w & Highs
}
