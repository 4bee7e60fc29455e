// Package charset reads and writes texts in the character sets of Java.
package charset

import (
	"encoding/binary"
	"strings"
	"unicode/utf16"
	"unicode/utf8"

	"golang.org/x/text/encoding/charmap"
)

// Charset is one of Java's character sets.
type Charset struct {
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
	// UTF8 is the set that needs no conversion.
	UTF8 = Charset{}
	// The names of Java 17, the set's own first. Those of several bytes a character but UTF's, those of EBCDIC, and
	// KOI8-U and windows-1255, of which Java's tables are others than charmap's, are not known here.
	all = []struct {
		names string
		set   Charset
	}{
		{"UTF-8 UTF8 unicode-1-1-utf-8", UTF8},
		{"UTF-16 UTF_16 UTF16 UnicodeBig unicode", Charset{order: binary.BigEndian, mark: true}},
		{"UTF-16BE UTF_16BE X-UTF-16BE ISO-10646-UCS-2 UnicodeBigUnmarked", Charset{order: binary.BigEndian}},
		{"UTF-16LE UTF_16LE X-UTF-16LE UnicodeLittleUnmarked", Charset{order: binary.LittleEndian}},
		{"US-ASCII ASCII ascii7 646 ISO646-US ISO_646.irv:1991 ISO_646.irv:1983 ANSI_X3.4-1968 ANSI_X3.4-1986 IBM367 " +
			"cp367 csASCII iso-ir-6 us default", Charset{ascii: true}},
		{"ISO-8859-1 819 8859_1 IBM-819 IBM819 ISO8859-1 ISO8859_1 ISO_8859-1 ISO_8859-1:1987 ISO_8859_1 cp819 " +
			"csISOLatin1 iso-ir-100 l1 latin1", Charset{table: charmap.ISO8859_1}},
		{"ISO-8859-2 8859_2 912 ISO8859-2 ISO8859_2 ISO_8859-2 ISO_8859-2:1987 cp912 csISOLatin2 ibm-912 ibm912 " +
			"iso-ir-101 l2 latin2", Charset{table: charmap.ISO8859_2, controls: true}},
		{"ISO-8859-3 8859_3 913 ISO8859-3 ISO8859_3 ISO_8859-3 ISO_8859-3:1988 cp913 csISOLatin3 ibm-913 ibm913 " +
			"iso-ir-109 l3 latin3", Charset{table: charmap.ISO8859_3, controls: true}},
		{"ISO-8859-4 8859_4 914 ISO8859-4 ISO8859_4 ISO_8859-4 ISO_8859-4:1988 cp914 csISOLatin4 ibm-914 ibm914 " +
			"iso-ir-110 l4 latin4", Charset{table: charmap.ISO8859_4, controls: true}},
		{"ISO-8859-5 8859_5 915 ISO8859-5 ISO8859_5 ISO_8859-5 ISO_8859-5:1988 cp915 csISOLatinCyrillic cyrillic " +
			"ibm-915 ibm915 iso-ir-144", Charset{table: charmap.ISO8859_5, controls: true}},
		{"ISO-8859-6 8859_6 1089 ISO8859-6 ISO8859_6 ISO_8859-6 ISO_8859-6:1987 ASMO-708 ECMA-114 arabic cp1089 " +
			"csISOLatinArabic ibm-1089 ibm1089 iso-ir-127", Charset{table: charmap.ISO8859_6, controls: true}},
		{"ISO-8859-7 8859_7 813 ISO8859-7 ISO8859_7 ISO_8859-7 ISO_8859-7:1987 ECMA-118 ELOT_928 cp813 " +
			"csISOLatinGreek greek greek8 ibm-813 ibm813 iso-ir-126 sun_eu_greek",
			Charset{table: charmap.ISO8859_7, controls: true}},
		{"ISO-8859-8 8859_8 916 ISO8859-8 ISO8859_8 ISO_8859-8 ISO_8859-8:1988 cp916 csISOLatinHebrew hebrew ibm-916 " +
			"ibm916 iso-ir-138", Charset{table: charmap.ISO8859_8, controls: true}},
		{"ISO-8859-9 8859_9 920 ISO8859-9 ISO8859_9 ISO_8859-9 ISO_8859-9:1989 cp920 csISOLatin5 ibm-920 ibm920 " +
			"iso-ir-148 l5 latin5", Charset{table: charmap.ISO8859_9, controls: true}},
		{"ISO-8859-13 8859_13 ISO8859-13 ISO8859_13 ISO_8859-13", Charset{table: charmap.ISO8859_13, controls: true}},
		{"ISO-8859-15 8859_15 923 IBM-923 IBM923 ISO8859-15 ISO8859_15 ISO8859_15_FDIS ISO_8859-15 L9 LATIN0 LATIN9 " +
			"Latin-9 cp923 csISO885915 csISOlatin0 csISOlatin9", Charset{table: charmap.ISO8859_15, controls: true}},
		{"ISO-8859-16 ISO8859_16 ISO_8859-16 ISO_8859-16:2001 csISO885916 iso-ir-226 l10 latin10",
			Charset{table: charmap.ISO8859_16, controls: true}},
		{"windows-1250 cp1250 cp5346", Charset{table: charmap.Windows1250}},
		{"windows-1251 cp1251 cp5347 ansi-1251", Charset{table: charmap.Windows1251}},
		{"windows-1252 cp1252 cp5348 ibm-1252 ibm1252", Charset{table: charmap.Windows1252}},
		{"windows-1253 cp1253 cp5349", Charset{table: charmap.Windows1253}},
		{"windows-1254 cp1254 cp5350", Charset{table: charmap.Windows1254}},
		{"windows-1256 cp1256", Charset{table: charmap.Windows1256}},
		{"windows-1257 cp1257 cp5353", Charset{table: charmap.Windows1257}},
		{"windows-1258 cp1258", Charset{table: charmap.Windows1258}},
		{"KOI8-R koi8_r koi8 cskoi8r", Charset{table: charmap.KOI8R}},
		{"IBM437 cp437 437 ibm-437 windows-437 cspc8codepage437", Charset{table: charmap.CodePage437}},
		{"IBM850 cp850 850 ibm-850 cspc850multilingual", Charset{table: charmap.CodePage850}},
		{"IBM852 cp852 852 ibm-852 csPCp852", Charset{table: charmap.CodePage852}},
		{"IBM855 cp855 855 ibm-855 cspcp855", Charset{table: charmap.CodePage855}},
		{"IBM00858 cp858 858 cp00858 ccsid00858 ibm-858 ibm858 PC-Multilingual-850+euro",
			Charset{table: charmap.CodePage858}},
		{"IBM860 cp860 860 ibm-860 csIBM860", Charset{table: charmap.CodePage860}},
		{"IBM862 cp862 862 ibm-862 csIBM862 cspc862latinhebrew", Charset{table: charmap.CodePage862}},
		{"IBM863 cp863 863 ibm-863 csIBM863", Charset{table: charmap.CodePage863}},
		{"IBM865 cp865 865 ibm-865 csIBM865", Charset{table: charmap.CodePage865}},
		{"IBM866 cp866 866 ibm-866 csIBM866", Charset{table: charmap.CodePage866}},
	}
)

// Of is the set of a name, in any case.
func Of(name string) (Charset, bool) {
	for i := range all {
		for known := range strings.FieldsSeq(all[i].names) {
			if strings.EqualFold(known, name) {
				return all[i].set, true
			}
		}
	}
	return Charset{}, false
}

// Aliases are the names of each set, the one that Java gives it first.
func Aliases() [][]string {
	names := make([][]string, len(all))
	for i := range all {
		names[i] = strings.Fields(all[i].names)
	}
	return names
}

// Names are the sets by the names that Java gives them, as a message lists them.
func Names() string {
	var names []string
	for _, set := range Aliases() {
		names = append(names, set[0])
	}
	last := len(names) - 1
	return strings.Join(names[:last], ", ") + " or " + names[last]
}

// Encode writes UTF-8 in the character set; what it cannot say becomes a question mark, as in Java.
func (c *Charset) Encode(dst, text []byte) []byte {
	if *c == UTF8 {
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

// Decode writes as UTF-8; bytes that mean nothing become U+FFFD, as in Java.
func (c *Charset) Decode(dst, data []byte) []byte {
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
		return AppendUTF16(dst, data, order)
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

// AppendUTF16 appends UTF-16 as Java's decoder reads it: a lone low surrogate becomes one U+FFFD, a high one together
// with the unit after it, and so do bytes at the end that are no whole character.
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
