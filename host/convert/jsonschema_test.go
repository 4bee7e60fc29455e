package convert

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"net/http"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/sr"
	"github.com/twmb/franz-go/pkg/sr/srfake"

	"github.com/culvert-project/culvert/host/convert/fault"
	"github.com/culvert-project/culvert/host/convert/registry"
	"github.com/culvert-project/culvert/host/internal/base/assert"
	"github.com/culvert-project/culvert/host/internal/base/require"
	"github.com/culvert-project/culvert/host/record"
	"github.com/culvert-project/culvert/wit"
	"github.com/culvert-project/culvert/wit/datum"
)

// jsonSchemaPair is a converter with a registry, and one that reads and writes JSON in the same batch.
func jsonSchemaPair(t testing.TB, url string, settings ...string) (Converter, Converter, *record.Batch) {
	t.Helper()
	return pair(t, ClassJSONSchema, url, settings...)
}

// jsonSchemaRegistry is the address of a registry with JSON Schemas of the numbers from 1 on.
func jsonSchemaRegistry(t testing.TB, schemas ...string) string {
	t.Helper()
	return seeded(t, sr.TypeJSON, schemas...)
}

// jsonSchemaCases are what JsonSchemaData makes of values: options, the schema and the value as the JSON converter has
// them, the JSON Schema, the JSON, and the schema that it becomes again where that is another one. The texts are those
// that the library everit writes ([TestRealJSONSchemas]).
var jsonSchemaCases = []struct{ options, schema, value, text, json, again string }{
	{"", `{"type":"boolean","optional":false}`, `true`, `{"type":"boolean"}`, `true`, ""},
	{"", `{"type":"int8","optional":false}`, `12`, `{"type":"integer","connect.type":"int8"}`, `12`, ""},
	{"", `{"type":"int16","optional":false}`, `12`, `{"type":"integer","connect.type":"int16"}`, `12`, ""},
	{"", `{"type":"int32","optional":false}`, `12`, `{"type":"integer","connect.type":"int32"}`, `12`, ""},
	{"", `{"type":"int64","optional":false}`, `12`, `{"type":"integer","connect.type":"int64"}`, `12`, ""},
	{"", `{"type":"float","optional":false}`, `12.2`, `{"type":"number","connect.type":"float32"}`, `12.2`, ""},
	{"", `{"type":"double","optional":false}`, `12.2`, `{"type":"number","connect.type":"float64"}`, `12.2`, ""},
	{"", `{"type":"double","optional":false,"default":1.0E10}`, `3.0`,
		`{"type":"number","default":1.0E+10,"connect.type":"float64"}`, `3.0`, ""},
	{"", `{"type":"bytes","optional":false}`, `"Zm9v"`, `{"type":"string","connect.type":"bytes"}`, `"Zm9v"`, ""},
	{"", `{"type":"string","optional":false}`, `"ä"`, `{"type":"string"}`, `"ä"`, ""},
	{"", `{"type":"string","optional":true}`, `null`, `{"oneOf":[{"type":"null"},{"type":"string"}]}`, `null`, ""},
	{"", `{"type":"string","optional":true,"name":"n","version":3,"doc":"d","parameters":{"p":"v"},"default":"x"}`,
		`"y"`, `{"oneOf":[{"type":"null"},{"type":"string","title":"n","description":"d","default":"x",` +
			`"connect.version":3,"connect.parameters":{"p":"v"}}]}`, `"y"`, ""},
	{"", `{"type":"int32","optional":true,"default":7}`, `null`,
		`{"oneOf":[{"type":"null"},{"type":"integer","default":7,"connect.type":"int32"}]}`, `7`, ""},
	{"ignore.default.for.nullables=true", `{"type":"string","optional":true,"default":"x"}`, `"y"`,
		`{"oneOf":[{"type":"null"},{"type":"string","default":"x"}]}`, `"y"`, ""},
	{"", `{"type":"string","optional":false,"parameters":{"io.confluent.connect.json.Enum":"",` +
		`"io.confluent.connect.json.Enum.one":"one","io.confluent.connect.json.Enum.two":"two",` +
		`"io.confluent.connect.json.Enum.<NULL>":"<NULL>"}}`, `"one"`, `{"enum":[null,"one","two"]}`, `"one"`,
		`{"type":"string","optional":false,"parameters":{"io.confluent.connect.json.Enum":"",` +
			`"io.confluent.connect.json.Enum.<NULL>":"<NULL>","io.confluent.connect.json.Enum.one":"one",` +
			`"io.confluent.connect.json.Enum.two":"two"}}`},
	{"", `{"type":"bytes","optional":false,"name":"org.apache.kafka.connect.data.Decimal","version":1,` +
		`"parameters":{"scale":"2"}}`, `"AJw="`, `{"type":"string","title":"org.apache.kafka.connect.data.Decimal",` +
		`"connect.version":1,"connect.type":"bytes","connect.parameters":{"scale":"2"}}`, `"AJw="`, ""},
	{"decimal.format=numeric", `{"type":"bytes","optional":false,"name":"org.apache.kafka.connect.data.Decimal",` +
		`"version":1,"parameters":{"scale":"4"},"default":"PPA="}`, `"PPA="`,
		`{"type":"number","title":"org.apache.kafka.connect.data.Decimal","default":1.56,"connect.version":1,` +
			`"connect.type":"bytes","connect.parameters":{"scale":"4"}}`, `1.5600`, ""},
	{"", `{"type":"int64","optional":false,"name":"org.apache.kafka.connect.data.Timestamp","version":1,"default":0}`,
		`1234567890`, `{"type":"integer","title":"org.apache.kafka.connect.data.Timestamp","default":0,` +
			`"connect.version":1,"connect.type":"int64"}`, `1234567890`, ""},
	{"", `{"type":"array","items":{"type":"int8","optional":true},"optional":false}`, `[1,null]`,
		`{"type":"array","items":{"oneOf":[{"type":"null"},{"type":"integer","connect.type":"int8"}]}}`, `[1,null]`,
		""},
	{"", `{"type":"map","keys":{"type":"string","optional":false},"values":{"type":"int32","optional":false},` +
		`"optional":false}`, `{"b":1,"a":2}`, `{"type":"object","connect.type":"map",` +
		`"additionalProperties":{"type":"integer","connect.type":"int32"}}`, `{"b":1,"a":2}`, ""},
	{"", `{"type":"map","keys":{"type":"string","optional":true},"values":{"type":"int32","optional":false},` +
		`"optional":false,"name":"foo.bar"}`, `{"a":2}`, `{"type":"array","title":"foo.bar","connect.type":"map",` +
		`"items":{"type":"object","properties":{"value":{"type":"integer","connect.index":1,"connect.type":"int32"},` +
		`"key":{"connect.index":0,"oneOf":[{"type":"null"},{"type":"string"}]}}}}`, `[{"key":"a","value":2}]`, ""},
	{"", `{"type":"map","keys":{"type":"int32","optional":false},"values":{"type":"string","optional":false},` +
		`"optional":false}`, `[[3,"x"]]`, `{"type":"array","connect.type":"map","items":{"type":"object",` +
		`"properties":{"value":{"type":"string","connect.index":1},"key":{"type":"integer","connect.index":0,` +
		`"connect.type":"int32"}}}}`, `[{"key":3,"value":"x"}]`, ""},
	{"", person12, `{"id":7,"name":null,"at":{"x":1}}`, `{"type":"object","title":"a.Person","properties":{` +
		`"at":{"connect.index":2,"oneOf":[{"type":"null"},{"type":"object","title":"P","properties":{"x":{` +
		`"type":"integer","connect.index":0,"connect.type":"int8"}}}]},` +
		`"name":{"connect.index":1,"oneOf":[{"type":"null"},{"type":"string"}]},` +
		`"id":{"type":"integer","connect.index":0,"connect.type":"int32"}}}`, `{"id":7,"name":null,"at":{"x":1}}`, ""},
	{"object.additional.properties=false", `{"type":"struct","fields":[{"type":"boolean","optional":false,` +
		`"field":"b"}],"optional":false}`, `{"b":true}`,
		`{"type":"object","additionalProperties":false,"properties":{` +
			`"b":{"connect.index":0,"type":"boolean"}}}`, `{"b":true}`, ""},
	{"",
		`{"type":"struct","fields":[{"type":"int32","optional":true,"field":"io.confluent.connect.json.OneOf.field.0"},` +
			`{"type":"string","optional":true,"field":"io.confluent.connect.json.OneOf.field.1"}],"optional":false,` +
			`"name":"io.confluent.connect.json.OneOf"}`, `{"io.confluent.connect.json.OneOf.field.0":12,` +
			`"io.confluent.connect.json.OneOf.field.1":null}`, `{"oneOf":[{"type":"integer","connect.index":0,` +
			`"connect.type":"int32"},{"type":"string","connect.index":1}]}`, `12`, ""},
	{"generalized.sum.type.support=true", `{"type":"struct","fields":[{"type":"struct","fields":[{"type":"int8",` +
		`"optional":false,"field":"a"}],"optional":true,"field":"connect_union_field_0"},{"type":"struct","fields":[` +
		`{"type":"int8","optional":false,"field":"c"}],"optional":true,"field":"connect_union_field_1"}],` +
		`"optional":true,"name":"connect_union_0","parameters":{"org.apache.kafka.connect.data.Union":` +
		`"connect_union_0"}}`, `{"connect_union_field_0":null,"connect_union_field_1":{"c":5}}`,
		`{"oneOf":[{"type":"null"},{"type":"object","connect.index":0,"properties":{"a":{"type":"integer",` +
			`"connect.index":0,"connect.type":"int8"}}},{"type":"object","connect.index":1,"properties":{"c":{` +
			`"type":"integer","connect.index":0,"connect.type":"int8"}}}]}`, `{"c":5}`, ""},
}

const person12 = `{"type":"struct","fields":[{"type":"int32","optional":false,"field":"id"},{"type":"string",` +
	`"optional":true,"field":"name"},{"type":"struct","fields":[{"type":"int8","optional":false,"field":"x"}],` +
	`"optional":true,"name":"P","field":"at"}],"optional":false,"name":"a.Person"}`

func TestWritesWhatJSONSchemaDataWrites(t *testing.T) {
	for _, one := range jsonSchemaCases {
		b := &record.Batch{Registry: record.NewRegistry()}
		c, text := newRemembering(t, ClassJSONSchema, b.Registry, options(one.options)...)
		json := newConverter(t, ClassJSON, b.Registry, "replace.null.with.default", "false")
		d := datumOf(t, json, b, `{"schema":`+one.schema+`,"payload":`+one.value+`}`)
		out, null, err := c.Encode(t.Context(), []byte("x"), math.MaxInt32, "orders", b, d)
		if err != nil || null || string(out) != "x\x00\x00\x00\x00\x01"+one.json {
			t.Errorf("%s: expected %s, found %s, %v", one.schema, one.json, out, err)
			continue
		}
		assert.Equal(t, one.text, *text, one.schema)
		if d, err = c.Decode(t.Context(), "orders", out[1:], b); err != nil {
			t.Errorf("%s: %v", one.schema, err)
			continue
		}
		again := one.again
		if again == "" {
			again = one.schema
		}
		value := one.value
		if one.json == "7" {
			value = "7" // the default
		}
		back, _, err := json.Encode(t.Context(), nil, math.MaxInt32, "t", b, d)
		if want := `{"schema":` + again + `,"payload":` + value + `}`; err != nil || !sameJSON(want, string(back)) {
			t.Errorf("again\nexpected %s\nfound    %s, %v", want, back, err)
		}
	}
}

func options(text string) (list []string) {
	for _, pair := range strings.Fields(text) {
		name, value, _ := strings.Cut(pair, "=")
		list = append(list, name, value)
	}
	return list
}

// jsonSchemaReadings are schemas of other writers: options, schema, document, and the schema and value that they
// become, or "!" and a part of the error.
var jsonSchemaReadings = [][4]string{
	{"", `{"type":"integer"}`, `7`, `{"schema":{"type":"int64","optional":false,"version":1},"payload":7}`},
	{"", `{"type":"number","title":"N"}`, `7`,
		`{"schema":{"type":"double","optional":false,"name":"N","version":1},"payload":7.0}`},
	{"", `{"type":["string","null"],"title":"T","maxLength":3}`, `null`,
		`{"schema":{"type":"string","optional":true,"version":1},"payload":null}`},
	{"", `{"type":"string","enum":["b","a"],"title":"T"}`, `"a"`, `{"schema":{"type":"string","optional":false,` +
		`"version":1,"parameters":{"io.confluent.connect.json.Enum":"","io.confluent.connect.json.Enum.b":"b",` +
		`"io.confluent.connect.json.Enum.a":"a"}},"payload":"a"}`},
	{"generalized.sum.type.support=true", `{"enum":["b",3,null]}`, `"b"`,
		`{"schema":{"type":"string","optional":false,` +
			`"version":1,"parameters":{"org.apache.kafka.connect.data.Enum":"","org.apache.kafka.connect.data.Enum.b":"0",` +
			`"org.apache.kafka.connect.data.Enum.3":"1","org.apache.kafka.connect.data.Enum.<NULL>":"2"}},"payload":"b"}`},
	{"", `{"const":"one"}`, `"one"`, `{"schema":{"type":"string","optional":false,"version":1,"parameters":{` +
		`"io.confluent.connect.json.Enum":"","io.confluent.connect.json.Enum.one":"one"}},"payload":"one"}`},
	{"", `{"type":"string","const":"one"}`, `"one"`,
		`{"schema":{"type":"string","optional":false,"version":1},"payload":"one"}`},
	{"", `{"type":"integer","enum":[1,2]}`, `2`,
		`{"schema":{"type":"int64","optional":false,"version":1},"payload":2}`},
	{"use.optional.for.nonrequired=true", `{"type":"object","properties":{"a":{"type":"integer"},` +
		`"b":{"type":"string"}},"required":["a"]}`, `{"a":1,"c":2}`, `{"schema":{"type":"struct","fields":[` +
		`{"type":"int64","optional":false,"field":"a"},{"type":"string","optional":true,"field":"b"}],` +
		`"optional":false,"version":1},"payload":{"a":1,"b":null}}`},
	{"", `{"type":"object","properties":{"a":{"type":"integer"}}}`, `{}`, "!Invalid null value for required INT64"},
	{"", `{"type":"object","properties":{"b":{"type":"string","connect.index":1},"a":{"type":"string",` +
		`"connect.index":2},"c":{"type":"string","connect.index":0}}}`, `{"a":"1","b":"2","c":"3"}`,
		`{"schema":{"type":"struct","fields":[{"type":"string","optional":false,"field":"c"},{"type":"string",` +
			`"optional":false,"field":"b"},{"type":"string","optional":false,"field":"a"}],"optional":false,"version":1},` +
			`"payload":{"c":"3","b":"2","a":"1"}}`},
	{"", `{"properties":{"zeta":{"$ref":"#/definitions/s"},"id":{"$ref":"#/definitions/s"}},"definitions":{"s":{` +
		`"type":"string","title":"S"}}}`, `{"id":"1","zeta":"2"}`, `{"schema":{"type":"struct","fields":[` +
		`{"type":"string","optional":false,"name":"S","field":"zeta"},{"type":"string","optional":false,"name":"S",` +
		`"field":"id"}],"optional":false,"version":1},"payload":{"zeta":"2","id":"1"}}`},
	{"",
		`{"allOf":[{"$ref":"#/definitions/a"},{"type":"object","properties":{"z":{"type":"string"}}}],"definitions":{` +
			`"a":{"type":"object","properties":{"y":{"type":"number"}}}}}`, `{"y":1.5,"z":"x"}`, `{"schema":{` +
			`"type":"struct","fields":[{"type":"double","optional":false,"field":"y"},{"type":"string","optional":false,` +
			`"field":"z"}],"optional":false},"payload":{"y":1.5,"z":"x"}}`},
	{"", `{"oneOf":[{"type":"string"}]}`, `"x"`, `{"schema":{"type":"string","optional":false},"payload":"x"}`},
	{"flatten.singleton.unions=false", `{"anyOf":[{"type":"string"}]}`, `"x"`, `{"schema":{"type":"struct","fields":[` +
		`{"type":"string","optional":true,"field":"io.confluent.connect.json.OneOf.field.0"}],"optional":false,` +
		`"name":"io.confluent.connect.json.OneOf","version":1},"payload":{"io.confluent.connect.json.OneOf.field.0":` +
		`"x"}}`},
	{"", `{"oneOf":[{"type":"object","properties":{"a":{"type":"string"}}},{"type":"object","properties":{` +
		`"a":{"type":"string"},"b":{"type":"integer"}}},{"type":"null"},{"type":"boolean"}]}`, `{"b":1,"a":"x"}`,
		`{"schema":{"type":"struct","fields":[{"type":"struct","fields":[{"type":"string","optional":false,` +
			`"field":"a"}],"optional":true,"field":"io.confluent.connect.json.OneOf.field.0"},{"type":"struct","fields":[` +
			`{"type":"string","optional":false,"field":"a"},{"type":"int64","optional":false,"field":"b"}],` +
			`"optional":true,"field":"io.confluent.connect.json.OneOf.field.1"},{"type":"boolean","optional":true,` +
			`"field":"io.confluent.connect.json.OneOf.field.2"}],"optional":true,` +
			`"name":"io.confluent.connect.json.OneOf","version":1},"payload":{` +
			`"io.confluent.connect.json.OneOf.field.0":null,"io.confluent.connect.json.OneOf.field.1":{"a":"x","b":1},` +
			`"io.confluent.connect.json.OneOf.field.2":null}}`},
	{"", `{"oneOf":[{"type":"string"},{"type":"boolean"}]}`, `7`, "!Did not find matching oneof field for data"},
	{"", `{"type":"array"}`, `[]`, "!Array schema did not specify the items type"},
	{"", `{"not":{"type":"string"}}`, `1`, "!Unsupported schema type"},
	{"", `{}`, `1`, "!says no type"},
	{"", `{"type":"null"}`, `null`, "!Unsupported schema type"},
	{"", `{"type":"object","properties":{"n":{"$ref":"#"}}}`, `{}`, "!contains itself"},
	{"", `{"$ref":"#/definitions/none"}`, `1`, "!which is not there"},
	{"", `{"$ref":"other.json"}`, `1`, "!does not name as one of its references"},
	{"", `{"type":"integer","connect.type":"int99"}`, `1`, "!Unsupported type"},
	{"", `{"type":"integer","connect.type":"int8"}`, `300`, "!does not fit the type INT8"},
	{"", `{"type":"string"}`, `7`, "!expected a JSON value for the type STRING"},
	{"", `{"type":"array","connect.type":"map","items":{"type":"object","properties":{"key":{"type":"integer"},` +
		`"value":{"type":"string"}}}}`, `[{"value":"x","key":1}]`, `{"schema":{"type":"map","keys":{"type":"int64",` +
		`"optional":false},"values":{"type":"string","optional":false},"optional":false,"version":1},"payload":[[1,"x"]]}`},
	{"", `{"type":"array","connect.type":"map","items":{"type":"object","properties":{"key":{"type":"integer"},` +
		`"value":{"type":"string"}}}}`, `[{"key":1,"more":2}]`, "!Found invalid map entry"},
	{"json.fail.invalid.schema=true", `{"type":"string","maxLength":3}`, `"long"`, "!Validation error in JSON"},
	{"json.fail.invalid.schema=true", `{"type":"string","maxLength":4}`, `"long"`,
		`{"schema":{"type":"string","optional":false,"version":1},"payload":"long"}`},
}

func TestReadsWhatJSONSchemaDataReads(t *testing.T) {
	for _, one := range jsonSchemaReadings {
		url := jsonSchemaRegistry(t, one[1])
		c, json, b := jsonSchemaPair(t, url, append(options(one[0]), "value.subject.name.strategy", "")...)
		d, err := c.Decode(t.Context(), "seeded", append([]byte{0, 0, 0, 0, 1}, one[2]...), b)
		if part, refused := strings.CutPrefix(one[3], "!"); refused {
			if err == nil || !strings.Contains(err.Error(), part) || fault.Stops(err) || fault.Class(err) == "" {
				t.Errorf("%s %s: expected %q, found %v", one[1], one[2], part, err)
			}
			continue
		}
		if err != nil {
			t.Errorf("%s %s: %v", one[1], one[2], err)
			continue
		}
		out, _, err := json.Encode(t.Context(), nil, math.MaxInt32, "t", b, d)
		want := strings.Replace(one[3], `,"version":1`, "", 1) // the subject of this topic has no versions
		if err != nil || string(out) != want {
			t.Errorf("%s %s\nexpected %s\nfound    %s, %v", one[1], one[2], want, out, err)
		}
	}
}

// A schema's version is that of the topic's subject, where the schema itself says none; what refers to others is read
// with them.
func TestJSONSchemaOfARegistry(t *testing.T) {
	r := srfake.New()
	t.Cleanup(r.Close)
	r.SeedSchema("money", 1, 1, sr.Schema{Schema: `{"type":"number"}`, Type: sr.TypeJSON})
	r.SeedSchema("t-value", 1, 2, sr.Schema{Schema: `{"type":"string"}`, Type: sr.TypeJSON})
	r.SeedSchema("t-value", 2, 3, sr.Schema{Schema: `{"type":"object","properties":{"p":{"$ref":"money.json"}}}`,
		Type: sr.TypeJSON, References: []sr.SchemaReference{{Name: "money.json", Subject: "money", Version: 1}}})
	r.SeedSchema("avro", 1, 4, sr.Schema{Schema: `"string"`})
	c, json, b := jsonSchemaPair(t, r.URL())
	for id, want := range []string{2: `{"schema":{"type":"string","optional":false,"version":1},"payload":"x"}`,
		3: `{"schema":{"type":"struct","fields":[{"type":"double","optional":false,"field":"p"}],"optional":false},` +
			`"payload":{"p":1.5}}`,
		4: "!schema 4 is of type AVRO, expected JSON", 9: "!40403"} {
		if want == "" {
			continue
		}
		document := `"x"`
		if id == 3 {
			document = `{"p":1.5}`
		}
		d, err := c.Decode(t.Context(), "t", append([]byte{0, 0, 0, 0, byte(id)}, document...), b)
		if part, refused := strings.CutPrefix(want, "!"); refused {
			if part == "40403" {
				part = "404"
			}
			if err == nil || !strings.Contains(err.Error(), part) || fault.Class(err) != fault.DataException {
				t.Errorf("%d: expected %q, found %v", id, part, err)
			}
			continue
		}
		if err != nil {
			t.Errorf("%d: %v", id, err)
			continue
		}
		if out, _, err := json.Encode(t.Context(), nil, math.MaxInt32, "t", b, d); err != nil || string(out) != want {
			t.Errorf("%d: expected %s, found %s, %v", id, want, out, err)
		}
	}
	for _, data := range []string{"", "\x00\x00\x00", "\x01\x00\x00\x00\x02\"x\"", `{"a":1}`} {
		if _, err := c.Decode(t.Context(), "t", []byte(data), b); fault.Class(err) != fault.DataException {
			t.Errorf("%q: expected a fault of the record, found %v", data, err)
		}
	}
}

// A record is written by the schema that the settings name; by one that is not the record's own only where that is
// asked for, and held against it then.
func TestJSONSchemaThatIsGiven(t *testing.T) {
	value := `{"schema":{"type":"struct","fields":[{"type":"int32","optional":false,"field":"id"}],"optional":false},` +
		`"payload":{"id":7}}`
	own := `{"type":"object","properties":{"id":{"type":"integer","connect.index":0,"connect.type":"int32"}}}`
	for _, one := range []struct{ newest, options, want string }{
		{own, "use.latest.version=true", ""},
		{own, "use.schema.id=1", ""},
		{`{"type":"object"}`, "use.latest.version=true", "latest.compatibility.strict=true"},
		{`{"type":"object"}`, "use.schema.id=1", "latest.compatibility.strict=true"},
		{`{"type":"object"}`, "use.latest.version=true latest.compatibility.strict=false", ""},
		{`{"type":"string"}`, "use.latest.version=true latest.compatibility.strict=false json.fail.invalid.schema=true",
			"Validation error"},
	} {
		r := srfake.New()
		t.Cleanup(r.Close)
		r.SeedSchema("t-value", 1, 1, sr.Schema{Schema: one.newest, Type: sr.TypeJSON})
		c, json, b := jsonSchemaPair(t, r.URL(), append(options(one.options), "auto.register.schemas", "false")...)
		out, _, err := c.Encode(t.Context(), nil, math.MaxInt32, "t", b, datumOf(t, json, b, value))
		switch {
		case one.want == "" && (err != nil || string(out) != "\x00\x00\x00\x00\x01"+`{"id":7}`):
			t.Errorf("%s: found %q, %v", one.options, out, err)
		case one.want != "" && (err == nil || !strings.Contains(err.Error(), one.want)):
			t.Errorf("%s: expected %s, found %v", one.options, one.want, err)
		}
	}
}

// What is not the record's fault stops the task: a schema that the registry refuses. What has no schema is refused, and
// nothing is written of it.
func TestJSONSchemaRefusals(t *testing.T) {
	c, json, b := jsonSchemaPair(t, jsonSchemaRegistry(t), "auto.register.schemas", "false")
	var stop *fault.Stop
	d := datumOf(t, json, b, person)
	if out, _, err := c.Encode(t.Context(), []byte("x"), math.MaxInt32, "t", b, d); !errors.As(err, &stop) ||
		string(out) != "x" {
		t.Errorf("expected a stop, found %q, %v", out, err)
	}
	plain := datumOf(t, newConverter(t, ClassJSON, b.Registry, "schemas.enable", "false"), b, `{"a":1}`)
	if _, _, err := c.Encode(t.Context(), nil, math.MaxInt32, "t", b, plain); fault.Class(err) != fault.DataException {
		t.Errorf("expected a value without schema to be refused, found %v", err)
	}
	if out, null, err := c.Encode(t.Context(), nil, math.MaxInt32, "t", b, wit.Datum{}); err != nil || !null ||
		len(out) > 0 {
		t.Errorf("expected a tombstone, found %q, %v, %v", out, null, err)
	}
	c, json, b = jsonSchemaPair(t, jsonSchemaRegistry(t))
	d = datumOf(t, json, b, person)
	if _, _, err := c.Encode(t.Context(), nil, 10, "t", b, d); fault.Class(err) != fault.TooLargeException {
		t.Errorf("expected a record that is too large, found %v", err)
	}
}

// References that multiply, choices in choices and documents that make unions look twice end at a bound.
func TestHostileJSONSchemas(t *testing.T) {
	var bombs []string
	for _, shape := range []string{`{"type":"object","properties":{"a":{"$ref":"#/d/%[1]d"},"b":{"$ref":"#/d/%[1]d"}}}`,
		`{"allOf":[{"$ref":"#/d/%[1]d"},{"$ref":"#/d/%[1]d"}]}`} {
		var text strings.Builder
		text.WriteString(`{"$ref":"#/d/0","d":[`)
		for i := range 60 {
			fmt.Fprintf(&text, shape+",", i+1)
		}
		bombs = append(bombs, text.String()+`{"type":"string"}]}`)
	}
	bombs = append(bombs, strings.Repeat(`{"type":"array","items":`, 200)+`{"type":"string"}`+strings.Repeat("}", 200),
		strings.Repeat(`{"oneOf":[`, 300)+`{"type":"string"}`+strings.Repeat("]}", 300))
	for i, text := range bombs {
		c, _, b := jsonSchemaPair(t, jsonSchemaRegistry(t, text))
		_, err := c.Decode(t.Context(), "t", []byte("\x00\x00\x00\x00\x01\"x\""), b)
		if fault.Class(err) != fault.DataException || !strings.Contains(err.Error(), "expected at most") {
			t.Errorf("%d: expected a bound, found %v", i, err)
		}
	}
	// each level is looked through to tell the two structures apart
	schema := `{"type":"string"}`
	for range 30 {
		schema = `{"oneOf":[{"type":"object","properties":{"a":` + schema + `}},{"type":"object","properties":{"b":` +
			`{"type":"boolean"}}}]}`
	}
	c, _, b := jsonSchemaPair(t, jsonSchemaRegistry(t, schema))
	document := append([]byte{0, 0, 0, 0, 1}, strings.Repeat(`{"a":`, 30)+`"`+strings.Repeat("x", 3<<20)+`"`+
		strings.Repeat("}", 30)...)
	if _, err := c.Decode(t.Context(), "t", document, b); fault.Class(err) != fault.DataException ||
		!strings.Contains(err.Error(), "to be looked through") {
		t.Errorf("expected a bound, found %v", err)
	}
	if len(b.Data) != 0 || !bytes.Equal(document[:5], []byte{0, 0, 0, 0, 1}) {
		t.Error("expected the batch as it was")
	}
}

// A schema of which no value can be written, since it has the name of a logical type of another kind, is not
// registered.
func TestMisnamedSchemasAreNotRegistered(t *testing.T) {
	asked := 0
	open := func(s registry.Settings) (*registry.Client, error) {
		return registry.OpenWith(s, roundTrip(func(r *http.Request) (*http.Response, error) {
			asked++
			return answer(r, 200, `{"id":1}`), nil
		}), slog.New(slog.DiscardHandler))
	}
	b := &record.Batch{Registry: record.NewRegistry()}
	c, err := New(ClassJSONSchema, map[string]string{"schema.registry.url": "http://r"}, Use{Schemas: b.Registry,
		Registry: open})
	require.NoError(t, err)
	write := func(nodes []wit.Node) error {
		s, err := b.Registry.Intern(nodes)
		require.NoError(t, err)
		b.Data = datum.AppendBytes(b.Data[:0], []byte("x"))
		_, _, err = c.Encode(t.Context(), nil, math.MaxInt32, "t", b, wit.Datum{Form: wit.Structured, Schema: s.ID,
			Size: uint32(len(b.Data))})
		return err
	}
	for _, name := range []string{wit.NameDate, wit.NameTime, wit.NameTimestamp, wit.NameDecimal} {
		if err := write([]wit.Node{{Kind: wit.Text,
			Name: &name}}); fault.Class(err) != fault.DataException || asked != 0 {
			t.Errorf("%s: expected a refusal and no request, found %d, %v", name, asked, err)
		}
	}
	if err := write([]wit.Node{{Kind: wit.Text, Name: wit.Ptr("n")}}); err != nil || asked != 1 {
		t.Errorf("another name: expected one request, found %d, %v", asked, err)
	}
}

// Of several set members of a union the first counts, as in JsonSchemaData.
func TestFirstMemberOfAUnion(t *testing.T) {
	const field = "io.confluent.connect.json.OneOf.field."
	const schema = `{"type":"struct","fields":[{"type":"int32","optional":true,"field":"` + field + `0"},` +
		`{"type":"string","optional":true,"field":"` + field + `1"},{"type":"boolean","optional":true,"field":"` + field +
		`2"}],"optional":false,"name":"io.confluent.connect.json.OneOf"}`
	for value, want := range map[string]string{
		`{"` + field + `0":12,"` + field + `1":"x","` + field + `2":true}`: `12`,
		`{"` + field + `1":"x","` + field + `2":true}`:                     `"x"`,
		`{"` + field + `2":true}`:                                          `true`,
	} {
		b := &record.Batch{Registry: record.NewRegistry()}
		c := newConverter(t, ClassJSONSchema, b.Registry)
		d := datumOf(t, newConverter(t, ClassJSON, b.Registry), b, `{"schema":`+schema+`,"payload":`+value+`}`)
		out, _, err := c.Encode(t.Context(), nil, math.MaxInt32, "orders", b, d)
		if err != nil || string(out) != "\x00\x00\x00\x00\x01"+want {
			t.Errorf("%s: expected %s, found %q, %v", value, want, out, err)
		}
	}
}
