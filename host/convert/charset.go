package convert

import (
	"encoding/binary"
	"fmt"
	"strings"
	"unicode/utf16"
	"unicode/utf8"

	"golang.org/x/text/encoding/charmap"
)

// charset is one of Java's character sets.
type charset struct {
	// table is of a set whose characters are a byte each. controls has the bytes from 0x80 to 0x9f stand for the
	// control characters of these numbers, as Java has it in the sets of ISO 8859.
	table    *charmap.Charmap
	controls bool
	ascii    bool
	// order is that of UTF-16. mark: written with a mark in front, and read in the order of a mark, where there is one.
	order binary.ByteOrder
	mark  bool
}

var (
	utf8Charset = charset{}
	// The names of Java 17, the set's own first. Those of several bytes a character but UTF's, those of EBCDIC, and
	// KOI8-U and windows-1255, of which Java's tables are others than charmap's, are not known here.
	charsets = []struct {
		names string
		set   charset
	}{
		{"UTF-8 UTF8 unicode-1-1-utf-8", utf8Charset},
		{"UTF-16 UTF_16 UTF16 UnicodeBig unicode", charset{order: binary.BigEndian, mark: true}},
		{"UTF-16BE UTF_16BE X-UTF-16BE ISO-10646-UCS-2 UnicodeBigUnmarked", charset{order: binary.BigEndian}},
		{"UTF-16LE UTF_16LE X-UTF-16LE UnicodeLittleUnmarked", charset{order: binary.LittleEndian}},
		{"US-ASCII ASCII ascii7 646 ISO646-US ISO_646.irv:1991 ISO_646.irv:1983 ANSI_X3.4-1968 ANSI_X3.4-1986 IBM367 " +
			"cp367 csASCII iso-ir-6 us default", charset{ascii: true}},
		{"ISO-8859-1 819 8859_1 IBM-819 IBM819 ISO8859-1 ISO8859_1 ISO_8859-1 ISO_8859-1:1987 ISO_8859_1 cp819 " +
			"csISOLatin1 iso-ir-100 l1 latin1", charset{table: charmap.ISO8859_1}},
		{"ISO-8859-2 8859_2 912 ISO8859-2 ISO8859_2 ISO_8859-2 ISO_8859-2:1987 cp912 csISOLatin2 ibm-912 ibm912 " +
			"iso-ir-101 l2 latin2", charset{table: charmap.ISO8859_2, controls: true}},
		{"ISO-8859-3 8859_3 913 ISO8859-3 ISO8859_3 ISO_8859-3 ISO_8859-3:1988 cp913 csISOLatin3 ibm-913 ibm913 " +
			"iso-ir-109 l3 latin3", charset{table: charmap.ISO8859_3, controls: true}},
		{"ISO-8859-4 8859_4 914 ISO8859-4 ISO8859_4 ISO_8859-4 ISO_8859-4:1988 cp914 csISOLatin4 ibm-914 ibm914 " +
			"iso-ir-110 l4 latin4", charset{table: charmap.ISO8859_4, controls: true}},
		{"ISO-8859-5 8859_5 915 ISO8859-5 ISO8859_5 ISO_8859-5 ISO_8859-5:1988 cp915 csISOLatinCyrillic cyrillic " +
			"ibm-915 ibm915 iso-ir-144", charset{table: charmap.ISO8859_5, controls: true}},
		{"ISO-8859-6 8859_6 1089 ISO8859-6 ISO8859_6 ISO_8859-6 ISO_8859-6:1987 ASMO-708 ECMA-114 arabic cp1089 " +
			"csISOLatinArabic ibm-1089 ibm1089 iso-ir-127", charset{table: charmap.ISO8859_6, controls: true}},
		{"ISO-8859-7 8859_7 813 ISO8859-7 ISO8859_7 ISO_8859-7 ISO_8859-7:1987 ECMA-118 ELOT_928 cp813 " +
			"csISOLatinGreek greek greek8 ibm-813 ibm813 iso-ir-126 sun_eu_greek",
			charset{table: charmap.ISO8859_7, controls: true}},
		{"ISO-8859-8 8859_8 916 ISO8859-8 ISO8859_8 ISO_8859-8 ISO_8859-8:1988 cp916 csISOLatinHebrew hebrew ibm-916 " +
			"ibm916 iso-ir-138", charset{table: charmap.ISO8859_8, controls: true}},
		{"ISO-8859-9 8859_9 920 ISO8859-9 ISO8859_9 ISO_8859-9 ISO_8859-9:1989 cp920 csISOLatin5 ibm-920 ibm920 " +
			"iso-ir-148 l5 latin5", charset{table: charmap.ISO8859_9, controls: true}},
		{"ISO-8859-13 8859_13 ISO8859-13 ISO8859_13 ISO_8859-13", charset{table: charmap.ISO8859_13, controls: true}},
		{"ISO-8859-15 8859_15 923 IBM-923 IBM923 ISO8859-15 ISO8859_15 ISO8859_15_FDIS ISO_8859-15 L9 LATIN0 LATIN9 " +
			"Latin-9 cp923 csISO885915 csISOlatin0 csISOlatin9", charset{table: charmap.ISO8859_15, controls: true}},
		{"ISO-8859-16 ISO8859_16 ISO_8859-16 ISO_8859-16:2001 csISO885916 iso-ir-226 l10 latin10",
			charset{table: charmap.ISO8859_16, controls: true}},
		{"windows-1250 cp1250 cp5346", charset{table: charmap.Windows1250}},
		{"windows-1251 cp1251 cp5347 ansi-1251", charset{table: charmap.Windows1251}},
		{"windows-1252 cp1252 cp5348 ibm-1252 ibm1252", charset{table: charmap.Windows1252}},
		{"windows-1253 cp1253 cp5349", charset{table: charmap.Windows1253}},
		{"windows-1254 cp1254 cp5350", charset{table: charmap.Windows1254}},
		{"windows-1256 cp1256", charset{table: charmap.Windows1256}},
		{"windows-1257 cp1257 cp5353", charset{table: charmap.Windows1257}},
		{"windows-1258 cp1258", charset{table: charmap.Windows1258}},
		{"KOI8-R koi8_r koi8 cskoi8r", charset{table: charmap.KOI8R}},
		{"IBM437 cp437 437 ibm-437 windows-437 cspc8codepage437", charset{table: charmap.CodePage437}},
		{"IBM850 cp850 850 ibm-850 cspc850multilingual", charset{table: charmap.CodePage850}},
		{"IBM852 cp852 852 ibm-852 csPCp852", charset{table: charmap.CodePage852}},
		{"IBM855 cp855 855 ibm-855 cspcp855", charset{table: charmap.CodePage855}},
		{"IBM00858 cp858 858 cp00858 ccsid00858 ibm-858 ibm858 PC-Multilingual-850+euro",
			charset{table: charmap.CodePage858}},
		{"IBM860 cp860 860 ibm-860 csIBM860", charset{table: charmap.CodePage860}},
		{"IBM862 cp862 862 ibm-862 csIBM862 cspc862latinhebrew", charset{table: charmap.CodePage862}},
		{"IBM863 cp863 863 ibm-863 csIBM863", charset{table: charmap.CodePage863}},
		{"IBM865 cp865 865 ibm-865 csIBM865", charset{table: charmap.CodePage865}},
		{"IBM866 cp866 866 ibm-866 csIBM866", charset{table: charmap.CodePage866}},
	}
)

// charsetOf is the set of a name, in any case.
func charsetOf(name string) (charset, bool) {
	for i := range charsets {
		for known := range strings.FieldsSeq(charsets[i].names) {
			if strings.EqualFold(known, name) {
				return charsets[i].set, true
			}
		}
	}
	return charset{}, false
}

// charsetNames are the sets by the names that Java gives them.
func charsetNames() string {
	names := make([]string, len(charsets))
	for i := range charsets {
		names[i], _, _ = strings.Cut(charsets[i].names, " ")
	}
	last := len(names) - 1
	return strings.Join(names[:last], ", ") + " or " + names[last]
}

// encode writes UTF-8 in the character set; what it cannot say becomes a question mark, as in Java.
func (c *charset) encode(dst, text []byte) []byte {
	if *c == utf8Charset {
		return append(dst, text...)
	}
	if c.mark && len(text) > 0 {
		dst = append(dst, 0xfe, 0xff)
	}
	for _, r := range string(text) {
		if c.order != nil {
			for _, u := range utf16.AppendRune(nil, r) {
				dst = append(dst, 0, 0)
				c.order.PutUint16(dst[len(dst)-2:], u)
			}
			continue
		}
		b, ok := byte(r), r < utf8.RuneSelf
		if c.table != nil {
			if ok = c.controls && r >= 0x80 && r < 0xa0; !ok {
				b, ok = c.table.EncodeRune(r)
				ok = ok && c.table.DecodeByte(b) == r && r != utf8.RuneError
			}
		}
		if !ok {
			b = '?'
		}
		dst = append(dst, b)
	}
	return dst
}

// decode writes as UTF-8; bytes that mean nothing become U+FFFD, as in Java.
func (c *charset) decode(dst, data []byte) []byte {
	switch {
	case c.order != nil:
		order := c.order
		if c.mark && len(data) >= 2 {
			switch binary.BigEndian.Uint16(data) {
			case 0xfeff:
				data = data[2:]
			case 0xfffe:
				order, data = binary.LittleEndian, data[2:]
			}
		}
		return appendUTF16(dst, data, order)
	case c.table == nil && !c.ascii:
		if utf8.Valid(data) {
			return append(dst, data...)
		}
		return appendMalformed(dst, data)
	}
	for _, b := range data {
		r := rune(b)
		switch {
		case c.ascii && b >= utf8.RuneSelf:
			r = utf8.RuneError
		case c.table != nil && !(c.controls && b >= 0x80 && b < 0xa0):
			r = c.table.DecodeByte(b)
		}
		dst = utf8.AppendRune(dst, r)
	}
	return dst
}

// appendUTF16 appends UTF-16 as Java's decoder reads it: a lone low surrogate becomes one U+FFFD, a high one together
// with the unit after it, and so do bytes at the end that are no whole character.
func appendUTF16(dst, data []byte, order binary.ByteOrder) []byte {
	for len(data) >= 2 {
		r := rune(order.Uint16(data))
		data = data[2:]
		if utf16.IsSurrogate(r) {
			low := rune(0)
			if high := r < 0xdc00; high {
				if len(data) < 2 {
					return utf8.AppendRune(dst, utf8.RuneError)
				}
				low, data = rune(order.Uint16(data)), data[2:]
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

// appendMalformed appends bytes of which not all are UTF-8, as Java's decoder does: one U+FFFD for as many bytes as
// begin a character, and one for half a pair of surrogates.
func appendMalformed(dst, data []byte) []byte {
	for i := 0; i < len(data); {
		if r, size := utf8.DecodeRune(data[i:]); r != utf8.RuneError || size > 1 {
			dst = append(dst, data[i:i+size]...)
			i += size
			continue
		}
		lead, low, high, size := data[i], byte(0x80), byte(0xbf), 1
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
			low, high = 0x80, 0xbf
			n++
		}
		dst = utf8.AppendRune(dst, utf8.RuneError)
		i += n
	}
	return dst
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
