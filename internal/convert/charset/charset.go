// Package charset converts between UTF-8 and the character sets of Java.
package charset

import (
	"encoding/binary"
	"strings"
	"unicode/utf16"
	"unicode/utf8"

	"golang.org/x/text/encoding/charmap"
)

// Charset is a character set of Java. The zero value is [UTF8].
type Charset struct {
	table *charmap.Charmap // the characters of a set of one byte each. Nil means another set.
	hasC1 bool             // the bytes 0x80 to 0x9F are control characters, which table lacks
	// maxRune is the last character of a set in which each byte is the code point of its character. Zero means UTF-8 or
	// UTF-16.
	maxRune rune
	// byteOrder is the byte order of UTF-16. Nil means another set.
	byteOrder binary.ByteOrder
	hasBOM    bool // a byte order mark is written, and obeyed when reading
}

var (
	UTF8 = Charset{} // needs no conversion
	// The names in Java 17, the canonical one first. Missing are sets whose tables differ between Java and charmap,
	// among them EBCDIC, KOI8-U and windows-1255, and other sets of several bytes, because Java and x/text read their
	// malformed bytes differently.
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
		{
			"ISO-8859-2 8859_2 912 ISO8859-2 ISO_8859-2 ISO_8859-2:1987 cp912 csISOLatin2 ibm-912 ibm912 " +
				"iso-ir-101 iso8859_2 l2 latin2",
			Charset{table: charmap.ISO8859_2, hasC1: true},
		},
		{
			"ISO-8859-3 8859_3 913 ISO8859-3 ISO_8859-3 ISO_8859-3:1988 cp913 csISOLatin3 ibm-913 ibm913 " +
				"iso-ir-109 iso8859_3 l3 latin3",
			Charset{table: charmap.ISO8859_3, hasC1: true},
		},
		{
			"ISO-8859-4 8859_4 914 ISO_8859-4 ISO_8859-4:1988 cp914 csISOLatin4 ibm-914 ibm914 iso-ir-110 " +
				"iso8859-4 iso8859_4 l4 latin4",
			Charset{table: charmap.ISO8859_4, hasC1: true},
		},
		{
			"ISO-8859-5 8859_5 915 ISO8859-5 ISO_8859-5 ISO_8859-5:1988 cp915 csISOLatinCyrillic cyrillic " +
				"ibm-915 ibm915 iso-ir-144 iso8859_5",
			Charset{table: charmap.ISO8859_5, hasC1: true},
		},
		{
			"ISO-8859-6 1089 8859_6 ASMO-708 ECMA-114 ISO8859-6 ISO_8859-6 ISO_8859-6:1987 arabic cp1089 " +
				"csISOLatinArabic ibm-1089 ibm1089 iso-ir-127 iso8859_6",
			Charset{table: charmap.ISO8859_6, hasC1: true},
		},
		{
			"ISO-8859-7 813 8859_7 ECMA-118 ELOT_928 ISO_8859-7 ISO_8859-7:1987 cp813 csISOLatinGreek greek " +
				"greek8 ibm-813 ibm813 iso-ir-126 iso8859-7 iso8859_7 sun_eu_greek",
			Charset{table: charmap.ISO8859_7, hasC1: true},
		},
		{
			"ISO-8859-8 8859_8 916 ISO8859-8 ISO_8859-8 ISO_8859-8:1988 cp916 csISOLatinHebrew hebrew " +
				"ibm-916 ibm916 iso-ir-138 iso8859_8",
			Charset{table: charmap.ISO8859_8, hasC1: true},
		},
		{
			"ISO-8859-9 8859_9 920 ISO8859-9 ISO_8859-9 ISO_8859-9:1989 cp920 csISOLatin5 ibm-920 ibm920 " +
				"iso-ir-148 iso8859_9 l5 latin5",
			Charset{table: charmap.ISO8859_9, hasC1: true},
		},
		{"ISO-8859-13 8859_13 ISO8859-13 iso8859_13 iso_8859-13", Charset{table: charmap.ISO8859_13, hasC1: true}},
		{
			"ISO-8859-15 8859_15 923 IBM-923 IBM923 ISO8859-15 ISO8859_15 ISO8859_15_FDIS ISO_8859-15 L9 " +
				"LATIN0 LATIN9 Latin-9 cp923 csISO885915 csISOlatin0 csISOlatin9",
			Charset{table: charmap.ISO8859_15, hasC1: true},
		},
		{
			"ISO-8859-16 ISO8859_16 ISO_8859-16 ISO_8859-16:2001 csISO885916 iso-ir-226 l10 latin10",
			Charset{table: charmap.ISO8859_16, hasC1: true},
		},
		{"windows-1250 cp1250 cp5346", Charset{table: charmap.Windows1250}},
		{"windows-1251 ansi-1251 cp1251 cp5347", Charset{table: charmap.Windows1251}},
		{"windows-1252 cp1252 cp5348 ibm-1252 ibm1252", Charset{table: charmap.Windows1252}},
		{"windows-1253 cp1253 cp5349", Charset{table: charmap.Windows1253}},
		{"windows-1254 cp1254 cp5350", Charset{table: charmap.Windows1254}},
		{"windows-1256 cp1256", Charset{table: charmap.Windows1256}},
		{"windows-1257 cp1257 cp5353", Charset{table: charmap.Windows1257}},
		{"windows-1258 cp1258", Charset{table: charmap.Windows1258}},
		{"x-windows-874 ms-874 ms874 windows-874", Charset{table: charmap.Windows874}},
		{"KOI8-R cskoi8r koi8 koi8_r", Charset{table: charmap.KOI8R}},
		{"IBM437 437 cp437 cspc8codepage437 ibm-437 windows-437", Charset{table: charmap.CodePage437}},
		{"IBM850 850 cp850 cspc850multilingual ibm-850", Charset{table: charmap.CodePage850}},
		{"IBM852 852 cp852 csPCp852 ibm-852", Charset{table: charmap.CodePage852}},
		{"IBM855 855 cp855 cspcp855 ibm-855", Charset{table: charmap.CodePage855}},
		{
			"IBM00858 858 PC-Multilingual-850+euro ccsid00858 cp00858 cp858 ibm-858 ibm858",
			Charset{table: charmap.CodePage858},
		},
		{"IBM860 860 cp860 csIBM860 ibm-860", Charset{table: charmap.CodePage860}},
		{"IBM862 862 cp862 csIBM862 cspc862latinhebrew ibm-862", Charset{table: charmap.CodePage862}},
		{"IBM863 863 cp863 csIBM863 ibm-863", Charset{table: charmap.CodePage863}},
		{"IBM865 865 cp865 csIBM865 ibm-865", Charset{table: charmap.CodePage865}},
		{"IBM866 866 cp866 csIBM866 ibm-866", Charset{table: charmap.CodePage866}},
		{"x-MacRoman MacRoman", Charset{table: charmap.Macintosh}},
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
		case c.table != nil:
			dst = append(dst, c.encodeRune(r))
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

func (c *Charset) encodeRune(r rune) byte {
	if c.hasC1 && isC1(r) {
		return byte(r)
	}
	if b, ok := c.table.EncodeRune(r); ok && r != utf8.RuneError {
		return b
	}
	return '?'
}

// isC1 reports whether a character, or the byte of its number, is a control character beyond ASCII.
func isC1(r rune) bool { return r >= 0x80 && r < 0xa0 }

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
	case c.maxRune > 0 || c.table != nil:
		for _, b := range data {
			r := rune(b)
			switch {
			case c.table != nil && !(c.hasC1 && isC1(r)):
				r = c.table.DecodeByte(b)
			case c.table == nil && r > c.maxRune:
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
