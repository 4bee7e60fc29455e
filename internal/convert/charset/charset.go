// Package charset converts between UTF-8 and the character sets of Java.
package charset

import (
	"encoding/binary"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// Charset is a character set of java.nio.charset.StandardCharsets. The zero value is [UTF8].
type Charset struct {
	// maxRune is the last character of a set in which each byte is the code point of its character. Zero means UTF-8 or
	// UTF-16.
	maxRune rune
	// byteOrder is the byte order of UTF-16. Nil means another set.
	byteOrder binary.ByteOrder
	hasBOM    bool // a byte order mark is written, and obeyed when reading
}

var (
	UTF8 = Charset{} // needs no conversion
	// The names in Java 17, the canonical one first.
	charsets = []struct {
		names string
		set   Charset
	}{
		{"UTF-8 UTF8 unicode-1-1-utf-8", UTF8},
		{"UTF-16 UTF_16 UTF16 UnicodeBig unicode", Charset{byteOrder: binary.BigEndian, hasBOM: true}},
		{"UTF-16BE UTF_16BE X-UTF-16BE ISO-10646-UCS-2 UnicodeBigUnmarked", Charset{byteOrder: binary.BigEndian}},
		{"UTF-16LE UTF_16LE X-UTF-16LE UnicodeLittleUnmarked", Charset{byteOrder: binary.LittleEndian}},
		{"US-ASCII ASCII ascii7 646 ISO646-US ISO_646.irv:1991 ISO_646.irv:1983 ANSI_X3.4-1968 ANSI_X3.4-1986 IBM367 " +
			"cp367 csASCII iso-ir-6 us default", Charset{maxRune: 0x7f}},
		{"ISO-8859-1 819 8859_1 IBM-819 IBM819 ISO8859-1 ISO8859_1 ISO_8859-1 ISO_8859-1:1987 ISO_8859_1 cp819 " +
			"csISOLatin1 iso-ir-100 l1 latin1", Charset{maxRune: 0xff}},
	}
)

// Find finds a character set by name, ignoring case.
func Find(name string) (Charset, bool) {
	for i := range charsets {
		for alias := range strings.FieldsSeq(charsets[i].names) {
			if strings.EqualFold(alias, name) {
				return charsets[i].set, true
			}
		}
	}
	return Charset{}, false
}

// Aliases returns the names of each character set, the canonical one first.
func Aliases() [][]string {
	names := make([][]string, len(charsets))
	for i := range charsets {
		names[i] = strings.Fields(charsets[i].names)
	}
	return names
}

// Names lists the canonical names for a message.
func Names() string {
	var names []string
	for _, set := range Aliases() {
		names = append(names, set[0])
	}
	last := len(names) - 1
	return strings.Join(names[:last], ", ") + " or " + names[last]
}

// Encode converts from UTF-8. Unmappable characters become question marks, as in Java.
func (c *Charset) Encode(dst, text []byte) []byte {
	if *c == UTF8 {
		return append(dst, text...)
	}
	if c.hasBOM && len(text) > 0 {
		dst = append(dst, 0xfe, 0xff)
	}
	for _, r := range string(text) {
		switch {
		case c.maxRune > 0 && r > c.maxRune:
			dst = append(dst, '?')
		case c.maxRune > 0:
			dst = append(dst, byte(r))
		default:
			for _, u := range utf16.AppendRune(nil, r) {
				dst = append(dst, 0, 0)
				c.byteOrder.PutUint16(dst[len(dst)-2:], u)
			}
		}
	}
	return dst
}

// Decode converts to UTF-8. Malformed bytes become U+FFFD, as in Java.
func (c *Charset) Decode(dst, data []byte) []byte {
	switch {
	case c.byteOrder != nil:
		order := c.byteOrder
		if c.hasBOM && len(data) >= 2 {
			switch binary.BigEndian.Uint16(data) {
			case 0xfeff:
				data = data[2:]
			case 0xfffe:
				order = binary.LittleEndian
				data = data[2:]
			}
		}
		return AppendUTF16(dst, data, order)
	case c.maxRune > 0:
		for _, b := range data {
			r := rune(b)
			if r > c.maxRune {
				r = utf8.RuneError
			}
			dst = utf8.AppendRune(dst, r)
		}
		return dst
	case utf8.Valid(data):
		return append(dst, data...)
	}
	return appendMalformed(dst, data)
}

// AppendUTF16 appends UTF-16 as Java's decoder reads it: a lone low surrogate becomes one U+FFFD, a high one together
// with the next unit, and so does an incomplete character at the end.
func AppendUTF16(dst, data []byte, order binary.ByteOrder) []byte {
	for len(data) >= 2 {
		r := rune(order.Uint16(data))
		data = data[2:]
		if utf16.IsSurrogate(r) {
			low := rune(0)
			if high := r < 0xdc00; high {
				if len(data) < 2 {
					return utf8.AppendRune(dst, utf8.RuneError)
				}
				low = rune(order.Uint16(data))
				data = data[2:]
			}
			r = utf16.DecodeRune(r, low)
		}
		dst = utf8.AppendRune(dst, r)
	}
	if len(data) > 0 {
		dst = utf8.AppendRune(dst, utf8.RuneError)
	}
	return dst
}

// appendMalformed appends malformed UTF-8 as Java's decoder does, with one U+FFFD for the bytes of an incomplete
// character.
func appendMalformed(dst, data []byte) []byte {
	for i := 0; i < len(data); {
		if r, size := utf8.DecodeRune(data[i:]); r != utf8.RuneError || size > 1 {
			dst = append(dst, data[i:i+size]...)
			i += size
			continue
		}
		lead := data[i]
		low := byte(0x80)
		high := byte(0xbf)
		size := 1
		switch {
		case lead >= 0xe0 && lead < 0xf0:
			size = 3
		case lead >= 0xf0 && lead < 0xf5:
			size = 4
		}
		switch lead {
		case 0xe0:
			low = 0xa0
		case 0xf0:
			low = 0x90
		case 0xf4:
			high = 0x8f
		}
		n := 1
		for n < size && i+n < len(data) && data[i+n] >= low && data[i+n] <= high {
			low = 0x80
			high = 0xbf
			n++
		}
		dst = utf8.AppendRune(dst, utf8.RuneError)
		i += n
	}
	return dst
}
