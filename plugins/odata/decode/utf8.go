package decode

import (
	"unicode/utf8"
	"unsafe"

	"github.com/culvert-project/culvert/plugins/odata/decode/fast"
)

func validUTF8(text []byte) bool { return utf8.Valid(text) }

// putRune writes a rune at s and returns its size.
func putRune(arena unsafe.Pointer, s int, r rune) int {
	if r < utf8.RuneSelf {
		fast.Put(arena, s, byte(r))
		return 1
	}
	var b [4]byte
	n := utf8.EncodeRune(b[:], r)
	for i := range n {
		fast.Put(arena, s+i, b[i])
	}
	return n
}
