package decode

import (
	"bytes"
	"math"
	"slices"
	"strconv"
	"unicode/utf8"

	"github.com/culvert-project/culvert/plugins/odata/datetime"
	"github.com/culvert-project/culvert/plugins/odata/edm"
	"github.com/culvert-project/culvert/wit/connectdata"
)

// append4 is append for the types that only OData v4 has.
func (v *values) append4(dst []byte, schema *RowSchema, column *Column, text []byte) (out []byte, expected string) {
	var instant datetime.DateTime
	isValid := false
	switch column.Type {
	case edm.Date:
		const layout = "2006-01-02"
		if len(text) != len(layout) || text[4] != '-' || !instant.Parse(text) {
			return dst, "Edm.Date of the years 1 to 9999"
		}
		return connectdata.AppendNumber(dst, instant.Days()), ""
	case edm.TimeOfDay:
		v.clock = append(append(v.clock[:0], "1970-01-01T"...), text...)
		if !instant.Parse(v.clock) || instant.Zoned {
			return dst, "Edm.TimeOfDay"
		}
		return connectdata.AppendNumber(dst, instant.Wall), ""
	case edm.Duration:
		isValid = isDuration(text)
		expected = "Edm.Duration"
	case edm.Enum:
		isValid = schema.isMember(column.Enum, text)
		expected = expectedMember
	case edm.Geo:
		isValid = bytes.HasPrefix(text, []byte("{")) && utf8.Valid(text)
		expected = "an object of GeoJSON"
	}
	if !isValid {
		return dst, expected
	}
	return connectdata.AppendBytes(dst, text), ""
}

// isDuration reports whether a text has the characters of a duration, such as -P1DT2H3.5S.
func isDuration(text []byte) bool {
	digits, ok := bytes.CutPrefix(bytes.TrimPrefix(text, []byte("-")), []byte("P"))
	return ok && len(digits) > 1 && len(bytes.Trim(digits, "0123456789.YMDTHS")) == 0
}

// isMember reports whether a text names a member of the type, or members of flags.
func (r *RowSchema) isMember(enum *edm.EnumType, text []byte) bool {
	if enum == nil {
		return utf8.Valid(text)
	}
	members := r.members[enum]
	if !enum.Flags {
		return members[string(text)]
	}
	for name := range bytes.SplitSeq(text, []byte(",")) {
		if !members[string(bytes.TrimSpace(name))] {
			return false
		}
	}
	return true
}

// losesDigits reports whether a float64 cannot hold each value of the column, whose texts are numbers.
func (c *Column) losesDigits() bool {
	return c.Type == edm.Int64 || c.Type == edm.Decimal || c.Type == edm.String
}

// mayBeRounded reports whether a number has so many digits that it may be the nearest float64 of another number: it is
// at least 2^53, or has a point and more than 15 significant digits.
func mayBeRounded(number []byte) bool {
	const floatDigits = 15
	f, _ := strconv.ParseFloat(string(number), 64)
	if exponent := bytes.IndexAny(number, "eE"); exponent >= 0 {
		number = number[:exponent]
	}
	integer, fraction, hasPoint := bytes.Cut(number, []byte("."))
	digits := bytes.TrimLeft(slices.Concat(integer, fraction), "-0")
	return math.Abs(f) >= exactInteger || (hasPoint && len(digits) > floatDigits)
}

// compact appends an object of JSON without the white space between its tokens.
func compact(dst, object []byte) []byte {
	inString := false
	for i := 0; i < len(object); i++ {
		c := object[i]
		switch {
		case c == '\\': // in a string
			dst = append(dst, c)
			i++
			c = object[i]
		case c == '"':
			inString = !inString
		case c <= ' ' && !inString:
			continue
		}
		dst = append(dst, c)
	}
	return dst
}

// appendEmpty appends the shortest value of a column, null if it may be.
func appendEmpty(dst []byte, column *Column) []byte {
	switch {
	case column.Optional:
		// null
	case column.Kind == Complex:
		for i := range column.Nested.Columns {
			dst = appendEmpty(dst, &column.Nested.Columns[i])
		}
		return dst
	case column.Kind == Primitive && column.Type == edm.Single:
		return connectdata.AppendFloat32(dst, 0)
	case column.Kind == Primitive && (column.Type == edm.Double || column.Mapping == Float64Mapping):
		return connectdata.AppendFloat64(dst, 0)
	}
	return append(dst, 0) // no items, no bytes, zero or false
}
