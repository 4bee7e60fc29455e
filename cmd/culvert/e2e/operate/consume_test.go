package operate

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/sr/srfake"

	"github.com/culvert-project/culvert/internal/e2etest"
	"github.com/culvert-project/culvert/internal/odatatest"
)

// Avro and JSON with a JSON Schema are shown as JSON, by the registry that the worker's file or the command names;
// without one, and what the registry does not know, as the bytes that they are.
func TestConsumeRegistered(t *testing.T) {
	t.Parallel()
	registry := srfake.New()
	t.Cleanup(registry.Close)
	broker := e2etest.Embedded(t)
	p := e2etest.NewPlace(t)
	_, address := e2etest.Demo(t, odatatest.Options{Rows: 3})
	worker := p.File("worker.properties", e2etest.AvroWorker(broker.Addr(), registry.URL())...)
	files := []string{worker, p.File("avro.properties", e2etest.Source("avro", address, "Orders")...),
		p.File("schema.properties", append(e2etest.Instead(e2etest.Source("schema", address, "Orders"), "sap.odata#00.topic=Typed"),
			"value.converter=io.confluent.connect.json.JsonSchemaConverter",
			"value.converter.schema.registry.url="+registry.URL())...)}
	run := append([]string{"run", "--once", "--plugins", e2etest.Plugins(t), "--data", p.Data}, files...)
	p.MustRun(run...)
	for _, topic := range []string{"Orders", "Typed"} {
		for how, named := range map[string][]string{"file": {"-p", worker}, "command": {"--bootstrap-servers", broker.Addr(),
			"--schema-registry", registry.URL()}} {
			r := p.Run(append([]string{"consume", topic}, named...)...)
			n := 0
			for line := range strings.Lines(r.Stdout) {
				var found struct {
					Key, Value struct{ OrderID, ShipCountry any }
				}
				if err := json.Unmarshal([]byte(line), &found); err != nil || found.Key.OrderID != 10248.0+float64(n) ||
					found.Value.OrderID != found.Key.OrderID || found.Value.ShipCountry == nil {
					t.Errorf("%s, by the %s: %v in %s", topic, how, err, line)
				}
				n++
			}
			if r.Code != 0 || n != 3 || r.Stderr != "" {
				t.Errorf("%s, by the %s: exit %d, %d lines\n%s", topic, how, r.Code, n, r.Stderr)
			}
		}
		if r := p.Run("consume", topic, "--bootstrap-servers", broker.Addr()); strings.Count(r.Stdout, "base64") < 3 {
			t.Errorf("%s without a registry: exit %d\n%s", topic, r.Code, r.Stdout)
		}
	}
	client := e2etest.Client(t, broker.Addr(), kgo.AllowAutoTopicCreation())
	for _, value := range []string{"\x00\x00\x00\xff\xffx", "plain"} {
		e2etest.NoError(t, client.ProduceSync(t.Context(), &kgo.Record{Topic: "odd", Value: []byte(value)}).FirstErr())
	}
	p.Run("consume", "odd", "-p", worker).Exits(0).Prints(`"value":{"base64":`, `"plain"`).
		SaysTimes(1, "cannot be read by its schema")

	// A record's text steers no terminal that it is printed on, and is the same JSON.
	text := "red \u009b31m, back \u202e, tag \U000e0041, \u007f, Größe"
	document, _ := json.Marshal(map[string]string{text: text})
	e2etest.NoError(t, client.ProduceSync(t.Context(), &kgo.Record{Topic: "steering", Key: []byte(text), Value: document,
		Headers: []kgo.RecordHeader{{Key: text, Value: []byte(text)}}}).FirstErr())
	r := p.Run("consume", "steering", "-p", worker).Exits(0).Prints("Größe").
		Omits("\u009b", "\u202e", "\U000e0041", "\u007f")
	var line struct {
		Key     string
		Value   map[string]string
		Headers []struct{ Key, Value string }
	}
	if err := json.Unmarshal([]byte(r.Stdout), &line); err != nil || line.Key != text || line.Value[text] != text ||
		line.Headers[0].Value != text {
		t.Errorf("expected the same text, found %+v, %v", line, err)
	}
}

// What is read may begin at a time or an offset, be one partition's, and end after some records.
func TestConsumeSome(t *testing.T) {
	t.Parallel()
	broker := e2etest.Embedded(t)
	p := e2etest.NewPlace(t)
	client := e2etest.Client(t, broker.Addr(), kgo.AllowAutoTopicCreation(),
		kgo.RecordPartitioner(kgo.ManualPartitioner()))
	start := time.Date(2026, 2, 3, 0, 0, 0, 0, time.UTC)
	for i := range 10 {
		at := start.Add(time.Duration(i) * time.Hour)
		record := &kgo.Record{Topic: "some", Value: fmt.Append(nil, i), Timestamp: at}
		e2etest.NoError(t, client.ProduceSync(t.Context(), record).FirstErr())
	}
	consume := func(args string) e2etest.Result {
		return p.Run(append([]string{"consume", "some", "--bootstrap-servers", broker.Addr()}, strings.Fields(args)...)...)
	}
	for _, c := range []struct{ args, want string }{
		{"-n 3", "0 1 2"}, {"--partition 0 --offset 7", "7 8 9"}, {"--partition 0 --offset 4 -n 2", "4 5"},
		{"--from 2026-02-03T06:30:00Z", "7 8 9"}, {"--from 2026-02-03 -n 1", "0"}, {"--from 1h", ""},
		{"-n 2 --follow", "0 1"}, {"--partition 0 --offset 10", ""}, {"--partition 0 --from 2026-02-03T08:00:00Z", "8 9"},
	} {
		r := consume(c.args)
		var found []string
		for line := range strings.Lines(r.Stdout) {
			var record struct{ Value json.Number }
			e2etest.NoError(t, json.Unmarshal([]byte(line), &record))
			found = append(found, record.Value.String())
		}
		if got := strings.Join(found, " "); r.Code != 0 || got != c.want {
			t.Errorf("%s: exit %d, expected %q, found %q\n%s", c.args, r.Code, c.want, got, r.Stderr)
		}
	}
	for args, want := range map[string]string{"--offset 3": "--partition", "--partition 7": "has no partition 7",
		"--from yesterday": `found "yesterday"`, "-n -1": "found -1", "--partition 0 --offset 1 --from 1h": "offset",
		"--partition -2": "found -2", "--partition 0 --offset -1": "found -1", "--from -1h": `found "-1h"`,
		"--partition 0 --offset 11":                   "ends at offset 10",
		"--partition 0 --offset 11 --follow -n 1":     "ends at offset 10",
		"--schema-registry registry.example.com -n 1": "--schema-registry: "} {
		consume(args).Fails().Says(want)
	}
}
