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
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/base/require"
	"github.com/culvert-project/culvert/internal/e2etest"
	"github.com/culvert-project/culvert/internal/odatatest"
)

// kafkaPeer is a real Apache Kafka broker, and the demo service whose rows connectors copy to it and back.
type kafkaPeer struct {
	*e2etest.Place
	servers string
	dir     string // the broker's
	// startBroker starts the broker, also after it was killed.
	startBroker func(t *testing.T)
	service     *odatatest.Service
	address     string
	files       []string // worker, source, sink
}

// TestRealKafka runs the main job against Apache Kafka, and checks the result with Kafka's own tools.
func TestRealKafka(t *testing.T) {
	t.Parallel()
	port := e2etest.FreePort(t)
	controller := e2etest.FreePort(t)
	k := &kafkaPeer{Place: e2etest.NewPlace(t), servers: "127.0.0.1:" + port, dir: t.TempDir()}
	// A killed broker counts as running for this time.
	more := k.File("broker.properties", "broker.session.timeout.ms=3000", "broker.heartbeat.interval.ms=500")
	k.startBroker = func(t *testing.T) {
		e2etest.StartPeer(t, "kafka/start-broker.sh", k.dir, []string{"CONTROLLER_PORT=" + controller,
			"BROKER_PROPS=" + more}, port, k.dir)
	}
	k.startBroker(t)
	k.service, k.address = e2etest.StartDemo(t, odatatest.Options{Rows: 400, PageSize: 150,
		Switches: odatatest.Switches{CSRF: true}})
	k.files = []string{
		k.File("worker.properties", "bootstrap.servers="+k.servers, "offset.flush.interval.ms=500",
			"key.converter=org.apache.kafka.connect.json.JsonConverter",
			"value.converter=org.apache.kafka.connect.json.JsonConverter"),
		k.File("there.properties", append(e2etest.Source("there", k.address, "Orders", "Order_Details", "Products"),
			"tasks.max=2")...),
		k.File("back.properties", append(e2etest.Sink("back", k.address, "Orders", "OrderCopies", "Order_Details",
			"Order_DetailCopies"), "tasks.max=2")...),
	}
	k.runOnce(t)
	for _, part := range []struct {
		name string
		test func(*testing.T)
	}{
		{name: "BothWays", test: k.testBothWays},
		{name: "Consumer", test: k.testConsumer},
		{name: "Copied", test: k.testCopied},
		{name: "Offsets", test: k.testOffsets},
		{name: "Group", test: k.testGroup},
		{name: "Producer", test: k.testProducer},
		{name: "Compressed", test: k.testCompressed},
		{name: "BrokerKilled", test: k.testBrokerKilled},
	} {
		t.Run(part.name, func(t *testing.T) {
			k.Place = e2etest.NewPlace(t)
			part.test(t)
		})
	}
}

// countTopic returns the sum of the end offsets of a topic's partitions.
func countTopic(t *testing.T, servers, topic string) (sum int) {
	t.Helper()
	for _, end := range e2etest.EndOffsets(t, servers, topic) {
		sum += int(end)
	}
	return sum
}

// runOnce runs all connectors until everything has arrived.
func (k *kafkaPeer) runOnce(t *testing.T) {
	t.Helper()
	k.MustRunOnceWith(e2etest.Plugins(t, "odata-sink"), k.files...)
}

// All rows are written back once and unchanged, and a second run repeats nothing.
func (k *kafkaPeer) testBothWays(t *testing.T) {
	for round := range 2 {
		for from, to := range map[string]string{"Orders": "OrderCopies", "Order_Details": "Order_DetailCopies"} {
			diff := cmp.Diff(e2etest.Entities(k.service, from), e2etest.Entities(k.service, to))
			assert.True(t, diff == "", "round %d: %s and %s differ\n%s", round, from, to, diff)
		}
		for _, topic := range []string{"Orders", "Order_Details", "Products"} {
			got := countTopic(t, k.servers, topic)
			assert.Equal(t, k.service.Count(topic), got, "round", round, "records in topic", topic)
		}
		if round == 0 {
			k.runOnce(t)
		}
	}
	e2etest.CheckNoneTwice(t, k.service.Ledger())
}

// consumedRecord is a record in the output of both consumers.
type consumedRecord struct {
	Topic     string
	Partition int
	Offset    int
	Timestamp int64
	Key       json.RawMessage
	Value     json.RawMessage
	Headers   []any
}

func (r consumedRecord) String() string {
	return fmt.Sprintf("CreateTime:%d\tPartition:%d\tOffset:%d\tNO_HEADERS\t%s\t%s", r.Timestamp, r.Partition, r.Offset,
		r.Key, r.Value)
}

// Kafka's console consumer and `culvert consume` print the same records, to the byte.
func (k *kafkaPeer) testConsumer(t *testing.T) {
	var culvertRecords []string
	for _, topic := range []string{"Orders", "Order_Details", "Products"} {
		count := len(culvertRecords)
		for line := range strings.Lines(k.MustRun("consume", topic, "--bootstrap-servers", k.servers).Stdout) {
			var r consumedRecord
			require.NoError(t, json.Unmarshal([]byte(line), &r))
			require.True(t, r.Topic == topic, "expected a record of %s, found %s", topic, line)
			culvertRecords = append(culvertRecords, r.String())
		}
		require.Equal(t, k.service.Count(topic), len(culvertRecords)-count, "records of", topic)
	}
	args := []string{"consume", "--bootstrap-server", k.servers, "--include", "Orders|Order_Details|Products",
		"--from-beginning", "--max-messages", fmt.Sprint(len(culvertRecords)), "--isolation-level", "read_committed"}
	for _, what := range []string{"timestamp", "partition", "offset", "headers", "key"} {
		args = append(args, "--formatter-property", "print."+what+"=true")
	}
	kafkaRecords := strings.Split(strings.TrimSuffix(e2etest.RunKafkaTool(t, args...), "\n"), "\n")
	slices.Sort(culvertRecords)
	slices.Sort(kafkaRecords)
	if diff := cmp.Diff(kafkaRecords, culvertRecords); diff != "" {
		t.Errorf("(-Kafka's consumer +culvert consume)\n%s", diff[:min(len(diff), 2000)])
	}
}

// A topic that is copied by `culvert consume` and `culvert produce` holds the same for Kafka's console consumer, and
// `culvert topics` counts its records.
func (k *kafkaPeer) testCopied(t *testing.T) {
	const topic = "copy-of-orders"
	k.Stdin = k.MustRun("consume", "Orders", "--bootstrap-servers", k.servers).Stdout
	n := k.service.Count("Orders")
	k.MustRun("produce", topic, "--create", "--json", "--bootstrap-servers", k.servers).
		WantStdout(fmt.Sprintf("%d records were sent to %s\n", n, topic))
	k.Stdin = ""
	k.MustRun("topics", "--json", "--bootstrap-servers", k.servers).
		WantStdout(fmt.Sprintf(`"topic":%q,"partitions":1,"records":%d}`, topic, n)).WantNo("__consumer_offsets")
	consume := func(topic string) string {
		return e2etest.RunKafkaTool(t, "consume", "--bootstrap-server", k.servers, "--topic", topic, "--from-beginning",
			"--max-messages", fmt.Sprint(n), "--formatter-property", "print.key=true", "--formatter-property",
			"print.timestamp=true")
	}
	if diff := cmp.Diff(consume("Orders"), consume(topic)); diff != "" {
		t.Errorf("(-Orders +its copy)\n%s", diff[:min(len(diff), 2000)])
	}
}

// The offsets topic is created like a Connect worker's, and its records look like a Connect worker's.
func (k *kafkaPeer) testOffsets(t *testing.T) {
	described := e2etest.RunKafkaTool(t, "topic", "--bootstrap-server", k.servers, "--describe", "--topic",
		"connect-offsets")
	assert.Contains(t, described, "PartitionCount: 25", "ReplicationFactor: 1", "cleanup.policy=compact")
	n := countTopic(t, k.servers, "connect-offsets")
	keys := map[string]bool{}
	for line := range strings.Lines(e2etest.RunKafkaTool(t, "consume", "--bootstrap-server", k.servers, "--topic",
		"connect-offsets", "--from-beginning", "--max-messages", fmt.Sprint(n), "--formatter-property",
		"print.key=true")) {
		key, value, _ := strings.Cut(strings.TrimSpace(line), "\t")
		var parts []any
		var offset map[string]any
		if err := json.Unmarshal([]byte(key), &parts); err != nil || len(parts) != 2 || parts[0] != "there" {
			t.Fatalf(`expected ["connector",{partition}], found %s`, key)
		}
		err := json.Unmarshal([]byte(value), &offset)
		require.True(t, err == nil && len(offset) != 0, "expected an object of offsets, found %s", value)
		keys[fmt.Sprint(parts[1].(map[string]any)["entityset"])] = true
	}
	if got := slices.Sorted(maps.Keys(keys)); !slices.Equal(got, []string{"Order_Details", "Orders", "Products"}) {
		t.Errorf("expected offsets of every set, found %v", got)
	}
}

// The sink's group has Connect's name for it, and has committed the end of every partition.
func (k *kafkaPeer) testGroup(t *testing.T) {
	described := e2etest.RunKafkaTool(t, "group", "--bootstrap-server", k.servers, "--describe", "--group",
		"connect-back")
	for _, topic := range []string{"Orders", "Order_Details"} {
		want := fmt.Sprintf(`(?m)^connect-back +%s +0 +(%d) +\S*(%d) +0 `, topic, k.service.Count(topic),
			k.service.Count(topic))
		assert.True(t, regexp.MustCompile(want).MatchString(described),
			"expected %s at its end without lag in\n%s", topic, described)
	}
}

// Every batch in the broker's log has a producer ID and sequence, so a repeated request cannot duplicate a record.
func (k *kafkaPeer) testProducer(t *testing.T) {
	logFile := func(topic string) string { return filepath.Join(k.dir, "data", topic+"-0", "00000000000000000000.log") }
	dump := e2etest.RunKafkaTool(t, "dump-log", "--files", logFile("Orders")+","+logFile("Order_Details"))
	batch := regexp.MustCompile(`baseOffset: \d+ .*producerId: (-?\d+) .*isTransactional: (\w+)`)
	batches := batch.FindAllStringSubmatch(dump, -1)
	require.True(t, len(batches) >= 2, "expected at least 2 batches in\n%s", dump)
	for _, b := range batches {
		if b[1] == "-1" || b[2] != "false" {
			t.Errorf("expected an idempotent producer's batch, found %s", b[0])
		}
	}
}

// Records reach the service in every compression of Kafka. The brokers compress them as the topic's settings specify.
func (k *kafkaPeer) testCompressed(t *testing.T) {
	orders := e2etest.ReadTopic(t, k.servers, "Orders", k.service.Count("Orders"))[:20]
	codecs := []string{"uncompressed", "gzip", "snappy", "lz4", "zstd"}
	id := regexp.MustCompile(`"OrderID":\d+`)
	client := e2etest.NewClient(t, k.servers, kgo.ProducerBatchCompression(kgo.NoCompression()))
	admin := kadm.NewClient(client)
	var topics []string
	for i, codec := range codecs {
		topic := "compressed-" + codec
		_, err := admin.CreateTopic(t.Context(), 1, 1, map[string]*string{"compression.type": &codec}, topic)
		require.NoError(t, err)
		var records []*kgo.Record
		for n, r := range orders {
			key := fmt.Appendf(nil, `"OrderID":%d`, 900_000+i*100+n)
			records = append(records, &kgo.Record{Topic: topic, Key: id.ReplaceAll(r.Key, key),
				Value: id.ReplaceAll(r.Value, key)})
		}
		require.NoError(t, client.ProduceSync(t.Context(), records...).FirstErr())
		topics = append(topics, topic, "OrderCopies")
	}
	count := k.service.Count("OrderCopies")
	sink := k.File("compressed.properties", e2etest.Sink("compressed", k.address, topics...)...)
	k.MustRunOnceWith(e2etest.Plugins(t, "odata-sink"), k.files[0], sink)
	assert.Equal(t, 20*len(codecs), k.service.Count("OrderCopies")-count, "entities")
}

// countKeys counts the keys and the records of a topic.
func (k *kafkaPeer) countKeys(t *testing.T, topic string) (keys, records int) {
	t.Helper()
	seen := map[string]bool{}
	for line := range strings.Lines(k.Run("consume", topic, "--bootstrap-servers", k.servers).Stdout) {
		var r consumedRecord
		require.NoError(t, json.Unmarshal([]byte(line), &r))
		seen[string(r.Key)] = true
		records++
	}
	return len(seen), records
}

// A broker that is killed and restarted under a running worker has every record once, because the producer is
// idempotent.
func (k *kafkaPeer) testBrokerKilled(t *testing.T) {
	s, address := e2etest.StartDemo(t, odatatest.Options{Rows: 4000, PageSize: 50,
		Switches: odatatest.Switches{SlowFirstByte: 20 * time.Millisecond}})
	worker := k.File("survivor-worker.properties", "bootstrap.servers="+k.servers, "listeners=",
		"offset.flush.interval.ms=200")
	file := k.File("survivor.properties", e2etest.WithSettings(e2etest.Source("survivor", address, "Orders"),
		"sap.odata#00.topic=survivor")...)
	c := k.Start("run", "--plugins", e2etest.Plugins(t), "--data", k.Data, worker, file)
	c.Eventually("some pages", func() bool { return s.Ledger().Rows > 500 })
	content, err := os.ReadFile(filepath.Join(k.dir, "pids"))
	require.NoError(t, err)
	broker, err := strconv.Atoi(strings.TrimSpace(string(content)))
	require.NoError(t, err)
	require.NoError(t, syscall.Kill(broker, syscall.SIGKILL))
	k.startBroker(t)
	c.Eventually("all pages", func() bool { return int(s.Ledger().Rows) >= s.Count("Orders") })
	c.Signal(syscall.SIGTERM)
	r := c.Wait()
	assert.True(t, r.Code == 0 && !strings.Contains(r.Stderr, ": failed: "),
		"expected a worker that continues, found exit %d\n%s", r.Code, r.Stderr)
	if keys, records := k.countKeys(t, "survivor"); keys != records {
		t.Errorf("expected each row once from a worker whose broker was killed, found %d in %d records", keys, records)
	}
	mayRepeat := strings.Contains(r.Stderr, "offsets could not be written: later rows will be repeated")
	k.MustRunOnce(worker, file) // delivers what the stop may have left out
	keys, records := k.countKeys(t, "survivor")
	if n := s.Count("Orders"); keys != n || (records != n && !mayRepeat) {
		t.Errorf("expected %d rows, each once, found %d in %d records", n, keys, records)
	}
}
