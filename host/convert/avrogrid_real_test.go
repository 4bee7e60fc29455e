//go:build real

package convert

import (
	"fmt"
	"regexp"
	"strings"
	"testing"
)

// avroBases are Avro schemas of every type, their attributes without braces, with bytes of them and a default.
var avroBases = []struct{ schema, bytes, standard string }{
	{`"type":"null"`, "", "null"},
	{`"type":"boolean"`, "01", "true"},
	{`"type":"int"`, "0e", "3"},
	{`"type":"long"`, "0e", "3"},
	{`"type":"float"`, "0000c03f", "2.5"},
	{`"type":"double"`, "000000000000f83f", "2.5"},
	{`"type":"string"`, "0278", `"s"`},
	{`"type":"bytes"`, "020a", `"\u0001ÿ"`},
	{`"type":"fixed","name":"F","size":2`, "0102", `"\u0001ÿ"`},
	{`"type":"enum","name":"n.E","symbols":["A","B"]`, "02", `"A"`},
	{`"type":"array","items":"int"`, "020e00", "[1]"},
	{`"type":"map","values":"int"`, "0202780e00", `{"k":1}`},
	{`"type":"record","name":"n.S","fields":[{"name":"a","type":"int"}]`, "0e", `{"a":1}`},
}

// avroProperties are attributes that AvroData knows, with values that fit and that do not.
var avroProperties = []string{"", `"connect.name":"a.N"`, `"connect.name":7`, `"connect.version":3`, `"connect.version":"3"`,
	`"connect.version":1.5`, `"connect.doc":"d"`, `"connect.doc":5`, `"connect.parameters":{"p":"1"}`,
	`"connect.parameters":{"p":1}`, `"connect.parameters":"x"`, `"connect.default":7`, `"connect.default":"x"`,
	`"connect.default":true`, `"connect.default":null`, `"connect.default":[1]`, `"connect.default":{"k":1}`,
	`"connect.default":1.5`, `"connect.default":3000000000.5`, `"connect.default":3000000000`, `"connect.default":-1e30`,
	`"connect.version":3000000000.5`, `"connect.version":4294967299`, `"connect.type":"int8"`, `"connect.type":"int16"`, `"connect.type":"int32"`,
	`"connect.type":"string"`, `"connect.type":"bytes"`, `"connect.type":5`, `"connect.type":"x"`,
	`"logicalType":"decimal","precision":9,"scale":2`, `"logicalType":"decimal","precision":4`,
	`"logicalType":"decimal"`, `"logicalType":"decimal","precision":2,"scale":4`,
	`"logicalType":"decimal","precision":9,"connect.name":"` + logical + `Decimal","connect.parameters":{"scale":"3"}`,
	`"connect.name":"` + logical + `Decimal","connect.parameters":{"scale":"3"},"connect.version":1`,
	`"connect.name":"` + logical + `Date","connect.version":1`, `"connect.name":"` + logical + `Time"`,
	`"connect.name":"` + logical + `Timestamp","connect.version":1`, `"logicalType":"date"`, `"logicalType":"time-millis"`,
	`"logicalType":"timestamp-millis"`, `"logicalType":"timestamp-micros"`, `"logicalType":"time-micros"`,
	`"logicalType":"uuid"`, `"logicalType":"local-timestamp-millis"`, `"logicalType":"x"`, `"logicalType":7`,
	`"logicalType":"date","connect.name":"a.N"`, `"logicalType":"date","connect.default":3`, `"doc":"d"`, `"aliases":["Z"]`,
	`"x":"y"`, `"connect.internal.type":"MapEntry"`, `"connect.decimal.precision":"5"`,
	`"connect.doc":"d","connect.name":"a.N","connect.version":2,"connect.parameters":{"p":"1","q":"2"}`}

// avroWays are where a schema, the %s, stands; bytes stands for those of its value, %% in front is nothing.
var avroWays = []struct{ schema, bytes string }{
	{"%s", "%s"},
	{`{"type":"record","name":"R","fields":[{"name":"f","type":%s}]}`, "%s"},
	{`{"type":"record","name":"R","doc":"rd","fields":[{"name":"f","type":%s,"default":DEFAULT,"doc":"fd"}]}`, "%s"},
	{`{"type":"record","name":"R","fields":[{"name":"f","type":["null",%s],"default":null},{"name":"g","type":"int"}]}`,
		"02%s02"},
	{`{"type":"record","name":"R","fields":[{"name":"f","type":["null",%s]},{"name":"g","type":"int"}]}`, "0002"},
	{`{"type":"record","name":"R","fields":[{"name":"f","type":[%s,"null"],"default":DEFAULT}]}`, "02"},
	{`["null",%s]`, "02%s"},
	{`["null",%s,{"type":"fixed","name":"q.Q","size":1}]`, "02%s"},
	{`[%s]`, "00%s"},
	{`{"type":"array","items":%s}`, "02%s00"},
	{`{"type":"map","values":%s}`, "020261%s00"},
	{`{"type":"array","items":["null",%s]}`, "040002%s00"},
}

// avroGrid is every base with every property everywhere, under each option that decides how Avro is read.
func avroGrid() (all [][3]string) {
	options := []string{"", "enhanced.avro.schema.support=true", "connect.meta.data=false"}
	for _, base := range avroBases {
		for p, property := range avroProperties {
			schema := "{" + base.schema + "}"
			if property != "" {
				schema = "{" + base.schema + "," + property + "}"
			}
			for w, way := range avroWays {
				if base.bytes == "" && strings.Contains(way.schema, "[") && !strings.Contains(way.schema, "fields") {
					continue // a union has no type twice, and of null alone a converter has a structure of nothing
				}
				if strings.HasPrefix(base.schema, `"type":"bytes"`) && way.schema == "%s" {
					continue // bytes as they are, without Avro's length
				}
				bytes := way.bytes
				if strings.Contains(bytes, "%s") {
					bytes = fmt.Sprintf(bytes, base.bytes)
				}
				text := strings.ReplaceAll(fmt.Sprintf(way.schema, schema), "DEFAULT", base.standard)
				for o, option := range options {
					if o == 0 || (p+w)%len(options) == 0 {
						all = append(all, [3]string{option, text, bytes})
					}
				}
			}
		}
	}
	return all
}

// Avro of every type, with every attribute that AvroData knows, everywhere, becomes what AvroData makes of it.
func TestRealAvroGrid(t *testing.T) {
	all := avroGrid()
	var lines []string
	for _, r := range all {
		lines = append(lines, strings.Join(r[:], "\t"))
	}
	answers := ask(t, "avro", "Avro.java", lines)
	wrong, counts := 0, map[string]int{}
	for i, r := range all {
		got, _ := readAvro(t, r[0], r[1], r[2], "")
		verdict := avroVerdict(r[1], answers[i], got)
		if counts[verdict]++; verdict != "" {
			continue
		}
		if wrong++; wrong <= 30 {
			t.Errorf("%s\t%s\t%s\nAvroData %s\nours     %s", r[0], r[1], r[2], answers[i], got)
		}
	}
	t.Logf("%d readings: %v", len(all), counts)
	if counts["same"] < len(all)*9/10 {
		t.Errorf("expected nearly all of %d to be the same, found %d", len(all), counts["same"])
	}
}

// namedTime is a name that is a logical type which AvroData drops, and Connect's classes have none for.
var namedTime = regexp.MustCompile(`,"name":"(local-)?time(stamp)?-(millis|micros|nanos)"`)

// avroVerdict tells how our reading and AvroData's relate: "same", the name that RATIONALE.md has for a wanted
// difference, or "".
func avroVerdict(schema, theirs, ours string) string {
	refused := strings.HasPrefix(theirs, "!")
	ours = namedTime.ReplaceAllString(ours, "")
	switch {
	case refused && strings.HasPrefix(ours, "!"), sameJSON(theirs, ours):
		return "same"
	case strings.HasSuffix(theirs, "Mismatching schema."), strings.Contains(theirs, ", expected Date but was class"):
		return "same" // as far as can be seen: JsonConverter cannot write such defaults
	case refused && strings.Contains(schema, `"type":"fixed"`) && strings.Contains(theirs, "Mismatched names: "):
		return "fixed decimals of other writers"
	case strings.Contains(theirs, "Did not find matching union field"), strings.Contains(theirs,
		"is not a valid field name"):
		return "members of unions that AvroData does not find"
	case strings.Contains(schema, `"connect.default":null`):
		return "a default of null"
	case strings.Contains(theirs, ", expected BigDecimal but was class"), !refused && strings.Contains(ours,
		"Invalid type for "):
		return "logical name on another type"
	case !refused && strings.Contains(ours, "scale parameter not found"):
		return "decimal without a scale"
	}
	return ""
}
