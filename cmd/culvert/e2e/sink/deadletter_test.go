package sink

import (
	"fmt"
	"regexp"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/e2etest"
	"github.com/culvert-project/culvert/internal/odatatest"
)

// Records that cannot be written go to the dead letter queue as they were read, each once, with the headers of Kafka
// Connect and Culvert; the others are written.
func TestDeadLetterTopic(t *testing.T) {
	t.Parallel()
	p, s, address := e2etest.NewPlaceWithDemo(t, odatatest.Options{Rows: 5})
	broker := e2etest.StartEmbeddedBroker(t).Addr()
	worker := p.File("worker.properties", "bootstrap.servers="+broker, "listeners=",
		"key.converter.schemas.enable=false")
	p.MustRunOnceWith(e2etest.Plugins(t, "odata-sink"), worker,
		p.File("there.properties", e2etest.Source("there", address, "Orders")...))
	first := e2etest.ReadTopic(t, broker, "Orders", 5)[0]
	header := kgo.RecordHeader{Key: "trace", Value: []byte("t-1")}
	e2etest.Produce(t, broker, &kgo.Record{Topic: "Orders", Key: []byte(`{"OrderID":77}`), Value: []byte("no JSON"),
		Headers: []kgo.RecordHeader{header}},
		&kgo.Record{Topic: "Orders", Key: []byte(`{"OrderID":78}`),
			Value: []byte(`{"schema":null,"payload":{"OrderID":"text"}}`)},
		&kgo.Record{Topic: "Orders", Key: first.Key, Value: first.Value}) // a second insert, which the service rejects
	lines := append(e2etest.Sink("back", address, "Orders", "OrderCopies"), "errors.tolerance=all",
		"errors.deadletterqueue.topic.name=orders-not-written",
		"errors.deadletterqueue.context.headers.enable=true", "errors.log.enable=true",
		"errors.log.include.messages=true",
		"value.converter=Json") // an alias; dead letters name the class
	r := p.MustRunOnceWith(e2etest.Plugins(t, "odata-sink"), worker, p.File("back.properties", lines...))
	e2etest.CheckCopies(t, s)
	letters := e2etest.ReadTopic(t, broker, "orders-not-written", 3)
	const sinkClass = "org.init.ohja.kafka.connect.odatav2.sink.OData2SinkConnector"
	const exception = "org.apache.kafka.connect.errors.ConnectException"
	for n, want := range []deadLetter{
		{key: `{"OrderID":77}`, value: "no JSON", stage: "VALUE_CONVERTER",
			class:     "org.apache.kafka.connect.json.JsonConverter",
			exception: "org.apache.kafka.connect.errors.DataException", headers: []string{"trace"}},
		{key: `{"OrderID":78}`, value: `{"schema":null,"payload":{"OrderID":"text"}}`, stage: "TASK_PUT",
			class: sinkClass, exception: exception, message: "OrderID"},
		{key: string(first.Key), value: string(first.Value), stage: "TASK_PUT", class: sinkClass,
			exception: exception, message: "already exists", isSent: true},
	} {
		checkDeadLetter(t, letters[n], n, want)
	}
	skipped := regexp.MustCompile(`level=ERROR msg="record skipped" .*topic=Orders partition=0 offset=.* timestamp=`)
	assert.Equal(t, 3, len(skipped.FindAllString(r.Stderr, -1)), "lines about skipped records", r.Stderr)
	// Records that were processed are not read again.
	r = p.RunOnceWith(e2etest.Plugins(t, "odata-sink"), worker, p.File("back.properties", lines...))
	assert.True(t, r.Code == 0 && !strings.Contains(r.Stderr, "record skipped"),
		"expected exit 0 and no skipped record, found exit %d\n%s", r.Code, r.Stderr)
}

// deadLetter has the expected fields of a dead letter of topic Orders.
type deadLetter struct {
	key       string
	value     string
	stage     string
	class     string
	exception string
	message   string   // a part of the exception's message
	headers   []string // of the record
	isSent    bool     // the record was sent, and the service has rejected it
}

// checkDeadLetter checks letter number n, which is about the record of offset 5+n.
func checkDeadLetter(t *testing.T, l *kgo.Record, n int, want deadLetter) {
	t.Helper()
	assert.True(t, string(l.Key) == want.key && string(l.Value) == want.value,
		"letter %d: expected key %s and value %s, found %s and %s", n, want.key, want.value, l.Key, l.Value)
	var names []string
	for _, h := range l.Headers {
		names = append(names, h.Key)
	}
	values := headersOf(l)
	const connect, culvert = "__connect.errors.", "__culvert.errors."
	expected := append(want.headers, connect+"topic", connect+"partition", connect+"offset",
		connect+"connector.name", connect+"task.id", connect+"stage",
		connect+"class.name", connect+"exception.class.name", connect+"exception.message",
		connect+"exception.stacktrace", culvert+"plugin.name", culvert+"plugin.version", culvert+"plugin.hash",
		culvert+"stage", culvert+"setting", culvert+"time", culvert+"timestamp")
	if want.isSent {
		expected = append(expected, culvert+"service.code", culvert+"service.message")
		code := values[culvert+"service.code"]
		message := values[culvert+"service.message"]
		assert.True(t, code == "/IWBEP/CM_MGW_RT/022" && strings.Contains(message, "already exists"),
			"expected the service's own code and message, found %q and %q", code, message)
	}
	assert.Equal(t, expected, names, fmt.Sprintf("letter %d: headers", n))
	for name, value := range map[string]string{
		connect + "topic":                "Orders",
		connect + "partition":            "0",
		connect + "offset":               fmt.Sprint(5 + n),
		connect + "connector.name":       "back",
		connect + "task.id":              "0",
		connect + "stage":                want.stage,
		connect + "class.name":           want.class,
		connect + "exception.class.name": want.exception,
		culvert + "plugin.name":          "odata-sink",
	} {
		assert.Equal(t, value, values[name], "letter", n, "header", name)
	}
	if m := values[connect+"exception.message"]; !strings.Contains(m, want.message) || m == "" {
		t.Errorf("letter %d: expected a message with %q, found %q", n, want.message, m)
	}
}
