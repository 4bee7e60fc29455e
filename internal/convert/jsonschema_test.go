package convert

import (
	"errors"
	"log/slog"
	"math"
	"net/http"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/sr"
	"github.com/twmb/franz-go/pkg/sr/srfake"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/base/require"
	"github.com/culvert-project/culvert/internal/convert/fault"
	"github.com/culvert-project/culvert/internal/convert/registry"
	"github.com/culvert-project/culvert/internal/record"
	"github.com/culvert-project/culvert/wit"
	"github.com/culvert-project/culvert/wit/connectdata"
)

// The file contains what JsonSchemaData writes for values: options, the schema and the value in the JSON converter's
// form, the JSON Schema as the everit library writes it ([TestRealStoredAnswers]), the JSON, and the schema that is
// read back if it differs.
func TestWritesWhatJSONSchemaDataWrites(t *testing.T) {
	for _, row := range readTSV(t, "jsonschema-writes.tsv", 6) {
		schema := row[1]
		value := row[2]
		written := row[4]
		again := row[5]
		b := &record.Batch{Registry: record.NewRegistry()}
		c, text := newRecording(t, ClassJSONSchema, b.Registry, options(row[0])...)
		json := newConverter(t, ClassJSON, b.Registry, "replace.null.with.default", "false")
		d := datumOf(t, json, b, `{"schema":`+schema+`,"payload":`+value+`}`)
		out, null, err := c.Encode(t.Context(), []byte("x"), math.MaxInt32, "orders", b, d)
		if err != nil || null || string(out) != "x\x00\x00\x00\x00\x01"+written {
			t.Errorf("%s: expected %s, found %s, %v", schema, written, out, err)
			continue
		}
		assert.Equal(t, row[3], *text, schema)
		if d, err = c.Decode(t.Context(), "orders", out[1:], b); err != nil {
			t.Errorf("%s: %v", schema, err)
			continue
		}
		if again == "" {
			again = schema
		}
		if written == "7" {
			value = "7" // the default
		}
		back, _, err := json.Encode(t.Context(), nil, math.MaxInt32, "t", b, d)
		if want := `{"schema":` + again + `,"payload":` + value + `}`; err != nil || !sameJSON(want, string(back)) {
			t.Errorf("written again\nexpected %s\nfound    %s, %v", want, back, err)
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

// The file contains schemas of other writers: options, schema, document, and the resulting schema and value, or "!" and
// a part of the error.
func TestReadsWhatJSONSchemaDataReads(t *testing.T) {
	for _, one := range readTSV(t, "jsonschema-reads.tsv", 4) {
		url := seeded(t, sr.TypeJSON, one[1])
		c, json, b := pair(t, ClassJSONSchema, url, append(options(one[0]), "value.subject.name.strategy", "")...)
		d, err := c.Decode(t.Context(), "seeded", append([]byte{0, 0, 0, 0, 1}, one[2]...), b)
		if part, ok := strings.CutPrefix(one[3], "!"); ok {
			if err == nil || !strings.Contains(err.Error(), part) || fault.IsFatal(err) || fault.Class(err) == "" {
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

// A schema's version is that of the topic's subject, unless the schema itself specifies one; referenced schemas are
// read with it.
func TestRegisteredJSONSchema(t *testing.T) {
	r := srfake.New()
	t.Cleanup(r.Close)
	r.SeedSchema("money", 1, 1, sr.Schema{Schema: `{"type":"number"}`, Type: sr.TypeJSON})
	r.SeedSchema("t-value", 1, 2, sr.Schema{Schema: `{"type":"string"}`, Type: sr.TypeJSON})
	r.SeedSchema("t-value", 2, 3, sr.Schema{Schema: `{"type":"object","properties":{"p":{"$ref":"money.json"}}}`,
		Type: sr.TypeJSON, References: []sr.SchemaReference{{Name: "money.json", Subject: "money", Version: 1}}})
	r.SeedSchema("avro", 1, 4, sr.Schema{Schema: `"string"`})
	c, json, b := pair(t, ClassJSONSchema, r.URL())
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
		if part, ok := strings.CutPrefix(want, "!"); ok {
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
			t.Errorf("%q: expected a data error, found %v", data, err)
		}
	}
}

// A record is written with the schema that the settings name; a schema other than the record's own is used only if the
// settings allow it, and the record is then validated against it.
func TestConfiguredJSONSchema(t *testing.T) {
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
		c, json, b := pair(t, ClassJSONSchema, r.URL(), append(options(one.options), "auto.register.schemas",
			"false")...)
		out, _, err := c.Encode(t.Context(), nil, math.MaxInt32, "t", b, datumOf(t, json, b, value))
		switch {
		case one.want == "" && (err != nil || string(out) != "\x00\x00\x00\x00\x01"+`{"id":7}`):
			t.Errorf("%s: found %q, %v", one.options, out, err)
		case one.want != "" && (err == nil || !strings.Contains(err.Error(), one.want)):
			t.Errorf("%s: expected %s, found %v", one.options, one.want, err)
		}
	}
}

// A fault that is not the record's stops the task: a schema that the registry rejects. A value without schema is
// rejected, and nothing is written.
func TestJSONSchemaRejections(t *testing.T) {
	c, json, b := pair(t, ClassJSONSchema, seeded(t, sr.TypeJSON), "auto.register.schemas", "false")
	var stop *fault.Fatal
	d := datumOf(t, json, b, person)
	if out, _, err := c.Encode(t.Context(), []byte("x"), math.MaxInt32, "t", b, d); !errors.As(err, &stop) ||
		string(out) != "x" {
		t.Errorf("expected an error that stops the task, found %q, %v", out, err)
	}
	plain := datumOf(t, newConverter(t, ClassJSON, b.Registry, "schemas.enable", "false"), b, `{"a":1}`)
	if _, _, err := c.Encode(t.Context(), nil, math.MaxInt32, "t", b, plain); fault.Class(err) != fault.DataException {
		t.Errorf("expected a value without schema to be rejected, found %v", err)
	}
	if out, null, err := c.Encode(t.Context(), nil, math.MaxInt32, "t", b, wit.ValueSlice{}); err != nil || !null ||
		len(out) > 0 {
		t.Errorf("expected a tombstone, found %q, %v, %v", out, null, err)
	}
	c, json, b = pair(t, ClassJSONSchema, seeded(t, sr.TypeJSON))
	d = datumOf(t, json, b, person)
	if _, _, err := c.Encode(t.Context(), nil, 10, "t", b, d); fault.Class(err) != fault.TooLargeException {
		t.Errorf("expected an error about a too large record, found %v", err)
	}
}

// A schema with the name of a logical type of another type is not registered, because no value can be written with it.
func TestMisnamedSchemasAreNotRegistered(t *testing.T) {
	asked := 0
	open := func(s registry.Settings) (*registry.Client, error) {
		return registry.OpenWith(s, roundTrip(func(r *http.Request) (*http.Response, error) {
			asked++
			return answer(r, 200, `{"id":1}`), nil
		}), slog.New(slog.DiscardHandler))
	}
	b := &record.Batch{Registry: record.NewRegistry()}
	c, err := New(ClassJSONSchema, map[string]string{"schema.registry.url": "http://r"}, Options{Schemas: b.Registry,
		OpenRegistry: open})
	require.NoError(t, err)
	write := func(nodes []wit.SchemaNode) error {
		s, err := b.Registry.Intern(nodes)
		require.NoError(t, err)
		b.Data = connectdata.AppendBytes(b.Data[:0], []byte("x"))
		_, _, err = c.Encode(t.Context(), nil, math.MaxInt32, "t", b,
			wit.ValueSlice{Encoding: wit.WithSchema, Schema: s.ID, Size: uint32(len(b.Data))})
		return err
	}
	for _, name := range []string{wit.NameDate, wit.NameTime, wit.NameTimestamp, wit.NameDecimal} {
		if err := write([]wit.SchemaNode{{Kind: wit.String,
			Name: &name}}); fault.Class(err) != fault.DataException || asked != 0 {
			t.Errorf("%s: expected an error and no request, found %d, %v", name, asked, err)
		}
	}
	if err := write([]wit.SchemaNode{{Kind: wit.String, Name: wit.Ptr("n")}}); err != nil || asked != 1 {
		t.Errorf("another name: expected one request, found %d, %v", asked, err)
	}
}

// If several members of a union are set, the first one is used, as in JsonSchemaData.
func TestFirstUnionMemberIsUsed(t *testing.T) {
	const field = "io.confluent.connect.json.OneOf.field."
	const schema = `{"type":"struct","fields":[{"type":"int32","optional":true,"field":"` + field + `0"},` +
		`{"type":"string","optional":true,"field":"` + field + `1"},{"type":"boolean","optional":true,"field":"` +
		field +
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
