package json

import "strconv"

// maxDigits is Jackson's maximum number of digits.
const maxDigits = 1000

// ScanNumber reads the number at data[i] like Jackson with Kafka's settings, which allow leading zeros. end is the
// index after it; whole reports whether it has neither point nor exponent. If it is invalid, expected describes what
// was expected at end.
func ScanNumber(data []byte, i int) (end int, whole bool, expected string) {
	from := i
	marks := 0
	if i < len(data) && data[i] == '-' {
		i = i + 1
		marks = 1
	}
	start := i
	if i = digits(data, i); i == start {
		return i, false, "a value"
	}
	whole = true
	if i < len(data) && data[i] == '.' {
		whole = false
		start = i + 1
		marks = marks + 1
		if i = digits(data, start); i == start {
			return i, false, "a digit behind the decimal point"
		}
	}
	if i < len(data) && data[i]|0x20 == 'e' {
		whole = false
		i = i + 1
		marks = marks + 1
		if i < len(data) && (data[i] == '+' || data[i] == '-') {
			i = i + 1
			marks = marks + 1
		}
		start = i
		if i = digits(data, start); i == start {
			return i, false, "a digit of the exponent"
		}
		const fits = 9 // digits in 32 bits
		if i-start > fits {
			if _, err := strconv.ParseInt(string(data[start:i]), 10, 32); err != nil {
				return start, false, "an exponent of 32 bits"
			}
		}
	}
	if i-from-marks > maxDigits {
		return from, false, "a number of at most " + strconv.Itoa(maxDigits) + " digits"
	}
	return i, whole, ""
}

// digits returns the end of the digits at i.
func digits(data []byte, i int) int {
	for i < len(data) && data[i]-'0' < 10 {
		i++
	}
	return i
}
