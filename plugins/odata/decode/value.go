package decode

import (
	"math"
	"unicode/utf8"

	"github.com/culvert-project/culvert/plugins/odata/edm"
	"github.com/culvert-project/culvert/wit/datum"
)

// values writes single values; it holds memory that is used again.
type values struct {
	decimal decimal
	binary  []byte
}

// AppendText writes a value of a primitive column, branch number included, from the text that Atom has for it: for
// values that come from elsewhere, such as the key predicate of a deleted entry. The error says what was expected.
func AppendText(dst []byte, l *RowLayout, c *Column, text []byte) ([]byte, error) {
	var v values
	if c.Optional {
		dst = append(dst, 2)
	}
	dst, expected := v.append(dst, l, c, text)
	if expected != "" {
		return dst, c.misfit(expected, quoted(text))
	}
	return dst, nil
}

// append writes a value that is not null, without branch number. Both formats' forms of all types are taken in both.
func (v *values) append(dst []byte, l *RowLayout, c *Column, text []byte) (out []byte, expected string) {
	var n int64
	var ok bool
	switch c.Type {
	case edm.String:
		if !utf8.Valid(text) {
			return dst, "text in UTF-8"
		}
		return datum.AppendBytes(dst, text), ""
	case edm.Decimal:
		return v.decimal.appendDecimal(dst, c, text)
	case edm.DateTime, edm.DateTimeOffset:
		return appendMoment(dst, c, text)
	case edm.Int32:
		n, ok = integer(text, math.MinInt32, math.MaxInt32)
	case edm.Int64:
		n, ok = integer(text, math.MinInt64, math.MaxInt64)
	case edm.Int16:
		n, ok = integer(text, math.MinInt16, math.MaxInt16)
	case edm.Byte:
		n, ok = integer(text, 0, math.MaxUint8)
	case edm.SByte:
		n, ok = integer(text, math.MinInt8, math.MaxInt8)
	case edm.Time:
		n, ok = clockTime(text)
	case edm.Boolean:
		return appendBoolean(dst, text)
	case edm.Guid:
		if !isGUID(text) {
			return dst, "Edm.Guid"
		}
		return datum.AppendBytes(dst, text), ""
	case edm.Binary:
		if v.binary, ok = appendBase64(v.binary[:0], text); !ok {
			return dst, "Edm.Binary in base64"
		}
		return datum.AppendBytes(dst, v.binary), ""
	case edm.Double:
		f, fits := real(text, 64)
		if !fits {
			return dst, "Edm.Double"
		}
		return datum.AppendFloat64(dst, f), ""
	case edm.Single:
		f, fits := real(text, 32)
		if !fits {
			return dst, "Edm.Single"
		}
		return datum.AppendFloat32(dst, float32(f)), ""
	}
	if !ok {
		return dst, c.Type.String()
	}
	return datum.AppendNumber(dst, n), ""
}

// emptyIsNull tells whether an empty text stands for null: it is a value of String and Binary only.
//
// Assumption: an empty element or "" of any other type means the ABAP initial value, null.
func (c *Column) emptyIsNull() bool { return c.Type != edm.String && c.Type != edm.Binary }

func appendMoment(dst []byte, c *Column, text []byte) (out []byte, expected string) {
	var m moment
	if !m.parse(text) {
		return dst, c.Type.String() + " of the years 1 to 9999"
	}
	if c.As == AsDate {
		return datum.AppendNumber(dst, m.days()), ""
	}
	ms := m.utc()
	if c.Zone != nil && !m.zoned {
		ms = c.Zone.UTC(ms)
	}
	if c.As == AsMicros {
		return datum.AppendNumber(dst, ms*1000+m.micros), ""
	}
	return datum.AppendNumber(dst, ms), ""
}

func appendBoolean(dst, text []byte) (out []byte, expected string) {
	switch string(text) {
	case "true", "1":
		return append(dst, 1), ""
	case "false", "0":
		return append(dst, 0), ""
	}
	return dst, "Edm.Boolean"
}

// isGUID: 8-4-4-4-12 hexadecimal digits, of either case.
func isGUID(text []byte) bool {
	if len(text) != 36 {
		return false
	}
	for i, c := range text {
		if i == 8 || i == 13 || i == 18 || i == 23 {
			if c != '-' {
				return false
			}
		} else if !('0' <= c && c <= '9' || 'a' <= c|0x20 && c|0x20 <= 'f') {
			return false
		}
	}
	return true
}

// appendBase64 reads both alphabets, with or without padding, and skips white space.
func appendBase64(dst, text []byte) ([]byte, bool) {
	var bits uint32
	count, padding := 0, 0
	for _, c := range text {
		var six byte
		switch {
		case c == ' ' || c == '\t' || c == '\r' || c == '\n':
			continue
		case c == '=':
			padding++
			continue
		case 'A' <= c && c <= 'Z':
			six = c - 'A'
		case 'a' <= c && c <= 'z':
			six = c - 'a' + 26
		case '0' <= c && c <= '9':
			six = c - '0' + 52
		case c == '+' || c == '-':
			six = 62
		case c == '/' || c == '_':
			six = 63
		default:
			return dst, false
		}
		if padding > 0 {
			return dst, false
		}
		bits = bits<<6 | uint32(six)
		if count++; count%4 == 0 {
			dst = append(dst, byte(bits>>16), byte(bits>>8), byte(bits))
		}
	}
	left := count % 4
	switch left {
	case 2:
		dst = append(dst, byte(bits>>4))
	case 3:
		dst = append(dst, byte(bits>>10), byte(bits>>2))
	}
	return dst, left != 1 && (padding == 0 || left > 0 && padding == 4-left)
}
