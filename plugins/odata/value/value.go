// Package value converts Kafka Connect values to OData values for key predicates, filters and bodies. Its input is
// values of package connectdata, with or without schema.
package value

import (
	"bytes"
	"encoding/base64"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/culvert-project/culvert/plugins/odata/datetime"
	"github.com/culvert-project/culvert/plugins/odata/edm"
	"github.com/culvert-project/culvert/plugins/odata/jsontext"
	"github.com/culvert-project/culvert/wit"
	"github.com/culvert-project/culvert/wit/connectdata"
)

// Converted is a value of a primitive EDM type.
type Converted struct {
	Type edm.Primitive
	Text string // the value in Atom's form
	// Millis is the time since 1970 of a DateTime or DateTimeOffset in milliseconds.
	Millis int64
	Ticks  int64 // the units of 100 ns after Millis, which JSON cannot express
}

// ConversionError reports a value that an EDM type cannot hold.
type ConversionError struct{ Expected, Found string }

func (e *ConversionError) Error() string { return "expected " + e.Expected + ", found " + e.Found }

// Text reads a value with schema at the start of b and returns its text and size. A null is an error.
func Text(primitive edm.Primitive, nodes []wit.SchemaNode, node uint32, b []byte) (text string, size int, err error) {
	value, size, err := connectdata.Read(nodes, node, b)
	if err != nil {
		return "", 0, err
	}
	converted, err := Convert(&edm.Property{Type: edm.Type{Primitive: primitive}, Scale: -1}, &nodes[node], value)
	return converted.Text, size, err
}

// Convert converts a non-null value to a property's type. node is the value's schema, nil for schemaless values. It
// also parses text for every type, because schemaless values cannot express decimals and dates otherwise. It never
// truncates or rounds: values that do not fit return a *[ConversionError].
func Convert(property *edm.Property, node *wit.SchemaNode, value any) (Converted, error) {
	converted := Converted{Type: property.Type.Primitive}
	var ok bool
	switch converted.Type {
	case edm.Boolean:
		converted.Text, ok = boolean(value)
	case edm.SByte, edm.Byte, edm.Int16, edm.Int32, edm.Int64:
		converted.Text, ok = integer(converted.Type, value, node)
	case edm.Double:
		converted.Text, ok = float(value, node, 64)
	case edm.Single:
		converted.Text, ok = float(value, node, 32)
	case edm.Decimal:
		converted.Text, ok = decimal(value, node)
		converted.Text = trimScale(converted.Text, property.Scale)
	case edm.DateTime, edm.DateTimeOffset:
		if converted.Millis, converted.Ticks, ok = instant(value, node); ok {
			converted.Text, ok = formatISO(converted.Millis, converted.Ticks, converted.Type == edm.DateTimeOffset)
		}
	case edm.Time:
		converted.Text, ok = timeOfDayText(value, node)
	case edm.Binary:
		converted.Text, ok = binary(value)
	case edm.Date:
		converted.Text, ok = date(value, node)
	case edm.TimeOfDay:
		converted.Text, ok = clock(timeOfDayText(value, node))
	case edm.Geo:
		if converted.Text, ok = value.(string); ok {
			object, err := jsontext.Parse([]byte(converted.Text))
			ok = err == nil && object.Kind == jsontext.Object
		}
	case edm.Duration, edm.Enum:
		if converted.Text, ok = value.(string); ok {
			converted.Text, ok = normalize(&property.Type, converted.Text)
		}
	default:
		if converted.Text, ok = value.(string); !ok && converted.Type == edm.String {
			converted.Text, ok = wholeDecimal(value, node)
		}
	}
	if !ok {
		return converted, &ConversionError{expectedForm(&property.Type, value), describe(value, node)}
	}
	return converted, nil
}

// expectedForm describes a type in an error, with the form of texts if the value is similar.
func expectedForm(typ *edm.Type, value any) string {
	primitive := typ.Primitive
	text, ok := value.(string)
	switch {
	case ok && strings.HasPrefix(text, "/Date(") && (primitive == edm.DateTime || primitive == edm.DateTimeOffset):
		return primitive.String() + " (milliseconds in UTC, as /Date(0)/ or /Date(0+0000)/; no other offset is read)"
	case ok && (primitive == edm.Time || primitive >= edm.Date):
		return AcceptedForms(typ)
	}
	return primitive.String()
}

// AppendJSON appends the value in JSON: Int64 and Decimal as strings, dates of verbose JSON as \/Date(…)\/ in UTC.
func (c *Converted) AppendJSON(dst []byte, form Form) []byte {
	switch c.Type {
	case edm.Boolean, edm.Byte, edm.SByte, edm.Int16, edm.Int32:
		return append(dst, c.Text...)
	case edm.Double, edm.Single:
		if strings.Trim(c.Text, "NaIF-") != "" { // not NaN, INF or -INF, which JSON has as strings
			return append(dst, c.Text...)
		}
	case edm.DateTime, edm.DateTimeOffset:
		if form == JSON {
			return appendDate(dst, c.Type, c.Millis)
		}
	case edm.Binary:
		if form == ISOJSON {
			return jsontext.AppendString(dst, base64URL(c.Text))
		}
	case edm.Geo:
		return append(dst, c.Text...)
	}
	return jsontext.AppendString(dst, c.Text)
}

func appendDate(dst []byte, primitive edm.Primitive, millis int64) []byte {
	dst = jsontext.AppendInt(append(dst, `"\/Date(`...), millis)
	if primitive == edm.DateTimeOffset {
		return append(dst, `+0000)\/"`...)
	}
	return append(dst, `)\/"`...)
}

func logicalName(node *wit.SchemaNode) string {
	if node == nil || node.Name == nil {
		return ""
	}
	return *node.Name
}

// toInteger accepts integers without logical type.
func toInteger(value any) (int64, bool) {
	switch x := value.(type) {
	case int8:
		return int64(x), true
	case int16:
		return int64(x), true
	case int32:
		return int64(x), true
	case int64:
		return x, true
	}
	return 0, false
}

// boolean and the following functions of Convert return the text of a value in Atom's form, and false if the type
// cannot hold the value.
func boolean(value any) (string, bool) {
	switch x := value.(type) {
	case bool:
		return strconv.FormatBool(x), true
	case string:
		return x, x == "true" || x == "false"
	}
	return "", false
}

func integer(primitive edm.Primitive, value any, node *wit.SchemaNode) (string, bool) {
	low, high, _ := primitive.Bounds()
	number, ok := toInteger(value)
	s, isText := value.(string)
	if !isText {
		s, isText = wholeDecimal(value, node)
	}
	if isText {
		var err error
		number, err = strconv.ParseInt(s, 10, 64)
		ok = err == nil
	}
	if f, isFloat := value.(float64); isFloat && node == nil && f == math.Trunc(f) && math.Abs(f) < 1<<53 {
		// Schemaless JSON numbers may arrive as floats, which are exact up to 2^53.
		number = int64(f)
		ok = true
	}
	return strconv.FormatInt(number, 10), ok && number >= low && number <= high && !IsTime(node)
}

// IsTime reports whether a node's integers are dates or times.
func IsTime(node *wit.SchemaNode) bool {
	switch logicalName(node) {
	case wit.NameDate, wit.NameTime, wit.NameTimestamp, wit.NameMicroTimestamp:
		return true
	}
	return false
}

func float(value any, node *wit.SchemaNode, bits int) (string, bool) {
	var number float64
	switch x := value.(type) {
	case float32:
		number = float64(x)
		bits = 32
	case float64:
		number = x
		if bits == 32 && float64(float32(number)) != number && !math.IsNaN(number) {
			if math.Abs(number) > math.MaxFloat32 && !math.IsInf(number, 0) {
				return "", false
			}
			bits = 64
		}
	case string:
		if x == "NaN" || x == "INF" || x == "-INF" {
			return x, true
		}
		number, err := strconv.ParseFloat(x, 64) // the result has a form that JSON accepts
		if err != nil || strings.Trim(x, "+-.eE0123456789") != "" {
			return "", false
		}
		if isJSONNumber(x) {
			return x, true
		}
		return strconv.FormatFloat(number, 'g', -1, 64), true
	case connectdata.Decimal:
		decimalForm, ok := decimal(x, node)
		number, err := strconv.ParseFloat(decimalForm, bits)
		return decimalForm, ok && err == nil && (number != 0 || x.Unscaled.Sign() == 0) // no underflow to zero
	default:
		return decimal(value, node)
	}
	switch {
	case math.IsNaN(number):
		return "NaN", true
	case math.IsInf(number, 1):
		return "INF", true
	case math.IsInf(number, -1):
		return "-INF", true
	}
	return strconv.FormatFloat(number, 'g', -1, bits), true
}

// isJSONNumber reports whether a number that Go can parse is valid in JSON: no plus sign, no leading zeros, digits on
// both sides of the point.
func isJSONNumber(text string) bool {
	text = strings.TrimPrefix(text, "-")
	end := strings.IndexAny(text, ".eE")
	if end < 0 {
		end = len(text)
	}
	integerPart := text[:end]
	fractionPart := text[end:]
	if integerPart == "" || integerPart[0] == '+' || (integerPart[0] == '0' && integerPart != "0") {
		return false
	}
	hasDigit := len(fractionPart) > 1 && fractionPart[1] >= '0' && fractionPart[1] <= '9'
	return fractionPart == "" || fractionPart[0] != '.' || hasDigit
}

func decimal(value any, node *wit.SchemaNode) (string, bool) {
	if number, ok := toInteger(value); ok {
		return strconv.FormatInt(number, 10), !IsTime(node)
	}
	switch x := value.(type) {
	case float32:
		return strconv.FormatFloat(float64(x), 'f', -1, 32), isFinite(float64(x))
	case float64:
		return strconv.FormatFloat(x, 'f', -1, 64), isFinite(x)
	case connectdata.Decimal:
		return insertPoint(x.Unscaled.String(), int(x.Scale))
	case []byte:
		if logicalName(node) != wit.NameDecimal {
			return "", false
		}
		if len(x) > 0 && len(x) <= 8 {
			unscaled := int64(int8(x[0]))
			for _, b := range x[1:] {
				unscaled = unscaled<<8 | int64(b)
			}
			return insertPoint(strconv.FormatInt(unscaled, 10), scaleOf(node))
		}
		return insertPoint(connectdata.Unscaled(x).String(), scaleOf(node))
	case string:
		return decimalText(x), isDecimal(x)
	}
	return "", false
}

// wholeDecimal returns the digits of a decimal without a fraction, false for other values.
func wholeDecimal(value any, node *wit.SchemaNode) (string, bool) {
	switch value.(type) {
	case connectdata.Decimal, []byte:
		digits, ok := decimal(value, node)
		digits = trimScale(digits, 0)
		return digits, ok && !strings.Contains(digits, ".")
	}
	return "", false
}

func decimalText(text string) string {
	sign := ""
	digits := strings.TrimPrefix(text, "+")
	if unsigned, ok := strings.CutPrefix(digits, "-"); ok {
		sign = "-"
		digits = unsigned
	}
	if strings.HasPrefix(digits, ".") {
		digits = "0" + digits
	}
	return sign + strings.TrimSuffix(digits, ".")
}

func isFinite(number float64) bool { return !math.IsNaN(number) && !math.IsInf(number, 0) }

// isDecimal rejects exponents, which would have to be resolved.
func isDecimal(text string) bool {
	digits := strings.TrimLeft(text, "+-")
	if len(text)-len(digits) > 1 {
		return false
	}
	integerPart, fractionPart, _ := strings.Cut(digits, ".")
	return strings.Trim(integerPart+fractionPart, "0123456789") == "" && integerPart+fractionPart != ""
}

func scaleOf(node *wit.SchemaNode) int {
	for _, p := range node.Parameters {
		if p.Name == wit.ParameterScale {
			s, _ := strconv.Atoi(p.Value)
			return s
		}
	}
	return 0
}

// maxScale limits the zeros that a scale can add.
const maxScale = 1000

// insertPoint returns an unscaled number at a scale. It returns false if the scale is out of range.
func insertPoint(digits string, scale int) (string, bool) {
	if scale > maxScale || scale < -maxScale {
		return "", false
	}
	sign := ""
	if digits[0] == '-' {
		sign = "-"
		digits = digits[1:]
	}
	switch {
	case scale <= 0 && digits == "0", scale == 0:
		return sign + digits, true
	case scale < 0:
		return sign + digits + strings.Repeat("0", -scale), true
	case len(digits) <= scale:
		digits = strings.Repeat("0", scale-len(digits)+1) + digits
	}
	return sign + digits[:len(digits)-scale] + "." + digits[len(digits)-scale:], true
}

// trimScale drops zeros after the property's scale: services reject them as too many digits.
func trimScale(text string, scale int) string {
	point := strings.IndexByte(text, '.')
	if point < 0 || scale < 0 {
		return text
	}
	for len(text)-point-1 > scale && text[len(text)-1] == '0' {
		text = text[:len(text)-1]
	}
	return strings.TrimSuffix(text, ".")
}

const ticksOfMinute = 60 * 1000 * datetime.TicksPerMilli

// timeUnit is the unit of integers that are dates or times.
type timeUnit struct {
	perMilli int64 // units in a millisecond; zero means that the unit is a day
	clock    bool  // the integers count from midnight, not from 1970
}

// timeUnits are the logical types of Kafka Connect, Debezium and Confluent's Avro converter. Local timestamps are
// treated like UTC.
var timeUnits = map[string]timeUnit{
	wit.NameDate:                     {perMilli: 0},
	wit.NameTime:                     {perMilli: 1, clock: true},
	wit.NameTimestamp:                {perMilli: 1},
	"io.debezium.time.Date":          {perMilli: 0},
	"io.debezium.time.Time":          {perMilli: 1, clock: true},
	"io.debezium.time.MicroTime":     {perMilli: 1000, clock: true},
	"io.debezium.time.NanoTime":      {perMilli: 1_000_000, clock: true},
	"io.debezium.time.Timestamp":     {perMilli: 1},
	wit.NameMicroTimestamp:           {perMilli: 1000},
	"io.debezium.time.NanoTimestamp": {perMilli: 1_000_000},
	"time-micros":                    {perMilli: 1000, clock: true},
	"timestamp-micros":               {perMilli: 1000},
	"timestamp-nanos":                {perMilli: 1_000_000},
	"local-timestamp-millis":         {perMilli: 1},
	"local-timestamp-micros":         {perMilli: 1000},
	"local-timestamp-nanos":          {perMilli: 1_000_000},
}

// ticks converts units after a full millisecond to units of 100 ns. ok is false for a remainder.
func (t timeUnit) ticks(remainder int64) (ticks int64, ok bool) {
	ns := remainder * (1_000_000 / t.perMilli)
	return ns / 100, ns%100 == 0
}

// instant reads a point in time: an integer of a logical type, else in milliseconds, or ISO text, or /Date(…)/.
func instant(value any, node *wit.SchemaNode) (millis, ticks int64, ok bool) {
	switch x := value.(type) {
	case connectdata.Instant:
		return int64(x), 0, true
	case string:
		return parseInstant(x)
	}
	number, ok := toInteger(value)
	unit, isLogical := timeUnits[logicalName(node)]
	switch _, isInt64 := value.(int64); {
	case !ok, unit.clock:
		return 0, 0, false
	case !isLogical && (!isInt64 || logicalName(node) != ""):
		return 0, 0, false // only an int64 without a logical name counts as milliseconds
	case !isLogical:
		return number, 0, true
	case unit.perMilli == 0:
		return number * datetime.MsPerDay, 0, number == int64(int32(number))
	}
	millis, remainder := floorDivide(number, unit.perMilli)
	ticks, ok = unit.ticks(remainder)
	return millis, ticks, ok
}

// parseInstant reads ISO text or /Date(…)/, the latter in UTC only. ticks are the units of 100 ns after millis.
func parseInstant[T string | []byte](text T) (millis, ticks int64, ok bool) {
	var m datetime.DateTime
	ok = m.Parse([]byte(text)) && !m.Rounded && (m.Offset == 0 || text[0] != '/')
	return m.UTC(), m.Ticks, ok
}

// floorDivide rounds the quotient down, also for negative numbers: remainder is not negative.
func floorDivide(n, divisor int64) (quotient, remainder int64) {
	remainder = (n%divisor + divisor) % divisor
	return (n - remainder) / divisor, remainder
}

// formatISO formats a point in time in UTC, with a Z if the type has a zone. ok is false outside the years 1 to 9999.
func formatISO(millis, ticks int64, hasZone bool) (text string, ok bool) {
	if millis < datetime.FirstMs || millis > datetime.LastMs {
		return "", false
	}
	return string(appendISO(make([]byte, 0, len("2006-01-02T15:04:05.9999999Z")), millis, ticks, hasZone)), true
}

// appendISO appends a point in time in UTC, with a Z if hasZone.
func appendISO(dst []byte, millis, ticks int64, hasZone bool) []byte {
	utc := time.UnixMilli(millis).UTC().Add(time.Duration(ticks) * 100)
	year, month, day := utc.Date()
	hour, minute, second := utc.Clock()
	dst = appendDigits(dst, year, 4)
	dst = appendDigits(append(dst, '-'), int(month), 2)
	dst = appendDigits(append(dst, '-'), day, 2)
	dst = appendDigits(append(dst, 'T'), hour, 2)
	dst = appendDigits(append(dst, ':'), minute, 2)
	dst = appendDigits(append(dst, ':'), second, 2)
	if part := utc.Nanosecond() / 100; part > 0 {
		dst = bytes.TrimRight(appendDigits(append(dst, '.'), part, 7), "0")
	}
	if hasZone {
		dst = append(dst, 'Z')
	}
	return dst
}

// appendDigits appends n with leading zeros, count digits in total.
func appendDigits(dst []byte, n, count int) []byte {
	for range count {
		dst = append(dst, '0')
	}
	for i := len(dst) - 1; n > 0 && i >= len(dst)-count; i-- {
		dst[i] += byte(n % 10)
		n /= 10
	}
	return dst
}

// timeOfDayText reads the time of day of a point in time, an integer of a logical type, else in milliseconds, or ISO
// text.
func timeOfDayText(value any, node *wit.SchemaNode) (string, bool) {
	if x, ok := value.(string); ok {
		if !strings.HasPrefix(x, "PT") {
			return normalizeTimeOfDay(x)
		}
		return x, len(x) > len("PT1") // a duration of at least one part, such as PT1S
	}
	millis, ticks, ok := instant(value, node)
	number, isInteger := toInteger(value)
	if unit := timeUnits[logicalName(node)]; unit.clock && isInteger {
		var remainder int64
		millis, remainder = floorDivide(number, unit.perMilli)
		ticks, ok = unit.ticks(remainder)
	} else if logicalName(node) != "" || !isInteger {
		_, millis = floorDivide(millis, datetime.MsPerDay)
	}
	if !ok || millis < 0 || millis >= datetime.MsPerDay {
		return "", false
	}
	return formatDuration(ticks + millis*datetime.TicksPerMilli), true
}

func formatDuration(ticks int64) string {
	iso := "PT" + twoDigits(ticks/(60*ticksOfMinute)) + "H" + twoDigits(ticks/ticksOfMinute%60) + "M" +
		twoDigits(ticks/(1000*datetime.TicksPerMilli)%60)
	if fraction := ticks % (1000 * datetime.TicksPerMilli); fraction > 0 {
		const second = 1000 * datetime.TicksPerMilli // added and cut off, to have seven digits
		iso += "." + strings.TrimRight(strconv.FormatInt(second+fraction, 10)[1:], "0")
	}
	return iso + "S"
}

func twoDigits(n int64) string { return strconv.FormatInt(100+n, 10)[1:] }

func binary(value any) (string, bool) {
	switch x := value.(type) {
	case []byte:
		return base64.StdEncoding.EncodeToString(x), true
	case string:
		_, err := base64.StdEncoding.DecodeString(x)
		return x, err == nil
	}
	return "", false
}

// describe returns a value in an error.
func describe(value any, node *wit.SchemaNode) string {
	name := "a value"
	switch x := value.(type) {
	case bool:
		name = strconv.FormatBool(x)
	case string:
		name = strconv.Quote(shorten(x))
	case []byte:
		name = "bytes"
	case float32:
		name = "float32 " + strconv.FormatFloat(float64(x), 'g', -1, 32)
	case float64:
		name = "float64 " + strconv.FormatFloat(x, 'g', -1, 64)
	case connectdata.List:
		name = "an array"
	case connectdata.Map:
		name = "a map"
	case connectdata.Struct, connectdata.Nested:
		name = "a struct"
	case connectdata.Decimal:
		name = "decimal " + shorten(x.Unscaled.String()+"e"+strconv.Itoa(-int(x.Scale)))
	case connectdata.Instant:
		name = "a date"
	default:
		if number, ok := toInteger(value); ok {
			name = "integer " + strconv.FormatInt(number, 10)
		}
	}
	if l := logicalName(node); l != "" {
		name += " (" + l + ")"
	}
	return name
}
