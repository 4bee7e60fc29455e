package kafka

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/base/require"
	"github.com/culvert-project/culvert/internal/kafka/kafkatest"
	"github.com/culvert-project/culvert/internal/porttest"
)

func openTestProducer(t *testing.T, c Config) *Producer {
	t.Helper()
	p, err := NewProducer(c, "connector-producer-test-0")
	require.NoError(t, err)
	t.Cleanup(func() {
		ctx, cancel := context.WithCancel(context.Background())
		cancel() // tests flush explicitly
		p.Close(ctx)
	})
	return p
}

// reports collects the results of done functions in order.
type reports struct {
	mu    sync.Mutex
	lines []string
}

// done returns a done function that adds the line `NAME ACKNOWLEDGED FAILED`.
func (r *reports) done(name string) func(int, error) {
	return func(n int, err error) {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.lines = append(r.lines, fmt.Sprintf("%s %d %v", name, n, err != nil))
	}
}

func TestProduceReportsInOrder(t *testing.T) {
	b := openTestBroker(t, t.TempDir())
	ctx := kafkatest.Context(t)
	makeTopics(t, b.Addr(), Topic{Name: "wide", Partitions: 3})
	p := openTestProducer(t, testConfig(b.Addr()))
	var got reports
	var want []string
	sent := 0
	for i := range 40 {
		batch := p.NewBatch()
		n := i * 37 % 1100 // some empty, some over several slabs
		for range n {
			r := batch.Add()
			r.Topic = "wide"
			r.Key = fmt.Append(nil, sent)
			r.Value = fmt.Append(nil, "value ", sent)
			if sent%2 == 0 {
				r.Partition = int32(sent % 3)
			}
			if sent%5 == 0 {
				r.Headers = batch.Headers(2)
				r.Headers[0] = kgo.RecordHeader{Key: "n", Value: fmt.Append(nil, sent)}
				r.Headers[1] = kgo.RecordHeader{Key: "twice"}
			}
			sent++
		}
		require.True(t, batch.Len() == n, "expected a batch of %d records, found %d", n, batch.Len())
		want = append(want, fmt.Sprintf("%d %d false", i, n))
		p.Produce(ctx, batch, got.done(fmt.Sprint(i)))
	}
	require.NoError(t, p.Flush(ctx))
	assert.Equal(t, want, got.lines, "reports")

	seen := map[string]bool{}
	_, err := openTestReader(t, b.Addr()).Read(ctx, "wide", ReadOptions{}, func(r *kgo.Record) error {
		var n int
		_, err := fmt.Sscan(string(r.Key), &n)
		assert.True(t, err == nil && string(r.Value) == fmt.Sprint("value ", n) && !seen[string(r.Key)],
			"record %q: expected its number as the value, once, found %q (duplicate: %v)", r.Key, r.Value,
			seen[string(r.Key)])
		seen[string(r.Key)] = true
		assert.True(t, n%2 != 0 || r.Partition == int32(n%3), "record %d: expected partition %d, found %d", n, n%3,
			r.Partition)
		assert.True(t, (n%5 == 0) == (len(r.Headers) == 2) &&
			(n%5 != 0 || (string(r.Headers[0].Value) == string(r.Key) && r.Headers[1].Key == "twice")),
			"record %d: expected two headers only in every fifth record, found %v", n, r.Headers)
		return nil
	})
	assert.True(t, err == nil && len(seen) == sent, "expected %d records, found %d, %v", sent, len(seen), err)
}

// Keys are partitioned as by Kafka's own producer: murmur2, with the values that its tests state for these keys.
func TestProducePartitionsAsKafkaDoes(t *testing.T) {
	const partitions = 1000
	p := newPartitioner().ForTopic("any")
	for key, hash := range map[string]int32{
		"21":                         -973932308,
		"foobar":                     -790332482,
		"a-little-bit-long-string":   -985981536,
		"a-little-bit-longer-string": -1486304829,
		"lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8": -58897971,
		"abc": 479470107,
	} {
		r := &kgo.Record{Key: []byte(key), Partition: -1}
		assert.Equal(t, int(hash&0x7fffffff)%partitions, p.Partition(r, partitions), "partition of", key)
		r.Partition = 7
		if got := p.Partition(r, partitions); got != 7 || !p.RequiresConsistency(r) {
			t.Errorf("%q: expected partition 7 as set in the record, found %d", key, got)
		}
	}
}

// After a failed record nothing is reported as acknowledged: an offset after it would lose it.
func TestNothingIsAcknowledgedAfterAFailure(t *testing.T) {
	b := openTestBroker(t, t.TempDir())
	ctx := kafkatest.Context(t)
	makeTopics(t, b.Addr(), Topic{Name: "orders"})
	config := testConfig(b.Addr())
	config.Producer.MaxRequestBytes = 10_000
	p := openTestProducer(t, config)
	var got reports
	send := func(name string, values ...[]byte) { produce(ctx, p, "orders", got.done(name), values...) }
	send("good", []byte("1"), []byte("22"), []byte("333"))
	require.NoError(t, p.Flush(ctx))
	send("bad", make([]byte, 50_000))
	send("after", []byte("4"))
	err := p.Flush(ctx)
	assert.True(t, errors.Is(err, kerr.MessageTooLarge) && strings.Contains(err.Error(), "orders"),
		"flush: expected MESSAGE_TOO_LARGE that names the topic, got %v", err)
	send("later", []byte("5"))
	assert.True(t, p.Flush(ctx) != nil && p.Err() != nil, "expected the failure to be reported again")
	assert.True(t, len(got.lines) == 4 && got.lines[0] == "good 3 false" && got.lines[1] == "bad 0 true" &&
		strings.HasSuffix(got.lines[2], "true") && got.lines[3] == "later 0 true",
		"expected all batches but the first to fail, found %v", got.lines)
}

// A caller whose context ends still waits for records in flight. They are not withdrawn.
func TestProduceOutlivesItsContext(t *testing.T) {
	b := openTestBroker(t, t.TempDir())
	makeTopics(t, b.Addr(), Topic{Name: "orders"})
	p, err := NewProducer(testConfig(b.Addr()), "")
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(kafkatest.Context(t))
	var got reports
	produce(ctx, p, "orders", got.done("one"), nil)
	cancel()
	require.NoError(t, p.Close(kafkatest.Context(t)))
	assert.Equal(t, []string{"one 1 false"}, got.lines, "reports")
}

// Producing waits for acknowledgements when the buffer is full, until the context ends.
func TestProduceWaitsWhileBufferIsFull(t *testing.T) {
	b := openTestBroker(t, t.TempDir())
	makeTopics(t, b.Addr(), Topic{Name: "orders"})
	config := testConfig(b.Addr())
	config.Producer.BufferBytes = 10_000
	p := openTestProducer(t, config)
	release := make(chan struct{})
	held := make(chan struct{})
	b.Cluster.ControlKey(int16(kmsg.Produce), func(kmsg.Request) (kmsg.Response, error, bool) {
		close(held)
		<-release
		return nil, nil, false
	})
	var got reports
	// A record larger than the buffer is sent alone.
	produce(kafkatest.Context(t), p, "orders", got.done("first"), make([]byte, 20_000))
	<-held
	ctx, cancel := shortContext(t)
	defer cancel()
	produce(ctx, p, "orders", got.done("no room"), make([]byte, 10))
	assert.True(t, ctx.Err() != nil, "expected producing to wait")
	close(release)
	err := p.Flush(kafkatest.Context(t))
	assert.ErrorIs(t, err, context.DeadlineExceeded, "Flush to return the error of the batch without room")
	assert.Equal(t, []string{"first 1 false", "no room 0 true"}, got.lines, "reports")
	assert.Equal(t, 1, len(kafkatest.Values(t, b.Addr(), "orders")), "stored record")
}

func TestProduceToUnknownTopicFails(t *testing.T) {
	t.Parallel()
	b := openTestBroker(t, t.TempDir())
	p := openTestProducer(t, testConfig(b.Addr()))
	produce(kafkatest.Context(t), p, "nope", nil, nil)
	err := p.Flush(kafkatest.Context(t))
	assert.True(t, errors.Is(err, kerr.UnknownTopicOrPartition), "expected UNKNOWN_TOPIC_OR_PARTITION, got %v", err)
}

// Records that do not arrive in time make Close fail instead of hang.
func TestCloseFailsAfterTimeout(t *testing.T) {
	t.Parallel()
	b := openTestBroker(t, t.TempDir())
	makeTopics(t, b.Addr(), Topic{Name: "orders"})
	p, err := NewProducer(testConfig(b.Addr()), "")
	require.NoError(t, err)
	produce(kafkatest.Context(t), p, "orders", nil, nil)
	require.NoError(t, p.Flush(kafkatest.Context(t)))
	b.Close()
	result := deliver(kafkatest.Context(t), p, "orders", "cold")
	ctx, cancel := shortContext(t)
	defer cancel()
	assert.ErrorIs(t, p.Close(ctx), context.DeadlineExceeded, "Close to end with its context")
	assert.True(t, <-result != nil, "expected no acknowledgement of a record that no broker received")
}

// A producer continues when its broker is killed and started again: no acknowledged record is missing.
func TestProduceOutlivesItsBroker(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	ctx := kafkatest.Context(t)
	addr, kill := kafkatest.Process(t, dir, porttest.Address(t))
	makeTopics(t, addr, Topic{Name: "orders"})
	p := openTestProducer(t, testConfig(addr))
	var mu sync.Mutex
	acknowledged := 0
	const batches, records = 60, 50
	for i := range batches {
		if i%20 == 10 {
			kill()
			_, kill = kafkatest.Process(t, dir, addr)
		}
		b := p.NewBatch()
		for j := range records {
			r := b.Add()
			r.Topic = "orders"
			r.Value = fmt.Append(nil, i*records+j)
		}
		p.Produce(ctx, b, func(n int, err error) {
			mu.Lock()
			defer mu.Unlock()
			acknowledged += n
		})
	}
	if err := p.Flush(ctx); err != nil || acknowledged != batches*records {
		t.Errorf("expected %d acknowledged records, found %d, %v", batches*records, acknowledged, err)
	}
	seen := map[string]bool{}
	for _, v := range kafkatest.Values(t, addr, "orders") {
		seen[v] = true
	}
	assert.Equal(t, batches*records, len(seen), "different records")
}

// A record costs none of our allocations: the remaining ones are the client's own, per batch and request.
func TestProduceAllocations(t *testing.T) {
	b := openTestBroker(t, t.TempDir())
	ctx := kafkatest.Context(t)
	makeTopics(t, b.Addr(), Topic{Name: "orders"})
	p := openTestProducer(t, testConfig(b.Addr()))
	value := make([]byte, 100)
	const n = 2000
	perBatch := testing.AllocsPerRun(20, func() {
		batch := p.NewBatch()
		for range n {
			r := batch.Add()
			r.Topic = "orders"
			r.Key = value[:8]
			r.Value = value
			r.Headers = batch.Headers(1)
		}
		p.Produce(ctx, batch, nil)
		require.NoError(t, p.Flush(ctx))
	})
	// The allocations of the embedded broker are counted as well.
	perRecord := perBatch / n
	t.Logf("%.3f allocations per record", perRecord)
	assert.True(t, perRecord <= 0.2, "expected at most 0.2 allocations per record, found %.2f", perRecord)
}
