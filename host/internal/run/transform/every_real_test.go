//go:build real

package transform

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
)

// sample is a schema without its end, and values of it in JSON.
type sample struct {
	schema string
	values []string
}

// samples are a schema of every type of Kafka Connect's, with the values at which transforms take another way.
func samples() []sample {
	g := chance{}
	named := `"type":"int32","name":"my.Kind","version":2,"doc":"d","parameters":{"p":"q"}`
	inner := `"type":"struct","fields":[{"type":"int32","optional":true,"field":"f"},` +
		`{"type":"string","optional":false,"default":"dd","field":"g"}]`
	return []sample{
		{`"type":"int8"`, []string{"7", "-128"}},
		{`"type":"int16"`, []string{"-129", "32767"}},
		{`"type":"int32"`, []string{"65537", "-2147483648"}},
		{`"type":"int64"`, []string{"1700000000123", "-9223372036854775808", "4294967295"}},
		{`"type":"float"`, []string{"1.5", "-0.0", "3.4028235E38", "1.0E-5"}},
		{`"type":"double"`, []string{"-2.75", "1.0E300", "1.0E7", "0.001", "4.9E-324"}},
		{`"type":"boolean"`, []string{"true", "false"}},
		{`"type":"string"`, []string{`""`, `"12"`, `"2024-02-29"`, `"true"`, `"1e3"`}},
		{`"type":"bytes"`, []string{`""`, `"AQID"`}},
		{named, []string{"5"}},
		{g.logical("bytes", "Decimal") + `,"parameters":{"scale":"2"}`, []string{`"MDk="`, `"/w=="`, `"AA=="`}},
		{g.logical("bytes", "Decimal") + `,"parameters":{"scale":"0"}`, []string{`"MDk="`}},
		{g.logical("int32", "Date"), []string{"19782", "-1", "0"}},
		{g.logical("int32", "Time"), []string{"43200001", "0"}},
		{g.logical("int64", "Timestamp"), []string{"1700000000123", "-1", "1709164800000"}},
		{`"type":"array","items":{"type":"int32","optional":true}`, []string{"[]", "[1,null]"}},
		{`"type":"array","items":{` + inner + `,"optional":false}`, []string{`[{"f":1,"g":"x"}]`}},
		{`"type":"map","keys":{"type":"string","optional":false},"values":{"type":"int32","optional":true}`,
			[]string{"{}", `{"f":1}`}},
		{`"type":"map","keys":{"type":"int32","optional":false},"values":{"type":"string","optional":true}`,
			[]string{`[[1,"a"]]`}},
		{inner, []string{`{"f":1,"g":"x"}`, `{"f":null,"g":"x"}`}},
		{inner + `,"name":"Inner","version":3`, []string{`{"f":1,"g":"x"}`}},
	}
}

// everyDatum is each sample required, optional, null, with a default and null with a default: as a whole, as a field,
// within a structure that is there and that is null, and without schema. No structure has a default: JsonConverter
// takes none.
func everyDatum() (list []string) {
	for i, s := range samples() {
		type form struct{ schema, value string }
		var forms []form
		for _, v := range s.values {
			forms = append(forms, form{s.schema + `,"optional":false`, v})
		}
		v := s.values[0]
		forms = append(forms, form{s.schema + `,"optional":true`, v}, form{s.schema + `,"optional":true`, "null"})
		forms = append(forms, form{s.schema + `,"optional":true,"default":` + v, "null"},
			form{s.schema + `,"optional":false,"default":` + v, v},
			form{s.schema + `,"optional":true,"default":` + v, s.values[len(s.values)-1]})
		for _, f := range forms {
			field := `{"schema":{"type":"struct","fields":[{"type":"int32","optional":false,"field":"a"},{` + f.schema +
				`,"field":"f"},{"type":"string","optional":true,"field":"z"}],"optional":false,"name":"R","version":1},` +
				`"payload":{"a":1,"f":` + f.value + `,"z":"z"}}`
			nested := func(optional, value string) string {
				return `{"schema":{"type":"struct","fields":[{"type":"struct","fields":[{` + f.schema +
					`,"field":"f"},{"type":"string","optional":true,"field":"a.b"}],"optional":` + optional +
					`,"field":"n"},{"type":"int32","optional":false,"field":"f"}],"optional":false},"payload":{"n":` +
					value + `,"f":3}}`
			}
			list = append(list, `{"schema":{`+f.schema+`},"payload":`+f.value+`}`, field,
				nested("false", `{"f":`+f.value+`,"a.b":"x"}`), nested("true", "null"))
		}
		list = append(list, `{"schema":{"type":"struct","fields":[{`+s.schema+`,"optional":false,"field":"f"}],`+
			`"optional":true},"payload":null}`)
		if i != 18 { // a list of pairs is a list without schema
			for _, v := range s.values {
				list = append(list, `{"schema":null,"payload":`+v+`}`, `{"schema":null,"payload":{"a":1,"f":`+v+`}}`,
					`{"schema":null,"payload":{"n":{"f":`+v+`,"a.b":null},"f":2}}`,
					`{"schema":null,"payload":{"n":[`+v+`],"g":{"f":{}}}}`)
			}
		}
	}
	return append(list, `{"schema":null,"payload":null}`, `{"schema":null,"payload":{}}`,
		`{"schema":null,"payload":{"f":null}}`, `{"schema":null,"payload":{"n":null}}`,
		`{"schema":{"type":"struct","fields":[],"optional":false},"payload":{}}`)
}

// everyStage is each transform with each of its options, which concern a field f or the whole.
func everyStage() (list []map[string]string) {
	add := func(class string, settings ...string) {
		for _, replaces := range []string{"", "false"} {
			s := map[string]string{"type": kafka + class}
			for i := 0; i < len(settings); i += 2 {
				s[settings[i]] = settings[i+1]
			}
			if replaces != "" {
				if !slices.Contains(options[strings.TrimSuffix(class, "Value")], "replace.null.with.default") {
					continue
				}
				s["replace.null.with.default"] = replaces
			}
			list = append(list, s)
		}
	}
	for _, kind := range []string{"int8", "int16", "int32", "int64", "float32", "float64", "boolean", "string"} {
		add("Cast$Value", "spec", "f:"+kind)
		add("Cast$Value", "spec", kind)
	}
	add("Cast$Value", "spec", "n:string")
	add("Cast$Value", "spec", "f:int32,a:string,missing:int8")
	for _, path := range []string{"f", "n", "n.f", "`n`.f", "n.`a.b`", "n.f.g", "n.missing", "missing", "f.0",
		"missing.f"} {
		add("ExtractField$Value", "field", path)
		add("ExtractField$Value", "field", path, "field.syntax.version", "V2")
	}
	add("Flatten$Value")
	add("Flatten$Value", "delimiter", "_")
	for _, operation := range []string{"move", "copy"} {
		for _, fields := range []string{"f", "missing", "f,f", "f,a", "a,f", "n", "n.f"} {
			add("HeaderFrom$Value", "operation", operation, "fields", fields, "headers",
				"h"+strings.Repeat(",h", strings.Count(fields, ",")))
		}
	}
	add("HoistField$Value", "field", "f")
	add("HoistField$Value", "field", "")
	for _, what := range []string{"topic", "partition", "offset", "timestamp", "static"} {
		for _, field := range []string{"f", "new", "new?", "new!", "f?"} {
			add("InsertField$Value", what+".field", field, "static.value", "7")
		}
	}
	add("InsertField$Value", "topic.field", "x", "partition.field", "x", "offset.field", "y", "timestamp.field", "z",
		"static.field", "a", "static.value", "7")
	for _, fields := range []string{"f", "missing", "f,a", "n", "n.f"} {
		add("MaskField$Value", "fields", fields)
		for _, replacement := range []string{"7", "1.5", "x", "0.00", "99999999999"} {
			add("MaskField$Value", "fields", fields, "replacement", replacement)
		}
	}
	add("ReplaceField$Value", "exclude", "f")
	add("ReplaceField$Value", "include", "f")
	add("ReplaceField$Value", "include", "f,missing", "exclude", "a")
	add("ReplaceField$Value", "exclude", "f", "include", "f")
	add("ReplaceField$Value", "renames", "f:g")
	add("ReplaceField$Value", "renames", "f:a,a:f")
	add("ReplaceField$Value", "renames", "f:a")
	add("ReplaceField$Value", "renames", "a:f", "exclude", "f")
	add("ReplaceField$Value", "renames", "z:f", "include", "z")
	add("ReplaceField$Value", "renames", "n.f:x,missing:y")
	add("SetSchemaMetadata$Value", "schema.name", "N")
	add("SetSchemaMetadata$Value", "schema.version", "5")
	add("SetSchemaMetadata$Value", "schema.name", "", "schema.version", "-1")
	add("SetSchemaMetadata$Value")
	for _, target := range []string{"string", "unix", "Date", "Time", "Timestamp"} {
		for _, field := range []string{"", "f", "n", "missing"} {
			add("TimestampConverter$Value", "target.type", target, "field", field, "format", "yyyy-MM-dd")
			if target == "unix" || field == "f" {
				for _, precision := range []string{"seconds", "microseconds", "nanoseconds"} {
					add("TimestampConverter$Value", "target.type", target, "field", field, "format",
						"yyyy-MM-dd'T'HH:mm:ss.SSSZ", "unix.precision", precision)
				}
			}
		}
	}
	for _, fields := range []string{"f", "missing", "f,a", "n", "f,missing", "n.f"} {
		add("ValueToKey", "fields", fields)
	}
	add("DropHeaders", "headers", "h")
	add("InsertHeader", "header", "h", "value.literal", "7")
	add("RegexRouter", "regex", "(.*)", "replacement", "x-$1")
	add("TimestampRouter")
	return list
}

// everyCase is every stage on every value, as the value and now and then as the key of a record of a source or a sink.
func everyCase() (heads []string) {
	const other = `{"schema":{"type":"int32","optional":false},"payload":1}`
	attributes := []string{"", `,"partition":3,"timestamp":1700000000000,"offset":12`, `,"timestamp":5`}
	data := everyDatum()
	for _, stage := range everyStage() {
		for i, d := range data {
			add := func(class, record string) {
				of := maps.Clone(stage)
				of["type"] = class
				text, _ := json.Marshal(of)
				heads = append(heads, fmt.Sprintf("stage %s\nrecord {\"topic\":\"orders\"%s,%s}", text,
					attributes[len(heads)%3], record))
			}
			add(stage["type"], `"key":`+other+`,"value":`+d)
			if class, sided := strings.CutSuffix(stage["type"], "$Value"); sided && i%5 == 0 {
				add(class+"$Key", `"key":`+d+`,"value":`+other)
			}
		}
	}
	return heads
}

// Every transform with every option, on values of every type in every form, comes to what Kafka's makes of it.
func TestRealEveryType(t *testing.T) {
	g, cases := oracle(t, 3, 1000)
	heads := everyCase()
	t.Logf("%d cases in all", len(heads))
	step := max(1, len(heads)/cases) // evenly out of all of them
	at := g.IntN(step) - step
	tried := (len(heads) - at - 1) / step
	failed, _, _ := compare(t, tried, func() string { at += step; return heads[at] })
	if failed < tried/10 || failed > tried*3/4 {
		t.Errorf("expected a tenth of the cases to fail and a quarter not to, found %d of %d", failed, tried)
	}
}
