package jsontext

import (
	"unicode/utf8"
	"unsafe"

	"github.com/culvert-project/culvert/plugins/odata/scan"
)

const hexDigits = "0123456789abcdef"

// plain holds the bytes that need no escape: ASCII except control characters, quotes and backslashes.
var plain = func() (table [256]bool) {
	for c := 0x20; c < utf8.RuneSelf; c++ {
		table[c] = c != '"' && c != '\\'
	}
	return table
}()

// AppendString appends a quoted string and replaces invalid UTF-8 by U+FFFD.
func AppendString(dst []byte, text string) []byte {
	dst, _ = AppendText(dst, unsafe.Slice(unsafe.StringData(text), len(text)))
	return dst
}

var quotes, backslashes = scan.Repeat('"'), scan.Repeat('\\')

// AppendText is AppendString for bytes. valid reports whether all of them are UTF-8.
func AppendText(dst, text []byte) (_ []byte, valid bool) {
	dst = append(dst, '"')
	valid = true
	from := 0
	for i := scan.PlainPrefix(text, quotes, backslashes, backslashes); i < len(text); {
		char := text[i]
		if plain[char] {
			i++
			continue
		}
		if char >= utf8.RuneSelf {
			if r, size := utf8.DecodeRune(text[i:]); r != utf8.RuneError || size > 1 {
				i += size
				continue
			}
			dst = append(append(dst, text[from:i]...), "\ufffd"...)
			valid = false
			i++
			from = i
			continue
		}
		dst = append(dst, text[from:i]...)
		switch char {
		case '"', '\\':
			dst = append(dst, '\\', char)
		case '\n':
			dst = append(dst, '\\', 'n')
		case '\r':
			dst = append(dst, '\\', 'r')
		case '\t':
			dst = append(dst, '\\', 't')
		default:
			dst = append(dst, '\\', 'u', '0', '0', hexDigits[char>>4], hexDigits[char&15])
		}
		i++
		from = i
	}
	return append(append(dst, text[from:]...), '"'), valid
}

// AppendInt appends a number in decimal digits. In Wasm it is faster than package strconv, because it makes no calls.
func AppendInt(dst []byte, number int64) []byte {
	remaining := uint64(number)
	if number < 0 {
		dst = append(dst, '-')
		remaining = -remaining
	}
	var digits [20]byte
	start := len(digits)
	for first := true; first || remaining > 0; first = false {
		quotient := remaining * 0xcccccccd >> 35 // remaining / 10 without a division, below 2^32
		if remaining >= 1<<32 {
			quotient = remaining / 10
		}
		start--
		digits[start] = byte('0' + remaining - 10*quotient)
		remaining = quotient
	}
	for ; start < len(digits); start++ {
		dst = append(dst, digits[start])
	}
	return dst
}

// Append appends a value as JSON text.
func Append(dst []byte, value Value) []byte {
	switch value.Kind {
	case False:
		return append(dst, "false"...)
	case True:
		return append(dst, "true"...)
	case Number:
		return append(dst, value.Text...)
	case String:
		return AppendString(dst, value.Text)
	case Array:
		dst = append(dst, '[')
		for i, item := range value.Items {
			if i > 0 {
				dst = append(dst, ',')
			}
			dst = Append(dst, item)
		}
		return append(dst, ']')
	case Object:
		dst = append(dst, '{')
		for i, member := range value.Members {
			if i > 0 {
				dst = append(dst, ',')
			}
			dst = append(AppendString(dst, member.Name), ':')
			dst = Append(dst, member.Value)
		}
		return append(dst, '}')
	}
	return append(dst, "null"...)
}

// NewString returns a string.
func NewString(text string) Value { return Value{Kind: String, Text: text} }

// NewBool returns true or false.
func NewBool(b bool) Value {
	if b {
		return Value{Kind: True}
	}
	return Value{Kind: False}
}

// NewObject returns an object with members in this order.
func NewObject(members ...Member) Value { return Value{Kind: Object, Members: members} }

// NewArray returns an array.
func NewArray(items ...Value) Value { return Value{Kind: Array, Items: items} }
