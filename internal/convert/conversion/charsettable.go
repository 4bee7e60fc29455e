package conversion

import (
	"encoding/binary"
	"fmt"
	"strings"
	"unicode/utf8"

	"golang.org/x/text/encoding"
)

// leadByte marks the first byte of pairs in [table].
const leadByte = 0xffff

// table holds a character set of one or two bytes a character. It does not change after it is created.
type table struct {
	// chars holds the character of each byte and, at its big-endian number, of each pair of bytes. [utf8.RuneError]
	// means no character.
	chars [1 << 16]uint16
	// codes holds the byte or pair of each character, or '?', which Java writes for all others.
	codes [1 << 16]uint16
}

// newTable creates the table of source with the differences of Java. A character of several codes is written as the
// last one; the codes of differences count as later than all others.
func newTable(source encoding.Encoding, differences string) *table {
	// Read all codes with the decoder of source.
	t := &table{}
	decoder := source.NewDecoder()
	out := make([]byte, 16)
	var isTrail [256]bool // has the second bytes of pairs
	for code := range t.chars {
		in := []byte{byte(code >> 8), byte(code)}
		if code <= 0xff {
			in = in[1:]
		}
		n, _, _ := decoder.Transform(out, in, true)
		r, size := utf8.DecodeRune(out[:n])
		if size != n || r > utf8.RuneError { // several characters, or one that needs more than an element of chars
			r = utf8.RuneError
		}
		t.chars[code] = uint16(r)
		if code > 0xff && r != utf8.RuneError {
			isTrail[byte(code)] = true
		}
	}
	// Apply Java's differences.
	mappings := parseDifferences(differences, isTrail)
	for _, m := range mappings {
		t.chars[m.code] = m.char
	}
	// Derive codes from chars, and mark the first bytes of pairs.
	for code, r := range t.chars {
		t.codes[r] = uint16(code)
		if code > 0xff && r != utf8.RuneError {
			t.chars[code>>8] = leadByte
		}
	}
	for _, m := range mappings {
		t.codes[m.char] = m.code
	}
	t.codes[utf8.RuneError] = 0
	for r, code := range t.codes {
		if code == 0 && r != 0 {
			t.codes[r] = '?' // also in EBCDIC, where this byte is another character
		}
	}
	return t
}

// mapping is a byte or pair of bytes and its character.
type mapping struct {
	code uint16
	char uint16
}

// parseDifferences returns the codes and characters of the differences. A range of pairs is a rectangle of first and
// second bytes, without second bytes that no pair of the set has.
func parseDifferences(differences string, isTrail [256]bool) (mappings []mapping) {
	for difference := range strings.FieldsSeq(differences) {
		var r, first, last int
		if n, _ := fmt.Sscanf(difference, "%x=%x-%x", &r, &first, &last); n < 3 {
			last = first
		}
		for code := first; code <= last; code++ {
			trail := code & 0xff
			if trail < first&0xff || trail > last&0xff || (code > 0xff && !isTrail[trail]) {
				continue
			}
			mappings = append(mappings, mapping{uint16(code), uint16(r)})
			if r != utf8.RuneError {
				r++
			}
		}
	}
	return mappings
}

func (t *table) encode(dst, text []byte) []byte {
	for _, r := range string(text) {
		code := t.codes[min(r, utf8.RuneError)]
		if code > 0xff {
			dst = append(dst, byte(code>>8))
		}
		dst = append(dst, byte(code))
	}
	return dst
}

// decode reads malformed bytes as Java's decoder of pairs does: the second byte of an unknown pair is read again,
// unless no character begins with it.
func (t *table) decode(dst, data []byte) []byte {
	for len(data) > 0 {
		r := t.chars[data[0]]
		size := 1
		if r == leadByte {
			r = utf8.RuneError
			if len(data) > 1 {
				r = t.chars[binary.BigEndian.Uint16(data)]
				if r != utf8.RuneError || t.chars[data[1]] == utf8.RuneError {
					size = 2
				}
			}
		}
		dst = utf8.AppendRune(dst, rune(r))
		data = data[size:]
	}
	return dst
}
