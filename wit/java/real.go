// Package java holds what host and plugins both need of Java. It is safe for guests: it imports the standard library
// alone.
package java

import (
	"math"
	"strconv"
)

// AppendFloat appends a number as Java's Float.toString (bits 32) or Double.toString (bits 64) writes it: at least one
// digit on either side of the point, and an exponent (`E7`, no plus sign) from 10^7 up and below 10^-3. The digits are
// the shortest that read back as the same number, at least two, as Java has them since release 19; older releases write
// a digit or two too many for some numbers of extreme size (1.17549435E-38 for 1.1754944E-38). The others are NaN,
// Infinity and -Infinity.
func AppendFloat(dst []byte, v float64, bits int) []byte {
	switch {
	case v != v:
		return append(dst, "NaN"...)
	case math.IsInf(v, 1):
		return append(dst, "Infinity"...)
	case math.IsInf(v, -1):
		return append(dst, "-Infinity"...)
	case v == 0 && math.Signbit(v):
		return append(dst, "-0.0"...)
	}
	if n := int64(v); v > -1e7 && v < 1e7 && float64(n) == v {
		return append(strconv.AppendInt(dst, n, 10), ".0"...)
	}
	var room [32]byte
	text := strconv.AppendFloat(room[:0], v, 'e', -1, bits)
	if text[0] == '-' {
		dst, text = append(dst, '-'), text[1:]
	}
	if text[1] == 'e' {
		// One digit suffices: Java takes the closest of two digits (4.9E-324, not 5.0E-324).
		var second [32]byte
		two := strconv.AppendFloat(second[:0], math.Abs(v), 'e', 1, bits)
		if back, err := strconv.ParseFloat(string(two), bits); err == nil && back == math.Abs(v) {
			text = append(room[:0], two...)
		}
	}
	digits, exponent := split(text)
	switch {
	case exponent < -3 || exponent >= 7:
		dst = append(dst, digits[0], '.')
		if len(digits) == 1 {
			dst = append(dst, '0')
		}
		dst = append(append(dst, digits[1:]...), 'E')
		return strconv.AppendInt(dst, int64(exponent), 10)
	case exponent < 0:
		dst = append(dst, "0.00"[:1-exponent]...)
		return append(dst, digits...)
	}
	point := exponent + 1
	for len(digits) <= point {
		digits = append(digits, '0')
	}
	dst = append(append(dst, digits[:point]...), '.')
	return append(dst, digits[point:]...)
}

// AppendJSONFloat is [AppendFloat] in a JSON document as Jackson writes it: what is no number stands in quotes.
func AppendJSONFloat(dst []byte, v float64, bits int) []byte {
	if v-v == 0 {
		return AppendFloat(dst, v, bits)
	}
	return append(AppendFloat(append(dst, '"'), v, bits), '"')
}

// split takes `1.25e-07` apart: 125 and -7. Zeros at the end of the digits are dropped. It works inside text.
func split(text []byte) (digits []byte, exponent int) {
	e := 0
	for text[e] != 'e' {
		e++
	}
	for _, c := range text[e+2:] {
		exponent = exponent*10 + int(c-'0')
	}
	if text[e+1] == '-' {
		exponent = -exponent
	}
	digits = text[:1]
	if e > 1 {
		digits = append(digits, text[2:e]...)
	}
	for len(digits) > 1 && digits[len(digits)-1] == '0' {
		digits = digits[:len(digits)-1]
	}
	return digits, exponent
}
