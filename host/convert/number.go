package convert

import (
	"encoding/binary"
	"math"
	"math/big"
	"math/bits"
	"strconv"

	"github.com/culvert-project/culvert/wit/datum"
)

// shortest drops bytes that only repeat the sign of the next one, as BigInteger.toByteArray has none.
func shortest(b []byte) []byte {
	for len(b) > 1 && (b[0] == 0 && b[1] < 0x80 || b[0] == 0xff && b[1] >= 0x80) {
		b = b[1:]
	}
	return b
}

// appendDecimal writes an unscaled value (two's complement, big-endian) and a scale in the form of Java's
// BigDecimal.toString: plain, or with an exponent where the scale is negative or the number is below 10^-6. Up to 16
// bytes it allocates nothing.
func appendDecimal(dst, unscaled []byte, scale int) []byte {
	unscaled = shortest(unscaled)
	var room [64]byte
	digits, negative := appendUnscaled(room[:0], unscaled)
	if negative {
		dst = append(dst, '-')
	}
	adjusted := len(digits) - 1 - scale
	switch {
	case scale == 0:
		return append(dst, digits...)
	case scale > 0 && adjusted >= -6:
		whole := len(digits) - scale
		if whole > 0 {
			dst = append(append(dst, digits[:whole]...), '.')
			return append(dst, digits[whole:]...)
		}
		dst = append(dst, '0', '.')
		for ; whole < 0; whole++ {
			dst = append(dst, '0')
		}
		return append(dst, digits...)
	}
	dst = append(dst, digits[0])
	if len(digits) > 1 {
		dst = append(append(dst, '.'), digits[1:]...)
	}
	if adjusted != 0 {
		dst = append(dst, 'E')
		if adjusted > 0 {
			dst = append(dst, '+')
		}
		dst = strconv.AppendInt(dst, int64(adjusted), 10)
	}
	return dst
}

// appendUnscaled writes the digits of the absolute value and tells the sign.
func appendUnscaled(dst, b []byte) (digits []byte, negative bool) {
	negative = len(b) > 0 && b[0] >= 0x80
	if len(b) > 16 {
		return new(big.Int).Abs(datum.Unscaled(b)).Append(dst, 10), negative
	}
	var hi, lo uint64
	if negative {
		hi, lo = math.MaxUint64, math.MaxUint64
	}
	for _, c := range b {
		hi, lo = hi<<8|lo>>56, lo<<8|uint64(c)
	}
	if negative {
		var borrow uint64
		lo, borrow = bits.Sub64(0, lo, 0)
		hi, _ = bits.Sub64(0, hi, borrow)
	}
	if hi == 0 {
		return strconv.AppendUint(dst, lo, 10), negative
	}
	// 2^127 has 39 digits, so the upper part fits 64 bits
	const chunk = 1e19
	upper, lower := bits.Div64(hi, lo, chunk)
	return padded(strconv.AppendUint(dst, upper, 10), lower), negative
}

// padded writes n with all 19 digits.
func padded(dst []byte, n uint64) []byte {
	for limit := uint64(1e18); limit > n && limit > 1; limit /= 10 {
		dst = append(dst, '0')
	}
	return strconv.AppendUint(dst, n, 10)
}

// wholeNumber is [datum.Number] of in[i:]. Numbers of up to eight bytes are read in one go where that many bytes are
// there: those of rows are mostly moments, of six.
func wholeNumber(in []byte, i int) (v int64, size int) {
	if len(in)-i >= 8 {
		x := binary.LittleEndian.Uint64(in[i:])
		if ends := ^x & 0x8080808080808080; ends != 0 {
			last := bits.TrailingZeros64(ends) // the highest bit of the last byte
			x &= 2<<last - 1
			x = x&0x007f007f007f007f | x&0x7f007f007f007f00>>1
			x = x&0x00003fff00003fff | x&0x3fff00003fff0000>>2
			x = x&0x000000000fffffff | x&0x0fffffff00000000>>4
			return int64(x>>1) ^ -int64(x&1), last/8 + 1
		}
	}
	return datum.Number(in[i:])
}
