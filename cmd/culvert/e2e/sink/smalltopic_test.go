package sink

import (
	"fmt"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/culvert-project/culvert/internal/e2etest"
)

// A topic whose max.message.bytes is far below the size of a batch gets all records, once and in order: here the dead
// letters of a sink, for records that are no JSON. Brokers refuse no batch, since the producer requests the limit
// before the first record.
func TestTopicsOfSmallBatches(t *testing.T) {
	t.Parallel()
	p, broker := e2etest.NewPlace(t), e2etest.Embedded(t).Addr()
	const rows = 2000
	client, err := kgo.NewClient(kgo.SeedBrokers(broker))
	e2etest.NoError(t, err)
	defer client.Close()
	for topic, settings := range map[string]map[string]*string{"texts": nil, "letters": {"max.message.bytes": kadm.StringPtr("4000")}} {
		_, err := kadm.NewClient(client).CreateTopic(t.Context(), 1, 1, settings, topic)
		e2etest.NoError(t, err)
	}
	for i := 1; i <= rows; i++ {
		client.Produce(t.Context(), &kgo.Record{Topic: "texts", Key: []byte(strconv.Itoa(i)), Partition: 0,
			Value: fmt.Appendf(nil, `{"ID":%d,"Content":"%s"`, i, strings.Repeat("x", 300))}, nil)
	}
	e2etest.NoError(t, client.Flush(t.Context()))
	r := p.Run("run", "--once", "--log-level", "debug", "--plugins", e2etest.Plugins(t, "odata-sink"), "--data", p.Data,
		p.File("sink.properties", "bootstrap.servers="+broker, "listeners=", "value.converter.schemas.enable=false",
			"key.converter=org.apache.kafka.connect.storage.StringConverter"),
		p.File("refused.properties", append(e2etest.SinkOf("refused", e2etest.Texts(t, 0, &atomic.Int32{}), "texts",
			"Texts"),
			"errors.tolerance=all", "errors.deadletterqueue.topic.name=letters")...))
	if r.Code != 0 || strings.Contains(r.Stderr, "MESSAGE_TOO_LARGE") {
		t.Fatalf("letters: exit %d\n%s", r.Code, r.Stderr)
	}
	for i, l := range e2etest.ReadTopic(t, broker, "letters", rows) {
		if string(l.Key) != strconv.Itoa(i+1) {
			t.Fatalf("expected number %d as letter %d, found %s", i+1, i, l.Key)
		}
	}
}
