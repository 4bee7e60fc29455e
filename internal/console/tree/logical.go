package tree

import (
	"cmp"
	"encoding/base64"
	"encoding/json"
	"errors"
	"math/big"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/culvert-project/culvert/internal/java/values"
	"github.com/culvert-project/culvert/wit/connectdata"
)

// logicalPrefix begins the names of Kafka Connect's logical types.
const logicalPrefix = "org.apache.kafka.connect.data."

// logicalTimes are logical types of a number that stands for a time, with the form in which it is typed.
var logicalTimes = map[string]struct {
	layout string
	unit   time.Duration
	hint   string
}{
	"Date":      {layout: time.DateOnly, unit: 24 * time.Hour, hint: "a date such as 2026-02-03"},
	"Time":      {layout: "15:04:05.999", unit: time.Millisecond, hint: "a time such as 04:05:06.789"},
	"Timestamp": {layout: time.RFC3339Nano, unit: time.Millisecond, hint: "a time such as 2026-02-03T04:05:06.789Z"},
}

// integerBits are the sizes of the integer types.
var integerBits = map[string]int{"int8": 8, "int16": 16, "int32": 32, "int64": 64}

// kind returns the type for people: the logical type without its package, or the type.
func (s *schema) kind() string {
	name, ok := strings.CutPrefix(s.Name, logicalPrefix)
	switch {
	case ok && name == "Decimal":
		return "Decimal(" + s.Parameters["scale"] + ")"
	case ok:
		return name
	}
	return s.Type
}

// scale returns the scale of a Decimal. ok is false for other types.
func (s *schema) scale() (scale int, ok bool) {
	if s == nil || s.Name != logicalPrefix+"Decimal" {
		return 0, false
	}
	scale, err := strconv.Atoi(s.Parameters["scale"])
	return scale, err == nil && scale >= 0 && scale <= maxFieldText
}

// setText sets the kind and text of a value without members from its JSON.
func (f *Field) setText(raw string) {
	var value any
	decoder := json.NewDecoder(strings.NewReader(raw))
	decoder.UseNumber()
	_ = decoder.Decode(&value) // raw is valid JSON
	switch v := value.(type) {
	case nil:
		f.Kind = "null"
	case string:
		f.Kind = "string"
		f.Text = v
		if scale, ok := f.schema.scale(); ok {
			f.Text = decimalText(v, scale)
		}
	case json.Number:
		f.Kind = "number"
		f.Text = v.String()
		n, err := v.Int64()
		if logical, ok := logicalTimes[f.Type]; ok && err == nil {
			typed := time.UnixMilli(n * logical.unit.Milliseconds()).UTC().Format(logical.layout)
			if back, err := f.parseTime(typed); err == nil && back == f.Text { // else it cannot be typed
				f.Text = typed
			}
		}
	default:
		f.Kind = "boolean"
		f.Text = raw
	}
}

// decimalText returns the digits of an unscaled number in base64, or the text itself if it is no such number.
func decimalText(encoded string, scale int) string {
	data, err := base64.StdEncoding.DecodeString(encoded)
	if err != nil || len(data) == 0 || len(data) > maxFieldText/4 {
		return encoded
	}
	return scaledDigits(connectdata.Unscaled(data), scale)
}

// scaledDigits returns the digits of a number divided by a power of ten.
func scaledDigits(n *big.Int, scale int) string {
	return new(big.Rat).SetFrac(n, powerOfTen(scale)).FloatString(scale)
}

func powerOfTen(n int) *big.Int { return new(big.Int).Exp(big.NewInt(10), big.NewInt(int64(n)), nil) }

// parseText returns the JSON of a typed value. An error is what was expected.
func (f *Field) parseText(text string) (raw string, err error) {
	if bits, ok := integerBits[f.Type]; ok {
		n, err := strconv.ParseInt(text, 10, bits)
		if err != nil {
			return f.null(text, "an integer of "+strconv.Itoa(bits)+" bits")
		}
		return strconv.FormatInt(n, 10), nil // without a plus sign and leading zeros, which are no JSON
	}
	if _, ok := logicalTimes[f.Type]; ok {
		return f.parseTime(text)
	}
	if scale, ok := f.schema.scale(); ok {
		return f.parseDecimal(text, scale)
	}
	kind := cmp.Or(f.Type, f.Kind)
	isNumber := slices.Contains([]string{"number", "float", "double", "float32", "float64"}, kind)
	switch {
	case kind == "boolean" && text != "true" && text != "false":
		return f.null(text, "true or false")
	case kind == "boolean":
		return text, nil
	case isNumber && (!json.Valid([]byte(text)) || strings.Trim(text, "+-0123456789.eE") != ""):
		return f.null(text, "a number")
	case isNumber:
		return text, nil
	}
	if _, err := base64.StdEncoding.DecodeString(text); kind == "bytes" && err != nil {
		return "", errors.New("base64")
	}
	encoded, err := json.Marshal(text)
	return string(encoded), err
}

// null returns null for an empty text of an optional field, else an error.
func (f *Field) null(text, expected string) (raw string, err error) {
	if text == "" && (f.schema == nil || f.schema.Optional) {
		return "null", nil
	}
	return "", errors.New(expected)
}

func (f *Field) parseTime(text string) (raw string, err error) {
	logical := logicalTimes[f.Type]
	typed, err := time.Parse(logical.layout, text)
	if err != nil || typed.Nanosecond()%int(time.Millisecond) != 0 {
		return f.null(text, logical.hint)
	}
	if f.Type == "Time" {
		typed = typed.AddDate(1970, 0, 0) // Parse returns the year 0
	}
	return strconv.FormatInt(typed.UnixMilli()/logical.unit.Milliseconds(), 10), nil
}

// parseDecimal returns a number in the form of JsonConverter's decimal.format=BASE64, or NUMERIC if the stored value is
// a number. It adds zeros, but drops no digits.
func (f *Field) parseDecimal(text string, scale int) (raw string, err error) {
	typed, ok := values.ParseDecimal(text)
	missing := int64(scale) - typed.Scale // zeros
	if !ok || missing < 0 || missing > maxFieldText {
		return f.null(text, "digits with at most "+strconv.Itoa(scale)+" after the point")
	}
	n := typed.Unscaled.Mul(typed.Unscaled, powerOfTen(int(missing)))
	if f.Kind == "number" {
		return scaledDigits(n, scale), nil
	}
	data, _ := connectdata.LengthPrefixed(connectdata.AppendDecimal(nil, n))
	return strconv.Quote(base64.StdEncoding.EncodeToString(data)), nil
}
