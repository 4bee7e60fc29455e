package delivery

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kadm"

	"github.com/culvert-project/culvert/internal/e2etest"
	"github.com/culvert-project/culvert/internal/odatatest"
)

// Connectors whose clients go to another cluster than the worker's have their topics made there, and are done when they
// have come to the ends there.
func TestClientsOfAnotherCluster(t *testing.T) {
	t.Parallel()
	ClientsOfAnotherCluster(t, e2etest.Embedded(t).Addr(), e2etest.Embedded(t).Addr())
}

// With auto.offset.reset=latest and nothing committed a sink stands at the ends that its topics have at its start:
// --once has nothing to do then, and what comes later is the next run's.
func TestOnceFromTheEnd(t *testing.T) { OnceFromTheEnd(t, e2etest.Embedded(t).Addr()) }

// A sink whose records expired before it read them fails with an error that names them. After its offset is set, it
// continues with the remaining records.
func TestSinkWhoseRecordsHaveExpired(t *testing.T) {
	t.Parallel()
	p := e2etest.NewPlace(t)
	s, address := e2etest.Demo(t, odatatest.Options{Rows: 20})
	broker := e2etest.Embedded(t).Addr()
	worker := p.File("worker.properties", "bootstrap.servers="+broker, "listeners=")
	once := func(file string) e2etest.Result {
		return p.Run("run", "--once", "--plugins", e2etest.Plugins(t, "odata-sink"), "--data", p.Data, worker, file)
	}
	once(p.File("there.properties", e2etest.Source("there", address, "Orders")...)).Exits(0)
	client := e2etest.Client(t, broker)
	admin, committed, start := kadm.NewClient(client), kadm.Offsets{}, kadm.Offsets{}
	committed.AddOffset("Orders", 0, 2, -1)
	start.AddOffset("Orders", 0, 15, -1)
	e2etest.NoError(t, admin.CommitAllOffsets(t.Context(), "connect-back", committed))
	if deleted, err := admin.DeleteRecords(t.Context(), start); err != nil || deleted.Error() != nil {
		t.Fatal(err, deleted.Error())
	}
	back := p.File("back.properties", e2etest.SinkOf("back", address, "Orders", "OrderCopies")...)
	once(back).Exits(1).LastLineHas(
		"topic Orders, partition 0: the records from offset 2 up to 14 are no longer there")
	if n := s.Count("OrderCopies"); n != 0 {
		t.Errorf("expected nothing to be written, found %d rows", n)
	}
	left := p.File("left.json",
		`{"offsets":[{"partition":{"kafka_topic":"Orders","kafka_partition":0},"offset":{"kafka_offset":15}}]}`)
	p.MustRun("offsets", "set", "back", left, "--plugins", e2etest.Plugins(t, "odata-sink"), "--data", p.Data,
		worker, back)
	once(back).Exits(0)
	if n := s.Count("OrderCopies"); n != 5 {
		t.Errorf("expected the 5 rows that are left to be written, found %d", n)
	}
}

// With topic.creation.enable=false it is the broker that makes topics, or does not.
func TestTopicsOfTheBrokersMaking(t *testing.T) {
	t.Parallel()
	p := e2etest.NewPlace(t)
	s, address := e2etest.Demo(t, odatatest.Options{Rows: 10})
	file := p.File("there.properties", e2etest.Source("there", address, "Orders")...)
	p.MustOnce("--set", "topic.creation.enable=false", file)
	p.Holds("Orders", s.Count("Orders"))
}

// What a connector may change about its clients is the worker's to say, as in Kafka Connect.
func TestOverridePolicy(t *testing.T) {
	t.Parallel()
	p := e2etest.NewPlace(t)
	_, address := e2etest.Demo(t, odatatest.Options{Rows: 5})
	lines := append(e2etest.Source("orders", address, "Orders"), "producer.override.linger.ms=5",
		"admin.override.sasl.mechanism=PLAIN")
	file := p.File("orders.properties", lines...)
	linger := fmt.Sprintf("%s:%d: producer.override.linger.ms: ", file, len(lines)-1)
	mechanism := fmt.Sprintf("%s:%d: admin.override.sasl.mechanism: ", file, len(lines))
	for policy, refused := range map[string][]string{
		"All": nil, "Principal": {linger},
	} {
		worker := p.File("worker.properties", "bootstrap.servers=embedded", "connector.client.config.override.policy="+
			policy)
		r := p.Run("validate", "--plugins", e2etest.Plugins(t), "--data", p.Data, worker, file)
		said := r.Stdout + r.Stderr
		for _, problem := range []string{linger, mechanism} {
			want := slices.Contains(refused, problem)
			if found := strings.Contains(said, problem+"the worker does not let connectors"); found != want {
				t.Errorf("%s: expected %q: %t, found\n%s", policy, problem, want, said)
			}
		}
		if (r.Code == 0) != (refused == nil) {
			t.Errorf("%s: exit %d\n%s", policy, r.Code, said)
		}
	}
	worker := p.File("worker.properties", "bootstrap.servers=embedded",
		"connector.client.config.override.policy=com.example.Mine")
	p.Run("validate", "--plugins", e2etest.Plugins(t), "--data", p.Data, worker, file).
		Fails().Tells(worker + ":2: connector.client.config.override.policy: Invalid value ")
}
