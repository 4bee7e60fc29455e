package connectjson

import (
	"encoding/binary"
	"math/bits"

	"github.com/culvert-project/culvert/wit/connectdata"
)

// wholeNumber is [connectdata.Number] of in[i:], with a fast path for up to eight bytes: timestamps have six.
func wholeNumber(in []byte, i int) (v int64, size int) {
	if len(in)-i >= 8 {
		x := binary.LittleEndian.Uint64(in[i:])
		if ends := ^x & 0x8080808080808080; ends != 0 {
			last := bits.TrailingZeros64(ends) // the highest bit of the last byte
			// Clear the bytes after the number, then join neighbouring groups of 7, 14 and 28 bits.
			x &= 2<<last - 1
			x = x&0x007f007f007f007f | x&0x7f007f007f007f00>>1
			x = x&0x00003fff00003fff | x&0x3fff00003fff0000>>2
			x = x&0x000000000fffffff | x&0x0fffffff00000000>>4
			return int64(x>>1) ^ -int64(x&1), last/8 + 1
		}
	}
	return connectdata.Number(in[i:])
}
