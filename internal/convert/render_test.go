package convert

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/base/require"
	"github.com/culvert-project/culvert/wit"
	"github.com/culvert-project/culvert/wit/connectdata"
)

// Names that Avro does not allow, defaults, maps of both kinds and records with the same name are written in a form
// that Avro and JSON Schema allow.
func TestRenderSchemas(t *testing.T) {
	nodes := []wit.SchemaNode{
		{Kind: wit.Struct, Name: wit.Ptr("a.B-1"), Fields: []wit.Field{
			{Name: "Größe", Node: 1}, {Name: "labels", Node: 2}, {Name: "by", Node: 5}, {Name: "in", Node: 8},
		}},
		{Kind: wit.Int32, Optional: true, DefaultValue: wit.Ptr(connectdata.AppendNumber(nil, 7)),
			Doc: wit.Ptr("how big")},
		{Kind: wit.Map, Key: 3, Element: 4},
		{Kind: wit.String},
		{Kind: wit.Boolean},
		{Kind: wit.Map, Key: 6, Element: 7},
		{Kind: wit.Int32},
		{Kind: wit.String},
		{Kind: wit.Struct, Name: wit.Ptr("a.B-1"), Fields: []wit.Field{{Name: "at", Node: 9}}},
		{Kind: wit.Int64, Optional: true, Name: wit.Ptr(wit.NameTimestamp)},
	}
	for format, want := range map[string][]string{
		"avro": {`"name":"B_1"`, `"name":"B_1_2"`,
			`{"default":7,"name":"Gr_C3_B6_C3_9Fe","type":[{"connect.default":7,"connect.doc":"how big","type":"int"},"null"]}`,
			`{"type":"map","values":"boolean"}`,
			`{"fields":[{"name":"key","type":"int"},{"name":"value","type":"string"}],"name":"MapEntry","namespace":"io.confluent.connect.avro","type":"record"}`,
			`{"default":null,"name":"at","type":["null",{"connect.name":"org.apache.kafka.connect.data.Timestamp","logicalType":"timestamp-millis","type":"long"}]}`},
		"json-schema": {`"Größe":{"default":7,"description":"how big","maximum":2147483647,"minimum":-2147483648,"type":["integer","null"]}`,
			`"labels":{"additionalProperties":{"type":"boolean"},"type":"object"}`, `"required":["labels","by","in"]`,
			`"prefixItems":[{"maximum"`},
		"connect": {`"field":"Größe"`, `"default":7`},
	} {
		text, err := RenderSchemas(t.Context(), []wit.Schema{{Nodes: nodes}}, format)
		var v any
		if err == nil {
			err = json.Unmarshal(text, &v)
		}
		require.NoError(t, err, format)
		compact, _ := json.Marshal(v)
		for _, part := range want {
			assert.True(t, strings.Contains(string(compact), part), "%s: expected %s in %s", format, part, compact)
		}
	}
	for _, invalid := range [][]wit.SchemaNode{nil, {{Kind: wit.Array, Element: 0}}} {
		_, err := RenderSchemas(t.Context(), []wit.Schema{{Nodes: invalid}}, "avro")
		assert.True(t, err != nil, "expected an error, %+v was written", invalid)
	}
	list, err := RenderSchemas(t.Context(), []wit.Schema{{Nodes: nodes[3:4]}, {Nodes: nodes[4:5]}}, "avro")
	assert.True(t, err == nil && strings.Join(strings.Fields(string(list)), "") == `["string","boolean"]`,
		"expected an array of two schemas, found %s, %v", list, err)
}
