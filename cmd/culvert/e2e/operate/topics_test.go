package operate

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/base/require"
	"github.com/culvert-project/culvert/internal/e2etest"
)

// Records are produced from lines and from what consume prints, listed with their topics, and shown for people: on the
// embedded broker that runs, and on its folder.
func TestTopicsFromTheCommandLine(t *testing.T) {
	t.Parallel()
	p := e2etest.NewPlace(t)
	broker, servers := p.StartBrokerCommand()
	produce := func(input string, args ...string) e2etest.Result {
		p.Stdin = input
		defer func() { p.Stdin = "" }()
		return p.Run(append([]string{"produce"}, args...)...)
	}
	produce("x\n", "Orders", "--data", p.Data).WantCode(1).WantStderr("unknown topic: Orders; --create creates it")
	produce("plain\n7=a=b\nlast", "Orders", "--data", p.Data, "--create", "--key-separator", "=").WantCode(1).
		WantStderr("line 1: expected a key, = and a value, found plain")
	produce("7=a=b\n8={\"n\": 1}", "Orders", "--bootstrap-servers", servers, "--key-separator", "=").WantCode(0).
		WantStdout("2 records were sent to Orders\n")
	produce("x\n", "Ordrs", "--data", p.Data).WantCode(1).
		WantStderr("unknown topic: Ordrs; the nearest one is Orders; --create creates it")
	p.Run("consume", "order", "--data", p.Data).WantCode(1).
		WantStderr("unknown topic: order; the nearest one is Orders")
	p.Run("consume", "payments", "--data", p.Data).WantCode(1).WantLastLine("unknown topic: payments").WantNo("nearest")

	p.MustRun("topics", "--data", p.Data).WantStdout("TOPIC   PARTITIONS  RECORDS\n", "Orders  1           2\n")
	var topics []map[string]any
	require.NoError(t, json.Unmarshal([]byte(p.MustRun("topics", "--json", "--data", p.Data).Stdout), &topics))
	want := []map[string]any{{"topic": "Orders", "partitions": 1.0, "records": 2.0}}
	assert.Equal(t, want, topics, "topics")
	broker.MustStop() // later commands open the folder

	first := p.MustRun("consume", "Orders", "--data", p.Data).Stdout
	special := `{"key":null,"value":{"base64":"/w=="},"headers":[{"key":"h","value":"\u001b[1m"}],"timestamp":1000}` +
		"\n\n" + `{"key":{"id":1},"value":null}` + "\n"
	produce(first+special, "Copies", "--json", "--create", "--data", p.Data).WantCode(0).
		WantStdout("4 records were sent")
	copies := p.MustRun("consume", "Copies", "--data", p.Data).Stdout
	assert.True(t, strings.HasPrefix(copies, strings.ReplaceAll(first, `"Orders"`, `"Copies"`)),
		"expected the records of\n%s\nfound\n%s", first, copies)
	assert.Contains(t, copies, `"offset":2,"timestamp":1000,"key":null,"value":{"base64":"/w=="},`+
		`"headers":[{"key":"h","value":"\u001b[1m"}]}`, `"key":{"id":1},"value":null,`)
	for input, problem := range map[string]string{
		`[1]`:                     "line 1: expected a record as culvert consume prints it",
		`{"value":1,"headrs":[]}`: `unknown field "headrs"`,
		`{"key":1}`:               "line 1: expected a value",
	} {
		produce(input, "Copies", "--json", "--data", p.Data).WantCode(1).WantStderr(problem).WantNoStdout()
	}
	p.Run("produce", "Copies", "--json", "--key-separator", ":").WantCode(2).WantStderr("key-separator")

	const values = "\"a=b\"\n{\"n\":1}\n"
	assert.Equal(t, values, p.MustRun("consume", "Orders", "--values", "--data", p.Data).Stdout)
	p.MustRun("consume", "Orders", "--values", "--pretty", "--data", p.Data).WantStdout("\"a=b\"\n{\n  \"n\": 1\n}\n")
	p.MustRun("consume", "Orders", "--pretty", "-n", "1", "--data", p.Data).WantStdout("{\n  \"topic\": \"Orders\",\n")
}

// An unknown class or plugin is reported with the nearest name.
func TestUnknownNames(t *testing.T) {
	t.Parallel()
	p := e2etest.NewPlace(t)
	plugins := e2etest.Plugins(t, "odata-sink", "smt")
	source := e2etest.Source("orders", "127.0.0.1:1", "Orders")
	for _, c := range []struct{ setting, nearest string }{
		{
			setting: "connector.class=ODataSorce",
			nearest: "the nearest one is org.init.ohja.kafka.connect.odatav2.source.",
		},
		{
			setting: "value.converter=AvroConvrter",
			nearest: "the nearest one is io.confluent.connect.avro.AvroConverter; there are ",
		},
		{
			setting: "transforms=a\ntransforms.a.type=TimestampConvertr$Value",
			nearest: "the most similar of 32: org.apache.kafka.connect.transforms.TimestampConverter$Value\n",
		},
	} {
		file := p.File("orders.properties", append(source, c.setting)...)
		p.Run("validate", "--plugins", plugins, file).WantFailure().WantOutput(c.nearest)
	}
	p.Run("plugins", "show", "odata-sorce", "--plugins", plugins).WantCode(1).
		WantStderr("the nearest one is odata-source")
}
