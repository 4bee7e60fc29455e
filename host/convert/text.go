package convert

import (
	"encoding/binary"
	"fmt"
	"math/bits"
	"unicode/utf16"
	"unicode/utf8"
)

// Bytes of a JSON string by how they are written: as they are, escaped, or only after a look at the whole text (beyond
// ASCII).
const (
	plain = iota
	escaped
	foreign
)

var manner = func() (t [256]uint8) {
	for c := range t {
		switch {
		case c < 0x20 || c == '"' || c == '\\':
			t[c] = escaped
		case c >= 0x80:
			t[c] = foreign
		}
	}
	return t
}()

// appendText writes a JSON string as Jackson does: quotation mark, backslash and control characters are escaped, and
// characters beyond U+FFFF as two surrogates; nothing else. ok is false when s is no UTF-8.
func appendText(dst, s []byte) (out []byte, ok bool) {
	dst = append(dst, '"')
	if plainRun(s) < len(s) {
		return appendOdd(dst, s)
	}
	dst = append(dst, s...)
	return append(dst, '"'), true
}

// plainBlock is the shortest text that plainBlocks takes.
const plainBlock = 32

// plainRun is how many bytes at the beginning of s are plain. It looks at 32 at once where the machine can, else at
// eight.
func plainRun(s []byte) int {
	if vectors && len(s) >= plainBlock {
		return plainBlocks(s)
	}
	i := 0
	for ; len(s)-i >= 8; i += 8 {
		if m := odd(binary.LittleEndian.Uint64(s[i:])) & tops; m != 0 {
			return i + bits.TrailingZeros64(m)/8
		}
	}
	for i < len(s) && manner[s[i]] == plain {
		i++
	}
	return i
}

const ones, tops = 0x0101010101010101, 0x8080808080808080

// odd has the top bit set of the first of 8 bytes that is not plain; bits of bytes above that one mean nothing. With
// bit 1 turned over, control characters and the quotation mark are what is below 0x21.
func odd(w uint64) uint64 {
	return w | (w ^ ones*2 - ones*0x21) | (w ^ ones*'\\' - ones)
}

const hex = "0123456789ABCDEF"

func appendOdd(dst, s []byte) ([]byte, bool) {
	if !utf8.Valid(s) {
		return dst, false
	}
	from := 0
	for i, c := range s {
		if c >= 0xf0 {
			r, size := utf8.DecodeRune(s[i:])
			high, low := utf16.EncodeRune(r)
			dst = appendUnit(appendUnit(append(dst, s[from:i]...), high), low)
			from = i + size
			continue
		}
		if manner[c] != escaped {
			continue
		}
		dst = append(dst, s[from:i]...)
		from = i + 1
		switch c {
		case '"', '\\':
			dst = append(dst, '\\', c)
		case '\b':
			dst = append(dst, '\\', 'b')
		case '\t':
			dst = append(dst, '\\', 't')
		case '\n':
			dst = append(dst, '\\', 'n')
		case '\f':
			dst = append(dst, '\\', 'f')
		case '\r':
			dst = append(dst, '\\', 'r')
		default:
			dst = appendUnit(dst, rune(c))
		}
	}
	dst = append(dst, s[from:]...)
	return append(dst, '"'), true
}

// appendUnit escapes a UTF-16 code unit.
func appendUnit(dst []byte, u rune) []byte {
	return append(dst, '\\', 'u', hex[u>>12], hex[u>>8&15], hex[u>>4&15], hex[u&15])
}

// fromWide appends a JSON document as UTF-8 that is in UTF-16 or UTF-32, found out as Jackson does: by a mark in front,
// or by the zeros of a first character below U+0080. Another one is appended as it is.
func fromWide(dst, data []byte) ([]byte, error) {
	size, order := 1, binary.ByteOrder(binary.BigEndian)
	if len(data) >= 4 {
		first := binary.BigEndian.Uint32(data)
		switch {
		case first == 0xfeff:
			size, data = 4, data[4:]
		case first == 0xfffe0000:
			size, order, data = 4, binary.LittleEndian, data[4:]
		case first>>16 == 0xfeff:
			size, data = 2, data[2:]
		case first>>16 == 0xfffe:
			size, order, data = 2, binary.LittleEndian, data[2:]
		case first>>8 == 0:
			size = 4
		case first&0xffffff == 0:
			size, order = 4, binary.LittleEndian
		}
	}
	if size == 1 && len(data) >= 2 {
		if data[0] == 0 {
			size = 2
		} else if data[1] == 0 {
			size, order = 2, binary.LittleEndian
		}
	}
	switch size {
	case 1:
		return append(dst, data...), nil
	case 2:
		whole := len(data) &^ 1
		dst = appendUTF16(dst, data[:whole], order)
		data = data[whole:]
	case 4:
		for ; len(data) >= 4; data = data[4:] {
			r := order.Uint32(data)
			if r > utf8.MaxRune || utf16.IsSurrogate(rune(r)) {
				return dst, &Error{serializationException,
					fmt.Sprintf("JSON in UTF-32: expected code points, found %#x", r)}
			}
			dst = utf8.AppendRune(dst, rune(r))
		}
	}
	if len(data) > 0 {
		return dst, &Error{serializationException, fmt.Sprintf("JSON in UTF-%d: expected characters of %d bytes, "+
			"found %d bytes behind the last", 8*size, size, len(data))}
	}
	return dst, nil
}
