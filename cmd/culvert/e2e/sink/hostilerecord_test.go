package sink

import (
	"fmt"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/culvert-project/culvert/internal/e2etest"
	"github.com/culvert-project/culvert/internal/odatatest"
)

// hostileRecords are values of some hundred bytes to a megabyte that would hold up a reader for good which is not
// linear or not bounded.
func hostileRecords() []string {
	enveloped := func(schema, payload string) string { return `{"schema":` + schema + `,"payload":` + payload + `}` }
	decimal := func(scale string) string {
		return `{"type":"struct","fields":[{"type":"bytes","name":"org.apache.kafka.connect.data.Decimal","version":1,"parameters":{"scale":"` + scale +
			`"},"field":"Freight"}]}`
	}
	schema, payload := `{"type":"string"}`, `"x"`
	for range 60 {
		schema = `{"type":"struct","fields":[` + strings.TrimSuffix(schema,
			"}") + `,"field":"a"},{"type":"string","field":"b"},{"type":"string","field":"c"}]}`
		payload = `{"a":` + payload + `,"c":"","b":""}`
	}
	var names strings.Builder
	for i := range 50_000 {
		fmt.Fprintf(&names, `"n%d":1,`, i)
	}
	items := strings.TrimSuffix(strings.Repeat("{},", 300_000), ",")
	wide := `{"type":"array","items":{"type":"struct","fields":[{"type":"string","default":"` + strings.Repeat("x",
		10_000) + `","field":"a"}]}}`
	return []string{
		enveloped(schema, payload),
		enveloped(decimal("100000000"), `{"Freight":1}`),
		enveloped(decimal("2147483647"), `{"Freight":0}`),
		enveloped("null", "{"+strings.TrimSuffix(names.String(), ",")+"}"),
		enveloped(wide, "["+items+"]"),
		enveloped(`{"type":"int8"}`, strings.Repeat("[", 500_000)),
	}
}

// Records that somebody else put into a sink's topic are the fault of these records: with errors.tolerance=all
// everything else arrives, otherwise the task fails and names the first.
func TestHostileRecordsInASinksTopic(t *testing.T) {
	t.Parallel()
	p := e2etest.NewPlace(t)
	s, address := e2etest.Demo(t, odatatest.Options{Rows: written})
	servers := p.Broker()
	worker := p.File("worker.properties", "bootstrap.servers=embedded", "key.converter.schemas.enable=false")
	there := p.File("there.properties", e2etest.Source("there", address, "Orders")...)
	p.MustOnceWith(e2etest.Plugins(t, "odata-sink"), worker, there)
	var records []*kgo.Record
	for i, value := range hostileRecords() {
		records = append(records, &kgo.Record{Topic: "Orders", Key: fmt.Appendf(nil, `{"OrderID":%d}`, i),
			Value: []byte(value)})
	}
	e2etest.Produce(t, servers, records...)
	back := e2etest.SinkOf("back", address, "Orders", "OrderCopies")
	strict := p.OnceWith(e2etest.Plugins(t, "odata-sink"), worker, p.File("back.properties", back...))
	if strict.Code != 1 || !strings.Contains(strict.LastLine(), "topic Orders, partition 0, offset ") {
		t.Errorf("expected exit 1 and a record, found %d: %.500s", strict.Code, strict.LastLine())
	}
	r := p.OnceWith(e2etest.Plugins(t, "odata-sink"), worker, p.File("back.properties", append(back, "errors.tolerance=all")...))
	r.Exits(0)
	e2etest.Copied(t, s)
	if n := strings.Count(r.Stderr, "record skipped"); n != len(records) {
		t.Errorf("expected %d records to be skipped, found %d\n%.3000s", len(records), n, r.Stderr)
	}
}
