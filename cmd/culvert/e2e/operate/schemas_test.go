package operate

import (
	"encoding/json"
	"testing"

	"github.com/culvert-project/culvert/host/plugin/guesttest"
	"github.com/culvert-project/culvert/internal/e2etest"
	"github.com/culvert-project/culvert/wit"
)

// A command of a plugin may answer schemas, which are shown as the user asks.
func TestSchemasOfACommand(t *testing.T) {
	t.Parallel()
	p := e2etest.NewPlace(t)
	folder := t.TempDir()
	d := wit.Description{Name: "shapes", Version: "1", Documentation: "Shapes.",
		Components: []wit.Component{{Name: "Shapes", Kind: wit.ComponentSource,
			Settings: []wit.SettingSpec{{Name: "shapes.host", Rules: []wit.Rule{{Role: wit.Ptr("http.address")}}}}}}}
	m := guesttest.StaticModule(d, "", wit.InterfaceSource, wit.InterfaceTools)
	m.Answer(wit.InterfaceTools, "Commands", []wit.Command{{Name: "shape", Usage: "Shows a schema."}})
	m.Answer(wit.InterfaceTools, "Run", wit.Reply{Schemas: &[]wit.Schema{{ID: 7, Nodes: []wit.Node{
		{Kind: wit.Structure, Name: wit.Ptr("shop.Order"), Members: []wit.Member{{Name: "Id", Node: 1},
			{Name: "Price", Node: 2}}},
		{Kind: wit.Int32},
		{Kind: wit.Bytes, Optional: true, Name: wit.Ptr(wit.NameDecimal), Version: wit.Ptr(int32(1)),
			Parameters: []wit.Setting{{Name: wit.ParameterScale, Value: "2"}}}}}}})
	e2etest.Put(t, folder, "shapes.wasm", m.Bytes())
	connector := p.File("shapes.properties", "name=shapes", "connector.class=Shapes", "shapes.host=127.0.0.1")
	for format, want := range map[string]string{
		"": `{"type":"struct","fields":[{"type":"int32","optional":false,"field":"Id"},{"type":"bytes","optional":true,` +
			`"name":"org.apache.kafka.connect.data.Decimal","version":1,"parameters":{"scale":"2"},"field":"Price"}],"optional":false,"name":"shop.Order"}`,
		"avro": `{"type":"record","name":"Order","namespace":"shop","connect.name":"shop.Order","fields":[{"name":"Id","type":"int"},{"name":"Price","default":null,` +
			`"type":["null",{"type":"bytes","logicalType":"decimal","scale":2,"precision":64,"connect.name":"org.apache.kafka.connect.data.Decimal",` +
			`"connect.version":1,"connect.parameters":{"scale":"2"}}]}]}`,
		"json-schema": `{"$schema":"https://json-schema.org/draft/2020-12/schema","type":"object","title":"shop.Order","connect.name":"shop.Order","required":["Id"],` +
			`"properties":{"Id":{"type":"integer","minimum":-2147483648,"maximum":2147483647},"Price":{"type":["string","null"],"contentEncoding":"base64",` +
			`"connect.name":"org.apache.kafka.connect.data.Decimal","connect.version":1,"connect.parameters":{"scale":"2"}}}}`,
	} {
		args := []string{"shape", "-p", connector, "--plugins", folder, "--data", p.Data}
		if format != "" {
			args = append(args, "--format", format)
		}
		r := p.Run(args...)
		var found, expected any
		e2etest.NoError(t, json.Unmarshal([]byte(want), &expected))
		if err := json.Unmarshal([]byte(r.Stdout), &found); err != nil || r.Code != 0 {
			t.Fatalf("%s: exit %d, %v\n%s%s", format, r.Code, err, r.Stdout, r.Stderr)
		}
		a, _ := json.Marshal(expected)
		b, _ := json.Marshal(found)
		if string(a) != string(b) {
			t.Errorf("%s: expected\n%s\nfound\n%s", format, a, b)
		}
	}
	p.Run("shape", "-p", connector, "--plugins", folder, "--data", p.Data, "--format", "xml").
		Exits(2).Says("--format: expected one of connect, avro, json-schema, found \"xml\"")
}
