// Package connectdata encodes and decodes the bytes in a batch, which wit/encoding.md describes: values with a schema
// (Avro binary), schemaless values (tagged) and headers. Host, SDK and plugins share it; it depends only on package
// wit. Use the Append functions, [Number], [LengthPrefixed] and [Skip] where speed matters, else the value trees of
// [Read] and [Append].
package connectdata

import (
	"encoding/binary"
	"math"
	"math/big"
)

// Limits of values. Reading a value that exceeds them returns an error.
const (
	MaxDepth = 1000 // the maximum nesting of values, which are processed recursively
	// MaxDecimalBytes is the maximum size of the unscaled value of a decimal, about 9,800 digits. The time to read or
	// write digits grows with the square of their number.
	MaxDecimalBytes = 4096
	// MaxEmptyStructs bounds the structs without bytes in a value: an array of a few bytes could have any number.
	MaxEmptyStructs = 10_000
	MaxHeaders      = 10_000 // the maximum number of headers of a row
	// MaxTreeValues bounds the values that [Read] and [ReadSchemaless] create, each some 30 times its encoded size.
	MaxTreeValues = 1_000_000
)

// maxNumber is the maximum size of a number in bytes.
const maxNumber = 10

// AppendNumber appends a number in zigzag encoding, seven bits a byte, low bits first.
func AppendNumber(dst []byte, n int64) []byte {
	u := uint64(n)<<1 ^ uint64(n>>63)
	for u >= 0x80 {
		dst = append(dst, byte(u)|0x80)
		u >>= 7
	}
	return append(dst, byte(u))
}

// Number reads a number. size is its size in bytes, 0 if b ends inside it, -1 if it has more than 64 bits.
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

// AppendBoolean appends 0 or 1.
func AppendBoolean(dst []byte, v bool) []byte {
	if v {
		return append(dst, 1)
	}
	return append(dst, 0)
}

// AppendString appends the length in bytes and the string.
func AppendString(dst []byte, s string) []byte {
	return append(AppendNumber(dst, int64(len(s))), s...)
}

// AppendBytes appends the length and the bytes. Strings have the same encoding.
func AppendBytes(dst, b []byte) []byte { return append(AppendNumber(dst, int64(len(b))), b...) }

// LengthPrefixed reads the result of [AppendString] or [AppendBytes]. content aliases data. size is the size in bytes
// with the length, 0 if data ends inside it, -1 if the length is negative or invalid.
func LengthPrefixed(data []byte) (content []byte, size int) {
	n, k := Number(data)
	if k <= 0 {
		return nil, k
	}
	if n < 0 {
		return nil, -1
	}
	if n > int64(len(data)-k) {
		return nil, 0
	}
	end := k + int(n)
	return data[k:end:end], end
}

// PutCount writes a count at start, where one byte is reserved for it. A larger count moves the following bytes.
func PutCount(dst []byte, start, count int) []byte {
	if count < 64 { // its zigzag number has one byte
		dst[start] = byte(count << 1)
		return dst
	}
	var head [maxNumber]byte
	size := len(AppendNumber(head[:0], int64(count)))
	dst = append(dst, head[:size-1]...)
	copy(dst[start+size:], dst[start+1:len(dst)-size+1])
	copy(dst[start:], head[:size])
	return dst
}

// AppendFloat32 appends 4 bytes, little-endian, with the same bit pattern.
func AppendFloat32(dst []byte, v float32) []byte {
	return binary.LittleEndian.AppendUint32(dst, math.Float32bits(v))
}

// AppendFloat64 appends 8 bytes, little-endian, with the same bit pattern.
func AppendFloat64(dst []byte, v float64) []byte {
	return binary.LittleEndian.AppendUint64(dst, math.Float64bits(v))
}

// AppendDecimal appends the unscaled value of a decimal: a length, then two's complement, big-endian, of minimum size.
func AppendDecimal(dst []byte, unscaled *big.Int) []byte {
	if unscaled.IsInt64() {
		return AppendDecimal64(dst, unscaled.Int64())
	}
	return AppendBytes(dst, twosComplement(unscaled))
}

// AppendDecimal64 is [AppendDecimal] for a value of 64 bits. It does not allocate.
func AppendDecimal64(dst []byte, unscaled int64) []byte {
	n := 8
	for n > 1 {
		// the top byte is redundant if it only repeats the sign of the next one
		if top := unscaled >> (8*n - 9); top != 0 && top != -1 {
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

// Unscaled returns the value of a decimal's bytes: two's complement, big-endian. No bytes are 0.
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
		if len(b) == 0 || b[0]&0x80 != 0 { // its highest bit would be a sign
			b = append([]byte{0}, b...)
		}
		return b
	}
	// -2^(8n-1) is the smallest number of n bytes
	n := (new(big.Int).Not(v).BitLen())/8 + 1
	b := new(big.Int).Add(v, new(big.Int).Lsh(big.NewInt(1), uint(8*n))).Bytes()
	for len(b) < n {
		b = append([]byte{0}, b...)
	}
	return b
}
