package main

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/culvert-project/culvert/sdk/go/plugintest"
	"github.com/culvert-project/culvert/sdk/go/transform"
	"github.com/culvert-project/culvert/wit"
	"github.com/culvert-project/culvert/wit/connectdata"
)

func TestMaskText(t *testing.T) {
	stages := []wit.Stage{{Component: "example.MaskText", Settings: []wit.Setting{
		{Name: "fields", Value: "IBAN, Phone"}, {Name: "keep", Value: "4"}}}}
	bare := func(iban string) plugintest.Record {
		return plugintest.Record{Topic: "customers", Value: plugintest.Value{Data: connectdata.Map{
			{Key: "Name", Value: "Größe & Söhne"}, {Key: "IBAN", Value: iban}, {Key: "Phone", Value: nil}}}}
	}
	typed := func(iban string) plugintest.Record {
		return plugintest.Record{Topic: "customers", Key: plugintest.Value{Data: "1"}, Value: plugintest.Value{
			Schema: []wit.SchemaNode{{Kind: wit.Struct, Fields: []wit.Field{{Name: "IBAN", Node: 1},
				{Name: "Id", Node: 2}}},
				{Kind: wit.String, Optional: true}, {Kind: wit.Int32}},
			Data: connectdata.Struct{iban, int32(7)}}}
	}
	keyOnly := plugintest.Record{Topic: "customers", Key: plugintest.Value{Data: "2"}}
	text := plugintest.Record{Topic: "customers", Timestamp: 1709184496789,
		Value: plugintest.Value{Data: "no fields here"}}
	got := plugintest.RunTransform(t, transform.Records(maskText{}), stages, bare("DE02120300000000202051"),
		typed("äöü€12345"), keyOnly, text)
	var want []plugintest.Result
	for _, r := range []plugintest.Record{bare("******************2051"), typed("*****2345"), keyOnly, text} {
		want = append(want, plugintest.Result{Records: []plugintest.Record{r}})
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
}
