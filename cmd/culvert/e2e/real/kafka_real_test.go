//go:build real

package real

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/culvert-project/culvert/internal/e2etest"
	"github.com/culvert-project/culvert/internal/odatatest"
)

// kafkaPeer is a real Apache Kafka broker, and the demo service that connectors carry to it and back.
type kafkaPeer struct {
	*e2etest.Place
	servers string
	dir     string // the broker's
	// startBroker starts it, again if it was killed.
	startBroker func(t *testing.T)
	service     *odatatest.Service
	address     string
	files       []string // worker, source, sink
}

// TestRealKafka runs the main job against Apache Kafka, and looks at what it left there with Kafka's own tools.
func TestRealKafka(t *testing.T) {
	t.Parallel()
	port, controller := e2etest.FreePort(t), e2etest.FreePort(t)
	k := &kafkaPeer{Place: e2etest.NewPlace(t), servers: "127.0.0.1:" + port, dir: t.TempDir()}
	// A broker that was killed is believed to be there for so long.
	more := k.File("broker.properties", "broker.session.timeout.ms=3000", "broker.heartbeat.interval.ms=500")
	k.startBroker = func(t *testing.T) {
		e2etest.StartPeer(t, "kafka/start-broker.sh", k.dir, []string{"CONTROLLER_PORT=" + controller, "BROKER_PROPS=" + more},
			port, k.dir)
	}
	k.startBroker(t)
	k.service, k.address = e2etest.Demo(t, odatatest.Options{Rows: 400, PageSize: 150,
		Switches: odatatest.Switches{CSRF: true}})
	k.files = []string{
		k.File("worker.properties", "bootstrap.servers="+k.servers, "offset.flush.interval.ms=500",
			"key.converter=org.apache.kafka.connect.json.JsonConverter",
			"value.converter=org.apache.kafka.connect.json.JsonConverter"),
		k.File("there.properties", append(e2etest.Source("there", k.address, "Orders", "Order_Details", "Products"),
			"tasks.max=2")...),
		k.File("back.properties", append(e2etest.SinkOf("back", k.address, "Orders", "OrderCopies", "Order_Details",
			"Order_DetailCopies"), "tasks.max=2")...),
	}
	k.once(t)
	for _, part := range []struct {
		name string
		test func(*testing.T)
	}{{"BothWays", k.testBothWays}, {"Consumer", k.testConsumer}, {"Offsets", k.testOffsets}, {"Group", k.testGroup},
		{"Producer", k.testProducer}, {"Compressed", k.testCompressed}, {"Worker", k.testWorker},
		{"BrokerKilled", k.testBrokerKilled}} {
		t.Run(part.name, func(t *testing.T) {
			k.Place = e2etest.NewPlace(t)
			part.test(t)
		})
	}
}

// once runs all connectors until everything has arrived.
func (k *kafkaPeer) once(t *testing.T) {
	t.Helper()
	k.MustRun(append([]string{"run", "--once", "--plugins", e2etest.Plugins(t, "odata-sink"), "--data", k.Data},
		k.files...)...)
}

// end is the end offsets of a topic's partitions, summed.
func (k *kafkaPeer) end(t *testing.T, topic string) int {
	t.Helper()
	sum := 0
	for line := range strings.Lines(e2etest.KafkaTool(t, "offsets", "--bootstrap-server", k.servers, "--topic",
		"^"+topic+"$")) {
		var partition, end int
		if n, _ := fmt.Sscanf(strings.TrimPrefix(line, topic+":"), "%d:%d", &partition, &end); n != 2 {
			t.Fatalf("expected TOPIC:PARTITION:OFFSET, found %s", line)
		}
		sum += end
	}
	return sum
}

// What is read is written, equal and once, and a second run repeats nothing.
func (k *kafkaPeer) testBothWays(t *testing.T) {
	for round := range 2 {
		for from, to := range map[string]string{"Orders": "OrderCopies", "Order_Details": "Order_DetailCopies"} {
			if diff := cmp.Diff(e2etest.Entities(k.service, from), e2etest.Entities(k.service, to)); diff != "" {
				t.Errorf("round %d: %s and %s differ\n%s", round, from, to, diff)
			}
		}
		for _, topic := range []string{"Orders", "Order_Details", "Products"} {
			if got, want := k.end(t, topic), k.service.Count(topic); got != want {
				t.Errorf("round %d: topic %s ends at %d, the service has %d rows", round, topic, got, want)
			}
		}
		if round == 0 {
			k.once(t)
		}
	}
	e2etest.NoneTwice(t, k.service.Ledger())
}

// said is a record as both consumers say it.
type said struct {
	Topic             string
	Partition, Offset int
	Timestamp         int64
	Key, Value        json.RawMessage
	Headers           []any
}

func (l said) String() string {
	return fmt.Sprintf("CreateTime:%d\tPartition:%d\tOffset:%d\tNO_HEADERS\t%s\t%s", l.Timestamp, l.Partition, l.Offset,
		l.Key, l.Value)
}

// Kafka's console consumer and `culvert consume` print the same records, to the byte.
func (k *kafkaPeer) testConsumer(t *testing.T) {
	for _, topic := range []string{"Orders", "Order_Details", "Products"} {
		var ours []string
		r := k.Run("consume", topic, "--bootstrap-servers", k.servers)
		for text := range strings.Lines(r.Stdout) {
			var l said
			if err := json.Unmarshal([]byte(text), &l); err != nil || l.Topic != topic {
				t.Fatalf("%v in %s", err, text)
			}
			ours = append(ours, l.String())
		}
		if r.Code != 0 || len(ours) != k.service.Count(topic) {
			t.Fatalf("expected exit 0 and %d records, found %d and %d\n%s", k.service.Count(topic), r.Code, len(ours),
				r.Stderr)
		}
		args := []string{"consume", "--bootstrap-server", k.servers, "--topic", topic, "--from-beginning",
			"--max-messages", fmt.Sprint(len(ours)),
			"--isolation-level", "read_committed"}
		for _, what := range []string{"timestamp", "partition", "offset", "headers", "key"} {
			args = append(args, "--formatter-property", "print."+what+"=true")
		}
		theirs := slices.Collect(strings.Lines(e2etest.KafkaTool(t, args...)))
		for i := range theirs {
			theirs[i] = strings.TrimSuffix(theirs[i], "\n")
		}
		slices.Sort(ours)
		slices.Sort(theirs)
		if diff := cmp.Diff(theirs, ours); diff != "" {
			t.Errorf("%s (-Kafka's consumer +culvert consume)\n%s", topic, diff[:min(len(diff), 2000)])
		}
	}
}

// The offsets topic is made as a Connect worker makes it, and its records look like a Connect worker's.
func (k *kafkaPeer) testOffsets(t *testing.T) {
	described := e2etest.KafkaTool(t, "topic", "--bootstrap-server", k.servers, "--describe", "--topic", "connect-offsets")
	for _, want := range []string{"PartitionCount: 25", "ReplicationFactor: 1", "cleanup.policy=compact"} {
		if !strings.Contains(described, want) {
			t.Errorf("expected %s in\n%s", want, described)
		}
	}
	n := k.end(t, "connect-offsets")
	found := map[string]bool{}
	for text := range strings.Lines(e2etest.KafkaTool(t, "consume", "--bootstrap-server", k.servers, "--topic",
		"connect-offsets", "--from-beginning",
		"--max-messages", fmt.Sprint(n), "--formatter-property", "print.key=true")) {
		key, value, _ := strings.Cut(strings.TrimSpace(text), "\t")
		var parts []any
		var offset map[string]any
		if err := json.Unmarshal([]byte(key), &parts); err != nil || len(parts) != 2 || parts[0] != "there" {
			t.Fatalf(`expected ["connector",{partition}], found %s`, key)
		}
		if err := json.Unmarshal([]byte(value), &offset); err != nil || len(offset) == 0 {
			t.Fatalf("expected an object of offsets, found %s", value)
		}
		found[fmt.Sprint(parts[1].(map[string]any)["entityset"])] = true
	}
	if got := slices.Sorted(maps.Keys(found)); !slices.Equal(got, []string{"Order_Details", "Orders", "Products"}) {
		t.Errorf("expected offsets of every set, found %v", got)
	}
}

// The sink's group has the name that Connect gives it, and stands at the end of every partition.
func (k *kafkaPeer) testGroup(t *testing.T) {
	if all := e2etest.KafkaTool(t, "group", "--bootstrap-server", k.servers, "--list"); !slices.Contains(strings.Fields(all),
		"connect-back") {
		t.Errorf("expected the group connect-back among\n%s", all)
	}
	described := e2etest.KafkaTool(t, "group", "--bootstrap-server", k.servers, "--describe", "--group", "connect-back")
	for _, topic := range []string{"Orders", "Order_Details"} {
		want := fmt.Sprintf(`(?m)^connect-back +%s +0 +(%d) +\S*(%d) +0 `, topic, k.service.Count(topic),
			k.service.Count(topic))
		if !regexp.MustCompile(want).MatchString(described) {
			t.Errorf("expected %s at its end without lag in\n%s", topic, described)
		}
	}
}

// Every batch in the broker's log carries a producer's id and sequence: a repeated request cannot double a record.
func (k *kafkaPeer) testProducer(t *testing.T) {
	for _, topic := range []string{"Orders", "Order_Details"} {
		dump := e2etest.KafkaTool(t, "dump-log", "--files", filepath.Join(k.dir, "data", topic+"-0",
			"00000000000000000000.log"))
		batches := regexp.MustCompile(
			`baseOffset: \d+ .*producerId: (-?\d+) .*isTransactional: (\w+)`).FindAllStringSubmatch(dump, -1)
		if len(batches) == 0 {
			t.Fatalf("no batch in\n%s", dump)
		}
		for _, b := range batches {
			if b[1] == "-1" || b[2] != "false" {
				t.Errorf("expected an idempotent producer's batch, found %s", b[0])
			}
		}
	}
}

// Records that Kafka's own producer wrote, in every compression, reach the service.
func (k *kafkaPeer) testCompressed(t *testing.T) {
	const topic = "compressed"
	var orders []said
	for text := range strings.Lines(k.Run("consume", "Orders", "--bootstrap-servers", k.servers).Stdout) {
		var l said
		e2etest.NoError(t, json.Unmarshal([]byte(text), &l))
		orders = append(orders, l)
	}
	codecs := []string{"none", "gzip", "snappy", "lz4", "zstd"}
	id := regexp.MustCompile(`"OrderID":\d+`)
	for i, codec := range codecs {
		var input strings.Builder
		for n := range 20 {
			value := id.ReplaceAllString(string(orders[n].Value), fmt.Sprintf(`"OrderID":%d`, 900_000+i*100+n))
			key := id.ReplaceAllString(string(orders[n].Key), fmt.Sprintf(`"OrderID":%d`, 900_000+i*100+n))
			fmt.Fprintf(&input, "%s\t%s\n", key, value)
		}
		e2etest.KafkaToolReading(t, input.String(), "produce", "--bootstrap-server", k.servers, "--topic", topic,
			"--compression-codec", codec,
			"--reader-property", "parse.key=true")
	}
	sink := k.File("compressed.properties", e2etest.SinkOf("compressed", k.address, topic, "OrderCopies")...)
	before := k.service.Count("OrderCopies")
	r := k.Run("run", "--once", "--plugins", e2etest.Plugins(t, "odata-sink"), "--data", k.Data, k.files[0], sink)
	if got := k.service.Count("OrderCopies") - before; r.Code != 0 || got != 20*len(codecs) {
		t.Errorf("expected exit 0 and %d entities, found %d and %d\n%s", 20*len(codecs), r.Code, got, r.Stderr)
	}
}

// A real Connect worker takes our offsets for its own: it shows them over REST, and when it resets them we load again.
func (k *kafkaPeer) testWorker(t *testing.T) {
	port, dir := e2etest.FreePort(t), t.TempDir()
	more := k.File("connect-worker.properties", "offset.storage.topic=connect-offsets")
	e2etest.StartPeer(t, "kafka/start-connect.sh", dir, []string{"WORKER_PROPS=" + more}, port, k.servers, dir)
	java := &e2etest.Followed{Place: k.Place, Command: k.Start("version"), Url: "http://127.0.0.1:" + port}
	java.Must(201, "POST", "/connectors", `{"name":"there","initial_state":"STOPPED","config":{`+
		`"connector.class":"FileStreamSource","topic":"unused","file":"/dev/null"}}`)
	var shown struct {
		Offsets []struct {
			Partition map[string]string
			Offset    map[string]any
		}
	}
	answer := java.Must(200, "GET", "/connectors/there/offsets", "")
	e2etest.NoError(t, json.Unmarshal([]byte(answer), &shown))
	var sets []string
	for _, o := range shown.Offsets {
		if o.Partition["service"] != strings.TrimSuffix(odatatest.NorthwindPath, "/") || len(o.Offset) == 0 {
			t.Errorf("expected a service and an offset, found %v in\n%s", o, answer)
		}
		sets = append(sets, o.Partition["entityset"])
	}
	slices.Sort(sets)
	if !slices.Equal(sets, []string{"Order_Details", "Orders", "Products"}) {
		t.Errorf("expected Connect to show offsets of every set, found %v", sets)
	}

	java.Must(200, "DELETE", "/connectors/there/offsets", "")
	before := k.end(t, "Products")
	r := k.Run("run", "--once", "--plugins", e2etest.Plugins(t), "--data", k.Data, k.files[0], k.files[1])
	if got := k.end(t, "Products") - before; r.Code != 0 || got != k.service.Count("Products") {
		t.Errorf("expected exit 0 and all %d rows again after the reset, found %d and %d\n%s",
			k.service.Count("Products"), r.Code, got, r.Stderr)
	}
}

// ordersTo is the file of a connector that reads orders into the topic of its name.
func (k *kafkaPeer) ordersTo(name, address string) string {
	lines := e2etest.Source(name, address, "Orders")
	for i, l := range lines {
		lines[i] = strings.Replace(l, "topic=Orders", "topic="+name, 1)
	}
	return k.File(name+".properties", lines...)
}

// keys are how many keys a topic has, and in how many records.
func (k *kafkaPeer) keys(t *testing.T, topic string) (keys, records int) {
	t.Helper()
	seen := map[string]bool{}
	for text := range strings.Lines(k.Run("consume", topic, "--bootstrap-servers", k.servers).Stdout) {
		var l said
		e2etest.NoError(t, json.Unmarshal([]byte(text), &l))
		seen[string(l.Key)] = true
		records++
	}
	return len(seen), records
}

// A broker that is killed under a running worker and comes back has every record, and has it once: that is what the
// idempotent producer is for.
func (k *kafkaPeer) testBrokerKilled(t *testing.T) {
	s, address := e2etest.Demo(t, odatatest.Options{Rows: 4000, PageSize: 50,
		Switches: odatatest.Switches{SlowFirstByte: 20 * time.Millisecond}})
	worker := k.File("survivor-worker.properties", "bootstrap.servers="+k.servers, "listeners=",
		"offset.flush.interval.ms=200")
	file := k.ordersTo("survivor", address)
	c := k.Start("run", "--plugins", e2etest.Plugins(t), "--data", k.Data, worker, file)
	c.Eventually("some pages", func() bool { return s.Ledger().Rows > 500 })
	text, err := os.ReadFile(filepath.Join(k.dir, "pids"))
	e2etest.NoError(t, err)
	broker, err := strconv.Atoi(strings.TrimSpace(string(text)))
	e2etest.NoError(t, err)
	e2etest.NoError(t, syscall.Kill(broker, syscall.SIGKILL))
	k.startBroker(t)
	c.Eventually("all pages", func() bool { return int(s.Ledger().Rows) >= s.Count("Orders") })
	c.Signal(syscall.SIGTERM)
	if r := c.Wait(); r.Code != 0 || strings.Contains(r.Stderr, "FAILED") {
		t.Errorf("expected a worker that goes on, found exit %d\n%s", r.Code, r.Stderr)
	}
	if r := k.Run("run", "--once", "--plugins", e2etest.Plugins(t), "--data", k.Data, worker, file); r.Code != 0 {
		t.Errorf("exit %d\n%s", r.Code, r.Stderr) // what the stop may have cut off
	}
	keys, records := k.keys(t, "survivor")
	if n := s.Count("Orders"); keys != n || records != n {
		t.Errorf("expected %d rows, each once, found %d in %d records", n, keys, records)
	}
}
