package convert

import (
	"fmt"
	"slices"
	"testing"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/base/require"
)

// gridTypes contains schemas of every type, with a %s for attributes, and a default of the type.
var gridTypes = []struct{ schema, defaultValue string }{
	{`{"type":"boolean"%s}`, "true"},
	{`{"type":"int8"%s}`, "7"},
	{`{"type":"int16"%s}`, "7"},
	{`{"type":"int32"%s}`, "7"},
	{`{"type":"int64"%s}`, "7"},
	{`{"type":"float"%s}`, "2.5"},
	{`{"type":"double"%s}`, "2.5"},
	{`{"type":"string"%s}`, `"s"`},
	{`{"type":"bytes"%s}`, `"AQID"`},
	{`{"type":"bytes","name":"` + logical + `Decimal","version":1,"parameters":{"scale":"2"}%s}`, `"AQI="`},
	{`{"type":"int32","name":"` + logical + `Date","version":1%s}`, "3"},
	{`{"type":"int32","name":"` + logical + `Time","version":1%s}`, "3"},
	{`{"type":"int64","name":"` + logical + `Timestamp","version":1%s}`, "3"},
	{`{"type":"array","items":{"type":"int32"}%s}`, "[1]"},
	{`{"type":"array","items":{"type":"string","optional":true}%s}`, `["x",null]`},
	{`{"type":"map","keys":{"type":"string"},"values":{"type":"int32"}%s}`, `{"k":1}`},
	{`{"type":"map","keys":{"type":"int32"},"values":{"type":"string"}%s}`, `[[1,"x"]]`},
	{`{"type":"struct","fields":[{"type":"int32","field":"a"},{"type":"string","optional":true,"field":"b"}]%s}`, "{}"},
}

// gridValues contains payloads: valid values for each type, and many invalid ones.
var gridValues = []string{"true", "0", "-0.0", "300", "-1", "86400001", "3000000000", "9223372036854775808", "1.5",
	"1.50", "12.25", "1e3", `"text"`, `"AQ=="`, `"NaN"`, `""`, "[]", "[1]", "[null]", `["x"]`, "{}", `{"a":1}`,
	`{"a":null}`, `{"a":1,"b":"x"}`, `{"b":"x"}`, `{"a":1,"c":2}`, `[[1,"x"]]`, `[["1","x"]]`, "[[1]]", "[[null,1]]",
	"[[]]", "[1,[2]]", "tru", "[1", `"a`}

// grid returns documents of every type with every value, required and with a default, and of nulls and missing members
// for every way to declare a schema optional.
func grid(reader, writer string) (documents []rewriting) {
	add := func(schema, payload string) {
		documents = append(documents, rewriting{reader: reader, writer: writer,
			document: fmt.Sprintf(`{"schema":%s,"payload":%s}`, schema, payload)})
	}
	for _, gridType := range gridTypes {
		attributes := []string{
			"",
			`,"optional":true`,
			`,"optional":true,"default":` + gridType.defaultValue,
			`,"default":` + gridType.defaultValue,
			`,"default":null`,
			`,"optional":true,"default":null`,
			`,"default":{"x":[]}`,
			`,"optional":"true"`,
		}
		for _, attribute := range attributes {
			schema := fmt.Sprintf(gridType.schema, attribute)
			field := `{"type":"struct","fields":[` + schema[:len(schema)-1] + `,"field":"f"}]}`
			add(schema, "null")
			add(field, `{"f":null}`)
			add(field, "{}")
		}
		for n, value := range gridValues {
			schema := fmt.Sprintf(gridType.schema, attributes[n%2*2]) // required, and optional with a default, by turns
			add(schema, value)
			add(`{"type":"struct","fields":[`+schema[:len(schema)-1]+`,"field":"f"}]}`, `{"f":`+value+`}`)
		}
	}
	return documents
}

// Kafka's converter and ours return the same for every document of grid.tsv, or ours has a wanted difference.
func TestGridMatchesKafka(t *testing.T) {
	lines := readTSV(t, "grid.tsv", 4)
	documents := grid("replace.null.with.default=true", "schemas.enable=false decimal.format=NUMERIC")
	require.True(t, len(lines) == len(documents),
		"expected a line for each of %d documents, found %d", len(documents), len(lines))
	same := 0
	for i, w := range documents {
		kafka := lines[i][3]
		input := []string{w.reader, w.writer, w.document}
		require.True(t, slices.Equal(input, lines[i][:3]), "line %d: expected %q, found %q", i+1, input, lines[i])
		verdict, ours := w.compare(t.Context(), kafka)
		if verdict == "same" {
			same++
		} else if verdict == "" {
			t.Errorf("%s\nKafka %s\nours  %s", w.document, kafka, ours)
		}
	}
	assert.AtLeast(t, len(documents)*3/5, same, "most of", len(documents), "results to be the same")
}
