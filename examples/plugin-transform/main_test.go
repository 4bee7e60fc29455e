package main

import (
	"testing"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/sdk/go/plugintest"
	"github.com/culvert-project/culvert/sdk/go/transform"
	"github.com/culvert-project/culvert/wit"
	"github.com/culvert-project/culvert/wit/connectdata"
)

// Text fields are masked, with and without a schema. Records without these fields do not change.
func TestMaskText(t *testing.T) {
	stages := []wit.Stage{{Component: "example.MaskText", Settings: []wit.Setting{
		{Name: "fields", Value: "IBAN, Phone"}, {Name: "keep", Value: "4"}}}}
	schemaless := func(iban string) plugintest.Record {
		fields := connectdata.Map{
			{Key: "Name", Value: "Größe & Söhne"},
			{Key: "IBAN", Value: iban},
			{Key: "Phone", Value: nil},
		}
		return plugintest.Record{Topic: "customers", Value: plugintest.Value{Data: fields}}
	}
	withSchema := func(iban string) plugintest.Record {
		schema := []wit.SchemaNode{
			{Kind: wit.Struct, Fields: []wit.Field{{Name: "IBAN", Node: 1}, {Name: "Id", Node: 2}}},
			{Kind: wit.String, Optional: true},
			{Kind: wit.Int32},
		}
		return plugintest.Record{Topic: "customers", Key: plugintest.Value{Data: "1"},
			Value: plugintest.Value{Schema: schema, Data: connectdata.Struct{iban, int32(7)}}}
	}
	keyOnly := plugintest.Record{Topic: "customers", Key: plugintest.Value{Data: "2"}}
	textOnly := plugintest.Record{Topic: "customers", Timestamp: 1709184496789,
		Value: plugintest.Value{Data: "no fields here"}}
	got := plugintest.RunTransform(t, transform.Records(maskText{}), stages, schemaless("DE02120300000000202051"),
		withSchema("äöü€12345"), keyOnly, textOnly)
	var want []plugintest.Result
	wantRecords := []plugintest.Record{schemaless("******************2051"), withSchema("*****2345"), keyOnly, textOnly}
	for _, r := range wantRecords {
		want = append(want, plugintest.Result{Records: []plugintest.Record{r}})
	}
	assert.Equal(t, want, got, "results")
}
