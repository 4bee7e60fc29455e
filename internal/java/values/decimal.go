package values

import (
	"fmt"
	"math"
	"math/big"
	"math/bits"
	"strconv"
	"strings"

	"github.com/culvert-project/culvert/internal/java"
	"github.com/culvert-project/culvert/wit"
	"github.com/culvert-project/culvert/wit/connectdata"
)

// Decimal is a java.math.BigDecimal, made by [ParseDecimal] or [DecimalOf].
type Decimal struct {
	Unscaled *big.Int
	Scale    int64
	text     string // a form that strconv parses
}

// ParseDecimal parses a text like the constructor of BigDecimal. ok is false if that throws.
func ParseDecimal(text string) (d Decimal, ok bool) {
	text = java.ASCIIDigits(text)
	mantissa := text
	exponent := int64(0)
	if i := strings.IndexAny(text, "eE"); i >= 0 {
		mantissa = text[:i]
		n, err := strconv.ParseInt(text[i+1:], 10, 32)
		if err != nil {
			return d, false
		}
		exponent = n
	}
	unsigned := mantissa
	if mantissa != "" && (mantissa[0] == '+' || mantissa[0] == '-') {
		unsigned = mantissa[1:]
	}
	sign := mantissa[:len(mantissa)-len(unsigned)]
	integer, fraction, _ := strings.Cut(unsigned, ".")
	digits := integer + fraction
	if digits == "" || strings.Trim(digits, "0123456789") != "" {
		return d, false
	}
	d.Scale = int64(len(fraction)) - exponent
	if int64(int32(d.Scale)) != d.Scale {
		return d, false
	}
	d.Unscaled, ok = new(big.Int).SetString(sign+digits, 10)
	d.text = text
	return d, ok
}

// DecimalOf returns the BigDecimal of a schemaless value.
func DecimalOf(d connectdata.Decimal) Decimal {
	return Decimal{Unscaled: d.Unscaled, Scale: int64(d.Scale),
		text: d.Unscaled.String() + "e" + strconv.Itoa(-int(d.Scale))}
}

// Long is BigDecimal.longValue: the low 64 bits of the integer part.
func (d Decimal) Long() int64 {
	switch {
	case d.Scale <= -64: // a multiple of 2 to the 64th
		return 0
	case d.Scale > int64(len(d.text)): // more places than digits: below 1
		return 0
	}
	integer := new(big.Int).Set(d.Unscaled)
	power := new(big.Int).Exp(big.NewInt(10), big.NewInt(max(d.Scale, -d.Scale)), nil)
	if d.Scale > 0 {
		integer.Quo(integer, power)
	} else {
		integer.Mul(integer, power)
	}
	mask := new(big.Int).SetUint64(1<<64 - 1)
	return int64(mask.And(integer, mask).Uint64())
}

// Float is BigDecimal.floatValue (bitSize 32) or doubleValue (64).
func (d Decimal) Float(bitSize int) float64 {
	if d.Unscaled.Sign() == 0 {
		return 0 // a BigDecimal has no negative zero
	}
	f, _ := strconv.ParseFloat(d.text, bitSize) // out of range it is infinite or a signed zero
	return f
}

// Fits reports whether scale and size are within the limits of package connectdata.
func (d Decimal) Fits() bool {
	return d.Scale >= -connectdata.MaxScale && d.Scale <= connectdata.MaxScale &&
		d.Unscaled.BitLen() < 8*connectdata.MaxDecimalBytes // with a bit for the sign
}

// ScaleOf returns the scale of a decimal's schema. problem is an error message for converters, or "". A scale outside
// the limits is returned too.
func ScaleOf(n *wit.SchemaNode) (scale int, problem string) {
	for _, p := range n.Parameters {
		if p.Name != wit.ParameterScale {
			continue
		}
		scale, err := strconv.ParseInt(p.Value, 10, 32)
		if err != nil || scale > connectdata.MaxScale || scale < -connectdata.MaxScale {
			problem = fmt.Sprintf("Invalid scale parameter found in Decimal schema: expected a scale from -%d to "+
				"%[1]d, found %.100q", connectdata.MaxScale, p.Value)
		}
		return int(scale), problem
	}
	return 0, "Invalid Decimal schema: scale parameter not found."
}

// Shortest removes leading bytes that only repeat the sign, like BigInteger.toByteArray.
func Shortest(b []byte) []byte {
	for len(b) > 1 && ((b[0] == 0 && b[1] < 0x80) || (b[0] == 0xff && b[1] >= 0x80)) {
		b = b[1:]
	}
	return b
}

// AppendDecimal appends an unscaled value (two's complement, big-endian) with a scale like BigDecimal.toString: plain,
// or with an exponent if the scale is negative or the number is below 10^-6. Up to 16 bytes it does not allocate.
func AppendDecimal(dst, unscaled []byte, scale int) []byte {
	unscaled = Shortest(unscaled)
	var buffer [64]byte
	digits, isNegative := appendUnscaled(buffer[:0], unscaled)
	if isNegative {
		dst = append(dst, '-')
	}
	adjusted := len(digits) - 1 - scale
	switch {
	case scale == 0:
		return append(dst, digits...)
	case scale > 0 && adjusted >= -6:
		intDigits := len(digits) - scale
		if intDigits > 0 {
			dst = append(append(dst, digits[:intDigits]...), '.')
			return append(dst, digits[intDigits:]...)
		}
		dst = append(dst, '0', '.')
		for ; intDigits < 0; intDigits++ {
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

// appendUnscaled appends the digits of the absolute value and reports whether the value is negative.
func appendUnscaled(dst, b []byte) (digits []byte, isNegative bool) {
	isNegative = len(b) > 0 && b[0] >= 0x80
	if len(b) > 16 {
		return new(big.Int).Abs(connectdata.Unscaled(b)).Append(dst, 10), isNegative
	}
	var hi, lo uint64
	if isNegative {
		hi = math.MaxUint64
		lo = math.MaxUint64
	}
	for _, c := range b {
		hi = hi<<8 | lo>>56
		lo = lo<<8 | uint64(c)
	}
	if isNegative {
		var borrow uint64
		lo, borrow = bits.Sub64(0, lo, 0)
		hi, _ = bits.Sub64(0, hi, borrow)
	}
	if hi == 0 {
		return strconv.AppendUint(dst, lo, 10), isNegative
	}
	// The absolute value is at most 2^127, so hi is below 1e19, as Div64 requires.
	upper, lower := bits.Div64(hi, lo, 1e19)
	dst = strconv.AppendUint(dst, upper, 10)
	// lower has 19 digits, with zeros in front.
	for limit := uint64(1e18); limit > lower && limit > 1; limit /= 10 {
		dst = append(dst, '0')
	}
	return strconv.AppendUint(dst, lower, 10), isNegative
}
