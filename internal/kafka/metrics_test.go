package kafka

import (
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/base/require"
)

// Metrics of clients are summed by role and broker: the number of metrics does not grow with the clients, and the
// counts of a closed client stay.
func TestClientMetricsAreSummed(t *testing.T) {
	c := Defaults()
	c.Bootstrap = []string{openTestBroker(t, t.TempDir()).Addr()}
	c.Metrics = NewMetrics()
	count := func() (records float64, series int) {
		families, err := c.Metrics.Gather()
		require.NoError(t, err)
		for _, f := range families {
			for _, m := range f.Metric {
				series++
				labels := map[string]string{}
				for _, l := range m.Label {
					labels[l.GetName()] = l.GetValue()
				}
				if len(labels) != 2 || labels["role"] == "" || labels["node_id"] == "" ||
					strings.Contains(f.GetName(), "buffered") {
					t.Errorf("%s: expected role and node_id, found %v", f.GetName(), labels)
				}
				if f.GetName() == "culvert_kafka_produce_records_total" && labels["role"] == "producer" {
					records += m.Counter.GetValue()
				}
			}
		}
		return records, series
	}
	var firstSeries int
	for n := range 3 {
		client, _, err := newClient(c.ProducerOpts(kgo.ClientID(strings.Repeat("c", n+1)),
			kgo.AllowAutoTopicCreation()))
		require.NoError(t, err)
		topic := strings.Repeat("t", n+1)
		require.NoError(t, client.ProduceSync(t.Context(), &kgo.Record{Topic: topic, Value: []byte("v")},
			&kgo.Record{Topic: topic, Value: []byte("w")}).FirstErr())
		client.Close()
		records, series := count()
		for end := time.Now().Add(2 * time.Minute); records < float64(2*(n+1)) && time.Now().Before(end); {
			time.Sleep(10 * time.Millisecond) // the client counts after the acknowledgement
			records, series = count()
		}
		assert.True(t, records == float64(2*(n+1)), "expected %d records, counted %v", 2*(n+1), records)
		if n == 0 {
			firstSeries = series
		}
		if series < firstSeries || series >= 2*firstSeries { // disconnects may be counted late, but are few
			t.Errorf("expected about %d series as with the first client, found %d", firstSeries, series)
		}
	}
}
