package value

import (
	"cmp"
	"encoding/base64"
	"math"
	"math/big"
	"strconv"
	"strings"

	"github.com/culvert-project/culvert/plugins/odata/datetime"
	"github.com/culvert-project/culvert/plugins/odata/edm"
	"github.com/culvert-project/culvert/plugins/odata/uri"
)

// Literal parses a value that a user wrote in a setting, plain or as in a URL: `2024-01-31`,
// `datetime'2024-01-31T00:00:00'`, `12.5`, `12.5M`, `Germany`, `'Germany'`. The error is a *[ConversionError] that
// names the accepted forms. A nil dialect means [edm.V2].
func Literal(dialect *edm.Dialect, property *edm.Property, text string) (uri.Literal, error) {
	primitive := property.Type.Primitive
	if primitive == edm.NotPrimitive || primitive == edm.Geo || property.Type.Collection {
		return uri.Literal{}, &ConversionError{Expected: "a property of a primitive type", Found: property.Type.Name}
	}
	plain := text
	if content, ok := unquote(dialect, primitive, text); ok {
		plain = content
	} else if primitive != edm.String {
		plain = strings.TrimSpace(text)
	}
	normalized, ok := normalize(&property.Type, plain)
	if !ok {
		return uri.Literal{}, &ConversionError{Expected: AcceptedForms(&property.Type),
			Found: strconv.Quote(shorten(text))}
	}
	return LiteralOf(property, normalized), nil
}

// LiteralOf returns the literal of a property's value in Atom's form.
func LiteralOf(property *edm.Property, text string) uri.Literal {
	literal := uri.Literal{Type: property.Type.Primitive, Text: text}
	if literal.Type == edm.Enum {
		literal.TypeName = property.Type.Name
	}
	return literal
}

// maxDigits exceeds all real decimals, and limits the cost of comparing.
const maxDigits = 1000

// maxQuote limits how many bytes of a value an error repeats.
const maxQuote = 60

func shorten(text string) string {
	if len(text) > maxQuote {
		return strings.ToValidUTF8(text[:maxQuote], "") + "..."
	}
	return text
}

// unquote returns the text of a URL literal. ok is false if the literal has another type.
func unquote(dialect *edm.Dialect, primitive edm.Primitive, text string) (plain string, ok bool) {
	trimmed := strings.TrimSpace(text)
	if strings.HasSuffix(trimmed, "'") {
		literal, err := uri.ParseLiteral(dialect, trimmed)
		return literal.Text, err == nil && literal.Type == primitive
	}
	suffix := dialect.Form(primitive).Suffix
	if n := len(trimmed) - 1; n > 0 && suffix != "" && strings.EqualFold(trimmed[n:], suffix) {
		// The F of -INF is no suffix.
		return trimmed[:n], (trimmed[n-1] >= '0' && trimmed[n-1] <= '9') || trimmed[n-1] == '.'
	}
	return "", false
}

// AcceptedForms describes the texts that [Literal] accepts for a type.
func AcceptedForms(typ *edm.Type) string {
	switch primitive := typ.Primitive; primitive {
	case edm.Boolean:
		return "true or false (Edm.Boolean)"
	case edm.Byte:
		return "a whole number from 0 to 255 (Edm.Byte)"
	case edm.SByte:
		return "a whole number from -128 to 127 (Edm.SByte)"
	case edm.Int16:
		return "a whole number from -32768 to 32767 (Edm.Int16)"
	case edm.Int32:
		return "a whole number of 32 bits (Edm.Int32)"
	case edm.Int64:
		return "a whole number of 64 bits (Edm.Int64)"
	case edm.Decimal:
		return "digits with a point, such as 12.5 (Edm.Decimal)"
	case edm.Double, edm.Single:
		return "a number, such as 1.5 or 1E10 (" + primitive.String() + ")"
	case edm.Guid:
		return "32 hexadecimal digits, 8-4-4-4-12 (Edm.Guid)"
	case edm.DateTime:
		return "a date such as 2024-01-31 or 2024-01-31T12:00:00 (Edm.DateTime)"
	case edm.DateTimeOffset:
		return "a date and its zone, such as 2024-01-31T12:00:00Z or 2024-01-31T12:00:00+01:00 (Edm.DateTimeOffset)"
	case edm.Time:
		return "a time of day such as 12:30:00 or PT12H30M00S (Edm.Time)"
	case edm.Binary:
		return "pairs of hexadecimal digits as X'23AB', or base64 (Edm.Binary)"
	case edm.Date:
		return "a date such as 2024-01-31 (Edm.Date)"
	case edm.TimeOfDay:
		return "a time of day such as 12:30:00 or 12:30:00.123 (Edm.TimeOfDay)"
	case edm.Duration:
		return "a duration such as P1DT12H or PT30M0.5S (Edm.Duration)"
	case edm.Enum:
		return enumForms(typ)
	case edm.Geo:
		return "an object of GeoJSON such as {\"type\":\"Point\",\"coordinates\":[8.6,49.3]}"
	}
	return "text, or text in single quotes with quotes inside doubled (Edm.String)"
}

// normalize returns a value in Atom's form. ok is false if the text is invalid.
func normalize(typ *edm.Type, text string) (normalized string, ok bool) {
	switch primitive := typ.Primitive; primitive {
	case edm.Boolean:
		switch strings.ToLower(text) {
		case "true", "1":
			return "true", true
		case "false", "0":
			return "false", true
		}
		return "", false
	case edm.Byte, edm.SByte, edm.Int16, edm.Int32, edm.Int64:
		n, err := strconv.ParseInt(text, 10, 64)
		low, high, _ := primitive.Bounds()
		return strconv.FormatInt(n, 10), err == nil && n >= low && n <= high
	case edm.Decimal:
		return decimalText(text), len(text) <= maxDigits && isDecimal(text)
	case edm.Double, edm.Single:
		return float(text, nil, 64)
	case edm.Guid:
		return text, edm.IsGUID(text)
	case edm.DateTime, edm.DateTimeOffset:
		if len(text) > 10 && text[10] == ' ' { // 2024-01-31 12:00:00
			text = text[:10] + "T" + text[11:]
		}
		millis, ticks, ok := parseInstant(text)
		if !ok {
			return "", false
		}
		// Edm.DateTime has no zone: it is converted to UTC. An Edm.DateTimeOffset without zone is in UTC.
		return formatISO(millis, ticks, primitive == edm.DateTimeOffset)
	case edm.Time:
		return normalizeTimeOfDay(text)
	case edm.Binary:
		_, err := base64.StdEncoding.DecodeString(text)
		return text, err == nil
	case edm.Date:
		return date(text, nil)
	case edm.TimeOfDay:
		return clock(normalizeTimeOfDay(text))
	case edm.Duration:
		_, ok := parseDuration(text)
		return text, ok
	case edm.Enum:
		return enumMembers(typ.Enum, text)
	}
	return text, true
}

const clockDate = "1970-01-01T" // makes a time of day a point in time

// normalizeTimeOfDay formats a time such as 12:30 as a duration, and keeps a duration such as PT12H.
func normalizeTimeOfDay(text string) (string, bool) {
	if strings.HasPrefix(text, "PT") {
		_, ok := durationTicks(text)
		return text, ok
	}
	var t datetime.DateTime
	ok := t.Parse([]byte(clockDate+text)) && !t.Rounded && !t.Zoned
	return formatDuration(t.Wall*datetime.TicksPerMilli + t.Ticks), ok
}

// durationTicks returns the number of 100 ns in a duration below a day. ok is false for other texts, and for more than
// seven digits after the point.
func durationTicks(text string) (int64, bool) {
	ticks, rounded, ok := datetime.TimeOfDay([]byte(text))
	_, fraction, _ := strings.Cut(text, ".")
	return ticks, ok && !rounded && !strings.Contains(text, ",") && len(fraction) <= len("1234567S")
}

// Compare orders two values in Atom's form: texts by bytes, members of enumerations as sets, Guids without case, dates
// as points in time. ok is false if one is invalid.
func Compare(primitive edm.Primitive, left, right string) (order int, ok bool) {
	switch primitive {
	case edm.Byte, edm.SByte, edm.Int16, edm.Int32, edm.Int64:
		x, errX := strconv.ParseInt(left, 10, 64)
		y, errY := strconv.ParseInt(right, 10, 64)
		return cmp.Compare(x, y), errX == nil && errY == nil
	case edm.Decimal:
		x, okX := new(big.Rat).SetString(left)
		y, okY := new(big.Rat).SetString(right)
		if !okX || !okY {
			return 0, false
		}
		return x.Cmp(y), true
	case edm.Double, edm.Single:
		x, errX := strconv.ParseFloat(left, 64)
		y, errY := strconv.ParseFloat(right, 64)
		return cmp.Compare(x, y), errX == nil && errY == nil && !math.IsNaN(x) && !math.IsNaN(y)
	case edm.DateTime, edm.DateTimeOffset, edm.Date:
		x, ticksX, okX := parseInstant(left)
		y, ticksY, okY := parseInstant(right)
		return cmp.Or(cmp.Compare(x, y), cmp.Compare(ticksX, ticksY)), okX && okY
	case edm.Time:
		x, okX := durationTicks(left)
		y, okY := durationTicks(right)
		return cmp.Compare(x, y), okX && okY
	case edm.TimeOfDay:
		return Compare(edm.DateTime, clockDate+left, clockDate+right)
	case edm.Duration:
		x, okX := parseDuration(left)
		y, okY := parseDuration(right)
		return x.compare(y), okX && okY
	case edm.Enum:
		return compareMembers(left, right), true
	case edm.Guid:
		return strings.Compare(strings.ToLower(left), strings.ToLower(right)), true
	case edm.Binary:
		x, errX := decodeBinary(left)
		y, errY := decodeBinary(right)
		return strings.Compare(string(x), string(y)), errX == nil && errY == nil
	}
	return strings.Compare(left, right), true
}

// NormalizeDecimal removes the plus sign, leading zeros, and zeros at the end of the fraction. It returns invalid text
// unchanged.
func NormalizeDecimal(text string) string {
	if !isDecimal(text) {
		return text
	}
	digits := decimalText(text)
	sign := ""
	if unsigned, ok := strings.CutPrefix(digits, "-"); ok {
		sign = "-"
		digits = unsigned
	}
	if strings.Contains(digits, ".") {
		digits = strings.TrimSuffix(strings.TrimRight(digits, "0"), ".")
	}
	switch digits = strings.TrimLeft(digits, "0"); {
	case digits == "":
		return "0"
	case digits[0] == '.':
		digits = "0" + digits
	}
	return sign + digits
}

// NormalizeTime returns the number of 100 ns in a duration such as PT1H30M, as text. It returns invalid text unchanged.
func NormalizeTime(text string) string {
	if ticks, ok := durationTicks(text); ok {
		return strconv.FormatInt(ticks, 10)
	}
	return text
}
