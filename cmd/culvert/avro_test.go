package main

import (
	"encoding/binary"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/twmb/avro"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/sr"
	"github.com/twmb/franz-go/pkg/sr/srfake"

	"github.com/culvert-project/culvert/examples/demo-service/service"
)

// Rows go to a topic as Avro and come back from it: an entity set that is read with AvroConverter and written with it
// holds what was read. The registry is away for its first requests, and a reader that is not ours understands the
// records.
func TestAvro(t *testing.T) {
	t.Parallel()
	registry := srfake.New()
	t.Cleanup(registry.Close)
	var asked atomic.Int64
	registry.Intercept(func(w http.ResponseWriter, _ *http.Request) bool {
		if asked.Add(1) > 2 {
			return false
		}
		w.WriteHeader(http.StatusServiceUnavailable)
		return true
	})
	said := throughAvro(t, registry.URL(), registry.URL())
	for _, line := range []string{"the schema registry does not answer", "the schema registry answers again"} {
		if !strings.Contains(said, line) {
			t.Errorf("expected %q in the log\n%s", line, said)
		}
	}
}

// throughAvro copies an entity set through a topic of Avro and returns the log. The converters ask the registry under
// the address asked, with more settings.
func throughAvro(t *testing.T, url, asked string, more ...string) string {
	t.Helper()
	const rows = 60
	broker := embedded(t)
	p := newPlace(t)
	s, address := demo(t, service.Options{Rows: rows, PageSize: 25, Switches: service.Switches{CSRF: true}})
	worker := avroWorker(broker.Addr(), asked)
	for _, setting := range more {
		worker = append(worker, "key.converter."+setting, "value.converter."+setting)
	}
	r := p.run("run", "--once", "--plugins", plugins(t, "odata-sink"), "--data", p.data, p.file("worker.properties",
		worker...),
		p.file("from.properties", source("from", address, "Orders")...), p.file("back.properties",
			sinkOf("back", address, "Orders", "OrderCopies")...))
	if r.code != 0 {
		t.Fatalf("exit %d\n%s", r.code, r.stderr)
	}
	if diff := cmp.Diff(entities(s, "Orders"), entities(s, "OrderCopies")); diff != "" {
		t.Errorf("what was read and what was written differ\n%s", diff)
	}
	registry, err := sr.NewClient(sr.URLs(url))
	if err != nil {
		t.Fatal(err)
	}
	registered, err := registry.SchemaByVersion(t.Context(), "Orders-value", 1)
	if err != nil {
		t.Fatal(err)
	}
	schema, err := avro.Parse(registered.Schema.Schema)
	if err != nil {
		t.Fatal(err)
	}
	client, err := kgo.NewClient(kgo.SeedBrokers(broker.Addr()), kgo.ConsumeTopics("Orders"),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	seen := map[any]bool{}
	for len(seen) < rows {
		fetches := client.PollFetches(t.Context())
		if err := fetches.Err(); err != nil {
			t.Fatal(err)
		}
		fetches.EachRecord(func(record *kgo.Record) {
			var row map[string]any
			if id := binary.BigEndian.Uint32(record.Value[1:]); record.Value[0] != 0 || int(id) != registered.ID {
				t.Fatalf("expected id %d in front, found %x", registered.ID, record.Value[:5])
			}
			if rest, err := schema.Decode(record.Value[5:], &row); err != nil || len(rest) > 0 {
				t.Fatalf("%x: %v, %d bytes left", record.Value, err, len(rest))
			}
			seen[row["OrderID"]] = true
		})
	}
	return r.stderr
}

// avroWorker is a worker's file with AvroConverter for keys and values.
func avroWorker(broker, registry string) []string {
	return []string{"bootstrap.servers=" + broker, "listeners=",
		"key.converter=io.confluent.connect.avro.AvroConverter", "key.converter.schema.registry.url=" + registry,
		"value.converter=io.confluent.connect.avro.AvroConverter", "value.converter.schema.registry.url=" + registry}
}
