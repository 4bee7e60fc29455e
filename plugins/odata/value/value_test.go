package value

import (
	"math"
	"math/big"
	"testing"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/plugins/odata/edm"
	"github.com/culvert-project/culvert/wit"
	"github.com/culvert-project/culvert/wit/connectdata"
)

func node(name string, scale string) *wit.SchemaNode {
	n := &wit.SchemaNode{}
	if name != "" {
		n.Name = &name
	}
	if scale != "" {
		n.Parameters = []wit.Setting{{Name: wit.ParameterScale, Value: scale}}
	}
	return n
}

// conversion is a value with its schema, and the result for a property of a type.
type conversion struct {
	typ   edm.Primitive
	node  *wit.SchemaNode
	value any
	// json is the value in verbose JSON, or "" if it does not fit.
	json string
}

func checkConversions(t *testing.T, conversions []conversion) {
	t.Helper()
	for _, test := range conversions {
		json := ""
		property := &edm.Property{Type: edm.Type{Primitive: test.typ}, Scale: -1}
		if converted, err := Convert(property, test.node, test.value); err == nil && converted.Ticks == 0 {
			json = string(converted.AppendJSON(nil, JSON))
		}
		assert.True(t, json == test.json, "%v of %#v: expected %s, found %s", test.typ, test.value, test.json, json)
	}
}

// An integer, or a decimal without a fraction, is converted if it fits the property's type.
func TestConvertsIntegers(t *testing.T) {
	plain := node("", "")
	date := node(wit.NameDate, "")
	decimal := node(wit.NameDecimal, "2")
	whole := node(wit.NameDecimal, "0")
	checkConversions(t, []conversion{
		{edm.SByte, plain, int64(-128), `-128`},
		{edm.SByte, plain, int8(127), `127`},
		{edm.SByte, plain, int16(128), ``},
		{edm.Byte, plain, int32(255), `255`},
		{edm.Byte, plain, int64(-1), ``},
		{edm.Byte, plain, int64(256), ``},
		{edm.Int16, plain, int64(32768), ``},
		{edm.Int16, plain, int64(-32768), `-32768`},
		{edm.Int32, plain, int64(math.MaxInt32), `2147483647`},
		{edm.Int32, plain, int64(math.MaxInt32 + 1), ``},
		{edm.Int32, nil, float64(7), `7`},
		{edm.Int32, nil, 7.5, ``},
		{edm.Int32, plain, float64(7), ``},
		{edm.Int32, nil, "007", `7`},
		{edm.Int32, date, int32(7), ``},
		{edm.Int64, plain, int64(math.MinInt64), `"-9223372036854775808"`},
		{edm.Int64, nil, "9223372036854775808", ``},
		{edm.Int32, nil, "+4", `4`},
		{edm.Byte, nil, "007", `7`},
		{edm.Int64, nil, connectdata.Decimal{Scale: 1, Unscaled: big.NewInt(90071992547409930)}, `"9007199254740993"`},
		{edm.Int64, nil, connectdata.Decimal{Scale: 1, Unscaled: big.NewInt(90071992547409931)}, ``},
		{edm.Int64, nil, connectdata.Decimal{Unscaled: big.NewInt(math.MaxInt64)}, `"9223372036854775807"`},
		{edm.Int64, nil, connectdata.Decimal{Scale: -1, Unscaled: big.NewInt(math.MaxInt64)}, ``},
		{edm.Int32, decimal, []byte{0x84}, ``},
		{edm.Int32, decimal, []byte{0x9c}, `-1`},
		{edm.Int32, decimal, []byte{}, `0`},
		{edm.Int16, whole, []byte{0x7f, 0xff}, `32767`},
		{edm.Int16, whole, []byte{0, 0x80, 0}, ``},
		{edm.Byte, whole, []byte{0, 0xff}, `255`},
		{edm.Byte, whole, []byte{0xff}, ``},
		{edm.SByte, whole, []byte{0x80}, `-128`},
		{edm.Int32, plain, []byte{1}, ``},
		{edm.Int32, nil, connectdata.Map{}, ``},
	})
}

// Texts, truth values, bytes and, to text, decimals without a fraction are converted. Without a schema, texts of truth
// values and base64 are, too.
func TestConvertsTextsAndBytes(t *testing.T) {
	plain := node("", "")
	decimal := node(wit.NameDecimal, "2")
	checkConversions(t, []conversion{
		{edm.Guid, plain, "00000001-0000-0000-0000-000000000000", `"00000001-0000-0000-0000-000000000000"`},
		{edm.String, plain, " 007\"ü ", `" 007\"ü "`},
		{edm.Guid, nil, connectdata.Decimal{Unscaled: big.NewInt(7)}, ``},
		{edm.String, plain, int64(7), ``},
		{edm.String, nil, connectdata.Decimal{Scale: -1, Unscaled: big.NewInt(-12)}, `"-120"`},
		{edm.String, nil, connectdata.Decimal{Scale: 1, Unscaled: big.NewInt(12)}, ``},
		{edm.String, decimal, []byte{0x64}, `"1"`},
		{edm.String, decimal, []byte{0x65}, ``},
		{edm.String, plain, []byte{0x64}, ``},
		{edm.Boolean, plain, true, `true`},
		{edm.Boolean, nil, "false", `false`},
		{edm.Boolean, nil, "yes", ``},
		{edm.Binary, plain, []byte{0xff, 0}, `"/wA="`},
		{edm.Binary, nil, "/wA=", `"/wA="`},
		{edm.Binary, nil, "?", ``},
		{edm.String, nil, connectdata.List{}, ``},
	})
}

// Edm.Double and Edm.Single accept numbers and texts of numbers in their range.
func TestConvertsFloats(t *testing.T) {
	plain := node("", "")
	decimal := node(wit.NameDecimal, "2")
	checkConversions(t, []conversion{
		{edm.Double, plain, 1.5, `1.5`},
		{edm.Double, plain, float32(0.1), `0.1`},
		{edm.Double, plain, 1e300, `1e+300`},
		{edm.Double, plain, math.NaN(), `"NaN"`},
		{edm.Double, plain, math.Inf(-1), `"-INF"`},
		{edm.Double, plain, int16(3), `3`},
		{edm.Double, decimal, []byte{0x84}, `-1.24`},
		{edm.Double, nil, "0x1p-2", ``},
		{edm.Double, nil, ".5", `0.5`},
		{edm.Double, nil, "5.", `5`},
		{edm.Double, nil, "+4", `4`},
		{edm.Double, nil, "0012.000", `12`},
		{edm.Double, nil, "-.5e3", `-500`},
		{edm.Double, nil, "-0.10", `-0.10`},
		{edm.Double, nil, "1.50E+03", `1.50E+03`},
		{edm.Double, nil, "0", `0`},
		{edm.Double, nil, "nan", ``},
		{edm.Double, nil, "NaN", `"NaN"`},
		{edm.Double, nil, "+NaN", ``},
		{edm.Double, nil, "-INF", `"-INF"`},
		{edm.Double, nil, "inf", ``},
		{edm.Double, nil, "1_0", ``},
		{edm.Double, nil, "1e400", ``},
		{edm.Single, nil, "00.25", `0.25`},
		{edm.Single, nil, " 1", ``},
		{edm.Single, plain, float32(0.1), `0.1`},
		{edm.Single, plain, 0.25, `0.25`},
		{edm.Single, plain, 1e300, ``},
		{edm.Double, nil, connectdata.Decimal{Scale: 2, Unscaled: big.NewInt(1234567890123456789)},
			`12345678901234567.89`},
		{edm.Double, nil, connectdata.Decimal{Scale: -400, Unscaled: big.NewInt(1)}, ``},
		{edm.Double, nil, connectdata.Decimal{Scale: 400, Unscaled: big.NewInt(1)}, ``},
		{edm.Single, nil, connectdata.Decimal{Scale: -39, Unscaled: big.NewInt(4)}, ``},
	})
}

// Edm.Decimal keeps the digits of numbers and texts.
func TestConvertsDecimals(t *testing.T) {
	plain := node("", "")
	decimal := node(wit.NameDecimal, "2")
	checkConversions(t, []conversion{
		{edm.Decimal, decimal, []byte{0x84}, `"-1.24"`},
		{edm.Decimal, decimal, []byte{}, `"0.00"`},
		{edm.Decimal, plain, []byte{1}, ``},
		{edm.Decimal, plain, int8(5), `"5"`},
		{edm.Decimal, plain, 0.1, `"0.1"`},
		{edm.Decimal, plain, 1e21, `"1000000000000000000000"`},
		{edm.Decimal, plain, math.NaN(), ``},
		{edm.Decimal, nil, connectdata.Decimal{Scale: -2, Unscaled: big.NewInt(12)}, `"1200"`},
		{edm.Decimal, nil, connectdata.Decimal{Scale: 3, Unscaled: big.NewInt(-5)}, `"-0.005"`},
		{edm.Decimal, nil, connectdata.Decimal{Scale: 2, Unscaled: big.NewInt(1234567890123456789)},
			`"12345678901234567.89"`},
		{edm.Decimal, nil, "12.50", `"12.50"`},
		{edm.Decimal, nil, "1e5", ``},
		{edm.Decimal, nil, "", ``},
		{edm.Decimal, nil, ".", ``},
		{edm.Decimal, nil, "+4", `"4"`},
		{edm.Decimal, nil, "-.5", `"-0.5"`},
		{edm.Decimal, nil, "5.", `"5"`},
		{edm.Decimal, nil, "+-4", ``},
		{edm.Decimal, nil, "0012.50", `"0012.50"`},
	})
}

// Points in time and times of day are converted if OData can express them.
func TestConvertsTimes(t *testing.T) {
	plain := node("", "")
	date := node(wit.NameDate, "")
	clock := node(wit.NameTime, "")
	timestamp := node(wit.NameTimestamp, "")
	checkConversions(t, []conversion{
		{edm.DateTime, nil, connectdata.Decimal{Scale: 1, Unscaled: big.NewInt(90071992547409930)}, ``},
		{edm.DateTime, timestamp, int64(1467981296789), `"\/Date(1467981296789)\/"`},
		{edm.DateTime, date, int32(-1), `"\/Date(-86400000)\/"`},
		{edm.DateTime, plain, int64(0), `"\/Date(0)\/"`},
		{edm.DateTime, plain, int32(0), ``},
		{edm.DateTime, timestamp, int64(-62135596800000), `"\/Date(-62135596800000)\/"`},
		{edm.DateTime, timestamp, int64(-62135596800001), ``},
		{edm.DateTime, timestamp, int64(253402300799999), `"\/Date(253402300799999)\/"`},
		{edm.DateTime, timestamp, int64(253402300800000), ``},
		{edm.DateTime, nil, "2016-07-08T12:34:56", `"\/Date(1467981296000)\/"`},
		{edm.DateTime, nil, "/Date(5)/", `"\/Date(5)\/"`},
		{edm.DateTime, nil, "2016-07-08", `"\/Date(1467936000000)\/"`},
		{edm.DateTime, nil, "2016-07-08T12:34:56.1234567", ``},
		{edm.DateTime, nil, "yesterday", ``},
		{edm.DateTime, nil, connectdata.Instant(5), `"\/Date(5)\/"`},
		{edm.DateTimeOffset, timestamp, int64(1467981296000), `"\/Date(1467981296000+0000)\/"`},
		{edm.DateTimeOffset, nil, "2016-07-08T14:34:56+02:00", `"\/Date(1467981296000+0000)\/"`},
		{edm.Time, clock, int32(45296789), `"PT12H34M56.789S"`},
		{edm.Time, timestamp, int64(-1), `"PT23H59M59.999S"`},
		{edm.Time, date, int32(5), `"PT00H00M00S"`},
		{edm.Time, plain, int64(86400000), ``},
		{edm.Time, plain, int64(500), `"PT00H00M00.5S"`},
		{edm.Time, plain, int32(5), ``},
		{edm.Time, nil, "PT1H", `"PT1H"`},
		{edm.Time, nil, "12:30:05", `"PT12H30M05S"`},
		{edm.Time, nil, "12:30", `"PT12H30M00S"`},
		{edm.Time, nil, "12:30:05.25", `"PT12H30M05.25S"`},
		{edm.Time, nil, "25:00:00", ``},
		{edm.Time, nil, "noon", ``},
	})
}

// The error of a rejected text names the accepted forms.
func TestConversionErrorsNameTheForm(t *testing.T) {
	for _, test := range []struct {
		typ   edm.Primitive
		value string
		want  string
	}{
		{edm.DateTimeOffset, "/Date(0+0060)/", "no other offset is read"},
		{edm.DateTime, "/Date(x)/", "as /Date(0)/ or /Date(0+0000)/"},
		{edm.DateTime, "yesterday", `expected Edm.DateTime, found "yesterday"`},
		{edm.Time, "noon", "such as 12:30:00 or PT12H30M00S"},
	} {
		_, err := Convert(&edm.Property{Type: edm.Type{Primitive: test.typ}, Scale: -1}, nil, test.value)
		assert.Error(t, err, test.want, test.typ, "of", test.value)
	}
}

// Points in time in microseconds keep their digits in texts, which keys, filters and Atom use.
func TestMicros(t *testing.T) {
	micros := node(wit.NameMicroTimestamp, "")
	for _, test := range []struct {
		typ    edm.Primitive
		value  int64
		text   string // "" means rejected
		millis int64
		ticks  int64
	}{
		{edm.DateTime, 1467981296789123, "2016-07-08T12:34:56.789123", 1467981296789, 1230},
		{edm.DateTimeOffset, 1467981296789000, "2016-07-08T12:34:56.789Z", 1467981296789, 0},
		{edm.DateTime, -1, "1969-12-31T23:59:59.999999", -1, 9990},
		{edm.DateTime, -62135596800000000, "0001-01-01T00:00:00", -62135596800000, 0},
		{edm.DateTime, 253402300799999999, "9999-12-31T23:59:59.999999", 253402300799999, 9990},
		{edm.DateTime, -62135596800000001, "", 0, 0},
		{edm.DateTime, 253402300800000000, "", 0, 0},
		{edm.Time, 1, "PT00H00M00.000001S", 0, 0},
		{edm.Int64, 1, "", 0, 0},
	} {
		converted, err := Convert(&edm.Property{Type: edm.Type{Primitive: test.typ}, Scale: -1}, micros, test.value)
		if test.text == "" {
			assert.True(t, err != nil, "%v of %d: %q", test.typ, test.value, converted.Text)
			continue
		}
		assert.True(t, err == nil && converted.Text == test.text && converted.Millis == test.millis &&
			converted.Ticks == test.ticks, "%v of %d: %+v, %v", test.typ, test.value, converted, err)
	}
}

func TestTrailingZerosAreDropped(t *testing.T) {
	for _, c := range []struct {
		scale    int
		expected string
	}{{-1, "1.2000"}, {4, "1.2000"}, {2, "1.20"}, {1, "1.2"}, {0, "1.2"}} {
		x, err := Convert(&edm.Property{Type: edm.Type{Primitive: edm.Decimal}, Scale: c.scale}, nil, "1.2000")
		assert.True(t, err == nil && x.Text == c.expected,
			"scale %d: expected %s, found %s (%v)", c.scale, c.expected, x.Text, err)
	}
}
