//go:build real

package real

import (
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/base/require"
	"github.com/culvert-project/culvert/internal/e2etest"
	"github.com/culvert-project/culvert/internal/kafka/embedded"
)

// sink returns the settings of a connector that writes a topic of JSON without schemas to a set.
func (s *odata4Service) sink(name, set, topic string, more ...string) []string {
	host, port, _ := strings.Cut(s.address, ":")
	settings := []string{"name=" + name, "connector.class=OData4Sink", "topics=" + topic, "sap.odata.host.protocol=http",
		"sap.odata.host.address=" + host, "sap.odata.host.port=" + port, "sap.odata.max.retries=5",
		"sap.odata.min.retry.backoff.ms=100"}
	for _, part := range []string{"key", "value"} {
		converter := part + ".converter"
		settings = append(settings, converter+"=org.apache.kafka.connect.json.JsonConverter",
			converter+".schemas.enable=false")
	}
	return append(append(settings, setSettings(0, s.path, set, topic)...), more...)
}

// writer runs sinks whose records are in an embedded broker.
type writer struct {
	*e2etest.Place
	broker  *embedded.Broker
	plugins string
	runs    []string // their topics
}

func newWriter(t *testing.T) *writer {
	t.Helper()
	p := e2etest.NewPlace(t)
	broker, err := embedded.Open(embedded.Options{Dir: p.Data, Listen: "127.0.0.1:0"})
	require.NoError(t, err)
	t.Cleanup(func() { broker.Close() })
	return &writer{Place: p, broker: broker, plugins: e2etest.Plugins(t, "odata-sink")}
}

// produce writes count records to a topic. content returns the key and the value of record n, from 1 on.
func (w *writer) produce(t *testing.T, topic string, count int, content func(n int) (key, value string)) {
	t.Helper()
	records := make([]*kgo.Record, count)
	for i := range records {
		key, value := content(i + 1)
		records[i] = &kgo.Record{Topic: topic, Key: []byte(key)}
		if value != "" {
			records[i].Value = []byte(value)
		}
	}
	e2etest.Produce(t, w.broker.Addr(), records...)
}

// write runs a sink until all records are written.
func (w *writer) write(t *testing.T, s *odata4Service, name, set, topic string, more ...string) e2etest.Result {
	t.Helper()
	return w.MustRunOnceWith(w.plugins, w.File(name+".properties", s.sink(name, set, topic, more...)...))
}

// count returns the number of rows of a set.
func (s *odata4Service) count(t *testing.T, set string) int {
	t.Helper()
	n, err := strconv.Atoi(string(s.get(t, set+"/$count", "text/plain")))
	require.NoError(t, err)
	return n
}

// TestRealOData4Sink inserts rows one at a time and in both formats of batches, and finds each of them once.
func TestRealOData4Sink(t *testing.T) {
	t.Parallel()
	const (
		manyRecords  = 25_000
		fewerRecords = 2_500 // where each record is a request
	)
	tests := []struct {
		name     string
		start    func(t *testing.T, products int, env ...string) *odata4Service
		count    int
		settings []string
		env      []string
	}{
		{name: "CAP single", start: startCAP4, count: fewerRecords, settings: []string{"sap.odata.enable.batch=0"}},
		{name: "CAP multipart", start: startCAP4, count: manyRecords},
		{name: "CAP json", start: startCAP4, count: manyRecords, settings: []string{"sap.odata.batch.format=json"}},
		{name: "CAP without IEEE754", start: startCAP4, count: fewerRecords, env: []string{"IEEE754=0"}},
		{name: "Olingo single", start: startOlingo4, count: fewerRecords, settings: []string{"sap.odata.enable.batch=0"}},
		{name: "Olingo multipart", start: startOlingo4, count: manyRecords},
		{name: "Olingo auto", start: startOlingo4, count: fewerRecords, settings: []string{"sap.odata.batch.format=auto"}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			s := test.start(t, 1, test.env...)
			w := newWriter(t)
			names := map[bool][2]string{true: {"name", "sold"}, false: {"Name", "Big"}}[s.path == cap4Path]
			w.produce(t, "rows", test.count, func(n int) (key, value string) {
				return "", fmt.Sprintf(`{"ID":%d,%q:"Zeile \"%d\"",%q:%d}`, n+100, names[0], n, names[1],
					9_007_199_254_740_993+n)
			})
			started := time.Now()
			w.write(t, s, "writes", "Products", "rows", test.settings...)
			t.Logf("%d rows in %v", test.count, time.Since(started))
			rows, _ := s.rows(t, "Products?$select=ID,"+names[0]+","+names[1])
			found := map[string]string{}
			for _, row := range rows {
				found[fmt.Sprint(row["ID"])] = fmt.Sprint(row[names[0]], " ", row[names[1]])
			}
			assert.Equal(t, test.count+1, len(rows), "rows of the set")
			for n := 1; n <= test.count; n++ {
				want := fmt.Sprintf("Zeile \"%d\" %d", n, 9_007_199_254_740_993+n)
				if test.env != nil { // the service answers with rounded numbers
					want = fmt.Sprintf("Zeile \"%d\" %.0f", n, float64(9_007_199_254_740_993+n))
				}
				require.Equal(t, want, found[strconv.Itoa(n+100)], "row", n)
			}
		})
	}
}

// TestRealOData4SinkKilled kills a worker that inserts rows whose keys the service chooses: none is missing, and none
// is inserted twice.
func TestRealOData4SinkKilled(t *testing.T) {
	t.Parallel()
	const records = 10_000
	for _, format := range []string{"multipart", "json"} {
		t.Run(format, func(t *testing.T) {
			s := startCAP4(t, 1)
			before, _ := s.rows(t, "Orders?$select=ID")
			w := newWriter(t)
			w.produce(t, "orders", records, func(n int) (key, value string) {
				return "", fmt.Sprintf(`{"number":"K%d","customer":"Müller & Söhne","total":"%d.25"}`, n, n)
			})
			w.broker.Close() // each worker has its own, which does not wait for the killed member of the group
			file := w.File("killed.properties", s.sink("killed", "Orders", "orders", "sap.odata.batch.format="+format,
				"sap.odata.max.batch.size=40", "sap.odata.insert.uncertain=check", "sap.odata.check.filter=number")...)
			random := rand.New(rand.NewPCG(72, 0))
			kills := 0
			written := s.count(t, "Orders")
			for range 20 {
				c := w.StartOnce(w.plugins, file)
				c.Eventually("more orders", func() bool { return s.count(t, "Orders") > written })
				<-time.After(time.Duration(random.IntN(800)) * time.Millisecond)
				c.Kill()
				kills++
				written = s.count(t, "Orders")
			}
			t.Logf("%d of %d orders after %d kills", written-len(before), records, kills)
			require.True(t, written < len(before)+records, "expected a part of the orders")
			w.MustRunOnceWith(w.plugins, file)
			rows, _ := s.rows(t, "Orders?$select=ID,number")
			numbers := map[string]int{}
			for _, row := range rows {
				if number := fmt.Sprint(row["number"]); strings.HasPrefix(number, "K") {
					numbers[number]++
				}
			}
			assert.Equal(t, records, len(numbers), "orders by number, after", kills, "kills")
			assert.Equal(t, records+len(before), len(rows), "orders, after", kills, "kills")
		})
	}
}
