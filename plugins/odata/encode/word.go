// Package encode holds the loops that make writing fast in a guest of stock Go: rows become JSON, parts become the body
// of a batch, and the headers of its answer are gone over. They are Wasm assembly that plugins/assembler makes of
// kernel.go; other machines, and the tests, run the Go.
//
// Nothing here checks the bounds of memory but those of the values in a row: the caller leaves [Room] bytes after what
// is read, unless a function says otherwise, and after what is written.
package encode

import "unsafe"

// Room is how many bytes may be read after a text, and written after a result.
const Room = 64

const (
	ones  = 0x0101010101010101
	highs = 0x8080808080808080
	// zeros is '0' in each byte.
	zeros = 0x3030303030303030
)

// Load reads eight bytes at p+i, the first one lowest.
func Load(p unsafe.Pointer, i int) uint64 { return *(*uint64)(unsafe.Add(p, i)) }

// Byte reads one byte at p+i.
func Byte(p unsafe.Pointer, i int) byte { return *(*byte)(unsafe.Add(p, i)) }

// Store writes eight bytes at p+i.
func Store(p unsafe.Pointer, i int, v uint64) { *(*uint64)(unsafe.Add(p, i)) = v }

// Put writes one byte at p+i.
func Put(p unsafe.Pointer, i int, c byte) { *(*byte)(unsafe.Add(p, i)) = c }

// Copy copies n bytes from q+j to p+i.
func Copy(p unsafe.Pointer, i int, q unsafe.Pointer, j int, n int) {
	copy(unsafe.Slice((*byte)(unsafe.Add(p, i)), n), unsafe.Slice((*byte)(unsafe.Add(q, j)), n))
}

// stops has the high bit of the first byte that ends a plain run of a JSON text: a quote, a backslash, a control
// character. Bytes above it may be wrong; none is set where there is no such byte.
func stops(x uint64) uint64 {
	return (((x ^ ones*0x02) - ones*0x21) | ((x ^ ones*'\\') - ones)) &^ x & highs
}

// stopsXML has the high bit of the first byte that the text of an element does not hold as it is, or may not: an
// ampersand, an angle bracket, a control character. Bytes above it may be wrong; none is set where there is no such
// byte.
func stopsXML(x uint64) uint64 {
	return ((x - ones*0x20) | ((x ^ ones*'&') - ones) | (((x | ones*0x02) ^ ones*'>') - ones)) &^ x & highs
}

// nondigits turns eight characters, given with '0' taken out of each, into a mask that is 0 where all are digits.
func nondigits(w uint64) uint64 { return (w + 0x7676767676767676 | w) & highs }

// lower makes letters of ASCII small. It sets one bit of all characters, which makes others of some: a control
// character becomes a digit or a sign, as the carriage return becomes a hyphen. So the text compared must have none:
// the lines that are compared end before the first one, and what a word has of the line end after a short name
// ("*" for its line feed) is in no name that is looked for.
func lower(w uint64) uint64 { return w | ones*0x20 }
