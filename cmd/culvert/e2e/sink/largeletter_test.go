package sink

import (
	"fmt"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/base/require"
	"github.com/culvert-project/culvert/internal/e2etest"
)

// A record of 20 MB is written to a service that accepts it, and becomes a dead letter if the service rejects it. A
// dead letter that is too large for the producer fails the task, which names the record; the next start retries.
func TestRecordOf20MB(t *testing.T) {
	t.Parallel()
	p := e2etest.NewPlace(t)
	broker := e2etest.StartEmbeddedBroker(t).Addr()
	client := e2etest.NewClient(t, broker, kgo.ProducerBatchMaxBytes(30<<20),
		kgo.ProducerBatchCompression(kgo.NoCompression()))
	large := "31457280"
	if _, err := kadm.NewClient(client).CreateTopics(t.Context(), 1, 1, map[string]*string{"max.message.bytes": &large},
		"texts", "letters-refused"); err != nil {
		t.Fatal(err)
	}
	content := strings.Repeat("0123456789abcdef", 20<<20/16)
	value := fmt.Sprintf(`{"ID":1,"Content":"%s"}`, content)
	record := &kgo.Record{Topic: "texts", Key: []byte("1"), Value: []byte(value)}
	require.NoError(t, client.ProduceSync(t.Context(), record).FirstErr())
	worker := p.File("worker.properties", "bootstrap.servers="+broker, "listeners=",
		"key.converter=org.apache.kafka.connect.storage.StringConverter",
		"value.converter.schemas.enable=false", "connector.client.config.override.policy=All")
	for _, c := range []struct {
		name     string
		maxBytes int // the largest record that the service accepts
		settings []string
		want     string // a part of the error; "" means that the run succeeds
	}{
		{name: "taken", maxBytes: 30 << 20},
		{name: "refused", maxBytes: 1 << 20, settings: []string{"producer.override.max.request.size=" + large}},
		{name: "refused-letter-too-large", maxBytes: 1 << 20, want: "its dead letter cannot be stored"},
	} {
		t.Run(c.name, func(t *testing.T) {
			var posts atomic.Int32
			back := p.File(c.name+".properties", append(append(e2etest.Sink(c.name, e2etest.StartTextService(t,
				c.maxBytes, &posts), "texts",
				"Texts"), "errors.tolerance=all", "errors.deadletterqueue.topic.name=letters-"+c.name),
				c.settings...)...)
			r := p.RunOnceWith(e2etest.Plugins(t, "odata-sink"), worker, back)
			starts := int32(1)
			if c.name == "refused-letter-too-large" { // the next start fails in the same way
				r = p.RunOnceWith(e2etest.Plugins(t, "odata-sink"), worker, back)
				starts = 2
			}
			assert.Equal(t, starts, posts.Load(), "requests")
			if c.want != "" {
				assert.Contains(t, r.WantCode(1).LastLine(), c.want, "topic texts, partition 0, offset 0")
				return
			}
			r.WantCode(0)
			if c.name == "refused" {
				l := e2etest.ReadTopic(t, broker, "letters-refused", 1)[0]
				assert.True(t, string(l.Value) == value, "expected the record as it was, found %d bytes", len(l.Value))
			}
		})
	}
}
