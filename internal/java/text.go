// Package java implements parts of Java's standard library that host and plugins need. Guests may import it: it depends
// only on the standard library. Strings and numbers of JSON are as in Jackson, which Kafka Connect uses.
package java

import (
	"math"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// AppendFloat appends a number as Java's Float.toString (bits 32) or Double.toString (bits 64) formats it: with at
// least one digit before and after the point, and an exponent (E7, without a plus sign) from 10^7 up and below 10^-3.
// It has the fewest digits that read back as the same number, at least two, like Java since release 19; older releases
// write one or two more for some numbers (1.17549435E-38 for 1.1754944E-38). Other values are NaN, Infinity and
// -Infinity.
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
	var buffer [32]byte
	scientific := strconv.AppendFloat(buffer[:0], v, 'e', -1, bits)
	if scientific[0] == '-' {
		dst = append(dst, '-')
		scientific = scientific[1:]
	}
	if scientific[1] == 'e' {
		// One digit suffices: Java takes the closest of two digits (4.9E-324, not 5.0E-324).
		var twoDigitBuffer [32]byte
		twoDigits := strconv.AppendFloat(twoDigitBuffer[:0], math.Abs(v), 'e', 1, bits)
		if parsed, err := strconv.ParseFloat(string(twoDigits), bits); err == nil && parsed == math.Abs(v) {
			scientific = append(buffer[:0], twoDigits...)
		}
	}
	// A number such as 1.25e-07 has the digits 125, without trailing zeros, and the exponent -7.
	exponent := 0
	e := 0
	for scientific[e] != 'e' {
		e++
	}
	for _, c := range scientific[e+2:] {
		exponent = exponent*10 + int(c-'0')
	}
	if scientific[e+1] == '-' {
		exponent = -exponent
	}
	digits := scientific[:1]
	if e > 1 {
		digits = append(digits, scientific[2:e]...)
	}
	for len(digits) > 1 && digits[len(digits)-1] == '0' {
		digits = digits[:len(digits)-1]
	}
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

// AppendJSONFloat is [AppendFloat] for JSON as Jackson writes it: NaN and infinities are in quotation marks.
func AppendJSONFloat(dst []byte, v float64, bits int) []byte {
	if v-v == 0 { // v is finite
		return AppendFloat(dst, v, bits)
	}
	return append(AppendFloat(append(dst, '"'), v, bits), '"')
}

// Trim is Java's String.trim, which Kafka applies to settings: it removes characters up to U+0020 at both ends, but no
// other spaces such as U+00A0.
func Trim(text string) string { return strings.TrimFunc(text, func(r rune) bool { return r <= ' ' }) }

// ASCIIDigits replaces the decimal digits of other scripts by 0 to 9, because Java accepts them in integers and in
// BigDecimal. Digits above U+FFFF are unchanged, like in Java.
func ASCIIDigits(text string) string {
	return strings.Map(func(r rune) rune {
		if d := Digit(r); d >= 0 {
			return '0' + rune(d)
		}
		return r
	}, text)
}

// Digit returns the value of a decimal digit of any script up to U+FFFF, or -1. The digits of a script are consecutive.
func Digit(r rune) int {
	if r >= '0' && r <= '9' {
		return int(r - '0')
	}
	if r >= utf8.RuneSelf && r <= 0xffff && unicode.Is(unicode.Nd, r) {
		for _, digitRange := range unicode.Nd.R16 { // of tens
			if rune(digitRange.Lo) <= r && r <= rune(digitRange.Hi) {
				return int(r-rune(digitRange.Lo)) % 10
			}
		}
	}
	return -1
}
