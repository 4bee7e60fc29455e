package convert

import (
	"errors"
	"fmt"
	"math"
	"math/big"
	"strings"
	"testing"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/base/require"
	"github.com/culvert-project/culvert/internal/convert/conversion"
	"github.com/culvert-project/culvert/internal/convert/fault"
	"github.com/culvert-project/culvert/internal/record"
	"github.com/culvert-project/culvert/wit"
	"github.com/culvert-project/culvert/wit/connectdata"
)

// encode writes a value, whose schema is nodes; nil means schemaless.
func encode(t *testing.T, c Converter, reg *record.Registry, nodes []wit.SchemaNode,
	v any) (text string, isNull bool, err error) {
	t.Helper()
	b := &record.Batch{Registry: reg}
	d := wit.ValueSlice{Encoding: wit.Schemaless}
	if nodes == nil {
		b.Data, err = connectdata.AppendSchemaless(nil, v)
	} else {
		var s *record.Schema
		s, err = reg.Intern(nodes)
		require.NoError(t, err)
		d.Encoding = wit.WithSchema
		d.Schema = s.ID
		b.Data, err = connectdata.Append(nil, s.Nodes, 0, v)
	}
	require.NoError(t, err)
	d.Size = uint32(len(b.Data))
	out, isNull, err := c.Encode(t.Context(), nil, math.MaxInt32, "t", b, d)
	return string(out), isNull, err
}

// Values that the golden files cannot contain, because Kafka's own reader cannot create them.
func TestWritesValuesOutsideGoldenFiles(t *testing.T) {
	reg := record.NewRegistry()
	c := newConverter(t, ClassJSON, reg, "schemas.enable", "false")
	double := []wit.SchemaNode{{Kind: wit.Float64}}
	for _, test := range []struct {
		nodes []wit.SchemaNode // nil means schemaless
		value any
		want  string
	}{
		{nodes: double, value: math.NaN(), want: `"NaN"`},
		{nodes: double, value: math.Inf(1), want: `"Infinity"`},
		{nodes: []wit.SchemaNode{{Kind: wit.Float32}}, value: float32(math.Inf(-1)), want: `"-Infinity"`},
		{nodes: double, value: math.Copysign(0, -1), want: `-0.0`},
		{value: int8(-5), want: "-5"},
		{value: float32(0.1), want: "0.1"},
		{value: []byte{0, 1}, want: `"AAE="`},
		{value: connectdata.Map{{Key: "a", Value: int64(1)}, {Key: "b", Value: nil}}, want: `{"a":1,"b":null}`},
		{value: connectdata.Map{{Key: "a", Value: int64(1)}, {Key: int32(5), Value: true}}, want: `[["a",1],[5,true]]`},
		{value: connectdata.Map{}, want: `{}`},
	} {
		got, isNull, err := encode(t, c, reg, test.nodes, test.value)
		assert.True(t, err == nil && !isNull && got == test.want,
			"%v: expected %s, found %s, %v", test.value, test.want, got, err)
	}
	_, isNull, err := c.Encode(t.Context(), nil, math.MaxInt32, "t", &record.Batch{}, wit.ValueSlice{})
	assert.True(t, isNull && err == nil, "expected an absent value to be a tombstone, found %v, %v", isNull, err)
}

// Values that Kafka's converter rejects are rejected with its message, and malformed ones with the field. Nothing is
// written.
func TestRefusesToWrite(t *testing.T) {
	reg := record.NewRegistry()
	c := newConverter(t, ClassJSON, reg)
	for want, v := range map[string]any{
		"Java class class java.util.Date does not have corresponding schema type.": connectdata.Instant(0),
		"Mismatching schema.": connectdata.List{connectdata.Nested{Schema: 1}},
	} {
		out, _, err := encode(t, c, reg, nil, v)
		assert.True(t, err != nil && err.Error() == want && fault.Class(err) == fault.DataException && out == "",
			"%v: expected %q, found %q, %v", v, want, out, err)
	}
	_, _, err := encode(t, c, reg, []wit.SchemaNode{{Kind: wit.Bytes, Name: wit.Ptr(wit.NameDecimal)}}, []byte{1})
	assert.Error(t, err, "scale parameter not found")
	_, _, err = encode(t, c, reg, []wit.SchemaNode{{Kind: wit.Struct, Fields: []wit.Field{{Name: "a", Node: 1}}},
		{Kind: wit.String}}, connectdata.Struct{"\xff"})
	assert.Error(t, err, `field "a": byte 1 of the structured value: text that is not UTF-8`)
}

// Documents without a schema are read as schemaless values. The last of duplicate names counts, at the place of the
// first. An empty document is null.
func TestReadsWithoutSchema(t *testing.T) {
	reg := record.NewRegistry()
	c := newConverter(t, ClassJSON, reg, "schemas.enable", "false")
	hundredOnes := connectdata.List{}
	for range 100 {
		hundredOnes = append(hundredOnes, int64(1))
	}
	for text, want := range map[string]any{
		` {"a" : 1 , "b":[true,null,"x"]} `: connectdata.Map{{Key: "a", Value: int64(1)},
			{Key: "b", Value: connectdata.List{true, nil, "x"}}},
		`[` + strings.Repeat("1,", 99) + `1]`: hundredOnes,
		`1.0`:                                 1.0,
		`007`:                                 int64(7),
		`-9223372036854775808`:                int64(math.MinInt64),
		`"\u00e4\ud83d\ude00\/\ud800x\b\f\n\r\t\"\\"`: "ä😀/?x\b\f\n\r\t\"\\",
		`{"a":1,"b":2,"a":"long enough to move","c":3}`: connectdata.Map{{Key: "a", Value: "long enough to move"},
			{Key: "b", Value: int64(2)}, {Key: "c", Value: int64(3)}},
		`{"a":{"x":1,"x":2},"b":2,"b":3,"a":1}`: connectdata.Map{{Key: "a", Value: int64(1)}, {Key: "b",
			Value: int64(3)}},
		"\xef\xbb\xbf[]": connectdata.List{},
		`"plain ascii text of more than eight bytes, ünd"`: "plain ascii text of more than eight bytes, ünd",
		`{"a":{"b":{"c":[[],{}]}}}`: connectdata.Map{{Key: "a", Value: connectdata.Map{{Key: "b",
			Value: connectdata.Map{{Key: "c", Value: connectdata.List{connectdata.List{}, connectdata.Map{}}}}}}}},
	} {
		b := &record.Batch{Registry: reg, Data: []byte("before")}
		d, err := c.Decode(t.Context(), "t", []byte(text), b)
		if err != nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		expected, _ := connectdata.AppendSchemaless(nil, want)
		assert.True(t, d.Encoding == wit.Schemaless && string(b.Bytes(d)) == string(expected),
			"%s: expected % x, found % x", text, expected, b.Bytes(d))
	}
	for _, document := range [][]byte{nil, {}, []byte("null"), []byte(" ")} {
		b := &record.Batch{Registry: reg}
		d, err := c.Decode(t.Context(), "t", document, b)
		assert.True(t, err == nil && d.Encoding == wit.Absent && len(b.Data) == 0,
			"%q: expected null, found %v, %v", document, d, err)
	}
}

// pairSchema is a struct of an optional int32, a string, an optional Decimal, and a double with a default.
const pairSchema = `{"type":"struct","optional":false,"fields":[{"type":"int32","optional":true,"field":"a"},{"type":"string","optional":false,"field":"b"},` +
	`{"type":"bytes","name":"org.apache.kafka.connect.data.Decimal","version":1,"parameters":{"scale":"2"},"optional":true,"field":"c"},` +
	`{"type":"double","optional":true,"default":1.5,"field":"d"}]}`

// Members of a struct are read in any order, with a schema before or after them. The last of duplicates counts, unknown
// ones are ignored, and missing ones are null or have their default.
func TestReadsMembersInAnyOrder(t *testing.T) {
	reg := record.NewRegistry()
	c := newConverter(t, ClassJSON, reg)
	for payload, want := range map[string]connectdata.Struct{
		`{"a":1,"b":"x","c":1.5,"d":2}`:           {int32(1), "x", []byte{0, 0x96}, 2.0},
		`{"d":"NaN","c":"AJY=","b":"x","a":null}`: {nil, "x", []byte{0, 0x96}, math.NaN()},
		`{"b":"x"}`: {nil, "x", nil, 1.5},
		`{"x":[{}],"b":"first","b":"x","y":1,"d":null,"c":150e-2}`:          {nil, "x", []byte{0, 0x96}, 1.5},
		`{"b":"\u0078","\u0061":7,"c":-0.0100}`:                             {int32(7), "x", []byte{0xff}, 1.5},
		`{"b":"x","a":1,"b":"long enough to move","a":null,"d":1,"d":null}`: {nil, "long enough to move", nil, 1.5},
		`{"c":3,"a":1,"b":"x","c":5}`:                                       {int32(1), "x", []byte{1, 0xf4}, 1.5},
		`{"b":"x","c":92233720368547758070}`: {nil, "x",
			new(big.Int).Mul(big.NewInt(math.MaxInt64/7), big.NewInt(7000)), 1.5},
	} {
		for _, document := range []string{
			`{"schema":` + pairSchema + `,"payload":` + payload + `}`,
			`{"payload":` + payload + `,"schema":` + pairSchema + ` }`,
		} {
			b := &record.Batch{Registry: reg}
			d, err := c.Decode(t.Context(), "t", []byte(document), b)
			if err != nil {
				t.Errorf("%s: %v", payload, err)
				continue
			}
			nodes := reg.Get(d.Schema).Nodes
			expected, err := connectdata.Append(nil, nodes, 0, want)
			assert.True(t, err == nil && string(b.Bytes(d)) == string(expected),
				"%s: expected % x, found % x, %v", payload, expected, b.Bytes(d), err)
		}
	}
}

// Invalid documents are rejected with Kafka's messages, or with the position of the error, and the batch is unchanged.
func TestRefusesToRead(t *testing.T) {
	reg := record.NewRegistry()
	c := newConverter(t, ClassJSON, reg)
	enveloped := func(payload string) string { return `{"schema":` + pairSchema + `,"payload":` + payload + `}` }
	for document, want := range map[string]string{
		`{"a":1}`:                             "JsonConverter with schemas.enable requires",
		``:                                    "JsonConverter with schemas.enable requires",
		`{"schema":null,"payload":1,"x":2}`:   "may not contain additional fields",
		`{"schema":null}`:                     "JsonConverter with schemas.enable requires",
		`{"schema":{},"payload":1}`:           "Schema must contain 'type' field",
		`{"schema":{"type":"x"},"payload":1}`: "Unknown schema type: x",
		`{"schema":{"type":"array"},"payload":1}`: "Array schema did not specify the " +
			"element type",
		`{"schema":{"type":"map","keys":{"type":"string"}},"payload":1}`: "Map schema did not specify the " +
			"value type",
		`{"schema":{"type":"struct"},"payload":1}`: `Struct schema's "fields" argument is not an array.`,
		`{"schema":{"type":"struct","fields":[{"type":"int8"}]},"payload":1}`: "Struct schema's field name not " +
			"specified properly",
		`{"schema":{"type":"int8","parameters":{"a":1}},"payload":1}`: "Schema parameters must have string values.",
		enveloped(`{"a":1}`):                   `field "b": Invalid null value for required STRING field`,
		enveloped(`{"a":"1","b":"x"}`):         `field "a": expected a JSON value for the type INT32, found STRING`,
		enveloped(`{"a":3000000000,"b":"x"}`):  "does not fit the type INT32",
		enveloped(`{"a":1.5,"b":"x"}`):         "does not fit the type INT32",
		enveloped(`{"a":1,"b":5}`):             `field "b": expected a JSON value for the type STRING, found NUMBER`,
		enveloped(`{"a":1,"b":"x","c":1.005}`): "Schema has scale 2, value has scale 3.",
		enveloped(`{"a":1,"b":"x","c":"!"}`):   "Invalid bytes for Decimal field: illegal base64",
		enveloped(`{"a":1,"b":"x","c":true}`): "Invalid type for Decimal, underlying representation should be " +
			"numeric or bytes but was BOOLEAN",
		enveloped(`[]`):                       "Structs should be encoded as JSON objects, but found ARRAY",
		enveloped(`{"a":1,"b":"x"`):           "expected ',' or '}', found the end",
		enveloped(`{"a":1,"b":"x"},`):         "expected a name in quotation marks",
		enveloped(`{"a":1,"b":"x"}`) + "x":    "expected the end of the document, found 'x'",
		enveloped("{\"a\":1,\"b\":\"\x01\"}"): "no control character",
		enveloped("{\"a\":1,\"b\":\"\xff\"}"): "a string in UTF-8",
		enveloped(`{"a":1,"b":"\x"}`):         "an escape",
		"\x00":                                "due to serialization error: JSON, byte 0: expected a value",
		enveloped(`{"\ud83dx":1,"b":"x"}`):    "no half of a surrogate pair",
		enveloped(`{"\ude00\ud83d":1}`):       "no half of a surrogate pair",
		strings.Repeat("[", 2000):             "due to serialization error: JSON: nests deeper than 1000",
	} {
		b := &record.Batch{Registry: reg, Data: []byte("before")}
		_, err := c.Decode(t.Context(), "t", []byte(document), b)
		assert.True(t, err != nil && strings.Contains(err.Error(), want) && fault.Class(err) == fault.DataException &&
			string(b.Data) == "before", "%s: expected %q, found %v", document, want, err)
	}
	schemaless := newConverter(t, ClassJSON, reg, "schemas.enable", "false")
	for document, want := range map[string]string{
		strings.Repeat("[", 2000): "nests deeper than 1000",
		`99999999999999999999`:    "does not fit 64 bits",
		`{"a":1} {}`:              "the end of the document",
		`01x`:                     "the end of the document",
		`+1`:                      "expected a value",
		`1.`:                      "a digit behind",
		`nul`:                     "expected null",
	} {
		_, err := schemaless.Decode(t.Context(), "t", []byte(document), &record.Batch{Registry: reg})
		assert.Error(t, err, want, document)
	}
}

// Converters are found by their class and by Kafka Connect's aliases: the class name without its package, and without
// its kind at the end.
func TestConverterAliases(t *testing.T) {
	const isKey = true
	for _, d := range Declarations() {
		shortName := strings.TrimSuffix(conversion.SimpleName(d.Class), "Converter")
		for _, class := range []string{d.Class, shortName, shortName + "Converter", " " + shortName + " "} {
			if declaration, err := Find(class, isKey); err != nil || declaration.Class != d.Class {
				t.Errorf("%s: expected %s, found %s, %v", class, d.Class, declaration.Class, err)
			}
		}
	}
	for class, want := range map[string]string{
		"Simple":                classSimpleHeaders,
		"SimpleHeaderConverter": classSimpleHeaders,
		"Json":                  ClassJSON,
		"String":                ClassString,
	} {
		if declaration, err := FindHeaders(class); err != nil || declaration.Class != want {
			t.Errorf("%s: expected %s, found %s, %v", class, want, declaration.Class, err)
		}
	}
	for class, want := range map[string]string{
		"Protobuf":  "Protobuf is not built yet",
		"avro":      "unknown class",
		"Converter": "unknown class",
		"":          "unknown class",
	} {
		_, err := Find(class, isKey)
		assert.Error(t, err, want, class)
	}
}

// New rejects unknown classes and invalid settings. schema.content is the schema of every document; JSON's null means
// that there is no schema.
func TestNew(t *testing.T) {
	reg := record.NewRegistry()
	for class, want := range map[string]string{
		"io.confluent.connect.protobuf.ProtobufConverter": "key converter: Protobuf is not built yet",
		"org.example.Converter":                           `key converter: unknown class "org.example.Converter"`,
	} {
		_, err := New(class, nil, Options{IsKey: true, Schemas: reg})
		assert.Error(t, err, want, class)
		assert.Error(t, err, ClassJSON, class, "the classes in the error")
	}
	for _, settings := range []map[string]string{{"schemas.enable": "maybe"}, {"decimal.format": "x"},
		{"schemas.cache.size": "x"}} {
		_, err := New("JsonConverter", settings, Options{Schemas: reg})
		assert.True(t, fault.Class(err) == fault.ConfigException,
			"%v: expected a ConfigException, found %v", settings, err)
	}
	c := newConverter(t, ClassJSON, reg, "schema.content", `{"type":"string"}`)
	b := &record.Batch{Registry: reg}
	d, err := c.Decode(t.Context(), "t", []byte(`"x"`), b)
	assert.True(t, err == nil && d.Encoding == wit.WithSchema && string(b.Bytes(d)) == "\x02x",
		"schema.content: expected a string, found %v, %v", d, err)
	newConverter(t, ClassJSON, reg, "schema.content", " null\n") // as in Kafka, no schema
	for _, text := range []string{"none", "nul", "nullnull", `null {}`, `{"type":"string"} x`, `{"type":"string"}}`} {
		_, err := New("JsonConverter", map[string]string{"schema.content": text}, Options{Schemas: reg})
		assert.Error(t, err, "schema.content", text)
	}
	assert.True(t, fault.Class(errors.New("x")) == "", "expected no class for another package's error")
}

// Any bytes as a structured or schemaless value only cause an error, the same as the slow reader's.
func FuzzHostileDatum(f *testing.F) {
	reg := record.NewRegistry()
	c := newConverter(f, ClassJSON, reg)
	s := hostileSchema(f, reg)
	f.Add([]byte{2, 2, 4, 2, 0, 2, 2, 'x', 0, 2, 2, 1})
	f.Add([]byte{0x0c, 2, 9, 2, 'k', 0})
	f.Fuzz(func(t *testing.T, b []byte) {
		batch := &record.Batch{Registry: reg, Data: b}
		out, _, err := c.Encode(t.Context(), nil, math.MaxInt32, "t", batch,
			wit.ValueSlice{Encoding: wit.WithSchema, Schema: s, Size: uint32(len(b))})
		checkErr := connectdata.Check(reg.Get(s).Nodes, b)
		require.True(t, (checkErr != nil || err == nil) && (err != nil || len(out) != 0),
			"% x: expected %v, found %v", b, checkErr, err)
		c.Encode(t.Context(), nil, math.MaxInt32, "t", batch, wit.ValueSlice{Encoding: wit.Schemaless,
			Size: uint32(len(b))})
	})
}

// hostileSchema returns the ID of a schema with an array and maps of both kinds.
func hostileSchema(t testing.TB, reg *record.Registry) uint32 {
	t.Helper()
	s, err := reg.Intern([]wit.SchemaNode{
		{Kind: wit.Struct, Fields: []wit.Field{{Name: "a", Node: 1}, {Name: "m", Node: 2}, {Name: "p", Node: 3}}},
		{Kind: wit.Array, Element: 6, Optional: true},
		{Kind: wit.Map, Key: 5, Element: 6},
		{Kind: wit.Map, Key: 4, Element: 7},
		{Kind: wit.Int32},
		{Kind: wit.String},
		{Kind: wit.Int16, Optional: true, DefaultValue: &[]byte{2}},
		{Kind: wit.Float32},
	})
	require.NoError(t, err)
	return s.ID
}

// Any document that is read is a value of its schema, and schemaless ones can be written again.
func FuzzHostileJSON(f *testing.F) {
	reg := record.NewRegistry()
	withSchema := newConverter(f, ClassJSON, reg)
	schemaless := newConverter(f, ClassJSON, reg, "schemas.enable", "false")
	f.Add([]byte(`{"schema":` + pairSchema + `,"payload":{"b":"x","a":[1,{"a":1,"a":2}]}}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		b := &record.Batch{Registry: reg}
		if d, err := schemaless.Decode(t.Context(), "t", text, b); err == nil && d.Encoding == wit.Schemaless {
			err := connectdata.CheckSchemaless(b.Bytes(d))
			require.True(t, err == nil, "%s: read % x: %v", text, b.Bytes(d), err)
			_, _, err = schemaless.Encode(t.Context(), nil, math.MaxInt32, "t", b, d)
			require.True(t, err == nil, "%s: cannot be written again: %v", text, err)
		}
		b = &record.Batch{Registry: reg}
		if d, err := withSchema.Decode(t.Context(), "t", text, b); err == nil && d.Encoding == wit.WithSchema {
			err := connectdata.Check(reg.Get(d.Schema).Nodes, b.Bytes(d))
			require.True(t, err == nil, "%s: read % x: %v", text, b.Bytes(d), err)
		}
	})
}

// A document with the same schema as the previous one is read in a single pass if it is written as Kafka's converter
// writes it. The result is the same otherwise, errors included.
func TestEnvelopeWithCachedSchema(t *testing.T) {
	const schema = `{"type":"struct","fields":[{"type":"int32","field":"a","optional":true},` +
		`{"type":"string","field":"b \"c\"","optional":true}],"optional":true}`
	deep := strings.Repeat(`[`, 1000) + strings.Repeat(`]`, 1000)
	for _, text := range []string{
		`{"schema":` + schema + `,"payload":{"a":1,"b \"c\"":"x"}}`,
		`{"schema":` + schema + `,"payload": {"b \"c\"":"x\n","a":1} } `,
		`{"schema":` + schema + `,"payload":null}`,
		`{"schema":` + schema + `,"payload":{"a":1,"unknown":{"deep":[1,{}]}}}`,
		`{"schema":` + schema + `,"payload":{"a":1,"unknown":` + deep + `}}`,
		`{"schema":` + schema + `,"payload":{"a":1},"payload":{"a":2}}`,
		`{"schema":` + schema + `,"payload":{"a":1},"schema":null}`,
		`{"schema":` + schema + `,"payload":{"a":1},"more":2}`,
		`{"schema":` + schema + `,"payload":{"a":1}} x`,
		`{"schema":` + schema + `,"payload":{"a":1}`,
		`{"schema":` + schema + `,"payload":{"a":"text"}}`,
		`{"schema":` + schema + `,"payload":}`,
		`{"schema":` + schema + `,"payload":`,
		`{"schema":` + schema + `,"payload"`,
		`{"schema":` + schema + `}`,
		`{"payload":{"a":1},"schema":` + schema + `}`,
		`{"schema":1,"schema":` + schema + `,"payload":{"a":1}}`,
		`{"schema":` + schema + `,"schema":` + schema + `,"payload":{"a":1}}`,
		`{"schema":null,"payload":{"a":1}}`,
	} {
		decode := func(c Converter, reg *record.Registry) (result, problem string) {
			b := &record.Batch{Registry: reg, Data: []byte("before")}
			d, err := c.Decode(t.Context(), "t", []byte(text), b)
			return fmt.Sprint(d.Encoding, d.Start, b.Bytes(d), len(b.Data)), fmt.Sprint(err)
		}
		reg := record.NewRegistry()
		want, wantErr := decode(newConverter(t, ClassJSON, reg), reg)
		cached := newConverter(t, ClassJSON, reg)
		first := []byte(`{"schema":` + schema + `,"payload":{"a":7}}`)
		_, err := cached.Decode(t.Context(), "t", first, &record.Batch{Registry: reg})
		require.NoError(t, err)
		if got, gotErr := decode(cached, reg); got != want || gotErr != wantErr {
			t.Errorf("%.200s\nexpected %s, %s\nfound    %s, %s", text, want, wantErr, got, gotErr)
		}
	}
}

// A schemaless map is written as an object if all keys are texts, otherwise as pairs, also if the first keys are texts.
func TestMapsWithMixedKeys(t *testing.T) {
	inner := func(key any) connectdata.Map {
		return connectdata.Map{{Key: "x", Value: int64(1)}, {Key: key, Value: nil}}
	}
	for _, c := range []struct {
		value any
		want  string
	}{
		{value: inner("y"), want: `{"x":1,"y":null}`},
		{value: inner(int64(2)), want: `[["x",1],[2,null]]`},
		{value: connectdata.Map{{Key: "first", Value: inner("y")}, {Key: "second", Value: inner(true)}},
			want: `{"first":{"x":1,"y":null},"second":[["x",1],[true,null]]}`},
		{value: connectdata.List{inner(nil), inner("y")}, want: `[[["x",1],[null,null]],{"x":1,"y":null}]`},
	} {
		b := &record.Batch{Registry: record.NewRegistry(), Data: []byte{}}
		var err error
		b.Data, err = connectdata.AppendSchemaless(nil, c.value)
		require.NoError(t, err)
		d := wit.ValueSlice{Encoding: wit.Schemaless, Size: uint32(len(b.Data))}
		got, _, err := newConverter(t, ClassJSON, b.Registry, "schemas.enable", "false").Encode(t.Context(),
			[]byte("before "), math.MaxInt32, "t", b, d)
		assert.True(t, err == nil && string(got) == "before "+c.want, "expected %s, found %s, %v", c.want, got, err)
	}
}

// Names of objects without schema are cached between documents: the result for a document does not depend on previous
// ones.
func TestCachedNamesBetweenDocuments(t *testing.T) {
	reg := record.NewRegistry()
	converter := newConverter(t, ClassJSON, reg, "schemas.enable", "false")
	texts := []string{`{"a":1,"b":2}`, `{"a":1,"b":2}`, `{"b":1,"a":2}`, `{"a" : 1, "b" : 2}`, `{"a" : 1, "b" : 2}`,
		`{"a":1,"a":2}`, `{"a":1,"a":2}`, `{"a\u0041":1,"ä":2}`, `{"a\u0041":1,"ä":2}`, `{"aA":1,"ä":{"a":[{"aA":3}]}}`,
		`{"aA":1,"ä":{"a":[{"aA":3}]}}`, `{"a":1`, `{"a"`, `{"a":1,b:2}`, `{"a":1,"b":`, `{}`, `[{"a":1},{"a":2}]`,
		`{"":0}`,
		`{"":0,"` + strings.Repeat("n", 200) + `":1,"c":2}`, `{"":0,"` + strings.Repeat("n", 200) + `":1,"c":2}`,
		`{"` + "\xff" + `":1}`, `{"a":1,"b":2}`}
	for _, text := range texts {
		decode := func(c Converter) string {
			b := &record.Batch{Registry: reg}
			d, err := c.Decode(t.Context(), "t", []byte(text), b)
			return fmt.Sprint(d.Encoding, b.Bytes(d), len(b.Data), err)
		}
		want := decode(newConverter(t, ClassJSON, reg, "schemas.enable", "false"))
		assert.Equal(t, want, decode(converter), text)
	}
}

// Names of objects without schema are cached between values, too: the result for a value does not depend on previous
// ones.
func TestCachedNamesBetweenValues(t *testing.T) {
	reg := record.NewRegistry()
	converter := newConverter(t, ClassJSON, reg, "schemas.enable", "false")
	entries := func(names ...any) (m connectdata.Map) {
		for i, name := range names {
			m = append(m, connectdata.Entry{Key: name, Value: int64(i)})
		}
		return m
	}
	longName := strings.Repeat("n", 200)
	values := []any{
		entries("a", "b"),
		entries("a", "b"),
		entries("b", "a"),
		entries("a"),
		entries("a", "bc"),
		entries("a", "b", "c"),
		entries(),
		entries("a", int32(1), "c"),
		entries("a", "b", "c"),
		entries(int32(1), "b"),
		entries("a", nil),
		entries(`q"`, "ä", "\U0001f600"),
		entries(`q"`, "ä", "\U0001f600"),
		entries("ä", `q"`),
		entries(longName, "b", "c"),
		entries(longName, "b", "c"),
		entries("a", "\xff"),
		entries("a", "\xff"),
		connectdata.List{entries("a", "b"), entries("b")},
		connectdata.Map{{Key: "a", Value: entries("b", "a")}},
		connectdata.Map{{Key: "a", Value: connectdata.Map{{Key: entries("a"), Value: true}}}},
		entries("a", "b"),
		"text",
		entries("b"),
	}
	for i, value := range values {
		b := &record.Batch{Registry: reg}
		var err error
		b.Data, err = connectdata.AppendSchemaless(nil, value)
		require.NoError(t, err)
		encode := func(c Converter, in []byte) string {
			b.Data = in
			out, isNull, err := c.Encode(t.Context(), []byte("before "), math.MaxInt32, "t", b,
				wit.ValueSlice{Encoding: wit.Schemaless, Size: uint32(len(in))})
			return fmt.Sprint(string(out), isNull, err)
		}
		data := b.Data
		for size := len(data); size >= 0; size-- { // the complete value first, then its prefixes
			want := encode(newConverter(t, ClassJSON, reg, "schemas.enable", "false"), data[:size])
			assert.Equal(t, want, encode(converter, data[:size]), "value, bytes of it:", i, size)
		}
	}
}

// Schemaless numbers that a double cannot represent keep all their digits, as decimals; other numbers stay doubles.
// Numbers that no decimal can represent are rejected.
func TestSchemalessNumbersAreExact(t *testing.T) {
	decimal := func(unscaled string, scale int32) connectdata.Decimal {
		n, _ := new(big.Int).SetString(unscaled, 10)
		return connectdata.Decimal{Scale: scale, Unscaled: n}
	}
	for text, want := range map[string]any{
		"0.1": 0.1, "-1.50": -1.5, "1e3": 1000.0, "0.30000000000000004": 0.30000000000000004, "5e-324": 5e-324,
		"4.9E-324":               5e-324,
		"1.7976931348623157e308": math.MaxFloat64, "123456789012345.0": 123456789012345.0, "0.0": 0.0, "0e99999": 0.0,
		"100000000000000000000.0": 1e20, "0.000000000000000000001": 1e-21, "9007199254740993": int64(9007199254740993),
		"12345678901234567.89":  decimal("1234567890123456789", 2),
		"-12345678901234567.89": decimal("-1234567890123456789", 2),
		"9007199254740993.0":    decimal("90071992547409930", 1),
		"0.10000000000000001":   decimal("10000000000000001", 17),
		"1e400":                 decimal("1", -400), "1.5E-400": decimal("15", 401), "1e-1000": decimal("1", 1000),
		"1e-1001": nil, "1e1001": nil, "1e99999999": nil, "0." + strings.Repeat("7", 20_000): nil,
		"9223372036854775808": nil,
	} {
		b := &record.Batch{Registry: record.NewRegistry()}
		c := newConverter(t, ClassJSON, b.Registry, "schemas.enable", "false")
		d, err := c.Decode(t.Context(), "t", []byte(text), b)
		if want == nil {
			assert.True(t, err != nil, "%.40s: expected an error", text)
			continue
		}
		require.NoError(t, err)
		got, _, err := connectdata.ReadSchemaless(b.Bytes(d))
		require.NoError(t, err)
		assert.True(t, fmt.Sprintf("%T %[1]v", got) == fmt.Sprintf("%T %[1]v", want),
			"%s: expected %T %[2]v, found %[3]T %[3]v", text, want, got)
		out, _, err := c.Encode(t.Context(), nil, math.MaxInt32, "t", b, d)
		require.NoError(t, err)
		if _, ok := got.(connectdata.Decimal); !ok {
			continue
		}
		read, _ := new(big.Rat).SetString(text)
		written, ok := new(big.Rat).SetString(string(out))
		assert.True(t, ok && read.Cmp(written) == 0, "%s: expected the same number to be written, found %s", text, out)
	}
}
