package decode

import (
	"encoding/base64"
	"unicode/utf8"

	"github.com/culvert-project/culvert/plugins/odata/datetime"
	"github.com/culvert-project/culvert/plugins/odata/edm"
	"github.com/culvert-project/culvert/plugins/odata/scan"
	"github.com/culvert-project/culvert/wit/connectdata"
)

// Union branches of optional values: zigzag varints.
const (
	branchNull  = 0
	branchValue = 2
)

// values encodes single values and reuses its buffers.
type values struct {
	decimal decimal
	binary  []byte // the last value in base64, decoded
	base64  []byte // its text in the standard alphabet
	clock   []byte // the last Edm.TimeOfDay, as a point in time
}

// AppendText appends a value of a primitive column, union branch included, from its text in Atom: for values from
// outside of a row, such as the key predicate of a deleted entry.
func AppendText(dst []byte, schema *RowSchema, column *Column, text []byte) ([]byte, error) {
	var v values
	if column.Optional {
		dst = append(dst, branchValue)
	}
	dst, expected := v.append(dst, schema, column, text)
	if expected != "" {
		return dst, column.conversionError(expected, quoted(text))
	}
	return dst, nil
}

// appendColumn appends the value of a primitive column, union branch included. source is its text for messages, as the
// service wrote it.
func (v *values) appendColumn(dst []byte, schema *RowSchema, column *Column,
	text, source []byte) ([]byte, *conversionError) {
	if len(text) == 0 && column.emptyIsNull() {
		return appendNull(dst, column, true)
	}
	if column.Optional {
		dst = append(dst, branchValue)
	}
	dst, expected := v.append(dst, schema, column, text)
	if expected != "" {
		return dst, column.conversionError(expected, quoted(source))
	}
	return dst, nil
}

// appendNull appends null. It returns an error for a required column. present is false if the value is missing.
func appendNull(dst []byte, column *Column, present bool) ([]byte, *conversionError) {
	if column.Optional {
		return append(dst, branchNull), nil
	}
	if present {
		return dst, column.conversionError(expectedValue, "null")
	}
	return dst, column.conversionError(expectedValue, "none")
}

// append writes a non-null value without union branch. It accepts the forms of both formats.
func (v *values) append(dst []byte, schema *RowSchema, column *Column, text []byte) (out []byte, expected string) {
	var n int64
	var ok bool
	switch column.Type {
	case edm.String:
		if !utf8.Valid(text) {
			return dst, "text in UTF-8"
		}
		return connectdata.AppendBytes(dst, text), ""
	case edm.Decimal:
		return v.decimal.appendDecimal(dst, column, text)
	case edm.DateTime, edm.DateTimeOffset:
		return appendDateTime(dst, column, text)
	case edm.SByte, edm.Byte, edm.Int16, edm.Int32, edm.Int64:
		low, high, _ := column.Type.Bounds()
		n, ok = scan.Integer(text, low, high)
	case edm.Time:
		n, _, ok = datetime.TimeOfDay(text)
		n /= datetime.TicksPerMilli
	case edm.Boolean:
		return appendBoolean(dst, text)
	case edm.Guid:
		if !edm.IsGUID(text) {
			return dst, "Edm.Guid"
		}
		return connectdata.AppendBytes(dst, text), ""
	case edm.Binary:
		if v.binary, ok = v.appendBase64(v.binary[:0], text); !ok {
			return dst, "Edm.Binary in base64"
		}
		return connectdata.AppendBytes(dst, v.binary), ""
	case edm.Date, edm.TimeOfDay, edm.Duration, edm.Enum, edm.Geo:
		return v.append4(dst, schema, column, text)
	case edm.Double:
		f, fits := parseFloat(text, 64)
		if !fits {
			return dst, "Edm.Double"
		}
		return connectdata.AppendFloat64(dst, f), ""
	case edm.Single:
		f, fits := parseFloat(text, 32)
		if !fits {
			return dst, "Edm.Single"
		}
		return connectdata.AppendFloat32(dst, float32(f)), ""
	}
	if !ok {
		return dst, column.Type.String()
	}
	return connectdata.AppendNumber(dst, n), ""
}

// emptyIsNull reports whether an empty text means null. Only String and Binary have empty values.
//
// Assumption: an empty element or "" of any other type means the ABAP initial value, null.
func (c *Column) emptyIsNull() bool { return c.Type != edm.String && c.Type != edm.Binary }

// appendDateTime writes the text by the column's mapping. expected is empty if the text is valid.
func appendDateTime(dst []byte, column *Column, text []byte) (out []byte, expected string) {
	var instant datetime.DateTime
	if !instant.Parse(text) {
		return dst, column.Type.String() + " of the years 1 to 9999"
	}
	if column.Mapping == DateMapping {
		return connectdata.AppendNumber(dst, instant.Days()), ""
	}
	ms := instant.UTC()
	if column.Zone != nil && !instant.Zoned {
		ms = column.Zone.UTC(ms)
	}
	if column.Mapping == MicrosMapping {
		return connectdata.AppendNumber(dst, ms*1000+instant.Ticks/10), ""
	}
	return connectdata.AppendNumber(dst, ms), ""
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

// appendBase64 accepts both alphabets, with or without padding, and skips white space.
func (v *values) appendBase64(dst, text []byte) ([]byte, bool) {
	v.base64 = v.base64[:0]
	for _, c := range text {
		switch c {
		case ' ', '\t', '\r', '\n':
			continue
		case '-':
			c = '+'
		case '_':
			c = '/'
		}
		v.base64 = append(v.base64, c)
	}
	alphabet := base64.StdEncoding
	if len(v.base64)%4 != 0 {
		alphabet = base64.RawStdEncoding
	}
	dst, err := alphabet.AppendDecode(dst, v.base64)
	return dst, err == nil
}
