package kafka

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"math/rand/v2"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/base/require"
	"github.com/culvert-project/culvert/internal/kafka/kafkatest"
)

func openTestReader(t *testing.T, addr string) *Reader {
	t.Helper()
	r, err := NewReader(testConfig(addr))
	require.NoError(t, err)
	t.Cleanup(r.Close)
	return r
}

// readAll returns the records as `PARTITION/OFFSET VALUE`, and the reached offsets.
func readAll(t *testing.T, r *Reader, topic string, o ReadOptions) ([]string, Positions) {
	t.Helper()
	got := []string{}
	positions, err := r.Read(kafkatest.Context(t), topic, o, func(r *kgo.Record) error {
		got = append(got, fmt.Sprintf("%d/%d %s", r.Partition, r.Offset, r.Value))
		return nil
	})
	require.NoError(t, err)
	return got, positions
}

func TestReadPartitionByPartition(t *testing.T) {
	b := openTestBroker(t, t.TempDir())
	makeTopics(t, b.Addr(), Topic{Name: "wide", Partitions: 3})
	client := kafkatest.Client(t, testConfig(b.Addr()).ProducerOpts()...)
	for i := range 6 {
		r := &kgo.Record{Topic: "wide", Partition: int32(i % 3), Value: fmt.Append(nil, i)}
		require.NoError(t, client.ProduceSync(kafkatest.Context(t), r).FirstErr())
	}
	r := openTestReader(t, b.Addr())
	got, positions := readAll(t, r, "wide", ReadOptions{})
	assert.Equal(t, []string{"0/0 0", "0/1 3", "1/0 1", "1/1 4", "2/0 2", "2/1 5"}, got, "all")
	assert.Equal(t, Positions{0: 2, 1: 2, 2: 2}, positions, "positions")
	got, positions = readAll(t, r, "wide", ReadOptions{From: Positions{1: 1}, To: Positions{0: 1, 1: 99}})
	assert.Equal(t, []string{"0/0 0", "1/1 4"}, got, "bounded")
	assert.Equal(t, Positions{0: 1, 1: 2}, positions, "bounded: positions")
	_, err := r.Read(kafkatest.Context(t), "wide", ReadOptions{To: Positions{7: 1}}, nil)
	assert.True(t, err != nil, "expected an error for a missing partition")
}

func TestReadUnknownTopic(t *testing.T) {
	b := openTestBroker(t, t.TempDir())
	r := openTestReader(t, b.Addr())
	for range 2 { // the request must not create it
		_, err := r.Read(kafkatest.Context(t), "nope", ReadOptions{}, nil)
		assert.True(t, errors.Is(err, ErrUnknownTopic), "expected ErrUnknownTopic, got %v", err)
	}
}

func TestReadEndsEarly(t *testing.T) {
	b := openTestBroker(t, t.TempDir())
	kafkatest.Put(t, b.Addr(), "orders", "one", "two", "three")
	r := openTestReader(t, b.Addr())
	positions, err := r.Read(kafkatest.Context(t), "orders", ReadOptions{}, func(r *kgo.Record) error {
		if string(r.Value) == "two" {
			return ErrStop
		}
		return nil
	})
	assert.True(t, err == nil && positions[0] == 2,
		"stopped at two: expected offset 2 and no error, found %d, %v", positions[0], err)
	errBroken := errors.New("broken")
	positions, err = r.Read(kafkatest.Context(t), "orders", ReadOptions{}, func(r *kgo.Record) error {
		if string(r.Value) == "two" {
			return errBroken
		}
		return nil
	})
	assert.True(t, errors.Is(err, errBroken) && positions[0] == 1,
		"failed at two: expected offset 1 and the callback's error, found %d, %v", positions[0], err)
}

// A transaction that was aborted while another one was open leaves a gap before the end offset in which there is no
// record and no marker: a reader that waited for the record before the end would wait forever.
func TestReadEndsInsideTransactions(t *testing.T) {
	b := openTestBroker(t, t.TempDir())
	ctx := kafkatest.Context(t)
	begin := func(id string) *kgo.Client {
		client := kafkatest.Client(t, testConfig(b.Addr()).ProducerOpts(kgo.TransactionalID(id),
			kgo.AllowAutoTopicCreation())...)
		require.NoError(t, client.BeginTransaction())
		return client
	}
	write := func(client *kgo.Client, value string) {
		r := &kgo.Record{Topic: "orders", Value: []byte(value), Partition: -1}
		require.NoError(t, client.ProduceSync(ctx, r).FirstErr())
	}
	end := func(client *kgo.Client, outcome kgo.TransactionEndTry) {
		require.NoError(t, client.EndTransaction(ctx, outcome))
	}
	r := openTestReader(t, b.Addr())
	check := func(about string, want []string, position int64) {
		t.Helper()
		got, positions := readAll(t, r, "orders", ReadOptions{})
		if diff := cmp.Diff(want, got); diff != "" || positions[0] != position {
			t.Errorf("%s: expected to end at %d, found %d (-want +got):\n%s", about, position, positions[0], diff)
		}
	}

	first := begin("first")
	write(first, "seen") // 0, marker 1
	end(first, kgo.TryCommit)
	check("commit marker at the end", []string{"0/0 seen"}, 2)

	aborted := begin("aborted")
	open := begin("open")
	write(aborted, "lost") // 2
	write(open, "open")    // 3
	end(aborted, kgo.TryAbort)
	check("aborted before an open one", []string{"0/0 seen"}, 3)

	checkEmpty := func(from, to int64, want bool) {
		t.Helper()
		if got, err := r.IsEmpty(ctx, "orders", Positions{0: from}, Positions{0: to}); err != nil || got != want {
			t.Errorf("nothing from %d to %d: expected %v, found %v, %v", from, to, want, got, err)
		}
	}
	checkEmpty(0, 3, false)
	checkEmpty(1, 3, true)
	checkEmpty(3, 3, true)

	end(open, kgo.TryAbort)
	check("nothing but aborted at the end", []string{"0/0 seen"}, 6)

	got, _ := readAll(t, r, "orders", ReadOptions{Uncommitted: true})
	assert.Equal(t, []string{"0/0 seen", "0/2 lost", "0/3 open"}, got, "uncommitted")
}

func TestReadFollows(t *testing.T) {
	b := openTestBroker(t, t.TempDir())
	kafkatest.Put(t, b.Addr(), "orders", "one")
	r := openTestReader(t, b.Addr())
	ctx, stop := context.WithCancel(kafkatest.Context(t))
	defer stop()
	got := make(chan string)
	done := make(chan error, 1)
	go func() {
		_, err := r.Read(ctx, "orders", ReadOptions{Follow: true}, func(r *kgo.Record) error {
			select {
			case got <- string(r.Value):
			case <-ctx.Done():
			}
			return nil
		})
		done <- err
	}()
	assert.Equal(t, "one", <-got, "the value")
	kafkatest.Put(t, b.Addr(), "orders", "two")
	assert.Equal(t, "two", <-got, "the value")
	stop()
	assert.NoError(t, <-done, "no error after the context has ended")
}

// Large values need several responses, and a value larger than a response must still arrive.
func TestReadLargeValues(t *testing.T) {
	b := openTestBroker(t, t.TempDir())
	values := make([]string, 20)
	for i := range values {
		values[i] = string(make([]byte, 40_000))
	}
	kafkatest.Put(t, b.Addr(), "orders", values...)
	config := testConfig(b.Addr())
	config.Consumer.FetchBytes = 10_000
	config.Consumer.PartitionBytes = 10_000
	r, err := NewReader(config)
	require.NoError(t, err)
	defer r.Close()
	n := 0
	_, err = r.Read(kafkatest.Context(t), "orders", ReadOptions{}, func(*kgo.Record) error {
		n++
		return nil
	})
	assert.True(t, err == nil && n == len(values), "expected %d records, found %d, %v", len(values), n, err)
}

// A read of few records requests few bytes, also of large records, which the broker returns whole.
func TestReadRequestsFewBytesForFewRecords(t *testing.T) {
	b := openTestBroker(t, t.TempDir())
	value := make([]byte, 100_000)
	_, err := rand.NewChaCha8([32]byte{}).Read(value) // cannot be compressed
	require.NoError(t, err)
	for range 4 {
		kafkatest.Put(t, b.Addr(), "orders", string(value))
	}
	var requested []int32
	b.Cluster.ControlKey(int16(kmsg.Fetch), func(r kmsg.Request) (kmsg.Response, error, bool) {
		b.Cluster.KeepControl()
		requested = append(requested, r.(*kmsg.FetchRequest).Topics[0].Partitions[0].PartitionMaxBytes)
		return nil, nil, false
	})
	config := testConfig(b.Addr())
	config.Consumer.PartitionBytes = 150_000
	r, err := NewReader(config)
	require.NoError(t, err)
	defer r.Close()
	got, _ := readAll(t, r, "orders", ReadOptions{From: Positions{0: 1}})
	assert.Equal(t, 3, len(got))
	assert.Equal(t, []int32{150_000, 2 * fetchedPerOffset, fetchedPerOffset}, requested)
}

// A leader that does not know yet that it leads, as in a new cluster or after others have ended, receives retries for
// longer than it needs.
func TestReadRetriesNewLeader(t *testing.T) {
	t.Parallel()
	b := openTestBroker(t, t.TempDir())
	kafkatest.Put(t, b.Addr(), "new", "x")
	kafkatest.Reject(b.Cluster, kmsg.Fetch, 25, kerr.NotLeaderForPartition)
	got, _ := readAll(t, openTestReader(t, b.Addr()), "new", ReadOptions{})
	assert.Equal(t, []string{"0/0 x"}, got)
}

// Records that expire while the leader changes are passed over, too.
func TestReadAfterExpiryAndNewLeader(t *testing.T) {
	t.Parallel()
	b := openTestBroker(t, t.TempDir())
	for _, value := range []string{"x", "y", "z"} {
		kafkatest.Put(t, b.Addr(), "orders", value)
	}
	hasNewLeader := &atomic.Bool{}
	kafkatest.RejectIf(b.Cluster, kmsg.Fetch, kerr.NotLeaderForPartition,
		func(kmsg.Request) bool { return hasNewLeader.Swap(false) })
	config := testConfig(b.Addr())
	config.Consumer.PartitionBytes = 1 // one record in a response
	r, err := NewReader(config)
	require.NoError(t, err)
	defer r.Close()
	var got []string
	_, err = r.Read(t.Context(), "orders", ReadOptions{}, func(record *kgo.Record) error {
		if got = append(got, string(record.Value)); len(got) == 1 {
			expire(t, b.Addr(), "orders", 2)
			hasNewLeader.Store(true)
		}
		return nil
	})
	require.NoError(t, err)
	assert.Equal(t, []string{"x", "z"}, got)
}

// A killed broker remains the leader in the cluster's metadata until the controller notices: a reader finds the broker
// that takes over, both before and after it knows the topic's end offsets.
func TestReadFindsNewLeader(t *testing.T) {
	t.Parallel()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	dead := brokerAt(t, 9, listener.Addr().String())
	require.NoError(t, listener.Close())
	for name, fetches := range map[string]int32{"BeforeItsEndsAreKnown": 0, "Fetched": 1} {
		t.Run(name, func(t *testing.T) {
			c := kafkatest.Cluster(t, kfake.NumBrokers(1), kfake.SeedTopics(1, "orders"))
			addr := c.ListenAddrs()[0]
			alive := brokerAt(t, 0, addr)
			kafkatest.Put(t, addr, "orders", "x")
			rejections := kafkatest.Reject(c, kmsg.Fetch, fetches, kerr.NotLeaderForPartition)
			var responses atomic.Int32
			c.ControlKey(int16(kmsg.Metadata), func(r kmsg.Request) (kmsg.Response, error, bool) {
				c.KeepControl()
				if rejections.Load() < fetches || responses.Add(1) > 3 {
					return nil, nil, false
				}
				return responseWithLeader(c, r.(*kmsg.MetadataRequest), alive, dead), nil, true
			})
			config := testConfig(addr)
			config.Consumer.MetadataMaxAge = 10 * time.Millisecond // otherwise it keeps the known leader
			r, err := NewReader(config)
			require.NoError(t, err)
			defer r.Close()
			got, _ := readAll(t, r, "orders", ReadOptions{})
			assert.Equal(t, []string{"0/0 x"}, got)
			n := responses.Load()
			assert.True(t, n >= 3, "expected metadata to name the dead leader 3 times, found %d", n)
		})
	}
}

// brokerAt returns a broker as metadata contain it.
func brokerAt(t *testing.T, node int32, addr string) kmsg.MetadataResponseBroker {
	t.Helper()
	tcpAddr, err := net.ResolveTCPAddr("tcp", addr)
	assert.NoError(t, err)
	b := kmsg.NewMetadataResponseBroker()
	b.NodeID = node
	b.Host = tcpAddr.IP.String()
	b.Port = int32(tcpAddr.Port)
	return b
}

// responseWithLeader returns a metadata response of the cluster's only broker in which another broker leads the topic
// orders.
func responseWithLeader(c *kfake.Cluster, request *kmsg.MetadataRequest,
	alive, leader kmsg.MetadataResponseBroker) kmsg.Response {
	response := request.ResponseKind().(*kmsg.MetadataResponse)
	response.Default()
	response.Brokers = append(response.Brokers, alive, leader)
	response.ControllerID = alive.NodeID
	topic := kmsg.NewMetadataResponseTopic()
	topic.Topic = kmsg.StringPtr("orders")
	topic.TopicID = c.TopicInfo("orders").TopicID
	partition := kmsg.NewMetadataResponseTopicPartition()
	partition.Leader = leader.NodeID
	partition.LeaderEpoch = 1
	partition.Replicas = []int32{leader.NodeID}
	partition.ISR = []int32{leader.NodeID}
	topic.Partitions = append(topic.Partitions, partition)
	response.Topics = append(response.Topics, topic)
	return response
}

// A reader continues after the records of a response, takes two empty responses for the end, and accepts no third
// response that has batches but no record from its offset on.
func TestReadStopsAfterEmptyResponses(t *testing.T) {
	type step struct {
		result fetchResult
		offset int64 // requested
		next   int64 // expected
		fails  bool
	}
	records := []*kgo.Record{{}}
	const end = 9
	for name, steps := range map[string][]step{
		"records": {
			{result: fetchResult{records: records, next: 5, readable: 9, hasBatches: true}, offset: 5, next: 5},
		},
		"after compacted records": {
			{result: fetchResult{next: 7, readable: 9, hasBatches: true}, offset: 5, next: 7},
		},
		"beyond the end": {
			{result: fetchResult{next: 12, readable: 12, hasBatches: true}, offset: 5, next: end},
		},
		"nothing, twice": {
			{result: fetchResult{readable: 9}, offset: 5, next: 5},
			{result: fetchResult{readable: 9}, offset: 5, next: end},
		},
		"nothing, then a record": {
			{result: fetchResult{readable: 9}, offset: 5, next: 5},
			{result: fetchResult{records: records, next: 6, readable: 9, hasBatches: true}, offset: 6, next: 6},
			{result: fetchResult{readable: 9}, offset: 6, next: 6},
		},
		"open transactions": {
			{result: fetchResult{readable: 5}, offset: 5, next: 5},
			{result: fetchResult{readable: 5}, offset: 5, next: 5},
			{result: fetchResult{readable: 5}, offset: 5, next: 5},
		},
		"batches without records": {
			{result: fetchResult{next: 5, readable: 9, hasBatches: true}, offset: 5, next: 5},
			{result: fetchResult{next: 5, readable: 9, hasBatches: true}, offset: 5, next: 5},
			{result: fetchResult{next: 5, readable: 9, hasBatches: true}, offset: 5, next: 5, fails: true},
		},
	} {
		t.Run(name, func(t *testing.T) {
			var s stallDetector
			for i, step := range steps {
				next, err := s.advance(step.offset, end, step.result)
				assert.True(t, next == step.next && (err != nil) == step.fails,
					"response %d: expected offset %d, an error: %v, found %d, %v", i, step.next, step.fails, next, err)
			}
		})
	}
}

// batchWithoutRecords returns a batch of one offset whose record was removed by compaction.
func batchWithoutRecords(offset int64) []byte {
	b := (&kmsg.RecordBatch{FirstOffset: offset, Magic: 2, ProducerID: -1, ProducerEpoch: -1,
		FirstSequence: -1}).AppendTo(nil)
	binary.BigEndian.PutUint32(b[8:], uint32(len(b)-12))
	binary.BigEndian.PutUint32(b[17:], crc32.Checksum(b[21:], crc32.MakeTable(crc32.Castagnoli)))
	return b
}

// A broker that keeps returning batches before the requested offset is an error, not an endless loop.
func TestReadWithoutProgress(t *testing.T) {
	b := openTestBroker(t, t.TempDir())
	makeTopics(t, b.Addr(), Topic{Name: "broken"})
	client := kafkatest.Client(t, testConfig(b.Addr()).ProducerOpts()...)
	records := []*kgo.Record{{Topic: "broken"}, {Topic: "broken"}}
	require.NoError(t, client.ProduceSync(kafkatest.Context(t), records...).FirstErr())
	b.Cluster.ControlKey(int16(kmsg.Fetch), func(r kmsg.Request) (kmsg.Response, error, bool) {
		b.Cluster.KeepControl()
		response := kafkatest.Response(r, nil).(*kmsg.FetchResponse)
		partition := &response.Topics[0].Partitions[0]
		partition.RecordBatches = batchWithoutRecords(0)
		partition.LastStableOffset = 2
		partition.HighWatermark = 2
		return response, nil, true
	})
	positions, err := openTestReader(t, b.Addr()).Read(kafkatest.Context(t), "broken", ReadOptions{},
		func(*kgo.Record) error { return nil })
	if err == nil || !strings.Contains(err.Error(),
		"read broken, partition 0 at offset 1: the broker returns batches that end before the requested offset") {
		t.Errorf("expected an error that names the offset, found %v at %v", err, positions)
	}
}
