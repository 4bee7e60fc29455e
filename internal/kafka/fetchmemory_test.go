package kafka

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"log/slog"
	"math"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/base/logtest"
	"github.com/culvert-project/culvert/internal/base/memory"
	"github.com/culvert-project/culvert/internal/base/require"
	"github.com/culvert-project/culvert/internal/kafka/kafkatest"
)

// compressibleTopic fills partitions of a topic with batches of numbered records that compress very well.
type compressibleTopic struct {
	name        string
	codec       kgo.CompressionCodec
	partitions  int32
	batches     int
	records     int // of a batch
	recordBytes int
}

func (c compressibleTopic) fill(t *testing.T, addr string) {
	t.Helper()
	makeTopics(t, addr, Topic{Name: c.name, Partitions: c.partitions})
	client := kafkatest.Client(t, kgo.SeedBrokers(addr), kgo.ProducerBatchCompression(c.codec),
		kgo.ProducerBatchMaxBytes(64<<20), kgo.BrokerMaxWriteBytes(100<<20), kgo.ProducerLinger(time.Minute),
		kgo.RecordPartitioner(kgo.ManualPartitioner()))
	var failure error
	for batch := range c.batches {
		for partition := range c.partitions {
			for n := range c.records {
				value := binary.BigEndian.AppendUint32(nil, uint32(batch*c.records+n))
				client.Produce(t.Context(), &kgo.Record{Topic: c.name, Partition: partition,
					Value: append(value, make([]byte, c.recordBytes)...)},
					func(_ *kgo.Record, err error) { failure = errors.Join(failure, err) })
			}
		}
		require.NoError(t, client.Flush(t.Context()))
	}
	require.NoError(t, failure)
}

// A consumer decompresses at most its part of the memory and one batch more, however large a fetch is when
// decompressed, and delivers each record once and in order. Each poll returns about a quarter of the part.
func TestFetchesStayWithinTheMemory(t *testing.T) {
	for name, codec := range map[string]kgo.CompressionCodec{
		"gzip":   kgo.GzipCompression(),
		"snappy": kgo.SnappyCompression(),
		"lz4":    kgo.Lz4Compression(),
		"zstd":   kgo.ZstdCompression(),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			const limit = 128 << 20 // of the worker's memory, in bytes
			const part = limit / 16 // of the consumer
			b := openTestBroker(t, t.TempDir())
			topic := compressibleTopic{name: "orders", codec: codec, partitions: 2, batches: 40, records: 20,
				recordBytes: 50_000}
			topic.fill(t, b.Addr())
			c := testConfig(b.Addr())
			c.Memory = memory.New(limit).Fetched()
			s := openConsumer(t, c, ordersSink)
			ctx := kafkatest.Context(t)
			next := map[int32]uint32{}
			for total := 0; total < 2*40*20; {
				records, err := s.Poll(ctx)
				require.NoError(t, err)
				bytes := int64(0)
				for _, r := range records {
					assert.Equal(t, next[r.Partition], binary.BigEndian.Uint32(r.Value), "the next record")
					next[r.Partition]++
					bytes += int64(len(r.Value))
				}
				isFirst := total == 0 && len(records) > 0 // the size of records is not known yet
				total += len(records)
				require.True(t, bytes <= part/4+100_000 || isFirst,
					"expected about %d bytes of a poll, found %d", part/4, bytes)
				// At the beginning of a poll a response may be on its way, which counts from the next one.
				require.AtMost(t, 2*(part+1<<20), s.client.BufferedFetchBytes(), "bytes in the client")
			}
			total, _ := s.memory.limits(2, 1)
			if name != "snappy" && total > part/16 { // it compresses little
				t.Errorf("expected fetches that follow the expansion, found %d bytes", total)
			}
		})
	}
}

// Batches above the size of a large one are read one at a time by the consumers of a worker: the second consumer gets
// its records when those of the first were polled, and none is lost.
func TestLargeBatchesAreReadInTurn(t *testing.T) {
	for name, codec := range map[string]kgo.CompressionCodec{
		"gzip": kgo.GzipCompression(),
		"lz4":  kgo.Lz4Compression(),
		"zstd": kgo.ZstdCompression(),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := openTestBroker(t, t.TempDir())
			topic := compressibleTopic{name: "orders", codec: codec, partitions: 2, batches: 2, records: 100,
				recordBytes: 100_000}
			topic.fill(t, b.Addr())
			c := testConfig(b.Addr())
			c.Memory = memory.New(128 << 20).Fetched()
			c.Consumer.MaxPollRecords = 10 // the others keep the turn
			ctx := kafkatest.Context(t)
			first := openConsumer(t, c, ConsumerOptions{Group: "first", Topics: []string{"orders"}})
			records, err := first.Poll(ctx)
			for err == nil && len(records) == 0 {
				records, err = first.Poll(ctx)
			}
			require.NoError(t, err)
			second := openConsumer(t, c, ConsumerOptions{Group: "second", Topics: []string{"orders"}})
			for range 3 {
				shortCtx, cancel := shortContext(t)
				got, err := second.Poll(shortCtx)
				cancel()
				require.True(t, len(got) == 0 && (err == nil || errors.Is(err, context.DeadlineExceeded)),
					"expected nothing before the turn, found %d records, %v", len(got), err)
			}
			read := func(s *Consumer, count int) {
				for count < 400 {
					records, err := s.Poll(ctx)
					require.NoError(t, err)
					for _, r := range records {
						require.True(t, bytes.Equal(r.Value[4:], make([]byte, 100_000)), "expected zeros")
					}
					count += len(records)
				}
				assert.Equal(t, 400, count, "records")
			}
			secondRead := make(chan struct{})
			go func() {
				defer close(secondRead)
				read(second, 0)
			}()
			read(first, len(records))
			first.Close() // ends its turn
			<-secondRead
		})
	}
}

// A consumer whose task does not poll, because it waits for its service, does not stop another one: records of other
// partitions arrive while a large batch waits, the wait is reported, and the batch is read once the turn has expired.
// The first consumer then reads its other records again, each once.
func TestStalledConsumerLetsOthersRead(t *testing.T) {
	b := openTestBroker(t, t.TempDir())
	ctx := kafkatest.Context(t)
	for _, name := range []string{"stalled", "orders"} {
		compressibleTopic{name: name, codec: kgo.GzipCompression(), partitions: 1, batches: 1, records: 100,
			recordBytes: 100_000}.fill(t, b.Addr())
	}
	makeTopics(t, b.Addr(), Topic{Name: "small", Partitions: 1})
	var journal logtest.Journal
	c := testConfig(b.Addr())
	c.Logger = journal.Logger(slog.LevelWarn)
	c.Memory = memory.New(128 << 20).Fetched()
	c.Consumer.MaxPollRecords = 10
	read := func(s *Consumer, topic string, offset, end int64) {
		t.Helper()
		pollCtx, cancel := context.WithTimeout(ctx, 5*time.Second)
		defer cancel()
		for offset < end {
			records, err := s.Poll(pollCtx)
			require.NoError(t, err)
			for _, r := range records {
				assert.Equal(t, topic, r.Topic, "the topic")
				assert.Equal(t, offset, r.Offset, "the offset")
				offset = r.Offset + 1
			}
		}
	}
	first := openConsumer(t, c, ConsumerOptions{Group: "first", Topics: []string{"stalled"}})
	read(first, "stalled", 0, 10)
	second := openConsumer(t, c, ConsumerOptions{Group: "second", Topics: []string{"orders", "small"}})
	const warning = "a batch above 4 MiB when decompressed waits"
	for offset := int64(0); offset < 2 || !strings.Contains(journal.String(), warning); offset++ {
		kafkatest.Put(t, b.Addr(), "small", "{}")
		read(second, "small", offset, offset+1)
	}
	assert.Equal(t, 1, strings.Count(journal.String(), warning), "warnings")
	first.memory.expire()
	assert.Equal(t, int64(0), first.client.BufferedFetchRecords(), "records that the first consumer holds")
	read(second, "orders", 0, 100)
	read(first, "stalled", 10, 100)
}

// A turn expires if another consumer wants it, however long its consumer does not poll. Nothing more is decompressed
// before the next poll, and the consumer leaves the turn to the other one first.
func TestTurnExpires(t *testing.T) {
	share := memory.New(128 << 20).Fetched()
	f, err := newFetchMemory(share, Defaults().Consumer)
	require.NoError(t, err)
	large := compressions["gzip"].compress(t, zeroRecord(t, largeBatchBytes+1))
	synctest.Test(t, func(t *testing.T) {
		discards := 0
		sleep := func(d time.Duration) {
			time.Sleep(d)
			synctest.Wait()
		}
		f.discard = func(bool) { discards++ }
		_, err = f.Decompress(large, kgo.CodecGzip)
		require.NoError(t, err)
		sleep(2*turnTime + time.Second)
		assert.Equal(t, 0, discards, "discards without another consumer")
		assert.Equal(t, false, share.TryTurn(), "another consumer gets the turn")
		sleep(turnTime)
		assert.Equal(t, 1, discards, "discards for another consumer")
		_, err = f.Decompress(large, kgo.CodecGzip)
		assert.Equal(t, true, errors.Is(err, errFetchedEnough), "nothing is decompressed before the next poll")
		f.fetched = 0
		_, err = f.Decompress(large, kgo.CodecGzip)
		assert.Equal(t, true, errors.Is(err, errAwaitTurn), "the other consumer gets the turn first")
		assert.Equal(t, true, share.TryTurn(), "the other consumer gets the turn")
		share.EndTurn()
		_, err = f.Decompress(large, kgo.CodecGzip)
		require.NoError(t, err)
		assert.Equal(t, false, share.TryTurn(), "another consumer, which asks only once, gets the turn")
		sleep(turnTime + time.Second)
		f.fetched = 0
		_, err = f.Decompress(large, kgo.CodecGzip)
		assert.Equal(t, true, errors.Is(err, errAwaitTurn), "the turn is kept for the other consumer up to turnTime")
		sleep(turnTime)
		_, err = f.Decompress(large, kgo.CodecGzip)
		require.NoError(t, err)
		f.close()
		sleep(2 * turnTime)
		assert.Equal(t, 2, discards, "discards after the end")
	})
}

// The client reports only once that a batch is too large. If the report may be among the records that are discarded,
// the consumer fails instead of skipping the partition silently.
func TestDiscardedReportFailsConsumer(t *testing.T) {
	c := testConfig(openTestBroker(t, t.TempDir()).Addr())
	c.Memory = memory.New(128 << 20).Fetched()
	c.Consumer.DecompressedBytes = largeBatchBytes + 1
	s := openConsumer(t, c, ordersSink)
	compress := compressions["gzip"].compress
	_, err := s.memory.Decompress(compress(t, zeroRecord(t, largeBatchBytes+2)), kgo.CodecGzip)
	assert.Equal(t, true, errors.Is(err, kgo.ErrMaxDecompress), "a batch that is too large is rejected")
	_, err = s.memory.Decompress(compress(t, zeroRecord(t, largeBatchBytes+1)), kgo.CodecGzip)
	require.NoError(t, err)
	assert.Equal(t, false, c.Memory.TryTurn(), "another consumer gets the turn")
	s.memory.expire()
	assert.Equal(t, true, c.Memory.TryTurn(), "another consumer gets the turn, after the turn has expired")
	_, err = s.Poll(kafkatest.Context(t))
	expectTexts(t, err, "group connect-test", "fetch.max.decompressed.bytes")
}

// A consumer that is closed in the middle of a large batch ends its turn.
func TestClosedConsumerEndsItsTurn(t *testing.T) {
	share := memory.New(128 << 20).Fetched()
	f, err := newFetchMemory(share, Defaults().Consumer)
	require.NoError(t, err)
	compress := compressions["zstd"].compress
	_, err = f.Decompress(compress(t, zeroRecord(t, largeBatchBytes)), kgo.CodecZstd)
	require.NoError(t, err)
	assert.Equal(t, false, f.turn.isHeld, "the turn is held for a batch that is not large")
	_, err = f.Decompress(compress(t, zeroRecord(t, largeBatchBytes+1)), kgo.CodecZstd)
	require.NoError(t, err)
	assert.Equal(t, true, f.turn.isHeld, "the turn is held for a large batch")
	_, err = f.Decompress(compress(t, zeroRecord(t, largeBatchBytes+1)), kgo.CodecZstd)
	assert.Equal(t, true, errors.Is(err, errFetchedEnough), "nothing is decompressed once the part is used")
	f.fetched = 0
	_, err = f.Decompress(compress(t, zeroRecord(t, largeBatchBytes+1)), kgo.CodecZstd)
	assert.Equal(t, true, errors.Is(err, errAwaitTurn), "a second large batch waits for the turn")
	assert.Equal(t, false, share.TryTurn(), "another consumer gets the turn")
	f.close()
	assert.Equal(t, true, share.TryTurn(), "another consumer gets the turn, after the end")
}

// A second close does not remove another user of the share.
func TestMemoryIsLeftOnce(t *testing.T) {
	share := memory.New(128 << 20).Fetched()
	for range 2 {
		defer share.Join()()
	}
	f, err := newFetchMemory(share, Defaults().Consumer)
	require.NoError(t, err)
	f.close()
	f.close()
	assert.Equal(t, int64(4<<20), share.Part(), "the part of two users")
}

// Settings have precedence over the memory, and a part is never less than a configured fetch.
func TestConfiguredFetchHasPrecedence(t *testing.T) {
	config := Defaults().Consumer
	config.FetchBytes = 100 << 20
	config.PartitionBytes = 50 << 20
	f, err := newFetchMemory(memory.New(128<<20).Fetched(), config)
	require.NoError(t, err)
	f.expansion = 100
	total, partition := f.limits(1, 3)
	assert.Equal(t, []int32{100 << 20, 50 << 20}, []int32{total, partition}, "fetches")
	assert.Equal(t, int64(100<<20), f.part(), "the part")
}

// A fetch requests what fits when decompressed, divided among the brokers, within its limits.
func TestFetchFollowsExpansion(t *testing.T) {
	const part = 8 << 20 // of the only consumer, in bytes: a sixteenth of the worker's memory
	for _, c := range []struct {
		name      string
		expansion float64
		brokers   int
		want      int32
	}{
		{name: "uncompressed", expansion: 1, brokers: 1, want: part},
		{name: "ten times", expansion: 10, brokers: 1, want: part / 10},
		{name: "ten times, three brokers", expansion: 10, brokers: 3, want: part / 30},
		{name: "no broker yet", expansion: 1, brokers: 0, want: part},
		{name: "a million times", expansion: 1e6, brokers: 1, want: minFetchBytes},
	} {
		f, err := newFetchMemory(memory.New(16*part).Fetched(), Defaults().Consumer)
		require.NoError(t, err)
		f.observeExpansion(c.expansion)
		total, _ := f.limits(1, c.brokers)
		assert.Equal(t, c.want, total, c.name)
	}
	f, err := newFetchMemory(nil, Defaults().Consumer)
	require.NoError(t, err)
	total, _ := f.limits(1, 1)
	assert.Equal(t, int32(defaultFetchBytes), total, "without a limit")
	f.observeExpansion(100)
	for range 1000 {
		f.observeExpansion(1)
	}
	total, _ = f.limits(1, 1)
	assert.Equal(t, int32(defaultFetchBytes), total, "after many batches without compression")
}

// A reader decompresses a part of the memory of a response at a time, and reads all of it.
func TestReaderStaysWithinTheMemory(t *testing.T) {
	b := openTestBroker(t, t.TempDir())
	topic := compressibleTopic{name: "orders", codec: kgo.ZstdCompression(), partitions: 1, batches: 30, records: 10,
		recordBytes: 100_000}
	topic.fill(t, b.Addr())
	c := testConfig(b.Addr())
	c.Memory = memory.New(64 << 20).Fetched()
	r, err := NewReader(c)
	require.NoError(t, err)
	defer r.Close()
	ctx := kafkatest.Context(t)
	leader, err := r.leader(ctx, "orders", 0)
	require.NoError(t, err)
	result, err := r.fetch(ctx, leader, 0, 0, math.MaxInt32, false)
	require.NoError(t, err)
	n := len(result.records)
	assert.True(t, n >= 40 && n <= 50, "expected 4 MiB of records, found %d records", n)
	var got []uint32
	_, err = r.Read(ctx, "orders", ReadOptions{}, func(r *kgo.Record) error {
		got = append(got, binary.BigEndian.Uint32(r.Value))
		return nil
	})
	require.NoError(t, err)
	assert.Equal(t, 300, len(slices.Compact(got)), "records")
}

// A reader gets past aborted records that need more than its memory.
func TestReaderPassesAbortedRecords(t *testing.T) {
	b := openTestBroker(t, t.TempDir())
	ctx := kafkatest.Context(t)
	makeTopics(t, b.Addr(), Topic{Name: "orders", Partitions: 1})
	client := kafkatest.Client(t, testConfig(b.Addr()).ProducerOpts(kgo.TransactionalID("aborted"),
		kgo.ProducerBatchCompression(kgo.ZstdCompression()))...)
	require.NoError(t, client.BeginTransaction())
	for range 20 {
		aborted := &kgo.Record{Topic: "orders", Partition: -1, Value: make([]byte, 100_000)}
		require.NoError(t, client.ProduceSync(ctx, aborted).FirstErr())
	}
	require.NoError(t, client.EndTransaction(ctx, kgo.TryAbort))
	kafkatest.Put(t, b.Addr(), "orders", "seen")
	c := testConfig(b.Addr())
	c.Memory = memory.New(16 << 20).Fetched()
	r, err := NewReader(c)
	require.NoError(t, err)
	defer r.Close()
	got, _ := readAll(t, r, "orders", ReadOptions{})
	assert.Equal(t, []string{"0/21 seen"}, got, "records")
}

// A large batch without readable records does not stop the consumer.
func TestTurnWithoutRecordsEnds(t *testing.T) {
	share := memory.New(128 << 20).Fetched()
	f, err := newFetchMemory(share, Defaults().Consumer)
	require.NoError(t, err)
	client := kafkatest.Client(t)
	_, err = f.Decompress(compressions["zstd"].compress(t, zeroRecord(t, largeBatchBytes+1)), kgo.CodecZstd)
	require.NoError(t, err)
	f.awaitTurn(t.Context(), client)
	assert.Equal(t, true, share.TryTurn(), "another consumer gets the turn")
}
