package java

import "strconv"

// maxDigits is the maximum number of digits of a number, which is Jackson's.
const maxDigits = 1000

// ScanJSONNumber scans the number at data[i] like Jackson with Kafka's settings, which allow leading zeros. end is the
// index after it; isInteger reports whether it has neither point nor exponent. expected is empty for a valid number,
// else it describes what was expected at end.
func ScanJSONNumber(data []byte, i int) (end int, isInteger bool, expected string) {
	numberStart := i
	nonDigits := 0 // signs, point and e
	if i < len(data) && data[i] == '-' {
		i++
		nonDigits++
	}
	start := i // of the current digits
	if i = digitsEnd(data, i); i == start {
		return i, false, "a value"
	}
	isInteger = true
	if i < len(data) && data[i] == '.' {
		isInteger = false
		start = i + 1
		nonDigits++
		if i = digitsEnd(data, start); i == start {
			return i, false, "a digit behind the decimal point"
		}
	}
	if i < len(data) && data[i]|0x20 == 'e' {
		isInteger = false
		i++
		nonDigits++
		if i < len(data) && (data[i] == '+' || data[i] == '-') {
			i++
			nonDigits++
		}
		start = i
		if i = digitsEnd(data, start); i == start {
			return i, false, "a digit of the exponent"
		}
		const safeDigits = 9 // any number of 9 digits fits 32 bits
		if i-start > safeDigits {
			if _, err := strconv.ParseInt(string(data[start:i]), 10, 32); err != nil {
				return start, false, "an exponent of 32 bits"
			}
		}
	}
	if i-numberStart-nonDigits > maxDigits {
		return numberStart, false, "a number of at most " + strconv.Itoa(maxDigits) + " digits"
	}
	return i, isInteger, ""
}

// digitsEnd returns the index after the digits at data[i], which may be none.
func digitsEnd(data []byte, i int) int {
	for i < len(data) && data[i]-'0' < 10 { // bytes below '0' wrap around
		i++
	}
	return i
}
