package offset

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/base/require"
	"github.com/culvert-project/culvert/internal/guard"
	"github.com/culvert-project/culvert/internal/kafka"
	"github.com/culvert-project/culvert/internal/kafka/embedded"
	"github.com/culvert-project/culvert/internal/kafka/kafkatest"
	"github.com/culvert-project/culvert/internal/run/runtest"
	"github.com/culvert-project/culvert/wit"
)

// testContext returns a context that ends after the test, at the latest after five minutes.
func testContext(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	t.Cleanup(cancel)
	return ctx
}

func openTestBroker(t *testing.T, dir string) (*embedded.Broker, kafka.Config) {
	t.Helper()
	b, err := embedded.Open(embedded.Options{Dir: dir, Listen: "127.0.0.1:0"})
	require.NoError(t, err)
	t.Cleanup(func() { b.Close() })
	c := kafka.Defaults()
	c.Bootstrap = []string{b.Addr()}
	return b, c
}

func openTestStore(t *testing.T, k kafka.Config, c Config) *Store {
	t.Helper()
	s, err := Open(testContext(t), k, c, nil, nil)
	require.NoError(t, err)
	t.Cleanup(s.Close)
	return s
}

// writeRaw writes records to the topic; "" is a tombstone.
func writeRaw(t *testing.T, k kafka.Config, topic string, keysAndValues ...string) {
	t.Helper()
	client, err := kgo.NewClient(k.ProducerOpts(kgo.AllowAutoTopicCreation())...)
	require.NoError(t, err)
	defer client.Close()
	var records []*kgo.Record
	for i := 0; i < len(keysAndValues); i += 2 {
		r := &kgo.Record{Topic: topic, Partition: -1, Key: []byte(keysAndValues[i])}
		if v := keysAndValues[i+1]; v != "" {
			r.Value = []byte(v)
		}
		records = append(records, r)
	}
	require.NoError(t, client.ProduceSync(testContext(t), records...).FirstErr())
}

// readRaw returns the records of a topic as "KEY VALUE", with - for a tombstone.
func readRaw(t *testing.T, k kafka.Config, topic string) (lines []string) {
	t.Helper()
	r, err := kafka.NewReader(k)
	require.NoError(t, err)
	defer r.Close()
	_, err = r.Read(testContext(t), topic, kafka.ReadOptions{}, func(r *kgo.Record) error {
		value := "-"
		if r.Value != nil {
			value = string(r.Value)
		}
		lines = append(lines, string(r.Key)+" "+value)
		return nil
	})
	require.NoError(t, err)
	return lines
}

func partition(service, set string) []wit.OffsetEntry {
	return []wit.OffsetEntry{wit.StringEntry("service", service), wit.StringEntry("entityset", set)}
}

// position returns an offset with a number.
func position(n int64) []wit.OffsetEntry { return []wit.OffsetEntry{wit.IntegerEntry("record", n)} }

// newWriter returns a writer for the connector orders, with its own broker.
func newWriter(t *testing.T, interval time.Duration, onWrite func(time.Time, error)) (*Writer, kafka.Config) {
	t.Helper()
	_, k := openTestBroker(t, t.TempDir())
	c := DefaultConfig()
	c.FlushInterval = interval
	return openTestStore(t, k, c).NewWriter("orders", onWrite), k
}

// expectOffset checks a stored offset as JSON: "none", or an error's text, if there is none.
func expectOffset(t *testing.T, s *Store, connector string, partition []wit.OffsetEntry, want string) {
	t.Helper()
	offset, ok, err := s.Get(testContext(t), connector, partition)
	got := "none"
	if ok {
		got = string(AppendJSON(nil, offset))
	}
	if err != nil {
		got = err.Error()
	}
	assert.Equal(t, want, got, connector, AppendJSON(nil, partition))
}

// Offsets are read back, also after a restart.
func TestStoreOverRestart(t *testing.T) {
	dir := t.TempDir()
	b, k := openTestBroker(t, dir)
	s := openTestStore(t, k, DefaultConfig())
	ctx := testContext(t)
	odd := []wit.OffsetEntry{wit.StringEntry("url", "/x?$skiptoken='ä😀\x01'"), wit.IntegerEntry("record", 1<<62),
		realField("ratio", 1e-9), wit.NullEntry("next")}
	require.NoError(t, s.Set(ctx, "orders", Entry{Partition: partition("/a", "B"), Offset: odd},
		Entry{Partition: partition("/a", "C"), Offset: []wit.OffsetEntry{}}))
	require.NoError(t, s.Set(ctx, "other", Entry{Partition: partition("/a", "B"), Offset: position(7)}))
	check := func(s *Store) {
		t.Helper()
		expectOffset(t, s, "orders", partition("/a", "B"),
			`{"url":"/x?$skiptoken='ä\uD83D\uDE00\u0001'","record":4611686018427387904,"ratio":1.0E-9,"next":null}`)
		expectOffset(t, s, "orders", partition("/a", "C"), `{}`)
		expectOffset(t, s, "other", partition("/a", "B"), `{"record":7}`)
		expectOffset(t, s, "orders", partition("/a", "D"), "none")
		expectOffset(t, s, "ord", partition("/a", "B"), "none")
	}
	check(s)
	s.Close()
	b.Close()
	_, k = openTestBroker(t, dir)
	s = openTestStore(t, k, DefaultConfig())
	check(s)

	// A tombstone deletes, also after a restart.
	require.NoError(t, s.Set(ctx, "orders", Entry{Partition: partition("/a", "B")}))
	expectOffset(t, s, "orders", partition("/a", "B"), "none")
	entries, err := openTestStore(t, k, DefaultConfig()).All(testContext(t), "orders")
	assert.True(t, err == nil && len(entries) == 1 && Identity(entries[0].Partition) == Identity(partition("/a", "C")),
		"expected the partition of C only, found %v, %v", entries, err)
}

// Offsets of a Java worker are read in any field order and continue under the same keys.
func TestStoreReadsOffsetsOfJava(t *testing.T) {
	_, k := openTestBroker(t, t.TempDir())
	c := DefaultConfig()
	writeRaw(t, k, c.Topic,
		`["orders",{"entityset":"B","service":"/a"}]`, `{"record":1,"url":"old"}`,
		`["orders",{"entityset":"B","service":"/a"}]`, `{"record":2,"url":"new"}`,
		`["orders",{"entityset":"gone","service":"/a"}]`, `{"record":1}`,
		`["orders",{"entityset":"gone","service":"/a"}]`, ``,
		`["orders",{"entityset":"null","service":"/a"}]`, `null`,
		`["mirror",{"cluster":"s","partition":0,"topic":"t"}]`, `{"offset":5}`,
		`not json`, `{"a":1}`,
		`["nested",{"a":{"b":1}}]`, `{"a":1}`,
	)
	s := openTestStore(t, k, c)
	expectOffset(t, s, "orders", partition("/a", "B"), `{"record":2,"url":"new"}`)
	expectOffset(t, s, "orders", partition("/a", "gone"), "none")
	expectOffset(t, s, "orders", partition("/a", "null"), "none")
	expectOffset(t, s, "mirror", []wit.OffsetEntry{wit.StringEntry("topic", "t"), realField("partition", 0),
		wit.StringEntry("cluster", "s")}, `{"offset":5}`)

	newer := []wit.OffsetEntry{wit.StringEntry("url", "newer")}
	require.NoError(t, s.Set(testContext(t), "orders", Entry{Partition: partition("/a", "B"), Offset: newer}))
	require.NoError(t, s.Set(testContext(t), "orders", Entry{Partition: partition("/a", "new"), Offset: position(3)}))
	lines := readRaw(t, k, c.Topic)
	assert.Equal(t, []string{
		`["orders",{"entityset":"B","service":"/a"}] {"url":"newer"}`,
		`["orders",{"entityset":"new","service":"/a"}] {"record":3}`,
	}, lines[len(lines)-2:], "written")
}

// For connectors that were not named when it was opened, the store reads the topic on request.
func TestStoreReadsConnectorOnRequest(t *testing.T) {
	_, k := openTestBroker(t, t.TempDir())
	writeRaw(t, k, "connect-offsets",
		`["a",{"s":1}]`, `{"seen":1}`, `["b",{"s":1}]`, `{"seen":2}`, `["a",{"s":1}]`, `{"seen":3}`,
		`["aa",{"s":1}]`, `{"seen":4}`, ` [ "b" , {"s":2} ] `, `{"seen":5}`, `["\u0062",{"s":3}]`, `{"seen":6}`,
		`["größe \" \\",{"s":1}]`, `{"seen":7}`, `["b`, `{}`, `["b",7]`, `{}`)
	s, err := Open(testContext(t), k, DefaultConfig(), []string{"a"}, nil)
	require.NoError(t, err)
	defer s.Close()
	partition := func(n int64) []wit.OffsetEntry { return []wit.OffsetEntry{wit.IntegerEntry("s", n)} }
	expectOffset(t, s, "a", partition(1), `{"seen":3}`)
	assert.Equal(t, 1, len(s.entries), "the entry of the connector that was named")
	expectOffset(t, s, "b", partition(1), `{"seen":2}`)
	expectOffset(t, s, "b", partition(2), `{"seen":5}`)
	expectOffset(t, s, "b", partition(3), `{"seen":6}`)
	expectOffset(t, s, `größe " \`, partition(1), `{"seen":7}`)
	expectOffset(t, s, "c", partition(1), "none")
	assert.Equal(t, 5, len(s.entries), "the entries of the requested connectors")
	writeRaw(t, k, "connect-offsets", `["a",{"s":1}]`, `{"seen":8}`, `["b",{"s":1}]`, "", `["c",{"s":1}]`, `{"seen":9}`)
	require.NoError(t, s.Refresh(testContext(t)))
	expectOffset(t, s, "a", partition(1), `{"seen":8}`)
	expectOffset(t, s, "b", partition(1), "none")
	expectOffset(t, s, "c", partition(1), `{"seen":9}`)
}

func TestStoreReportsUnreadableOffsets(t *testing.T) {
	_, k := openTestBroker(t, t.TempDir())
	c := DefaultConfig()
	writeRaw(t, k, c.Topic,
		`["orders",{"service":"/a","entityset":"B"}]`, `{"list":[1]}`,
		`["orders",{"service":"/a","entityset":"C"}]`, `{"record":1}`)
	s := openTestStore(t, k, c)
	_, ok, err := s.Get(testContext(t), "orders", partition("/a", "B"))
	runtest.Fails(t, err, "orders", `"list"`)
	assert.True(t, !ok, "expected no offset, found the unreadable one")
	entries, err := s.All(testContext(t), "orders")
	assert.True(t, len(entries) == 1 && err != nil, "expected one offset and an error, found %v, %v", entries, err)
	// A write replaces the unreadable offset.
	require.NoError(t, s.Set(testContext(t), "orders", Entry{Partition: partition("/a", "B"), Offset: position(2)}))
	expectOffset(t, s, "orders", partition("/a", "B"), `{"record":2}`)
}

// Foreign records are logged a few times and counted, and do not affect other entries. An unreadable offset of the
// connector is an error with instructions.
func TestStoreSkipsForeignRecords(t *testing.T) {
	_, k := openTestBroker(t, t.TempDir())
	longText := strings.Repeat("x", 700_000)
	raw := []string{
		`["orders",{"set":"A"}]`, `{"record":1}`, // the last one counts
		`{"order":1}`, `{}`, `["orders",{"set":"` + longText, `{}`, `["orders"]`, `{}`, `["orders",{"set":[1]}]`, `{}`,
		`["orders",{"set":"` + longText + `"}]`, `{"record":`,
		`["orders",{"set":"null"}]`, `null`, `["orders",{"set":"gone"}]`, `{"record":3}`, `["orders",{"set":"gone"}]`,
		"",
	}
	for n := range 500 {
		raw = append(raw, fmt.Sprint("order ", n), longText[:100])
	}
	writeRaw(t, k, DefaultConfig().Topic, append(raw, "", "no key", `["orders",{"set":"A"}]`, `{"record":2}`)...)
	var log bytes.Buffer
	s, err := Open(testContext(t), k, DefaultConfig(), []string{"orders"}, slog.New(slog.NewTextHandler(&log, nil)))
	require.NoError(t, err)
	defer s.Close()
	partition := func(set string) []wit.OffsetEntry { return []wit.OffsetEntry{wit.StringEntry("set", set)} }
	expectOffset(t, s, "orders", partition("A"), `{"record":2}`)
	expectOffset(t, s, "orders", partition("null"), "none")
	expectOffset(t, s, "orders", partition("gone"), "none")
	_, _, err = s.Get(testContext(t), "orders", partition(longText))
	runtest.Fails(t, err, "offset.storage.topic", "`culvert offsets reset`")
	assert.True(t, len(err.Error()) <= 1000, "expected a short error, found %.2000v", err)
	lines := strings.Count(log.String(), "\n")
	assert.True(t, lines == loggedSkips+1 && log.Len() <= 10_000 && strings.Contains(log.String(), "records=495"),
		"expected %d lines that are counted further, found %d of %d bytes:\n%.3000s", loggedSkips, lines, log.Len(),
		log.String())
}

// A refresh reads what other stores wrote.
func TestRefreshSeesOtherWriters(t *testing.T) {
	_, k := openTestBroker(t, t.TempDir())
	first := openTestStore(t, k, DefaultConfig())
	second := openTestStore(t, k, DefaultConfig())
	ctx := testContext(t)
	for n := range 3 {
		writer := first
		reader := second
		if n%2 == 1 {
			writer = second
			reader = first
		}
		entry := Entry{Partition: partition("/a", "B"), Offset: position(int64(n))}
		require.NoError(t, writer.Set(ctx, "orders", entry))
		require.NoError(t, reader.Refresh(ctx))
		expectOffset(t, reader, "orders", partition("/a", "B"), fmt.Sprintf(`{"record":%d}`, n))
	}
}

// A topic that was deleted and created again while the worker ran is detected.
func TestRefreshDetectsRecreatedTopic(t *testing.T) {
	_, k := openTestBroker(t, t.TempDir())
	store := openTestStore(t, k, DefaultConfig())
	ctx := testContext(t)
	entry := func(n int64) Entry { return Entry{Partition: partition("/a", "B"), Offset: position(n)} }
	for n := range int64(3) {
		require.NoError(t, store.Set(ctx, "orders", entry(n)))
	}
	require.NoError(t, store.Refresh(ctx))
	client, err := kgo.NewClient(k.AdminOpts()...)
	require.NoError(t, err)
	defer client.Close()
	_, err = kadm.NewClient(client).DeleteTopic(ctx, DefaultConfig().Topic)
	require.NoError(t, err)
	other := openTestStore(t, k, DefaultConfig())
	require.NoError(t, other.Set(ctx, "orders", entry(7)))
	runtest.Fails(t, store.Refresh(ctx), "partition 0 ends at offset 1, but was read up to 3",
		"restart the worker to continue from there")
}

// A writer writes the newest offset of each partition, and nothing without new offsets.
func TestWriterKeepsTheNewest(t *testing.T) {
	writes := 0
	w, k := newWriter(t, time.Hour, func(_ time.Time, err error) {
		writes++
		assert.NoError(t, err)
	})
	for n := range 100 {
		w.Acknowledged(partition("/a", fmt.Sprint(n%2)), position(int64(n)))
	}
	assert.Len(t, 0, readRaw(t, k, DefaultConfig().Topic), "before the interval: written offsets")
	require.NoError(t, w.Flush(testContext(t)))
	require.NoError(t, w.Flush(testContext(t))) // nothing new to write
	w.Acknowledged(partition("/a", "0"), position(100))
	require.NoError(t, w.Close(testContext(t)))
	assert.Equal(t, 2, writes, "writes")
	want := []string{
		`["orders",{"entityset":"0","service":"/a"}] {"record":98}`,
		`["orders",{"entityset":"1","service":"/a"}] {"record":99}`,
		`["orders",{"entityset":"0","service":"/a"}] {"record":100}`,
	}
	got := readRaw(t, k, DefaultConfig().Topic)
	slices.Sort(got[:min(2, len(got))]) // they are in two partitions, so their order varies
	assert.Equal(t, want, got)
}

func TestWriterFlushesAtInterval(t *testing.T) {
	w, k := newWriter(t, 10*time.Millisecond, nil)
	defer w.Close(testContext(t))
	w.Acknowledged(partition("/a", "B"), position(1))
	r, err := kafka.NewReader(k)
	require.NoError(t, err)
	defer r.Close()
	isWritten := false
	if _, err := r.Read(testContext(t), DefaultConfig().Topic, kafka.ReadOptions{Follow: true},
		func(*kgo.Record) error {
			isWritten = true
			return kafka.ErrStop
		}); err != nil || !isWritten {
		t.Errorf("expected a written offset, found none: %t, %v", !isWritten, err)
	}
}

// Offsets whose write failed are written with the next write, unless there are newer ones.
func TestWriterRetriesFailedWrite(t *testing.T) {
	w, k := newWriter(t, time.Hour, nil)
	w.Acknowledged(partition("/a", "B"), position(1))
	w.Acknowledged(partition("/a", "C"), position(1))
	canceled, cancel := context.WithCancel(testContext(t))
	cancel()
	require.ErrorIs(t, w.Flush(canceled), context.Canceled, "a flush with a canceled context: its error")
	w.Acknowledged(partition("/a", "B"), position(2))
	require.NoError(t, w.Close(testContext(t)))
	s := openTestStore(t, k, DefaultConfig())
	expectOffset(t, s, "orders", partition("/a", "B"), `{"record":2}`)
	expectOffset(t, s, "orders", partition("/a", "C"), `{"record":1}`)
}

func TestParseConfig(t *testing.T) {
	got, problems := ParseConfig(map[string]string{
		"offset.storage.topic":              " my-offsets ",
		"offset.storage.partitions":         "5",
		"offset.storage.replication.factor": "-1",
		"offset.flush.interval.ms":          "10000",
		"offset.flush.timeout.ms":           "100",
		"offset.storage.max.message.bytes":  "1000",
		"offset.storage.cleanup.policy":     "delete",
		"offset.storage.file.filename":      "/tmp/x",
		"group.id":                          "g",
	})
	want := Config{
		Topic:         "my-offsets",
		Partitions:    5,
		Replication:   -1,
		TopicConfigs:  map[string]string{"max.message.bytes": "1000"},
		FlushInterval: 10 * time.Second,
		FlushTimeout:  100 * time.Millisecond,
	}
	if diff := cmp.Diff(want, got); diff != "" || problems.Err() != nil {
		t.Errorf("expected no problems, found %v (-want +got):\n%s", problems, diff)
	}
	// Kafka accepts any LONG for "never".
	got, problems = ParseConfig(map[string]string{"offset.flush.interval.ms": "9223372036854775807",
		"offset.flush.timeout.ms": "2147483648"})
	if problems.Err() != nil || got.FlushInterval < 50*365*24*time.Hour || got.FlushTimeout != 1<<31*time.Millisecond {
		t.Errorf("expected valid, long durations, found %v, %v and %v", got.FlushInterval, got.FlushTimeout, problems)
	}
	for name, value := range map[string]string{
		"offset.storage.topic":              "",
		"offset.storage.partitions":         "0",
		"offset.storage.replication.factor": "40000",
		"offset.flush.interval.ms":          "soon",
		"offset.flush.timeout.ms":           "-5",
	} {
		_, problems := ParseConfig(map[string]string{name: value, "offset.storage.min.insync.replicas": "2"})
		assert.True(t, len(problems) == 1 && strings.HasPrefix(problems[0].Error(), name+":"),
			"%s=%s: expected one problem of it, found %v", name, value, problems)
	}
}

// The leader of a new topic may not know the topic yet.
func TestOpenRetriesUnknownTopic(t *testing.T) {
	k := kafka.Defaults()
	k.Bootstrap = kafkatest.ClusterWithLateTopics(t, 10).ListenAddrs()
	openTestStore(t, k, Config{Topic: "connect-offsets", Partitions: 1, Replication: 1})
}

// A flush waits for another write only until its context ends.
func TestFlushEndsWithContext(t *testing.T) {
	w := &Writer{flushMutex: guard.NewCtxMutex()}
	require.NoError(t, w.flushMutex.Lock(t.Context()))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	assert.ErrorIs(t, w.Flush(ctx), context.Canceled, "the context's error")
}

// A read waits for another read only until its context ends.
func TestReadEndsWithContext(t *testing.T) {
	s := &Store{readMutex: guard.NewCtxMutex(), loaded: map[string]bool{}}
	require.NoError(t, s.readMutex.Lock(t.Context()))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for name, err := range map[string]error{"Refresh": s.Refresh(ctx), "Load": s.Load(ctx, "another")} {
		assert.ErrorIs(t, err, context.Canceled, name, "the context's error")
	}
}

// A connector with its own topic continues from the worker's offsets, and writes and deletes in both.
func TestConnectorOffsetTopic(t *testing.T) {
	ctx := testContext(t)
	_, k := openTestBroker(t, t.TempDir())
	worker := openTestStore(t, k, DefaultConfig())
	orders := partition("s", "Orders")
	items := partition("s", "Items")
	position := func(n int64) []wit.OffsetEntry { return []wit.OffsetEntry{wit.IntegerEntry("seen", n)} }
	require.NoError(t, worker.Set(ctx, "c", Entry{Partition: orders, Offset: position(1)},
		Entry{Partition: items, Offset: position(2)}))
	config := DefaultConfig()
	config.Topic = "own"
	store, err := OpenForConnector(ctx, k, config, "c", worker, nil)
	require.NoError(t, err)
	t.Cleanup(store.Close)
	expectOffset(t, store, "c", orders, `{"seen":1}`)
	require.NoError(t, store.Set(ctx, "c", Entry{Partition: orders, Offset: position(3)}))
	expectOffset(t, store, "c", orders, `{"seen":3}`)
	expectOffset(t, store, "c", items, `{"seen":2}`)
	expectOffset(t, worker, "c", orders, `{"seen":3}`)
	entries, err := store.All(ctx, "c")
	assert.True(t, err == nil && len(entries) == 2, "expected both partitions once, found %v, %v", entries, err)
	// Offsets of transactions are copied to the worker's topic, too.
	transactional := store.NewTransactional("c")
	o := kafka.Offset{Partition: orders, Position: position(4)}
	r := transactional.Record(o)
	assert.Equal(t, "own", r.Topic)
	assert.Equal(t, `{"seen":4}`, string(r.Value))
	transactional.Committed(o, r)
	transactional.Close(ctx)
	expectOffset(t, worker, "c", orders, `{"seen":4}`)
	require.NoError(t, store.Set(ctx, "c", Entry{Partition: orders}))
	for _, s := range []*Store{store, worker} {
		_, ok, err := s.Get(ctx, "c", orders)
		assert.True(t, !ok && err == nil, "expected no more offsets, found %v, %v", ok, err)
	}
}

// An end of a load is written at once, the next one a second later at the earliest, and other offsets at the interval.
func TestWriterFlushesSoonAtMostOnceASecond(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		w := &Writer{store: &Store{config: DefaultConfig()}, requested: guard.NewBell()}
		begin := time.Now()
		var writes []time.Duration
		done := make(chan struct{})
		go func() {
			defer close(done)
			for last := (time.Time{}); w.awaitFlush(ctx, last) == nil; {
				last = time.Now()
				writes = append(writes, last.Sub(begin))
			}
		}()
		time.Sleep(400 * time.Millisecond)
		for range 20 {
			w.FlushSoon()
			time.Sleep(100 * time.Millisecond)
		}
		time.Sleep(90 * time.Second)
		w.FlushSoon()
		synctest.Wait()
		cancel()
		<-done
		seconds := func(s float64) time.Duration { return time.Duration(s * float64(time.Second)) }
		assert.Equal(t, []time.Duration{seconds(0.4), seconds(1.4), seconds(2.4), seconds(62.4),
			seconds(92.4)}, writes, "writes")
	})
}
