package e2etest

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/culvert-project/culvert/host/kafka"
	"github.com/culvert-project/culvert/host/kafka/embedded"
	"github.com/culvert-project/culvert/internal/odatatest"
)

// Embedded is a broker in this process.
func Embedded(t *testing.T) *embedded.Broker {
	t.Helper()
	b, err := embedded.Open(embedded.Options{Dir: t.TempDir(), Listen: "127.0.0.1:0"})
	NoError(t, err)
	t.Cleanup(func() { b.Close() })
	return b
}

// Client is a client of a broker, until the test ends.
func Client(t *testing.T, broker string, options ...kgo.Opt) *kgo.Client {
	t.Helper()
	client, err := kgo.NewClient(append(options, kgo.SeedBrokers(broker))...)
	NoError(t, err)
	t.Cleanup(client.Close)
	return client
}

// MakeTopics makes topics of one partition.
func MakeTopics(t *testing.T, client *kgo.Client, names ...string) {
	t.Helper()
	made, err := kadm.NewClient(client).CreateTopics(t.Context(), 1, 1, nil, names...)
	NoError(t, err)
	NoError(t, made.Error())
}

// EndsOn are the end offsets of a topic on a broker by partition; nil where there is no such topic.
func EndsOn(t *testing.T, address, topic string) kafka.Positions {
	t.Helper()
	c := kafka.Defaults()
	c.Bootstrap = []string{address}
	admin, err := kafka.NewAdmin(c)
	NoError(t, err)
	defer admin.Close()
	at, _ := admin.EndOffsets(t.Context(), false, topic)
	return at[topic]
}

func ClientsOfAnotherCluster(t *testing.T, here, there string) {
	p := NewPlace(t)
	s, address := Demo(t, odatatest.Options{Rows: 60, PageSize: 25, Switches: odatatest.Switches{CSRF: true,
		RotateSession: "both"}})
	worker := p.File("worker.properties", "bootstrap.servers="+here, "listeners=")
	from := p.File("there.properties", append(Source("there", address, "Orders"),
		"producer.override.bootstrap.servers="+there,
		"admin.override.bootstrap.servers="+there, "topic.creation.default.partitions=3")...)
	to := p.File("back.properties", append(SinkOf("back", address, "Orders", "OrderCopies"),
		"consumer.override.bootstrap.servers="+there)...)
	for round := range 2 {
		p.MustRun("run", "--once", "--plugins", Plugins(t, "odata-sink"), "--data", p.Data, worker, from, to)
		if diff := cmp.Diff(Entities(s, "Orders"), Entities(s, "OrderCopies")); diff != "" {
			t.Errorf("round %d: what was read and what was written differ\n%s", round, diff)
		}
	}
	if got := EndsOn(t, there, "Orders"); len(got) != 3 {
		t.Errorf("expected 3 partitions on the connector's cluster, found %v", got)
	}
	if got := EndsOn(t, here, "Orders"); got != nil {
		t.Errorf("expected no such topic on the worker's cluster, found %v", got)
	}
}

func OnceFromTheEnd(t *testing.T, broker string) {
	p := NewPlace(t)
	s, address := Demo(t, odatatest.Options{Rows: 30})
	worker := p.File("worker.properties", "bootstrap.servers="+broker, "listeners=")
	there := p.File("first.properties", Source("first", address, "Products")...)
	back := p.File("latest.properties", append(SinkOf("latest", address, "Products", "ProductCopies"),
		"consumer.override.auto.offset.reset=latest", "tasks.max=2")...)
	once := func(file string) {
		t.Helper()
		p.MustRun("run", "--once", "--plugins", Plugins(t, "odata-sink"), "--data", p.Data, worker, file)
	}
	once(there)
	once(back)
	if got := s.Count("ProductCopies"); got != 0 {
		t.Errorf("expected nothing to be written of what lay there before, found %d", got)
	}
	once(p.File("again.properties", append(Source("again", address, "Products"), "sap.odata#00.id=again")...))
	once(back)
	if got, want := s.Count("ProductCopies"), s.Count("Products"); got != want {
		t.Errorf("expected the %d rows that came between two runs to be written, found %d", want, got)
	}
}
