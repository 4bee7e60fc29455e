package chain

import (
	"math/big"
	"strconv"
	"strings"

	"github.com/culvert-project/culvert/sdk/go/setting"
	"github.com/culvert-project/culvert/wit"
	"github.com/culvert-project/culvert/wit/datum"
)

// decimal is a java.math.BigDecimal.
type decimal struct {
	unscaled *big.Int
	scale    int64
	// text is what it was read from.
	text string
}

// parseDecimal reads a text as the constructor of BigDecimal does; ok is false where that throws.
func parseDecimal(text string) (d decimal, ok bool) {
	text = setting.ASCIIDigits(text)
	mantissa, exponent := text, int64(0)
	if at := strings.IndexAny(text, "eE"); at >= 0 {
		mantissa = text[:at]
		n, err := strconv.ParseInt(text[at+1:], 10, 32)
		if err != nil {
			return d, false
		}
		exponent = n
	}
	sign := strings.TrimLeft(mantissa[:min(1, len(mantissa))], "0123456789.")
	if sign != "" && sign != "+" && sign != "-" {
		return d, false
	}
	whole, part, _ := strings.Cut(mantissa[len(sign):], ".")
	digits := whole + part
	if digits == "" || strings.Trim(digits, "0123456789") != "" {
		return d, false
	}
	d.scale = int64(len(part)) - exponent
	if int64(int32(d.scale)) != d.scale {
		return d, false
	}
	d.unscaled, ok = new(big.Int).SetString(sign+digits, 10)
	d.text = text
	return d, ok
}

// long is longValue: the low 64 bits of the whole part.
func (d decimal) long() int64 {
	switch {
	case d.scale <= -64: // a multiple of 2 to the 64th
		return 0
	case d.scale > int64(len(d.text)): // a fraction
		return 0
	}
	whole := new(big.Int).Set(d.unscaled)
	power := new(big.Int).Exp(big.NewInt(10), big.NewInt(max(d.scale, -d.scale)), nil)
	if d.scale > 0 {
		whole.Quo(whole, power)
	} else {
		whole.Mul(whole, power)
	}
	return int64(low64(whole))
}

// low64 is the low 64 bits of two's complement.
func low64(n *big.Int) uint64 {
	mask := new(big.Int).SetUint64(1<<64 - 1)
	return mask.And(n, mask).Uint64()
}

// float is doubleValue.
func (d decimal) float() float64 {
	if d.unscaled.Sign() == 0 {
		return 0 // a BigDecimal has no negative zero
	}
	f, _ := strconv.ParseFloat(d.text, 64) // beyond the range it is infinite, and of too small ones the sign is left
	return f
}

// fits tells whether the format of values has room for the number.
func (d decimal) fits() bool {
	return d.scale >= -datum.MaxScale && d.scale <= datum.MaxScale && len(d.unscaled.Bytes()) < datum.MaxDecimalBytes
}

// scaleOf is the scale that a Decimal's schema gives its values.
func scaleOf(n *wit.Node) (int64, bool) {
	for _, p := range n.Parameters {
		if p.Name == "scale" {
			scale, err := strconv.ParseInt(p.Value, 10, 32)
			return scale, err == nil
		}
	}
	return 0, false
}
