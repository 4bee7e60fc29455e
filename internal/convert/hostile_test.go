package convert

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"math"
	"net/http"
	"strconv"
	"strings"
	"testing"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/convert/conversion"
	"github.com/culvert-project/culvert/internal/convert/fault"
	"github.com/culvert-project/culvert/internal/convert/registry"
	"github.com/culvert-project/culvert/internal/record"
	"github.com/culvert-project/culvert/wit/connectdata"
)

// registryOf returns a client of a registry without a socket that has one schema of a schema language.
func registryOf(kind, schema string) func(registry.Settings) (*registry.Client, error) {
	return func(s registry.Settings) (*registry.Client, error) {
		return registry.OpenWith(s, roundTrip(func(r *http.Request) (*http.Response, error) {
			switch {
			case strings.HasPrefix(r.URL.Path, "/schemas/ids/"):
				return newResponse(r, 200, `{"schemaType":"`+kind+`","schema":`+strconv.Quote(schema)+`}`), nil
			case strings.HasSuffix(r.URL.Path, "/versions"):
				_, err := io.Copy(io.Discard, r.Body)
				return newResponse(r, 200, `{"id":1}`), err
			}
			return newResponse(r, 404, `{"error_code":40401,"message":"Subject not found."}`), nil
		}), slog.New(slog.DiscardHandler))
	}
}

// A hostileRegistered is a registered schema, a value of it, and a part of the error. Without it the value is read, and
// written by a new converter.
type hostileRegistered struct {
	schema string
	value  string
	want   string
}

// Schemas of a registry that are very large, wide or deep, and values of them, are read or rejected in time, by both
// converters that use a registry.
func TestHostileRegisteredSchemas(t *testing.T) {
	for class, cases := range map[string]map[string]hostileRegistered{
		ClassAvro:       hostileAvro(),
		ClassJSONSchema: hostileJSONSchemas(),
	} {
		for name, c := range cases {
			t.Run(name, func(t *testing.T) {
				endsInTime(t, func(ctx context.Context) { checkRegistered(ctx, t, class, c) })
			})
		}
	}
}

func checkRegistered(ctx context.Context, t *testing.T, class string, c hostileRegistered) {
	b := &record.Batch{Registry: record.NewRegistry()}
	kind := "AVRO"
	if class == ClassJSONSchema {
		kind = "JSON"
	}
	open := func() Converter {
		converter, err := New(class, map[string]string{"schema.registry.url": "http://registry.test"},
			Options{Schemas: b.Registry, OpenRegistry: registryOf(kind, c.schema)})
		assert.NoError(t, err)
		return converter
	}
	d, err := open().Decode(ctx, "t", append([]byte{0, 0, 0, 0, 1}, c.value...), b)
	assert.True(t, c.want != "" || err == nil, "expected no error, found %.300v", err)
	isExpected := err != nil && strings.Contains(err.Error(), c.want) && fault.Class(err) == fault.DataException
	assert.True(t, c.want == "" || isExpected, "expected %q, found %.300v", c.want, err)
	if err != nil {
		assert.True(t, len(err.Error()) <= 10_000 && len(b.Data) == 0,
			"expected a short error and an empty batch, found an error of %d bytes and a batch of %d", len(err.Error()),
			len(b.Data))
		return
	}
	// A new converter writes it, which has not read it.
	out, _, err := open().Encode(ctx, nil, math.MaxInt32, "t", b, d)
	assert.True(t, err == nil && len(out) >= conversion.IDBytes,
		"expected the value to be written, found %d bytes, %.300v", len(out), err)
}

// nested returns the inner text in n pairs of texts.
func nested(n int, open, inner, closing string) string {
	return strings.Repeat(open, n) + inner + strings.Repeat(closing, n)
}

func hostileAvro() map[string]hostileRegistered {
	avroFields := func(n int) string {
		return `{"type":"record","name":"R","fields":[` + items(n, func(i int) string {
			return fmt.Sprintf(`{"name":"f%d","type":"int"}`, i)
		}) + `]}`
	}
	entries := connectdata.AppendNumber(nil, 100_000)
	for i := range 100_000 {
		entries = append(connectdata.AppendString(entries, fmt.Sprint("n", i)), 2)
	}
	long := strings.Repeat("d", 2<<20)
	return map[string]hostileRegistered{
		"Avro, a schema of 2 MB": {
			schema: `{"type":"int","connect.doc":"` + long + `"}`,
			value:  "\x02",
		},
		"Avro, text after the schema": {schema: `"int" "string"`, value: "\x02", want: "nothing after it"},
		"Avro, 9,000 fields": {
			schema: avroFields(9_000),
			value:  strings.Repeat("\x02", 9_000),
		},
		"Avro, 100,000 fields": {
			schema: avroFields(100_000),
			value:  strings.Repeat("\x02", 100_000),
			want:   "expected at most",
		},
		"Avro, 100,000 fields cut": {
			schema: avroFields(9_000),
			value:  "\x02",
			want:   `field "f1"`,
		},
		"Avro, nested 1,000 deep": {
			schema: nested(1000, `{"type":"array","items":`, `"int"`, "}"),
			value:  "\x00",
			want:   "expected at most 100 nodes in each other",
		},
		"Avro, nested 100,000 deep": {
			schema: nested(100_000, `{"type":"array","items":`, `"int"`, "}"),
			value:  "\x00",
			want:   "depth",
		},
		"Avro, a type in itself": {
			schema: `{"type":"record","name":"R","namespace":"n","fields":[{"name":"b","type":["null","R"]}]}`,
			value:  "\x00",
			want:   `the Avro type "n.R" contains itself`,
		},
		"Avro, a scale of 10^8": {
			schema: `{"type":"bytes","logicalType":"decimal","precision":9,"scale":100000000}`,
			value:  "\x02\x01",
			want:   "expected a scale from -1000 to 1000",
		},
		"Avro, a precision of 10^8": {
			schema: `{"type":"record","name":"R","fields":[{"name":"d","type":` +
				`{"type":"bytes","logicalType":"decimal","precision":100000000,"scale":2}}]}`,
			value: "\x02\x01",
		},
		"Avro, 100,000 names": {
			schema: `{"type":"map","values":"int"}`,
			value:  string(append(entries, 0)),
		},
		"Avro, a map of no end": {
			schema: `{"type":"map","values":{"type":"record","name":"E","fields":[]}}`,
			value:  "\xfe\xff\xff\xff\xff\xff\xff\xff\x7f",
			want:   "expected text or bytes",
		},
		"Avro, a fixed of 2^31": {
			schema: `{"type":"fixed","name":"F","size":2147483647}`,
			value:  "\x01",
			want:   "found the end",
		},
		"Avro, 100,000 symbols": {
			schema: `{"type":"enum","name":"E","symbols":[` + items(100_000, func(i int) string {
				return fmt.Sprintf(`"s%d"`, i)
			}) + `]}`,
			value: "\x02",
			want:  "expected at most 4194304 bytes",
		},
		"Avro, aliases of 2 MB": {
			schema: `{"type":"record","name":"R","aliases":["` + long + `"],"fields":[]}`,
		},
	}
}

func hostileJSONSchemas() map[string]hostileRegistered {
	jsonFields := func(n int) string {
		return `{"type":"object","properties":{` + items(n, func(i int) string {
			return fmt.Sprintf(`"f%d":{"type":"integer"}`, i)
		}) + `}}`
	}
	names := func(n int) string {
		return "{" + items(n, func(i int) string { return fmt.Sprintf(`"f%d":1`, i) }) + "}"
	}
	bomb := func(shape string) string { // each level refers to the next one several times
		return `{"$ref":"#/d/0","d":[` + items(60, func(i int) string { return fmt.Sprintf(shape, i+1) }) +
			`,{"type":"string"}]}`
	}
	choices := `{"type":"string"}` // to choose between the two structs, the members of each must be compared
	for range 30 {
		choices = `{"oneOf":[{"type":"object","properties":{"a":` + choices + `}},{"type":"object","properties":{"b":` +
			`{"type":"boolean"}}}]}`
	}
	long := strings.Repeat("d", 2<<20)
	return map[string]hostileRegistered{
		"JSON Schema, of 2 MB": {
			schema: `{"type":"integer","description":"` + long + `"}`,
			value:  "1",
		},
		"JSON Schema, text after the schema": {schema: `{"type":"integer"} x`, value: "1", want: "nothing after it"},
		"JSON Schema, 9,000": {
			schema: jsonFields(9_000),
			value:  names(9_000),
		},
		"JSON Schema, 100,000": {
			schema: jsonFields(100_000),
			value:  names(100_000),
			want:   "expected at most",
		},
		"JSON Schema, deep": {
			schema: nested(1000, `{"type":"array","items":`, `{"type":"integer"}`, "}"),
			value:  "[]",
			want:   "expected at most",
		},
		"JSON Schema, members that multiply": {
			schema: bomb(`{"type":"object","properties":{"a":{"$ref":"#/d/%[1]d"},"b":{"$ref":"#/d/%[1]d"}}}`),
			value:  `"x"`,
			want:   "expected at most",
		},
		"JSON Schema, parts that multiply": {
			schema: bomb(`{"allOf":[{"$ref":"#/d/%[1]d"},{"$ref":"#/d/%[1]d"}]}`),
			value:  `"x"`,
			want:   "expected at most",
		},
		"JSON Schema, choices in choices": {
			schema: nested(300, `{"oneOf":[`, `{"type":"string"}`, "]}"),
			value:  `"x"`,
			want:   "expected at most",
		},
		"JSON Schema, choices looked through": {
			schema: choices,
			value:  nested(30, `{"a":`, `"`+strings.Repeat("x", 3<<20)+`"`, "}"),
			want:   "to be looked through",
		},
		"JSON Schema, deep data": {
			schema: `{"type":"array","items":{"type":"integer"}}`,
			value:  strings.Repeat("[", 1<<20),
			want:   "found ARRAY",
		},
		"JSON Schema, a scale of 10^8": {
			schema: `{"type":"number","title":"org.apache.kafka.connect.data.Decimal",` +
				`"connect.version":1,"connect.parameters":{"scale":"100000000"},"connect.type":"bytes"}`,
			value: "1",
			want:  "expected a scale from -1000 to 1000",
		},
		"JSON Schema, 100,000 names": {
			schema: `{"type":"object","additionalProperties":{"type":"integer"},"connect.type":"map"}`,
			value:  names(100_000),
		},
	}
}
