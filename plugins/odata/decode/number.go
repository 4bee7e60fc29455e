package decode

import (
	"math"
	"math/big"
	"strconv"

	"github.com/culvert-project/culvert/plugins/odata/edm"
	"github.com/culvert-project/culvert/plugins/odata/scan"
	"github.com/culvert-project/culvert/wit/connectdata"
)

// parseFloat reads digits with point and exponent, or INF, -INF, NaN and their long forms.
func parseFloat(text []byte, bits int) (float64, bool) {
	switch string(text) {
	case "NaN":
		return math.NaN(), true
	case "INF", "+INF", "Infinity":
		return math.Inf(1), true
	case "-INF", "-Infinity":
		return math.Inf(-1), true
	}
	for _, c := range text { // ParseFloat would also accept hexadecimal, underscores and words
		if (c < '0' || c > '9') && c != '.' && c != '-' && c != '+' && c != 'e' && c != 'E' {
			return 0, false
		}
	}
	v, err := strconv.ParseFloat(string(text), bits)
	return v, err == nil
}

// decimal is a number: its digits, without leading zeros, times ten to the power of exponent.
type decimal struct {
	negative bool
	digits   []byte
	exponent int
}

const maxExponent = 400 // Edm.Decimal has 29 digits, SAP's 37

// parse sets the number to a text of digits with point and exponent. It returns false for other texts.
func (d *decimal) parse(text []byte) bool {
	d.negative = false
	d.digits = d.digits[:0]
	d.exponent = 0
	i := 0
	if i < len(text) && (text[i] == '-' || text[i] == '+') {
		d.negative = text[i] == '-'
		i++
	}
	var hasDigits, hasPoint bool
	for ; i < len(text); i++ {
		switch c := text[i]; {
		case '0' <= c && c <= '9':
			hasDigits = true
			if len(d.digits) == 2*maxExponent {
				return false
			}
			if c != '0' || len(d.digits) > 0 {
				d.digits = append(d.digits, c)
			}
			if hasPoint {
				d.exponent--
			}
		case c == '.' && !hasPoint:
			hasPoint = true
		case (c == 'e' || c == 'E') && hasDigits:
			e, ok := scan.Integer(text[i+1:], -maxExponent, maxExponent)
			d.exponent += int(e)
			return ok
		default:
			return false
		}
	}
	return hasDigits
}

// shift changes the number to a scale, so that digits hold the unscaled value. It returns false if rounding does not
// allow to drop nonzero digits, or if the number is too large.
func (d *decimal) shift(scale int, rounding edm.Rounding) bool {
	places := d.exponent + scale
	d.exponent = -scale
	if len(d.digits) == 0 {
		return true
	}
	for ; places > 0; places-- {
		d.digits = append(d.digits, '0')
		if len(d.digits) > 2*maxExponent {
			return false
		}
	}
	if places == 0 {
		return true
	}
	drop := -places
	keep := max(len(d.digits)-drop, 0)
	isZero, half := compareHalf(d.digits[keep:], drop)
	isOdd := keep > 0 && (d.digits[keep-1]-'0')%2 == 1
	d.digits = d.digits[:keep]
	if isZero {
		return true
	}
	if rounding == edm.RoundFail {
		return false
	}
	if roundsAway(rounding, half, isOdd, d.negative) {
		d.increment()
	}
	return true
}

// compareHalf compares the dropped digits, at this number of places, with zero and with half a unit of the last digit
// that stays (-1, 0, 1).
func compareHalf(digits []byte, places int) (isZero bool, half int) {
	isZero = true
	for _, c := range digits {
		isZero = isZero && c == '0'
	}
	if len(digits) < places || digits[0] < '5' { // fewer digits than places have zeros before them
		return isZero, -1
	}
	if digits[0] > '5' {
		return isZero, 1
	}
	for _, c := range digits[1:] {
		if c != '0' {
			return isZero, 1
		}
	}
	return isZero, 0
}

// roundsAway reports whether dropped digits, which are not all zero, increase the absolute value.
func roundsAway(rounding edm.Rounding, half int, odd, negative bool) bool {
	switch rounding {
	case edm.RoundHalfEven:
		return half > 0 || (half == 0 && odd)
	case edm.RoundHalfUp:
		return half >= 0
	case edm.RoundHalfDown:
		return half > 0
	case edm.RoundUp:
		return true
	case edm.RoundFloor:
		return negative
	case edm.RoundCeiling:
		return !negative
	}
	return false
}

func (d *decimal) increment() {
	for i := len(d.digits) - 1; i >= 0; i-- {
		if d.digits[i] != '9' {
			d.digits[i]++
			return
		}
		d.digits[i] = '0'
	}
	d.digits = append(d.digits, '0')
	copy(d.digits[1:], d.digits)
	d.digits[0] = '1'
}

// appendDecimal writes the text by the column's mapping. expected is empty if the value fits.
func (d *decimal) appendDecimal(dst []byte, column *Column, text []byte) (out []byte, expected string) {
	if !d.parse(text) {
		return dst, "Edm.Decimal"
	}
	if column.Mapping == Float64Mapping {
		v, ok := parseFloat(text, 64)
		if !ok {
			return dst, expectedRange + "double"
		}
		return connectdata.AppendFloat64(dst, v), ""
	}
	scale := column.Scale
	if column.Mapping == Int64Mapping {
		scale = 0
	}
	if !d.shift(scale, column.Rounding) {
		return dst, expectedScale + strconv.Itoa(scale)
	}
	if column.Precision > 0 && len(d.digits) > column.Precision {
		return dst, expectedPrecision + strconv.Itoa(column.Precision) + " and scale " + strconv.Itoa(scale)
	}
	if small, ok := scan.Integer(d.digits, 0, math.MaxInt64); ok || len(d.digits) == 0 {
		if d.negative {
			small = -small
		}
		if column.Mapping == Int64Mapping {
			return connectdata.AppendNumber(dst, small), ""
		}
		return connectdata.AppendDecimal64(dst, small), ""
	}
	unscaled, _ := new(big.Int).SetString(string(d.digits), 10)
	if d.negative {
		unscaled.Neg(unscaled)
	}
	if column.Mapping == Int64Mapping {
		if !unscaled.IsInt64() {
			return dst, expectedRange + "long"
		}
		return connectdata.AppendNumber(dst, unscaled.Int64()), ""
	}
	return connectdata.AppendDecimal(dst, unscaled), ""
}
