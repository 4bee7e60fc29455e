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
		readSchema := row[5]
		b := &record.Batch{Registry: record.NewRegistry()}
		c, text := newRecording(t, ClassJSONSchema, b.Registry, options(row[0])...)
		json := newConverter(t, ClassJSON, b.Registry, "replace.null.with.default", "false")
		d := datumOf(t, json, b, `{"schema":`+schema+`,"payload":`+value+`}`)
		out, isNull, err := c.Encode(t.Context(), []byte("x"), math.MaxInt32, "orders", b, d)
		if err != nil || isNull || string(out) != "x\x00\x00\x00\x00\x01"+written {
			t.Errorf("%s: expected %s, found %s, %v", schema, written, out, err)
			continue
		}
		assert.Equal(t, row[3], *text, schema)
		if d, err = c.Decode(t.Context(), "orders", out[1:], b); err != nil {
			t.Errorf("%s: %v", schema, err)
			continue
		}
		if readSchema == "" {
			readSchema = schema
		}
		if written == "7" {
			value = "7" // the default
		}
		readDocument, _, err := json.Encode(t.Context(), nil, math.MaxInt32, "t", b, d)
		want := `{"schema":` + readSchema + `,"payload":` + value + `}`
		assert.True(t, err == nil && sameJSON(want, string(readDocument)),
			"%s, read and written again\nexpected %s\nfound    %s, %v", schema, want, readDocument, err)
	}
}

// options returns the names and values of settings, which are separated by spaces.
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
	for _, row := range readTSV(t, "jsonschema-reads.tsv", 4) {
		schema := row[1]
		document := row[2]
		url := newFakeRegistry(t, sr.TypeJSON, schema)
		c, json, b := newPair(t, ClassJSONSchema, url, append(options(row[0]), "value.subject.name.strategy", "")...)
		d, err := c.Decode(t.Context(), "seeded", append([]byte{0, 0, 0, 0, 1}, document...), b)
		if part, ok := strings.CutPrefix(row[3], "!"); ok {
			assert.True(t, err != nil && strings.Contains(err.Error(), part) && !fault.IsFatal(err) &&
				fault.Class(err) != "", "%s %s: expected %q, found %v", schema, document, part, err)
			continue
		}
		if err != nil {
			t.Errorf("%s %s: %v", schema, document, err)
			continue
		}
		out, _, err := json.Encode(t.Context(), nil, math.MaxInt32, "t", b, d)
		want := strings.Replace(row[3], `,"version":1`, "", 1) // the subject of this topic has no versions
		assert.True(t, err == nil && string(out) == want,
			"%s %s\nexpected %s\nfound    %s, %v", schema, document, want, out, err)
	}
}

// A schema's version is that of the topic's subject, unless the schema itself specifies one; referenced schemas are
// read with it.
func TestRegisteredJSONSchema(t *testing.T) {
	fake := srfake.New()
	t.Cleanup(fake.Close)
	fake.SeedSchema("money", 1, 1, sr.Schema{Schema: `{"type":"number"}`, Type: sr.TypeJSON})
	fake.SeedSchema("t-value", 1, 2, sr.Schema{Schema: `{"type":"string"}`, Type: sr.TypeJSON})
	fake.SeedSchema("t-value", 2, 3, sr.Schema{Schema: `{"type":"object","properties":{"p":{"$ref":"money.json"}}}`,
		Type: sr.TypeJSON, References: []sr.SchemaReference{{Name: "money.json", Subject: "money", Version: 1}}})
	fake.SeedSchema("avro", 1, 4, sr.Schema{Schema: `"string"`})
	c, json, b := newPair(t, ClassJSONSchema, fake.URL())
	for id, want := range map[byte]string{
		2: `{"schema":{"type":"string","optional":false,"version":1},"payload":"x"}`,
		3: `{"schema":{"type":"struct","fields":[{"type":"double","optional":false,"field":"p"}],"optional":false},` +
			`"payload":{"p":1.5}}`,
		4: "!schema 4 is of type AVRO, expected JSON",
	} {
		document := `"x"`
		if id == 3 {
			document = `{"p":1.5}`
		}
		d, err := c.Decode(t.Context(), "t", append([]byte{0, 0, 0, 0, id}, document...), b)
		if part, ok := strings.CutPrefix(want, "!"); ok {
			assert.True(t, err != nil && strings.Contains(err.Error(), part) && fault.Class(err) == fault.DataException,
				"%d: expected %q, found %v", id, part, err)
			continue
		}
		if err != nil {
			t.Errorf("%d: %v", id, err)
			continue
		}
		out, _, err := json.Encode(t.Context(), nil, math.MaxInt32, "t", b, d)
		assert.True(t, err == nil && string(out) == want, "%d: expected %s, found %s, %v", id, want, out, err)
	}
	for _, data := range []string{"", "\x00\x00\x00", "\x01\x00\x00\x00\x02\"x\"", `{"a":1}`} {
		_, err := c.Decode(t.Context(), "t", []byte(data), b)
		assert.True(t, fault.Class(err) == fault.DataException, "%q: expected a data error, found %v", data, err)
	}
}

// A record is written with the schema that the settings name; a schema other than the record's own is used only if the
// settings allow it, and the record is then validated against it.
func TestConfiguredJSONSchema(t *testing.T) {
	value := `{"schema":{"type":"struct","fields":[{"type":"int32","optional":false,"field":"id"}],"optional":false},` +
		`"payload":{"id":7}}`
	recordSchema := `{"type":"object","properties":{"id":{"type":"integer","connect.index":0,"connect.type":"int32"}}}`
	const newest = "use.latest.version=true"
	const byID = "use.schema.id=1"
	const strictError = "latest.compatibility.strict=true"
	for _, test := range []struct {
		schema  string // in the registry
		options string
		wantErr string // a part of the error; "" means no error
	}{
		{schema: recordSchema, options: newest},
		{schema: recordSchema, options: byID},
		{schema: `{"type":"object"}`, options: newest, wantErr: strictError},
		{schema: `{"type":"object"}`, options: byID, wantErr: strictError},
		{schema: `{"type":"object"}`, options: newest + " latest.compatibility.strict=false"},
		{schema: `{"type":"string"}`,
			options: newest + " latest.compatibility.strict=false json.fail.invalid.schema=true",
			wantErr: "Validation error"},
	} {
		r := srfake.New()
		t.Cleanup(r.Close)
		r.SeedSchema("t-value", 1, 1, sr.Schema{Schema: test.schema, Type: sr.TypeJSON})
		c, json, b := newPair(t, ClassJSONSchema, r.URL(), append(options(test.options), "auto.register.schemas",
			"false")...)
		out, _, err := c.Encode(t.Context(), nil, math.MaxInt32, "t", b, datumOf(t, json, b, value))
		switch {
		case test.wantErr == "" && (err != nil || string(out) != "\x00\x00\x00\x00\x01"+`{"id":7}`):
			t.Errorf("%s: expected the value with ID 1, found %q, %v", test.options, out, err)
		case test.wantErr != "" && (err == nil || !strings.Contains(err.Error(), test.wantErr)):
			t.Errorf("%s: expected %s, found %v", test.options, test.wantErr, err)
		}
	}
}

// A schema that the registry rejects stops the task. A value without a schema, or one that is too large, is the
// record's fault. After an error nothing is written.
func TestJSONSchemaRejections(t *testing.T) {
	c, json, b := newPair(t, ClassJSONSchema, newFakeRegistry(t, sr.TypeJSON), "auto.register.schemas", "false")
	var fatal *fault.Fatal
	d := datumOf(t, json, b, person)
	if out, _, err := c.Encode(t.Context(), []byte("x"), math.MaxInt32, "t", b, d); !errors.As(err, &fatal) ||
		string(out) != "x" {
		t.Errorf("expected an error that stops the task, found %q, %v", out, err)
	}
	schemaless := datumOf(t, newConverter(t, ClassJSON, b.Registry, "schemas.enable", "false"), b, `{"a":1}`)
	_, _, err := c.Encode(t.Context(), nil, math.MaxInt32, "t", b, schemaless)
	assert.True(t, fault.Class(err) == fault.DataException,
		"expected a value without schema to be rejected, found %v", err)
	out, isNull, err := c.Encode(t.Context(), nil, math.MaxInt32, "t", b, wit.ValueSlice{})
	assert.True(t, err == nil && isNull && len(out) == 0, "expected a tombstone, found %q, %v, %v", out, isNull, err)
	c, json, b = newPair(t, ClassJSONSchema, newFakeRegistry(t, sr.TypeJSON))
	d = datumOf(t, json, b, person)
	if _, _, err := c.Encode(t.Context(), nil, 10, "t", b, d); fault.Class(err) != fault.TooLargeException {
		t.Errorf("expected an error about a too large record, found %v", err)
	}
}

// A schema with the name of a logical type of another type is not registered, because no value can be written with it.
func TestMisnamedSchemasAreNotRegistered(t *testing.T) {
	requests := 0
	open := func(s registry.Settings) (*registry.Client, error) {
		return registry.OpenWith(s, roundTrip(func(r *http.Request) (*http.Response, error) {
			requests++
			return newResponse(r, 200, `{"id":1}`), nil
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
		err := write([]wit.SchemaNode{{Kind: wit.String, Name: &name}})
		assert.True(t, fault.Class(err) == fault.DataException && requests == 0,
			"%s: expected an error and no request, found %d, %v", name, requests, err)
	}
	err = write([]wit.SchemaNode{{Kind: wit.String, Name: wit.Ptr("n")}})
	assert.True(t, err == nil && requests == 1, "another name: expected one request, found %d, %v", requests, err)
}

// If several members of a union are set, the first one is used, as in JsonSchemaData.
func TestFirstUnionMemberIsUsed(t *testing.T) {
	const field = "io.confluent.connect.json.OneOf.field."
	const schema = `{"type":"struct","fields":[{"type":"int32","optional":true,"field":"` + field + `0"},` +
		`{"type":"string","optional":true,"field":"` + field + `1"},` +
		`{"type":"boolean","optional":true,"field":"` + field + `2"}],"optional":false,` +
		`"name":"io.confluent.connect.json.OneOf"}`
	for value, want := range map[string]string{
		`{"` + field + `0":12,"` + field + `1":"x","` + field + `2":true}`: `12`,
		`{"` + field + `1":"x","` + field + `2":true}`:                     `"x"`,
		`{"` + field + `2":true}`:                                          `true`,
	} {
		b := &record.Batch{Registry: record.NewRegistry()}
		c := newConverter(t, ClassJSONSchema, b.Registry)
		d := datumOf(t, newConverter(t, ClassJSON, b.Registry), b, `{"schema":`+schema+`,"payload":`+value+`}`)
		out, _, err := c.Encode(t.Context(), nil, math.MaxInt32, "orders", b, d)
		assert.True(t, err == nil && string(out) == "\x00\x00\x00\x00\x01"+want,
			"%s: expected %s, found %q, %v", value, want, out, err)
	}
}
