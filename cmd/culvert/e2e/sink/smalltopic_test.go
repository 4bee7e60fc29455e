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
	"github.com/culvert-project/culvert/internal/odatatest"
)

// A topic whose max.message.bytes is far below what is written to it at once takes all of it, once and in order: the
// rows of a source, with transactions too, and the dead letters of a sink, here of records that are no JSON. Brokers
// refuse none of it, since the limit is asked for before the first record.
func TestTopicsOfSmallBatches(t *testing.T) {
	t.Parallel()
	p, broker := e2etest.NewPlace(t), e2etest.Embedded(t).Addr()
	const rows = 2000
	topicsOf(t, broker, "4000", "plain", "exactly", "letters")
	worker := func(name string, more ...string) string {
		return p.File(name, append([]string{"bootstrap.servers=" + broker, "listeners=", "group.id=small",
			"key.converter.schemas.enable=false", "value.converter.schemas.enable=false"}, more...)...)
	}
	_, address := e2etest.Demo(t, odatatest.Options{Rows: rows, PageSize: rows})
	for _, c := range []struct{ topic, worker, support string }{
		{"plain", worker("worker.properties"), "requested"},
		{"exactly", worker("exactly.properties", "exactly.once.source.support=enabled"), "required"},
	} {
		lines := append(e2etest.Source("of-"+c.topic, address, "Orders"), "exactly.once.support="+c.support)
		r := p.Run("run", "--once", "--log-level", "debug", "--plugins", e2etest.Plugins(t, "odata-source"), "--data", p.Data, c.worker,
			p.File(c.topic+"-connector.properties", e2etest.Instead(lines, "sap.odata#00.topic="+c.topic)...))
		if r.Code != 0 || strings.Contains(r.Stderr, "MESSAGE_TOO_LARGE") {
			t.Fatalf("%s: exit %d\n%s", c.topic, r.Code, r.Stderr)
		}
		ascend(t, c.topic, e2etest.ReadTopic(t, broker, c.topic, rows))
	}

	client, err := kgo.NewClient(kgo.SeedBrokers(broker))
	e2etest.NoError(t, err)
	defer client.Close()
	for i := 1; i <= rows; i++ {
		client.Produce(t.Context(), &kgo.Record{Topic: "texts", Key: []byte(strconv.Itoa(i)), Partition: 0,
			Value: fmt.Appendf(nil, `{"ID":%d,"Content":"%s"`, i, strings.Repeat("x", 300))}, nil)
	}
	e2etest.NoError(t, client.Flush(t.Context()))
	r := p.Run("run", "--once", "--log-level", "debug", "--plugins", e2etest.Plugins(t, "odata-sink"), "--data", p.Data,
		worker("sink.properties", "key.converter=org.apache.kafka.connect.storage.StringConverter"),
		p.File("refused.properties", append(e2etest.SinkOf("refused", e2etest.Texts(t, 0, &atomic.Int32{}), "texts",
			"Texts"),
			"errors.tolerance=all", "errors.deadletterqueue.topic.name=letters")...))
	if r.Code != 0 || strings.Contains(r.Stderr, "MESSAGE_TOO_LARGE") {
		t.Fatalf("letters: exit %d\n%s", r.Code, r.Stderr)
	}
	ascend(t, "letters", e2etest.ReadTopic(t, broker, "letters", rows))
}

// topicsOf makes topics of one partition that take batches of so many bytes.
func topicsOf(t *testing.T, broker, bytes string, names ...string) {
	t.Helper()
	client, err := kgo.NewClient(kgo.SeedBrokers(broker))
	e2etest.NoError(t, err)
	defer client.Close()
	admin := kadm.NewClient(client)
	if _, err := admin.CreateTopics(t.Context(), 1, 1, map[string]*string{"max.message.bytes": &bytes},
		names...); err != nil {
		t.Fatal(err)
	}
	if _, err := admin.CreateTopic(t.Context(), 1, 1, nil, "texts"); err != nil {
		t.Fatal(err)
	}
}

// ascend: the keys of records hold numbers, each one more than the one before.
func ascend(t *testing.T, topic string, records []*kgo.Record) {
	t.Helper()
	last := 0
	for i, r := range records {
		n, err := strconv.Atoi(strings.TrimSuffix(strings.TrimPrefix(string(r.Key), `{"OrderID":`), "}"))
		if err != nil || i > 0 && n != last+1 {
			t.Fatalf("%s: expected number %d as record %d, found %s", topic, last+1, i, r.Key)
		}
		last = n
	}
}
