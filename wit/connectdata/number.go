// Package connectdata reads and writes the bytes inside a batch as wit/encoding.md describes them: structured values
// (Avro binary by a schema of the contract), dynamic values (tagged), blocks of headers. Host, SDK and guests share it,
// so it depends on nothing but package wit; hot paths use the Append functions, [Number], [LengthPrefixed] and [Skip],
// slow ones the value trees of [Read] and [Append].
package connectdata

import (
	"encoding/binary"
	"math"
	"math/big"
)

// What a value may be. Readers refuse more.
const (
	// MaxDepth is how deep structured and dynamic values may nest: walks over them are recursive.
	MaxDepth = 1000
	// MaxDecimalBytes is how many bytes the unscaled value of a decimal may have, which is some 9,800 digits: to write
	// or read digits takes time that grows with the square of their number.
	MaxDecimalBytes = 4096
	// MaxEmptyStructs is how many structures of one datum may have no bytes, for want of members that have any: a
	// count of some bytes in front of an array would make any number of them.
	MaxEmptyStructs = 10_000
	// MaxHeaders is how many headers a row may have.
	MaxHeaders = 10_000
	// MaxTreeValues is how many values [Read] and [ReadSchemaless] make of a datum: each is some 30 times as large as
	// the byte that it may be made of.
	MaxTreeValues = 1_000_000
)

// maxNumber is the most bytes that a number takes.
const maxNumber = 10

// AppendNumber writes a number: zigzag, then seven bits a byte, low ones first.
func AppendNumber(dst []byte, n int64) []byte {
	u := uint64(n)<<1 ^ uint64(n>>63)
	for u >= 0x80 {
		dst = append(dst, byte(u)|0x80)
		u >>= 7
	}
	return append(dst, byte(u))
}

// Number reads a number. size is the number of bytes that it took: 0 when b ends inside it, -1 when it is longer than
// 64 bits.
func Number(b []byte) (n int64, size int) {
	var u uint64
	for i := 0; i < len(b); i++ {
		c := b[i]
		if i == maxNumber-1 && c > 1 {
			return 0, -1
		}
		u |= uint64(c&0x7f) << (7 * i)
		if c < 0x80 {
			return int64(u>>1) ^ -int64(u&1), i + 1
		}
	}
	return 0, 0
}

// AppendBoolean writes 00 or 01.
func AppendBoolean(dst []byte, v bool) []byte {
	if v {
		return append(dst, 1)
	}
	return append(dst, 0)
}

// AppendString writes the number of bytes and the bytes.
func AppendString(dst []byte, s string) []byte {
	return append(AppendNumber(dst, int64(len(s))), s...)
}

// AppendBytes writes the number of bytes and the bytes; a text that is held as bytes is written so too.
func AppendBytes(dst, b []byte) []byte {
	return append(AppendNumber(dst, int64(len(b))), b...)
}

// LengthPrefixed reads what [AppendString] and [AppendBytes] wrote. content aliases b. size is 0 when b ends inside it,
// -1 when the length is negative or no number.
func LengthPrefixed(b []byte) (content []byte, size int) {
	n, k := Number(b)
	if k <= 0 {
		return nil, k
	}
	if n < 0 {
		return nil, -1
	}
	if n > int64(len(b)-k) {
		return nil, 0
	}
	end := k + int(n)
	return b[k:end:end], end
}

// PutCount writes a count at start, where one byte was left for it. A longer count moves the bytes after it.
func PutCount(dst []byte, start, count int) []byte {
	if count < 64 {
		dst[start] = byte(count << 1)
		return dst
	}
	var head [10]byte
	size := len(AppendNumber(head[:0], int64(count)))
	dst = append(dst, head[:size-1]...)
	copy(dst[start+size:], dst[start+1:len(dst)-size+1])
	copy(dst[start:], head[:size])
	return dst
}

// AppendFloat32 writes 4 bytes, little-endian, the bit pattern kept.
func AppendFloat32(dst []byte, v float32) []byte {
	return binary.LittleEndian.AppendUint32(dst, math.Float32bits(v))
}

// AppendFloat64 writes 8 bytes, little-endian, the bit pattern kept.
func AppendFloat64(dst []byte, v float64) []byte {
	return binary.LittleEndian.AppendUint64(dst, math.Float64bits(v))
}

// AppendDecimal writes the unscaled value of a Decimal: bytes holding two's complement, big-endian, shortest.
func AppendDecimal(dst []byte, unscaled *big.Int) []byte {
	if unscaled.IsInt64() {
		return AppendDecimal64(dst, unscaled.Int64())
	}
	return AppendBytes(dst, twosComplement(unscaled))
}

// AppendDecimal64 is [AppendDecimal] for a value that fits 64 bits; it allocates nothing.
func AppendDecimal64(dst []byte, unscaled int64) []byte {
	n := 8
	for n > 1 {
		// the top byte may go when it only repeats the sign of the next one
		top := unscaled >> (8*n - 9)
		if top != 0 && top != -1 {
			break
		}
		n--
	}
	dst = append(dst, byte(n<<1))
	for i := n - 1; i >= 0; i-- {
		dst = append(dst, byte(unscaled>>(8*i)))
	}
	return dst
}

// Unscaled reads two's complement, big-endian: the value of a Decimal's bytes. No bytes are 0.
func Unscaled(b []byte) *big.Int {
	v := new(big.Int).SetBytes(b)
	if len(b) > 0 && b[0]&0x80 != 0 {
		v.Sub(v, new(big.Int).Lsh(big.NewInt(1), uint(8*len(b))))
	}
	return v
}

func twosComplement(v *big.Int) []byte {
	if v.Sign() >= 0 {
		b := v.Bytes()
		if len(b) == 0 || b[0]&0x80 != 0 {
			b = append([]byte{0}, b...)
		}
		return b
	}
	// -2^(8n-1) is the smallest that n bytes hold
	n := (new(big.Int).Not(v).BitLen())/8 + 1
	b := new(big.Int).Add(v, new(big.Int).Lsh(big.NewInt(1), uint(8*n))).Bytes()
	for len(b) < n {
		b = append([]byte{0}, b...)
	}
	return b
}
