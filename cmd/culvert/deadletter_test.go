package main

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/culvert-project/culvert/examples/demo-service/service"
)

// Records that cannot be written go to the topic of dead letters as they were read, each once, with Kafka Connect's
// headers and ours; the others are written.
func TestDeadLetterTopic(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	s, address := demo(t, service.Options{Rows: 5})
	broker := embedded(t).Addr()
	worker := p.file("worker.properties", "bootstrap.servers="+broker, "listeners=",
		"key.converter.schemas.enable=false")
	if r := p.run("run", "--once", "--plugins", plugins(t, "odata-sink"), "--data", p.data, worker,
		p.file("there.properties", source("there", address, "Orders")...)); r.code != 0 {
		t.Fatalf("exit %d\n%s", r.code, r.stderr)
	}
	first := readTopic(t, broker, "Orders", 5)[0] // once more, which the service refuses
	header := kgo.RecordHeader{Key: "trace", Value: []byte("t-1")}
	produce(t, broker, &kgo.Record{Topic: "Orders", Key: []byte(`{"OrderID":77}`), Value: []byte("no JSON"),
		Headers: []kgo.RecordHeader{header}},
		&kgo.Record{Topic: "Orders", Key: []byte(`{"OrderID":78}`),
			Value: []byte(`{"schema":null,"payload":{"OrderID":"text"}}`)},
		&kgo.Record{Topic: "Orders", Key: first.Key, Value: first.Value})
	lines := append(sinkOf("back", address, "Orders", "OrderCopies"), "errors.tolerance=all",
		"errors.deadletterqueue.topic.name=orders-not-written",
		"errors.deadletterqueue.context.headers.enable=true",
		"value.converter=Json") // an alias, of which dead letters tell the whole class
	r := p.run("run", "--once", "--plugins", plugins(t, "odata-sink"), "--data", p.data, worker,
		p.file("back.properties", lines...))
	if r.code != 0 {
		t.Fatalf("exit %d\n%s", r.code, r.stderr)
	}
	if diff := cmp.Diff(entities(s, "Orders"), entities(s, "OrderCopies")); diff != "" {
		t.Errorf("what arrived (-expected +found)\n%s", diff)
	}
	letters := readTopic(t, broker, "orders-not-written", 3)
	for n, want := range []struct {
		key, value, stage, class, exception, message string
		headers                                      []string
	}{
		{`{"OrderID":77}`, "no JSON", "VALUE_CONVERTER", "org.apache.kafka.connect.json.JsonConverter",
			"org.apache.kafka.connect.errors.DataException", "", []string{"trace"}},
		{`{"OrderID":78}`, `{"schema":null,"payload":{"OrderID":"text"}}`, "TASK_PUT",
			"org.init.ohja.kafka.connect.odatav2.sink.OData2SinkConnector",
			"org.apache.kafka.connect.errors.ConnectException", "OrderID", nil},
		{string(first.Key), string(first.Value), "TASK_PUT",
			"org.init.ohja.kafka.connect.odatav2.sink.OData2SinkConnector",
			"org.apache.kafka.connect.errors.ConnectException", "already exists", nil},
	} {
		l := letters[n]
		if string(l.Key) != want.key || string(l.Value) != want.value {
			t.Errorf("letter %d: expected key %s and value %s, found %s and %s", n, want.key, want.value, l.Key,
				l.Value)
		}
		var names []string
		found := map[string]string{}
		for _, h := range l.Headers {
			names = append(names, h.Key)
			found[h.Key] = string(h.Value)
		}
		const connect, ours = "__connect.errors.", "__culvert.errors."
		expected := append(want.headers, connect+"topic", connect+"partition", connect+"offset",
			connect+"connector.name", connect+"task.id", connect+"stage",
			connect+"class.name", connect+"exception.class.name", connect+"exception.message",
			connect+"exception.stacktrace",
			ours+"plugin.name", ours+"plugin.version", ours+"plugin.hash", ours+"stage", ours+"setting", ours+"time",
			ours+"timestamp")
		switch n {
		case 1: // refused before it was sent
			expected = append(expected, ours+"service.message")
		case 2:
			expected = append(expected, ours+"service.code", ours+"service.message")
			if found[ours+"service.code"] != "/IWBEP/CM_MGW_RT/022" || !strings.Contains(found[ours+"service.message"],
				"already exists") {
				t.Errorf("expected the service's own code and message, found %q and %q", found[ours+"service.code"],
					found[ours+"service.message"])
			}
		}
		if diff := cmp.Diff(expected, names); diff != "" {
			t.Errorf("letter %d: headers (-expected +found)\n%s", n, diff)
		}
		for name, value := range map[string]string{connect + "topic": "Orders", connect + "partition": "0",
			connect + "offset":         fmt.Sprint(5 + n),
			connect + "connector.name": "back",
			connect + "task.id":        "0", connect + "stage": want.stage, connect + "class.name": want.class,
			connect + "exception.class.name": want.exception,
			ours + "plugin.name":             "odata-sink"} {
			if found[name] != value {
				t.Errorf("letter %d: header %s: expected %q, found %q", n, name, value, found[name])
			}
		}
		if m := found[connect+"exception.message"]; !strings.Contains(m, want.message) || m == "" {
			t.Errorf("letter %d: expected a message with %q, found %q", n, want.message, m)
		}
	}
	if n := strings.Count(r.stderr, "record skipped"); n != 3 {
		t.Errorf("expected 3 lines about skipped records, found %d\n%s", n, r.stderr)
	}
	// What was settled does not come again.
	if r := p.run("run", "--once", "--plugins", plugins(t, "odata-sink"), "--data", p.data, worker,
		p.file("back.properties", lines...)); r.code != 0 ||
		strings.Contains(r.stderr, "record skipped") {
		t.Errorf("exit %d\n%s", r.code, r.stderr)
	}
}

// readTopic reads n records of a topic, which must not have more at that time.
func readTopic(t *testing.T, broker, topic string, n int) []*kgo.Record {
	t.Helper()
	client, err := kgo.NewClient(kgo.SeedBrokers(broker), kgo.ConsumeTopics(topic),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	var all []*kgo.Record
	for len(all) < n {
		fetches := client.PollFetches(ctx)
		if err := fetches.Err(); err != nil {
			t.Fatalf("after %d of %d records of %s: %v", len(all), n, topic, err)
		}
		all = append(all, fetches.Records()...)
	}
	if len(all) != n {
		t.Fatalf("expected %d records in %s, found %d", n, topic, len(all))
	}
	return all
}
