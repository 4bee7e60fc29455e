package main

import (
	"fmt"
	"regexp"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/culvert-project/culvert/examples/demo-service/service"
	"github.com/culvert-project/culvert/host/kafka"
)

// embedded is a broker in this process.
func embedded(t *testing.T) *kafka.Broker {
	t.Helper()
	b, err := kafka.OpenBroker(kafka.BrokerOptions{Dir: t.TempDir(), Listen: "127.0.0.1:0"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { b.Close() })
	return b
}

// ends are the end offsets of a topic on a broker by partition; nil where there is no such topic.
func endsOn(t *testing.T, address, topic string) kafka.Positions {
	t.Helper()
	c := kafka.Defaults()
	c.Bootstrap = []string{address}
	admin, err := kafka.NewAdmin(c)
	if err != nil {
		t.Fatal(err)
	}
	defer admin.Close()
	at, _ := admin.EndOffsets(t.Context(), false, topic)
	return at[topic]
}

// Connectors whose clients go to another cluster than the worker's have their topics made there, and are done when they
// have come to the ends there.
func TestClientsOfAnotherCluster(t *testing.T) {
	t.Parallel()
	clientsOfAnotherCluster(t, embedded(t).Addr(), embedded(t).Addr())
}

func clientsOfAnotherCluster(t *testing.T, here, there string) {
	p := newPlace(t)
	s, address := demo(t, service.Options{Rows: 60, PageSize: 25, Switches: service.Switches{CSRF: true,
		RotateSession: "both"}})
	worker := p.file("worker.properties", "bootstrap.servers="+here, "listeners=")
	from := p.file("there.properties", append(source("there", address, "Orders"),
		"producer.override.bootstrap.servers="+there,
		"admin.override.bootstrap.servers="+there, "topic.creation.default.partitions=3")...)
	to := p.file("back.properties", append(sinkOf("back", address, "Orders", "OrderCopies"),
		"consumer.override.bootstrap.servers="+there)...)
	for round := range 2 {
		if r := p.run("run", "--once", "--plugins", plugins(t, "odata-sink"), "--data", p.data, worker, from,
			to); r.code != 0 {
			t.Fatalf("round %d: exit %d\n%s", round, r.code, r.stderr)
		}
		if diff := cmp.Diff(entities(s, "Orders"), entities(s, "OrderCopies")); diff != "" {
			t.Errorf("round %d: what was read and what was written differ\n%s", round, diff)
		}
	}
	if got := endsOn(t, there, "Orders"); len(got) != 3 {
		t.Errorf("expected 3 partitions on the connector's cluster, found %v", got)
	}
	if got := endsOn(t, here, "Orders"); got != nil {
		t.Errorf("expected no such topic on the worker's cluster, found %v", got)
	}
}

// With auto.offset.reset=latest and nothing committed a sink stands at the ends that its topics have at its start:
// --once has nothing to do then, and what comes later is the next run's.
func TestOnceFromTheEnd(t *testing.T) { onceFromTheEnd(t, embedded(t).Addr()) }

func onceFromTheEnd(t *testing.T, broker string) {
	p := newPlace(t)
	s, address := demo(t, service.Options{Rows: 30})
	worker := p.file("worker.properties", "bootstrap.servers="+broker, "listeners=")
	there := p.file("first.properties", source("first", address, "Products")...)
	back := p.file("latest.properties", append(sinkOf("latest", address, "Products", "ProductCopies"),
		"consumer.override.auto.offset.reset=latest", "tasks.max=2")...)
	once := func(file string) {
		t.Helper()
		if r := p.run("run", "--once", "--plugins", plugins(t, "odata-sink"), "--data", p.data, worker,
			file); r.code != 0 {
			t.Fatalf("exit %d\n%s", r.code, r.stderr)
		}
	}
	once(there)
	once(back)
	if got := s.Count("ProductCopies"); got != 0 {
		t.Errorf("expected nothing to be written of what lay there before, found %d", got)
	}
	once(p.file("again.properties", append(source("again", address, "Products"), "sap.odata#00.id=again")...))
	once(back)
	if got, want := s.Count("ProductCopies"), s.Count("Products"); got != want {
		t.Errorf("expected the %d rows that came between two runs to be written, found %d", want, got)
	}
}

// A sink whose records expired before it has read them fails and says which; with auto.offset.reset set, or its offset,
// it goes on with those that are left.
func TestSinkWhoseRecordsHaveExpired(t *testing.T) {
	t.Parallel()
	for way, more := range map[string][]string{
		"reset": {"consumer.override.auto.offset.reset=earliest"},
		"set":   nil,
	} {
		t.Run(way, func(t *testing.T) {
			t.Parallel()
			p := newPlace(t)
			s, address := demo(t, service.Options{Rows: 20})
			broker := embedded(t).Addr()
			worker := p.file("worker.properties", "bootstrap.servers="+broker, "listeners=")
			once := func(file string) result {
				return p.run("run", "--once", "--plugins", plugins(t, "odata-sink"), "--data", p.data, worker, file)
			}
			if r := once(p.file("there.properties", source("there", address, "Orders")...)); r.code != 0 {
				t.Fatalf("exit %d\n%s", r.code, r.stderr)
			}
			client, err := kgo.NewClient(kgo.SeedBrokers(broker))
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(client.Close)
			admin, committed, start := kadm.NewClient(client), kadm.Offsets{}, kadm.Offsets{}
			committed.AddOffset("Orders", 0, 2, -1)
			start.AddOffset("Orders", 0, 15, -1)
			if err := admin.CommitAllOffsets(t.Context(), "connect-back", committed); err != nil {
				t.Fatal(err)
			}
			if deleted, err := admin.DeleteRecords(t.Context(), start); err != nil || deleted.Error() != nil {
				t.Fatal(err, deleted.Error())
			}
			lines := sinkOf("back", address, "Orders", "OrderCopies")
			back := p.file("back.properties", lines...)
			const missing = "topic Orders, partition 0: the records from offset 2 up to 14 are no longer there"
			if r := once(back); r.code != 1 || !strings.Contains(r.lastLine(), missing) {
				t.Fatalf("expected a task that fails and names what is missing, found exit %d\n%s", r.code, r.stderr)
			}
			if n := s.Count("OrderCopies"); n != 0 {
				t.Errorf("expected nothing to be written, found %d rows", n)
			}
			if way == "set" {
				left := p.file("left.json",
					`{"offsets":[{"partition":{"kafka_topic":"Orders","kafka_partition":0},"offset":{"kafka_offset":15}}]}`)
				if r := p.run("offsets", "set", "back", left, "--plugins", plugins(t, "odata-sink"), "--data", p.data,
					worker,
					back); r.code != 0 {
					t.Fatalf("exit %d\n%s%s", r.code, r.stdout, r.stderr)
				}
			}
			if r := once(p.file("back.properties", append(lines, more...)...)); r.code != 0 {
				t.Fatalf("exit %d\n%s", r.code, r.stderr)
			}
			if n := s.Count("OrderCopies"); n != 5 {
				t.Errorf("expected the 5 rows that are left to be written, found %d", n)
			}
		})
	}
}

// A sink that has read all of a topic of transactions goes on when all of it has expired, the last marker as well.
func TestSinkOfATopicOfTransactionsThatHasExpired(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	s, address := demo(t, service.Options{Rows: 20})
	broker := embedded(t).Addr()
	worker := p.file("worker.properties", "bootstrap.servers="+broker, "listeners=", "group.id=expired",
		"exactly.once.source.support=enabled")
	there := p.file("there.properties", source("there", address, "Orders")...)
	back := p.file("back.properties", sinkOf("back", address, "Orders", "OrderCopies")...)
	once := func(files ...string) {
		t.Helper()
		if r := p.run(append([]string{"run", "--once", "--plugins", plugins(t, "odata-sink"), "--data", p.data, worker},
			files...)...); r.code != 0 {
			t.Fatalf("exit %d\n%s", r.code, r.stderr)
		}
	}
	once(there)
	once(back)
	client, err := kgo.NewClient(kgo.SeedBrokers(broker))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	all := kadm.Offsets{}
	all.AddOffset("Orders", 0, -1, -1)
	deleted, err := kadm.NewClient(client).DeleteRecords(t.Context(), all)
	if err != nil || deleted.Error() != nil {
		t.Fatal(err, deleted.Error())
	}
	if start := deleted["Orders"][0].LowWatermark; start <= 20 {
		t.Fatalf("expected markers beside 20 records, found a log of %d: this shows nothing", start)
	}
	once(back)
	if n := s.Count("OrderCopies"); n != 20 {
		t.Errorf("expected 20 rows, found %d", n)
	}
}

// With topic.creation.enable=false it is the broker that makes topics, or does not.
func TestTopicsOfTheBrokersMaking(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	s, address := demo(t, service.Options{Rows: 10})
	file := p.file("there.properties", source("there", address, "Orders")...)
	if r := p.run("run", "--once", "--plugins", plugins(t), "--data", p.data, "--set", "topic.creation.enable=false",
		file); r.code != 0 {
		t.Fatalf("exit %d\n%s", r.code, r.stderr)
	}
	if got := len(p.records("Orders")); got != s.Count("Orders") {
		t.Errorf("expected %d records, found %d", s.Count("Orders"), got)
	}
}

// What a connector may change about its clients is the worker's to say, as in Kafka Connect.
func TestOverridePolicy(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	_, address := demo(t, service.Options{Rows: 5})
	lines := append(source("orders", address, "Orders"), "producer.override.linger.ms=5",
		"admin.override.sasl.mechanism=PLAIN")
	file := p.file("orders.properties", lines...)
	linger := fmt.Sprintf("%s:%d: producer.override.linger.ms: ", file, len(lines)-1)
	mechanism := fmt.Sprintf("%s:%d: admin.override.sasl.mechanism: ", file, len(lines))
	for policy, refused := range map[string][]string{
		"All": nil, "org.apache.kafka.connect.connector.policy.AllConnectorClientConfigOverridePolicy": nil,
		"None": {linger, mechanism}, "Principal": {linger},
		"Allowlist\nconnector.client.config.override.allowlist=linger.ms,acks": {mechanism},
	} {
		worker := p.file("worker.properties", "bootstrap.servers=embedded", "connector.client.config.override.policy="+
			policy)
		r := p.run("validate", "--plugins", plugins(t), "--data", p.data, worker, file)
		said := r.stdout + r.stderr
		for _, problem := range []string{linger, mechanism} {
			want := false
			for _, one := range refused {
				want = want || one == problem
			}
			if found := strings.Contains(said, problem+"the worker does not let connectors"); found != want {
				t.Errorf("%s: expected %q: %t, found\n%s", policy, problem, want, said)
			}
		}
		if (r.code == 0) != (refused == nil) {
			t.Errorf("%s: exit %d\n%s", policy, r.code, said)
		}
	}
	worker := p.file("worker.properties", "bootstrap.servers=embedded",
		"connector.client.config.override.policy=com.example.Mine")
	if r := p.run("validate", "--plugins", plugins(t), "--data", p.data, worker, file); r.code == 0 ||
		!strings.Contains(r.stdout+r.stderr,
			worker+":2: connector.client.config.override.policy: Invalid value ") {
		t.Errorf("exit %d\n%s%s", r.code, r.stdout, r.stderr)
	}
}

// Two workers that run the same sink on the same cluster share its records out without anybody having meant it: both
// say so, and say when it is over.
func TestTwoWorkersWithTheSameSink(t *testing.T) { twoWorkersWithTheSameSink(t, embedded(t).Addr()) }

func twoWorkersWithTheSameSink(t *testing.T, broker string) {
	_, address := demo(t, service.Options{Rows: 5})
	c := kafka.Defaults()
	c.Bootstrap = []string{broker}
	admin, err := kafka.NewAdmin(c)
	if err != nil {
		t.Fatal(err)
	}
	defer admin.Close()
	if _, err := admin.EnsureTopics(t.Context(), kafka.Topic{Name: "Shared", Partitions: 4}); err != nil {
		t.Fatal(err)
	}
	member := regexp.MustCompile(`connector-consumer-back-[01] at 127\.0\.0\.1`)
	var workers []*command
	for range 2 {
		p := newPlace(t)
		worker := p.file("worker.properties", "bootstrap.servers="+broker, "listeners=")
		back := p.file("back.properties", append(sinkOf("back", address, "Shared", "ProductCopies"), "tasks.max=2")...)
		workers = append(workers, p.start("run", "--plugins", plugins(t, "odata-sink"), "--data", p.data, worker, back))
		if len(workers) == 1 {
			workers[0].says("connector started")
		}
	}
	for i, w := range workers {
		if said := w.says("the sink's group has members that are not this worker's"); !strings.Contains(said,
			"connector=back") || !member.MatchString(said) {
			t.Errorf("worker %d: expected the connector and the members to be named, found %s", i, said)
		}
	}
	workers[0].signal(syscall.SIGTERM)
	workers[1].says("has no members but this worker's any more")
	if said := strings.Count(workers[1].stderr.String(), "that are not this worker's"); said != 1 {
		t.Errorf("expected one warning, found %d", said)
	}
}
