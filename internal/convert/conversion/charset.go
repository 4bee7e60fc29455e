package conversion

import (
	_ "embed"
	"encoding/binary"
	"fmt"
	"slices"
	"strings"
	"sync"
	"unicode/utf16"
	"unicode/utf8"

	"golang.org/x/text/encoding"
	"golang.org/x/text/encoding/charmap"
	"golang.org/x/text/encoding/japanese"
	"golang.org/x/text/encoding/korean"
	"golang.org/x/text/encoding/simplifiedchinese"
	"golang.org/x/text/encoding/traditionalchinese"
)

// Charset is a character set of Java. The zero value is [UTF8].
type Charset struct {
	table     *table           // of a set of one or two bytes a character. Nil means UTF-8 or UTF-16.
	byteOrder binary.ByteOrder // of UTF-16. Nil means another set.
	hasBOM    bool             // a byte order mark is written, and obeyed when reading
}

// declaration is a character set that users can name.
type declaration struct {
	names []string       // in Java 17, the canonical one first
	load  func() Charset // creates the table at the first call
}

var (
	UTF8 = Charset{} // needs no conversion

	// charsets has a line for each character set, with three columns: its names in Java 17, the canonical one first;
	// the name of its table in golang.org/x/text, or of its encoding form in Unicode; and the differences of Java's
	// table, in hexadecimal digits. A difference is a character and its byte or pair of bytes, such as 255d=ae, or the
	// first of consecutive characters and a range of bytes, such as e000=aaa1-affe. The character fffd removes the
	// bytes.
	//
	// Missing are sets with more than two bytes a character, or with characters outside the basic plane, because Java
	// reads their malformed bytes by other rules: EUC-JP, Big5-HKSCS, UTF-32 and GB18030, whose table also depends on
	// the release and a property of the JVM; sets with escape sequences, such as ISO-2022-JP; and sets that
	// golang.org/x/text does not have, such as ISO-2022-KR.
	//
	//go:embed charsets.tsv
	charsets string

	declarations = sync.OnceValue(declare)
)

// declare parses charsets. It creates no tables.
func declare() (list []declaration) {
	unicode := map[string]Charset{
		"UTF-8":    UTF8,
		"UTF-16":   {byteOrder: binary.BigEndian, hasBOM: true},
		"UTF-16BE": {byteOrder: binary.BigEndian},
		"UTF-16LE": {byteOrder: binary.LittleEndian},
	}
	sources := map[string]encoding.Encoding{} // by name
	for _, e := range slices.Concat(charmap.All, japanese.All, korean.All, simplifiedchinese.All,
		traditionalchinese.All) {
		sources[fmt.Sprint(e)] = e
	}
	for line := range strings.Lines(charsets) {
		columns := strings.Split(strings.TrimSuffix(line, "\n"), "\t")
		list = append(list, declaration{names: strings.Fields(columns[0]), load: sync.OnceValue(func() Charset {
			if source, ok := sources[columns[1]]; ok {
				return Charset{table: newTable(source, columns[2])}
			}
			return unicode[columns[1]]
		})})
	}
	return list
}

// FindCharset finds a character set by name, ignoring case.
func FindCharset(name string) (Charset, bool) {
	for _, d := range declarations() {
		if slices.ContainsFunc(d.names, func(alias string) bool { return strings.EqualFold(alias, name) }) {
			return d.load(), true
		}
	}
	return Charset{}, false
}

// CharsetNames lists the canonical names for a message.
func CharsetNames() string {
	var names []string
	for _, d := range declarations() {
		names = append(names, d.names[0])
	}
	last := len(names) - 1
	return strings.Join(names[:last], ", ") + " or " + names[last]
}

// Encode converts from UTF-8. Unmappable characters become question marks, as in Java.
func (c *Charset) Encode(dst, text []byte) []byte {
	if *c == UTF8 {
		return append(dst, text...)
	}
	if c.table != nil {
		return c.table.encode(dst, text)
	}
	if c.hasBOM && len(text) > 0 {
		dst = append(dst, 0xfe, 0xff)
	}
	for _, r := range string(text) {
		for _, u := range utf16.AppendRune(nil, r) {
			dst = append(dst, 0, 0)
			c.byteOrder.PutUint16(dst[len(dst)-2:], u)
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
	case c.table != nil:
		return c.table.decode(dst, data)
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
			if isHigh := r < 0xdc00; isHigh {
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
		// The lead byte determines the size of the character, and the range of its second byte.
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
		n := 1 // the bytes of the incomplete character
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
