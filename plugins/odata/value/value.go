// Package value converts Kafka Connect values to OData v2 values for key predicates, filters and bodies. Its input is
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
	// Text is the value in Atom's form.
	Text string
	// Millis since 1970 of a DateTime or DateTimeOffset, and the units of 100 ns after them, which JSON cannot express.
	Millis, Ticks int64
}

// ConversionError reports a value that an EDM type cannot hold.
type ConversionError struct{ Expected, Found string }

func (e *ConversionError) Error() string { return "expected " + e.Expected + ", found " + e.Found }

// Text reads a value with schema at the start of b and returns its text and size. A null is an error.
func Text(t edm.Primitive, nodes []wit.SchemaNode, node uint32, b []byte) (text string, size int, err error) {
	v, size, err := connectdata.Read(nodes, node, b)
	if err != nil {
		return "", 0, err
	}
	c, err := Convert(&edm.Property{Type: edm.Type{Primitive: t}, Scale: -1}, &nodes[node], v)
	return c.Text, size, err
}

// Convert converts a non-null value to a property's type. n is the value's schema node, nil for schemaless values. It
// also parses text for every type, because schemaless values cannot express decimals and dates otherwise. It never
// truncates or rounds: values that do not fit return a *[ConversionError].
func Convert(p *edm.Property, n *wit.SchemaNode, v any) (Converted, error) {
	c := Converted{Type: p.Type.Primitive}
	var ok bool
	switch c.Type {
	case edm.Boolean:
		c.Text, ok = boolean(v)
	case edm.SByte, edm.Byte, edm.Int16, edm.Int32, edm.Int64:
		c.Text, ok = integer(c.Type, v, n)
	case edm.Double:
		c.Text, ok = float(v, n, 64)
	case edm.Single:
		c.Text, ok = float(v, n, 32)
	case edm.Decimal:
		c.Text, ok = decimal(v, n)
		c.Text = trimScale(c.Text, p.Scale)
	case edm.DateTime, edm.DateTimeOffset:
		if c.Millis, c.Ticks, ok = instant(v, n); ok {
			c.Text, ok = isoTime(c.Millis, c.Ticks, c.Type == edm.DateTimeOffset)
		}
	case edm.Time:
		c.Text, ok = timeOfDayText(v, n)
	case edm.Binary:
		c.Text, ok = binary(v)
	default:
		c.Text, ok = v.(string)
	}
	if !ok {
		return c, &ConversionError{expected(c.Type, v), describe(v, n)}
	}
	return c, nil
}

// expected describes a type in an error, with the form of texts if the value is similar.
func expected(t edm.Primitive, v any) string {
	text, ok := v.(string)
	switch {
	case ok && strings.HasPrefix(text, "/Date(") && (t == edm.DateTime || t == edm.DateTimeOffset):
		return t.String() + " (milliseconds in UTC, as /Date(0)/ or /Date(0+0000)/; no other offset is read)"
	case ok && t == edm.Time:
		return AcceptedForms(t)
	}
	return t.String()
}

// AppendJSON appends the value in verbose JSON: Int64 and Decimal as strings, dates as \/Date(…)\/ in UTC.
func (c *Converted) AppendJSON(dst []byte) []byte {
	switch c.Type {
	case edm.Boolean, edm.Byte, edm.SByte, edm.Int16, edm.Int32:
		return append(dst, c.Text...)
	case edm.Double, edm.Single:
		if strings.Trim(c.Text, "NaIF-") != "" {
			return append(dst, c.Text...)
		}
	case edm.DateTime, edm.DateTimeOffset:
		dst = strconv.AppendInt(append(dst, `"\/Date(`...), c.Millis, 10)
		if c.Type == edm.DateTimeOffset {
			dst = append(dst, "+0000"...)
		}
		return append(dst, `)\/"`...)
	}
	return jsontext.AppendString(dst, c.Text)
}

func logical(n *wit.SchemaNode) string {
	if n == nil || n.Name == nil {
		return ""
	}
	return *n.Name
}

// toInteger accepts integers without logical type.
func toInteger(v any) (int64, bool) {
	switch x := v.(type) {
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

func boolean(v any) (string, bool) {
	switch x := v.(type) {
	case bool:
		return strconv.FormatBool(x), true
	case string:
		return x, x == "true" || x == "false"
	}
	return "", false
}

func integer(t edm.Primitive, v any, n *wit.SchemaNode) (string, bool) {
	least, most, _ := t.Bounds()
	i, ok := toInteger(v)
	if s, isText := v.(string); isText {
		var err error
		i, err = strconv.ParseInt(s, 10, 64)
		ok = err == nil
	}
	if f, isFloat := v.(float64); isFloat && n == nil && f == math.Trunc(f) && math.Abs(f) < 1<<53 {
		// Schemaless JSON numbers may arrive as floats.
		i, ok = int64(f), true
	}
	return strconv.FormatInt(i, 10), ok && i >= least && i <= most && !IsTime(n)
}

// IsTime reports whether a node's integers are dates or times.
func IsTime(n *wit.SchemaNode) bool {
	switch logical(n) {
	case wit.NameDate, wit.NameTime, wit.NameTimestamp, wit.NameMicroTimestamp:
		return true
	}
	return false
}

func float(v any, n *wit.SchemaNode, bits int) (string, bool) {
	var f float64
	switch x := v.(type) {
	case float32:
		if bits == 64 {
			f, bits = float64(x), 32
		} else {
			f = float64(x)
		}
	case float64:
		f = x
		if bits == 32 && float64(float32(f)) != f && !math.IsNaN(f) {
			if math.Abs(f) > math.MaxFloat32 && !math.IsInf(f, 0) {
				return "", false
			}
			bits = 64
		}
	case string:
		return floatText(x)
	case connectdata.Decimal:
		text, ok := decimal(x, n)
		f, err := strconv.ParseFloat(text, bits)
		return text, ok && err == nil && (f != 0 || x.Unscaled.Sign() == 0)
	default:
		return decimal(v, n)
	}
	switch {
	case math.IsNaN(f):
		return "NaN", true
	case math.IsInf(f, 1):
		return "INF", true
	case math.IsInf(f, -1):
		return "-INF", true
	}
	return strconv.FormatFloat(f, 'g', -1, bits), true
}

// floatText returns a number in a form that JSON accepts.
func floatText(s string) (string, bool) {
	if s == "NaN" || s == "INF" || s == "-INF" {
		return s, true
	}
	f, err := strconv.ParseFloat(s, 64)
	if err != nil || strings.Trim(s, "+-.eE0123456789") != "" {
		return "", false
	}
	if isJSONNumber(s) {
		return s, true
	}
	return strconv.FormatFloat(f, 'g', -1, 64), true
}

// isJSONNumber reports whether a number that Go can parse is valid in JSON: no plus sign, no leading zeros, digits on
// both sides of the point.
func isJSONNumber(s string) bool {
	s = strings.TrimPrefix(s, "-")
	end := strings.IndexAny(s, ".eE")
	if end < 0 {
		end = len(s)
	}
	whole, rest := s[:end], s[end:]
	if whole == "" || whole[0] == '+' || whole[0] == '0' && whole != "0" {
		return false
	}
	return rest == "" || rest[0] != '.' || len(rest) > 1 && rest[1] >= '0' && rest[1] <= '9'
}

func decimal(v any, n *wit.SchemaNode) (string, bool) {
	if i, ok := toInteger(v); ok {
		return strconv.FormatInt(i, 10), !IsTime(n)
	}
	switch x := v.(type) {
	case float32:
		return strconv.FormatFloat(float64(x), 'f', -1, 32), finite(float64(x))
	case float64:
		return strconv.FormatFloat(x, 'f', -1, 64), finite(x)
	case connectdata.Decimal:
		return insertPoint(x.Unscaled.String(), int(x.Scale))
	case []byte:
		if logical(n) != wit.NameDecimal {
			return "", false
		}
		if len(x) > 0 && len(x) <= 8 {
			small := int64(int8(x[0]))
			for _, b := range x[1:] {
				small = small<<8 | int64(b)
			}
			return insertPoint(strconv.FormatInt(small, 10), scale(n))
		}
		return insertPoint(connectdata.Unscaled(x).String(), scale(n))
	case string:
		return decimalText(x), isDecimal(x)
	}
	return "", false
}

func decimalText(s string) string {
	sign, digits := "", strings.TrimPrefix(s, "+")
	if rest, negative := strings.CutPrefix(digits, "-"); negative {
		sign, digits = "-", rest
	}
	if strings.HasPrefix(digits, ".") {
		digits = "0" + digits
	}
	return sign + strings.TrimSuffix(digits, ".")
}

func finite(f float64) bool { return !math.IsNaN(f) && !math.IsInf(f, 0) }

// isDecimal rejects exponents, which would have to be resolved.
func isDecimal(s string) bool {
	digits := strings.TrimLeft(s, "+-")
	if len(s)-len(digits) > 1 {
		return false
	}
	before, after, _ := strings.Cut(digits, ".")
	return strings.Trim(before+after, "0123456789") == "" && before+after != ""
}

func scale(n *wit.SchemaNode) int {
	for _, p := range n.Parameters {
		if p.Name == wit.ParameterScale {
			s, _ := strconv.Atoi(p.Value)
			return s
		}
	}
	return 0
}

// maxScale limits the zeros that a scale can add.
const maxScale = 1000

func insertPoint(digits string, scale int) (string, bool) {
	if scale > maxScale || scale < -maxScale {
		return "", false
	}
	sign := ""
	if digits[0] == '-' {
		sign, digits = "-", digits[1:]
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

// timeUnit is the unit of a node's integers: perMilli per millisecond, or days if zero. They count from 1970 or, for a
// clock, from midnight.
type timeUnit struct {
	perMilli int64
	clock    bool
}

// timeUnits are the logical types of Kafka Connect, Debezium and Confluent's Avro converter. Local timestamps are
// treated like UTC.
var timeUnits = map[string]timeUnit{
	wit.NameDate: {0, false}, wit.NameTime: {1, true}, wit.NameTimestamp: {1, false},
	"io.debezium.time.Date": {0, false}, "io.debezium.time.Time": {1, true}, "io.debezium.time.MicroTime": {1000, true},
	"io.debezium.time.NanoTime": {1_000_000, true}, "io.debezium.time.Timestamp": {1, false},
	wit.NameMicroTimestamp: {1000, false}, "io.debezium.time.NanoTimestamp": {1_000_000, false},
	"time-micros": {1000, true}, "timestamp-micros": {1000, false}, "timestamp-nanos": {1_000_000, false},
	"local-timestamp-millis": {1, false}, "local-timestamp-micros": {1000, false},
	"local-timestamp-nanos": {1_000_000, false},
}

// ticks converts units after a full millisecond to units of 100 ns. ok is false for a remainder.
func (c timeUnit) ticks(rest int64) (ticks int64, ok bool) {
	ns := rest * (1_000_000 / c.perMilli)
	return ns / 100, ns%100 == 0
}

// instant reads a point in time: an integer of a logical type, else in milliseconds, or ISO text, or /Date(…)/.
func instant(v any, n *wit.SchemaNode) (millis, ticks int64, ok bool) {
	switch x := v.(type) {
	case connectdata.Instant:
		return int64(x), 0, true
	case string:
		return parseInstant(x)
	}
	i, ok := toInteger(v)
	c, known := timeUnits[logical(n)]
	switch _, long := v.(int64); {
	case !ok, c.clock, !known && (!long || logical(n) != ""):
		return 0, 0, false
	case !known:
		return i, 0, true
	case c.perMilli == 0:
		return i * datetime.MsPerDay, 0, i == int64(int32(i))
	}
	millis, rest := floor(i, c.perMilli)
	ticks, ok = c.ticks(rest)
	return millis, ticks, ok
}

// parseInstant accepts /Date(…)/ in UTC only.
func parseInstant(s string) (millis, ticks int64, ok bool) {
	var m datetime.DateTime
	ok = m.Parse([]byte(s)) && !m.Rounded && (m.Offset == 0 || s[0] != '/')
	return m.UTC(), m.Ticks, ok
}

func floor(n, by int64) (quotient, rest int64) {
	rest = (n%by + by) % by
	return (n - rest) / by, rest
}

// isoTime formats a point in time in UTC, with a Z if the type has a zone. ok is false outside of the years 1 to 9999.
func isoTime(ms, ticks int64, zoned bool) (string, bool) {
	if ms < datetime.FirstMs || ms > datetime.LastMs {
		return "", false
	}
	return string(appendISO(make([]byte, 0, len("2006-01-02T15:04:05.9999999Z")), ms, ticks, zoned)), true
}

func appendISO(dst []byte, ms, ticks int64, zoned bool) []byte {
	t := time.UnixMilli(ms).UTC().Add(time.Duration(ticks) * 100)
	year, month, day := t.Date()
	hour, minute, second := t.Clock()
	dst = digits(dst, year, 4)
	dst = digits(append(dst, '-'), int(month), 2)
	dst = digits(append(dst, '-'), day, 2)
	dst = digits(append(dst, 'T'), hour, 2)
	dst = digits(append(dst, ':'), minute, 2)
	dst = digits(append(dst, ':'), second, 2)
	if part := t.Nanosecond() / 100; part > 0 {
		dst = bytes.TrimRight(digits(append(dst, '.'), part, 7), "0")
	}
	if zoned {
		dst = append(dst, 'Z')
	}
	return dst
}

func digits(dst []byte, n, count int) []byte {
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
func timeOfDayText(v any, n *wit.SchemaNode) (string, bool) {
	if x, ok := v.(string); ok {
		if !strings.HasPrefix(x, "PT") {
			return timeOfDay(x)
		}
		return x, len(x) > 3
	}
	millis, ticks, ok := instant(v, n)
	i, plain := toInteger(v)
	if c := timeUnits[logical(n)]; c.clock && plain {
		var rest int64
		millis, rest = floor(i, c.perMilli)
		ticks, ok = c.ticks(rest)
	} else if logical(n) != "" || !plain {
		_, millis = floor(millis, datetime.MsPerDay)
	}
	if !ok || millis < 0 || millis >= datetime.MsPerDay {
		return "", false
	}
	return duration(ticks + millis*datetime.TicksPerMilli), true
}

func duration(ticks int64) string {
	text := "PT" + twoDigits(ticks/(60*ticksOfMinute)) + "H" + twoDigits(ticks/ticksOfMinute%60) + "M" +
		twoDigits(ticks/(1000*datetime.TicksPerMilli)%60)
	if rest := ticks % (1000 * datetime.TicksPerMilli); rest > 0 {
		text += "." + strings.TrimRight(strconv.FormatInt(1000*datetime.TicksPerMilli+rest, 10)[1:], "0")
	}
	return text + "S"
}

func twoDigits(n int64) string { return strconv.FormatInt(100+n, 10)[1:] }

func binary(v any) (string, bool) {
	switch x := v.(type) {
	case []byte:
		return base64.StdEncoding.EncodeToString(x), true
	case string:
		_, err := base64.StdEncoding.DecodeString(x)
		return x, err == nil
	}
	return "", false
}

func describe(v any, n *wit.SchemaNode) string {
	name := "a value"
	switch x := v.(type) {
	case bool:
		name = strconv.FormatBool(x)
	case string:
		const most = 60
		if len(x) > most {
			x = strings.ToValidUTF8(x[:most], "") + "..."
		}
		name = strconv.Quote(x)
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
		if i, ok := toInteger(v); ok {
			name = "integer " + strconv.FormatInt(i, 10)
		}
	}
	if l := logical(n); l != "" {
		name += " (" + l + ")"
	}
	return name
}
