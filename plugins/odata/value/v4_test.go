package value

import (
	"testing"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/plugins/odata/edm"
	"github.com/culvert-project/culvert/plugins/odata/uri"
	"github.com/culvert-project/culvert/wit"
	"github.com/culvert-project/culvert/wit/connectdata"
)

// enumeration returns a property of the enumeration N.Color.
func enumeration(flags bool) *edm.Property {
	return &edm.Property{Name: "P", Type: edm.Type{Primitive: edm.Enum, Name: "N.Color",
		Enum: &edm.EnumType{Members: []string{"Red", "Blue"}, Flags: flags}}}
}

// Texts of settings become literals of v4. A text without a literal is rejected.
func TestLiteralOfV4(t *testing.T) {
	for _, test := range []struct {
		property *edm.Property
		text     string
		want     string // "" means that the text is rejected
	}{
		{property(edm.Date), "2024-01-31", "2024-01-31"},
		{property(edm.Date), " 2024-01-31 ", "2024-01-31"},
		{property(edm.Date), "2024-01-31T00:00:00", "2024-01-31"},
		{property(edm.Date), "2024-01-31T12:00:00", ""},
		{property(edm.Date), "2024-02-30", ""},
		{property(edm.TimeOfDay), "12:30", "12:30:00"},
		{property(edm.TimeOfDay), "12:30:15.1230", "12:30:15.123"},
		{property(edm.TimeOfDay), "PT12H30M", "12:30:00"},
		{property(edm.TimeOfDay), "24:00:00", ""},
		{property(edm.Duration), "PT1H", "duration'PT1H'"},
		{property(edm.Duration), "duration'-P1DT2H3M4.5S'", "duration'-P1DT2H3M4.5S'"},
		{property(edm.Duration), "PT", ""},
		{property(edm.Duration), "P", ""},
		{property(edm.Duration), "P1Y", ""},
		{property(edm.Duration), "PT1S1M", ""},
		{property(edm.Duration), "PT1.S", ""},
		{property(edm.Duration), "1H", ""},
		{enumeration(false), "Red", "N.Color'Red'"},
		{enumeration(false), "N.Color'Blue'", "N.Color'Blue'"},
		{enumeration(false), "Red,Blue", ""},
		{enumeration(false), "red", ""},
		{enumeration(true), "Red, Blue", "N.Color'Red,Blue'"},
		{enumeration(true), "Red,Green", ""},
		{enumeration(true), "Red,,Blue", ""},
		{enumeration(true), "", ""},
		{property(edm.Guid), "0a1b2c3d-0000-1111-2222-333344445555", "0a1b2c3d-0000-1111-2222-333344445555"},
		{property(edm.DateTimeOffset), "2024-01-31T12:30:00+01:00", "2024-01-31T11:30:00Z"},
		{property(edm.DateTimeOffset), "2024-01-31T12:30:00.123456700000Z", "2024-01-31T12:30:00.1234567Z"},
		{property(edm.DateTimeOffset), "2024-01-31T12:30:00.123456789012Z", ""},
		{property(edm.Int64), "5", "5"},
		{property(edm.Int64), "5L", ""},
		{property(edm.Decimal), "12.50", "12.50"},
		{property(edm.Double), "-INF", "-INF"},
		{property(edm.Binary), "+/8=", "binary'-_8='"},
		{property(edm.Binary), "binary'-_8'", "binary'-_8='"},
		{property(edm.String), "O'Neil", "'O''Neil'"},
		{property(edm.Geo), `{"type":"Point"}`, ""},
		{&edm.Property{Type: edm.Type{Primitive: edm.String, Name: "Edm.String", Collection: true}}, "x", ""},
	} {
		literal, err := Literal(edm.V4, test.property, test.text)
		written := ""
		if err == nil {
			written = string(uri.AppendLiteral(nil, edm.V4, literal))
		}
		assert.Equal(t, test.want, written, test.property.Type, test.text, err)
	}
	_, err := Literal(edm.V4, enumeration(true), "Green")
	assert.Error(t, err, `expected members of N.Color with commas between them: Red, Blue, found "Green"`)
}

// Values of Connect become values of v4's types.
func TestConvertsTypesOfV4(t *testing.T) {
	date := node(wit.NameDate, "")
	timestamp := node(wit.NameTimestamp, "")
	unknown := property(edm.Enum)
	for _, test := range []struct {
		property *edm.Property
		node     *wit.SchemaNode
		value    any
		want     string // "" means that the value is rejected
	}{
		{property(edm.Date), date, int32(-1), "1969-12-31"},
		{property(edm.Date), date, int32(19753), "2024-01-31"},
		{property(edm.Date), timestamp, int64(86_400_000), "1970-01-02"},
		{property(edm.Date), timestamp, int64(86_400_001), ""},
		{property(edm.Date), date, int32(1 << 30), ""},
		{property(edm.Date), nil, connectdata.Instant(0), "1970-01-01"},
		{property(edm.Date), nil, "2024-01-31", "2024-01-31"},
		{property(edm.Date), nil, "31.01.2024", ""},
		{property(edm.Date), nil, "2024-01-31T00:00:00Z", "2024-01-31"},
		{property(edm.Date), nil, "2024-01-31T20:00:00-04:00", ""}, // not 2024-02-01
		{property(edm.Date), nil, true, ""},
		{property(edm.TimeOfDay), node(wit.NameTime, ""), int32(45_000_123), "12:30:00.123"},
		{property(edm.TimeOfDay), node("io.debezium.time.MicroTime", ""), int64(1), "00:00:00.000001"},
		{property(edm.TimeOfDay), node(wit.NameTime, ""), int32(86_400_000), ""},
		{property(edm.TimeOfDay), nil, "12:30", "12:30:00"},
		{property(edm.TimeOfDay), nil, "PT1X", ""},
		{property(edm.Duration), nil, "P1DT0.5S", "P1DT0.5S"},
		{property(edm.Duration), nil, int64(5), ""},
		{enumeration(false), nil, "Red", "Red"},
		{enumeration(false), nil, "Green", ""},
		{enumeration(false), nil, int32(0), ""},
		{enumeration(true), nil, "Blue,Red", "Blue,Red"},
		{unknown, nil, "Anything", "Anything"},
		{property(edm.Geo), nil, `{"type":"Point","coordinates":[1,2]}`, `{"type":"Point","coordinates":[1,2]}`},
		{property(edm.Geo), nil, 1.5, ""},
		{property(edm.Binary), nil, []byte{0xfb, 0xff}, "+/8="},
	} {
		converted, err := Convert(test.property, test.node, test.value)
		if err != nil {
			converted.Text = ""
		}
		assert.Equal(t, test.want, converted.Text, test.property.Type, test.value, err)
	}
}

// Values of v4's types are ordered by what they mean.
func TestCompareOfV4(t *testing.T) {
	for _, test := range []struct {
		typ  edm.Primitive
		a    string
		b    string
		want int
	}{
		{edm.Date, "2024-01-31", "2024-02-01", -1},
		{edm.TimeOfDay, "12:30", "12:30:00.000", 0},
		{edm.TimeOfDay, "12:30:00.0000001", "12:30:00", 1},
		{edm.Duration, "PT60M", "PT1H", 0},
		{edm.Duration, "PT1.5S", "PT1.25S", 1},
		{edm.Duration, "PT1.5S", "PT1.50S", 0},
		{edm.Duration, "P1D", "PT25H", -1},
		{edm.Duration, "-P1D", "PT0S", -1},
		{edm.Duration, "-PT2S", "-PT1S", -1},
		{edm.Duration, "-PT0S", "PT0S", 0},
		{edm.Enum, "Red", "Red", 0},
		{edm.Enum, "Red, Blue", "Blue,Red", 0},
		{edm.Enum, "Blue", "Blue,Red", -1},
	} {
		order, ok := Compare(test.typ, test.a, test.b)
		assert.True(t, order == test.want && ok, "%v: %s, %s: expected %d, found %d, %v", test.typ, test.a, test.b,
			test.want, order, ok)
	}
	for _, test := range [][2]string{{"PT1X", "PT1S"}, {"PT1S", ""}} {
		_, ok := Compare(edm.Duration, test[0], test[1])
		assert.True(t, !ok, "%s and %s: expected no order", test[0], test[1])
	}
}

// FuzzDuration parses durations, which neither panics nor overflows.
func FuzzDuration(f *testing.F) {
	for _, text := range []string{"PT1H", "-P1DT2H3M4.5S", "P99999999999D", "PT", "PT.5S", "P1DT1H1D"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if d, ok := parseDuration(text); ok {
			assert.True(t, d.seconds >= 0 && d.compare(d) == 0, "%q: found %+v", text, d)
		}
	})
}
