package scan

import "encoding/binary"

// Repeat returns a word of eight bytes c.
func Repeat(c byte) uint64 { return uint64(c) * ones }

const ones, highs = 0x0101010101010101, 0x8080808080808080

// PlainPrefix returns the size of a prefix of text that has only printable ASCII, and none of the three bytes that are
// excluded, each in a word of [Repeat]. It reads whole words, so more plain bytes may follow.
func PlainPrefix(text []byte, a, b, c uint64) int {
	size := 0
	for len(text)-size >= 8 {
		word := binary.LittleEndian.Uint64(text[size:])
		// A byte that is 0 borrows from its high bit.
		if (word|(word-' '*ones)|((word^a)-ones)|((word^b)-ones)|((word^c)-ones))&highs != 0 {
			break
		}
		size += 8
	}
	return size
}
