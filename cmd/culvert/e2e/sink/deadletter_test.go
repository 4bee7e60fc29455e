package sink

import (
	"fmt"
	"regexp"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/culvert-project/culvert/internal/e2etest"
	"github.com/culvert-project/culvert/internal/odatatest"
)

// Records that cannot be written go to the dead letter queue as they were read, each once, with the headers of Kafka
// Connect and Culvert; the others are written.
func TestDeadLetterTopic(t *testing.T) {
	t.Parallel()
	p, s, address := e2etest.NewPlaceWithDemo(t, odatatest.Options{Rows: 5})
	broker := e2etest.Embedded(t).Addr()
	worker := p.File("worker.properties", "bootstrap.servers="+broker, "listeners=",
		"key.converter.schemas.enable=false")
	p.MustOnceWith(e2etest.Plugins(t, "odata-sink"), worker, p.File("there.properties", e2etest.Source("there", address, "Orders")...))
	first := e2etest.ReadTopic(t, broker, "Orders", 5)[0] // once more, which the service refuses
	header := kgo.RecordHeader{Key: "trace", Value: []byte("t-1")}
	e2etest.Produce(t, broker, &kgo.Record{Topic: "Orders", Key: []byte(`{"OrderID":77}`), Value: []byte("no JSON"),
		Headers: []kgo.RecordHeader{header}},
		&kgo.Record{Topic: "Orders", Key: []byte(`{"OrderID":78}`),
			Value: []byte(`{"schema":null,"payload":{"OrderID":"text"}}`)},
		&kgo.Record{Topic: "Orders", Key: first.Key, Value: first.Value})
	lines := append(e2etest.SinkOf("back", address, "Orders", "OrderCopies"), "errors.tolerance=all",
		"errors.deadletterqueue.topic.name=orders-not-written",
		"errors.deadletterqueue.context.headers.enable=true", "errors.log.enable=true",
		"errors.log.include.messages=true",
		"value.converter=Json") // an alias, of which dead letters tell the whole class
	r := p.MustOnceWith(e2etest.Plugins(t, "odata-sink"), worker, p.File("back.properties", lines...))
	e2etest.Copied(t, s)
	letters := e2etest.ReadTopic(t, broker, "orders-not-written", 3)
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
		for _, h := range l.Headers {
			names = append(names, h.Key)
		}
		found := headersOf(l)
		const connect, ours = "__connect.errors.", "__culvert.errors."
		expected := append(want.headers, connect+"topic", connect+"partition", connect+"offset",
			connect+"connector.name", connect+"task.id", connect+"stage",
			connect+"class.name", connect+"exception.class.name", connect+"exception.message",
			connect+"exception.stacktrace",
			ours+"plugin.name", ours+"plugin.version", ours+"plugin.hash", ours+"stage", ours+"setting", ours+"time",
			ours+"timestamp")
		if n == 2 { // the others were refused before they were sent
			expected = append(expected, ours+"service.code", ours+"service.message")
			code, message := found[ours+"service.code"], found[ours+"service.message"]
			if code != "/IWBEP/CM_MGW_RT/022" || !strings.Contains(message, "already exists") {
				t.Errorf("expected the service's own code and message, found %q and %q", code, message)
			}
		}
		e2etest.Equal(t, fmt.Sprintf("letter %d: headers", n), expected, names)
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
	skipped := regexp.MustCompile(`level=ERROR msg="record skipped" .*topic=Orders partition=0 offset=.* timestamp=`)
	if n := len(skipped.FindAllString(r.Stderr, -1)); n != 3 {
		t.Errorf("expected 3 lines about skipped records, found %d\n%s", n, r.Stderr)
	}
	// Records that were processed are not read again.
	if r := p.OnceWith(e2etest.Plugins(t, "odata-sink"), worker, p.File("back.properties", lines...)); r.Code != 0 ||
		strings.Contains(r.Stderr, "record skipped") {
		t.Errorf("exit %d\n%s", r.Code, r.Stderr)
	}
}
