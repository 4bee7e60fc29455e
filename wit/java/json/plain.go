package json

import (
	"encoding/binary"
	"math/bits"
)

// isUnescaped is the bytes that stand in a string as they are: those of ASCII but control characters, quotation mark
// and backslash.
var isUnescaped = func() (t [256]bool) {
	for c := 0x20; c < 0x80; c++ {
		t[c] = c != '"' && c != '\\'
	}
	return t
}()

// UnescapedPrefix returns how many bytes at the beginning of s are written to a string as they are: ASCII but control
// characters, quotation mark and backslash.
func UnescapedPrefix(s []byte) int {
	i := 0
	for ; len(s)-i >= 8; i += 8 {
		if m := escapedMask(binary.LittleEndian.Uint64(s[i:])) & tops; m != 0 {
			return i + bits.TrailingZeros64(m)/8
		}
	}
	for i < len(s) && isUnescaped[s[i]] {
		i++
	}
	return i
}

const ones, tops = 0x0101010101010101, 0x8080808080808080

// escapedMask has the top bit set of the first of 8 bytes that is not plain; bits of bytes above that one mean nothing.
// With bit 1 turned over, control characters and the quotation mark are what is below 0x21.
func escapedMask(w uint64) uint64 {
	return w | (w ^ ones*2 - ones*0x21) | (w ^ ones*'\\' - ones)
}
