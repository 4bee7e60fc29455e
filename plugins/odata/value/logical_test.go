package value

import (
	"math"
	"strings"
	"testing"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/plugins/odata/edm"
	"github.com/culvert-project/culvert/wit"
)

// logicalValue is an integer or a text with a logical name, and the results in JSON and Atom, "" if it is rejected.
type logicalValue struct {
	name  string
	value any
	typ   edm.Primitive
	json  string
	atom  string
}

func checkLogicalValues(t *testing.T, values []logicalValue) {
	t.Helper()
	for _, test := range values {
		property := &edm.Property{Type: edm.Type{Primitive: test.typ}, Scale: -1}
		converted, err := Convert(property, node(test.name, ""), test.value)
		json := ""
		atom := ""
		if err == nil {
			atom = converted.Text
			if converted.Ticks == 0 {
				json = string(converted.AppendJSON(nil, JSON))
			}
		} else if !strings.Contains(err.Error(), test.name) {
			t.Errorf("%s %v for %v: expected the name in %q", test.name, test.value, test.typ, err)
		}
		assert.True(t, json == test.json && atom == test.atom,
			"%s %v for %v: expected %s in JSON and %s in Atom, found %s and %s (%v)", test.name, test.value, test.typ,
			test.json, test.atom, json, atom, err)
	}
}

// Durations in seconds.
const (
	minute = int64(60)
	day    = int64(86_400)
)

// Values of Debezium's types are converted by their unit.
func TestConvertsDebeziumTypes(t *testing.T) {
	const debezium = "io.debezium.time."
	checkLogicalValues(t, []logicalValue{
		{debezium + "Date", int32(19753), edm.DateTime, `"\/Date(1706659200000)\/"`, "2024-01-31T00:00:00"},
		{debezium + "Date", int32(-1), edm.DateTimeOffset, `"\/Date(-86400000+0000)\/"`, "1969-12-31T00:00:00Z"},
		{debezium + "Time", int32(60_000), edm.Time, `"PT00H01M00S"`, "PT00H01M00S"},
		{debezium + "Time", int32(60_000), edm.DateTime, "", ""},
		{debezium + "MicroTime", minute * 1e6, edm.Time, `"PT00H01M00S"`, "PT00H01M00S"},
		{debezium + "MicroTime", minute*1e6 + 5, edm.Time, `"PT00H01M00.000005S"`, "PT00H01M00.000005S"},
		{debezium + "MicroTime", day * 1e6, edm.Time, "", ""},
		{debezium + "MicroTime", int64(-1), edm.Time, "", ""},
		{debezium + "MicroTime", minute * 1e6, edm.DateTime, "", ""},
		{debezium + "NanoTime", minute*1e9 + 100, edm.Time, `"PT00H01M00.0000001S"`, "PT00H01M00.0000001S"},
		{debezium + "NanoTime", minute*1e9 + 99, edm.Time, "", ""},
		{debezium + "NanoTime", int64(math.MaxInt64), edm.Time, "", ""},
		{debezium + "Timestamp", int64(1706659200001), edm.DateTime, `"\/Date(1706659200001)\/"`,
			"2024-01-31T00:00:00.001"},
		{debezium + "Timestamp", int64(-1), edm.Time, `"PT23H59M59.999S"`, "PT23H59M59.999S"},
		{debezium + "MicroTimestamp", int64(1706659200001000), edm.DateTime, `"\/Date(1706659200001)\/"`,
			"2024-01-31T00:00:00.001"},
		{debezium + "MicroTimestamp", int64(1706659200001002), edm.DateTime, "", "2024-01-31T00:00:00.001002"},
		{debezium + "MicroTimestamp", int64(-1), edm.Time, `"PT23H59M59.999999S"`, "PT23H59M59.999999S"},
		{debezium + "NanoTimestamp", int64(1706659200001000000), edm.DateTimeOffset,
			`"\/Date(1706659200001+0000)\/"`, "2024-01-31T00:00:00.001Z"},
		{debezium + "NanoTimestamp", int64(1706659200001000200), edm.DateTime, "", "2024-01-31T00:00:00.0010002"},
		{debezium + "NanoTimestamp", int64(-100), edm.DateTime, "", "1969-12-31T23:59:59.9999999"},
		{debezium + "NanoTimestamp", int64(1706659200001000001), edm.DateTime, "", ""},
		{debezium + "NanoTimestamp", int64(math.MinInt64), edm.DateTime, "", ""},
		{debezium + "Year", int32(2024), edm.Int32, `2024`, "2024"},
		{debezium + "Year", int32(2024), edm.DateTime, "", ""},
		{debezium + "MicroDuration", minute * 1e6, edm.Time, "", ""},
		{debezium + "MicroDuration", minute * 1e6, edm.Int64, `"60000000"`, "60000000"},
		{debezium + "ZonedTimestamp", "2024-01-31T01:00:00.123456+01:00", edm.DateTimeOffset, "",
			"2024-01-31T00:00:00.123456Z"},
		{debezium + "ZonedTimestamp", "2024-01-31T00:00:00.120000Z", edm.DateTime, `"\/Date(1706659200120)\/"`,
			"2024-01-31T00:00:00.12"},
		{debezium + "ZonedTimestamp", "2024-01-31T00:00:00.1234567Z", edm.DateTime, "", "2024-01-31T00:00:00.1234567"},
		{debezium + "ZonedTimestamp", "2024-01-31T00:00:00.12345678Z", edm.DateTime, "", ""},
		{debezium + "ZonedTimestamp", "2024-01-31T00:00:00.123456Z", edm.String, `"2024-01-31T00:00:00.123456Z"`,
			"2024-01-31T00:00:00.123456Z"},
	})
}

// Values of Avro's logical types are converted by their unit.
func TestConvertsAvroTypes(t *testing.T) {
	checkLogicalValues(t, []logicalValue{
		{"time-micros", minute * 1e6, edm.Time, `"PT00H01M00S"`, "PT00H01M00S"},
		{"time-micros", minute * 1e6, edm.DateTime, "", ""},
		{"timestamp-micros", int64(1706659200001000), edm.DateTime, `"\/Date(1706659200001)\/"`,
			"2024-01-31T00:00:00.001"},
		{"timestamp-micros", int64(1706659200001002), edm.DateTime, "", "2024-01-31T00:00:00.001002"},
		{"timestamp-nanos", int64(1706659200001000200), edm.DateTimeOffset, "", "2024-01-31T00:00:00.0010002Z"},
		{"local-timestamp-millis", int64(1706659200001), edm.DateTime, `"\/Date(1706659200001)\/"`,
			"2024-01-31T00:00:00.001"},
		{"local-timestamp-micros", int64(1706659200001002), edm.DateTime, "", "2024-01-31T00:00:00.001002"},
		{"local-timestamp-nanos", int64(1706659200001000200), edm.DateTime, "", "2024-01-31T00:00:00.0010002"},
		{"timestamp-micros", int64(7), edm.Int64, `"7"`, "7"},
	})
}

// Integers of other logical names are no points in time. Without a name they are milliseconds.
func TestUnknownLogicalNamesAreNoTimes(t *testing.T) {
	checkLogicalValues(t, []logicalValue{
		{"com.example.Ticks", int64(1706659200001), edm.DateTime, "", ""},
		{"com.example.Ticks", int64(60_000), edm.Time, "", ""},
		{"com.example.Ticks", int64(60_000), edm.Int64, `"60000"`, "60000"},
		{wit.NameTimestamp, int64(1706659200001), edm.Time, `"PT00H00M00.001S"`, "PT00H00M00.001S"},
		{wit.NameTime, int32(60_000), edm.DateTime, "", ""},
		{wit.NameMicroTimestamp, int64(7), edm.Int64, "", ""},
		{"", int64(1706659200001), edm.DateTime, `"\/Date(1706659200001)\/"`, "2024-01-31T00:00:00.001"},
		{"", int64(60_000), edm.Time, `"PT00H01M00S"`, "PT00H01M00S"},
	})
}
