package kafka

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/base/require"
	"github.com/culvert-project/culvert/internal/kafka/embedded"
	"github.com/culvert-project/culvert/internal/kafka/kafkatest"
)

// injectFailures makes a broker drop connections and reject batches for a while, before or after the write, in an order
// that the seed determines.
func injectFailures(b *embedded.Broker, seed uint64, times int) {
	random := rand.New(rand.NewPCG(seed, 0))
	b.Cluster.ControlKey(int16(kmsg.Produce), func(r kmsg.Request) (kmsg.Response, error, bool) {
		b.Cluster.KeepControl()
		if times == 0 {
			return nil, nil, false
		}
		switch random.IntN(4) {
		case 0:
			times--
			return nil, errors.New("the connection is dropped"), true
		case 1:
			times--
			return kafkatest.Response(r, kerr.NotLeaderForPartition), nil, true
		}
		return nil, nil, false
	})
}

// bufferPool is a pool of buffers from which the producers of a test write, like feeds: acknowledged buffers are reused
// by any of them.
type bufferPool struct {
	mu   sync.Mutex
	free [][]byte
}

// get returns an empty buffer.
func (p *bufferPool) get() (b []byte) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if n := len(p.free); n > 0 {
		b = p.free[n-1]
		p.free = p.free[:n-1]
	}
	return b[:0]
}

// put overwrites a buffer and returns it to the pool.
func (p *bufferPool) put(b []byte) {
	for i := range b {
		b[i] = '#' // a record still being sent would contain this
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.free = append(p.free, b)
}

// Producers share a client and the buffers of their records, while connections break, brokers reject, and producers
// fail and are closed with records in flight: each record arrives as it was passed, and no acknowledged record is
// missing.
func TestSharedProducersReuseAcknowledgedBuffers(t *testing.T) {
	t.Parallel()
	for seed := range uint64(2) {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) { checkSharedClient(t, seed) })
	}
}

func checkSharedClient(t *testing.T, seed uint64) {
	const producers, batches = 6, 60
	b := openTestBroker(t, t.TempDir())
	ctx := kafkatest.Context(t)
	topics := []string{"orders", "details"}
	for _, name := range topics {
		makeTopics(t, b.Addr(), Topic{Name: name, Partitions: 2})
	}
	c := shareableConfig(t, b.Addr())
	c.Producer.MaxRequestBytes = 20_000
	c.Producer.BufferBytes = 100_000
	injectFailures(b, seed, 8)
	buffers := &bufferPool{}
	var mu sync.Mutex
	acknowledged := map[string]bool{}
	type failedBuffer struct{ data, original []byte }
	var failedBuffers []failedBuffer
	var running, unreported sync.WaitGroup // producers, batches
	for n := range producers {
		running.Go(func() {
			random := rand.New(rand.NewPCG(seed, uint64(n)+1))
			open := func() *Producer {
				p, err := c.SharedProducer("", "connector-producer")
				assert.NoError(t, err)
				return p
			}
			p := open()
			failed := make(chan struct{}, batches)
			for batchNumber := range batches {
				batch := p.NewBatch()
				data := buffers.get()
				count := 1 + random.IntN(20)
				keys := []string{}
				type span struct{ key, value, end int } // where the key and the value of a record begin, and its end
				var spans []span
				for row := range count {
					key := fmt.Sprintf("%d/%d/%d", n, batchNumber, row)
					keys = append(keys, key)
					record := span{key: len(data)}
					data = append(data, key...)
					record.value = len(data)
					data = append(data, strings.Repeat(key+".", 1+random.IntN(60))...)
					record.end = len(data)
					spans = append(spans, record)
				}
				for i, record := range spans {
					r := batch.Add()
					r.Topic = topics[i%2]
					r.Key = data[record.key:record.value:record.value]
					r.Value = data[record.value:record.end:record.end]
					if i%5 == 0 {
						r.Headers = batch.Headers(1)
						r.Headers[0] = kgo.RecordHeader{Key: "key", Value: r.Key}
					}
				}
				if random.IntN(25) == 0 { // a batch that no broker accepts
					r := batch.Add()
					r.Topic = topics[0]
					r.Value = make([]byte, 50_000)
				}
				original := bytes.Clone(data)
				failures := failed // of this producer: another one may replace it
				unreported.Add(1)
				p.Produce(ctx, batch, func(_ int, err error) {
					defer unreported.Done()
					mu.Lock()
					defer mu.Unlock()
					if err != nil {
						failedBuffers = append(failedBuffers, failedBuffer{data, original})
						failures <- struct{}{}
						return
					}
					for _, key := range keys {
						acknowledged[key] = true
					}
					buffers.put(data)
				})
				select {
				case <-failed:
					// Like a failed feed: another one replaces it without waiting for records in flight.
					canceled, cancel := context.WithCancel(ctx)
					cancel()
					_ = p.Close(canceled)
					p = open()
					failed = make(chan struct{}, batches)
				default:
				}
			}
			_ = p.Close(ctx)
		})
	}
	running.Wait()
	unreported.Wait() // also batches of producers that were closed early
	require.True(t, ctx.Err() == nil, "expected all producers to end in time")
	for _, b := range failedBuffers {
		assert.True(t, bytes.Equal(b.data, b.original),
			"expected an unacknowledged buffer not to change, found %.60q", b.data)
	}
	assert.True(t, len(failedBuffers) != 0 && len(acknowledged) >= 1000,
		"expected failed and acknowledged records, found %d failed batches, %d acknowledged records",
		len(failedBuffers), len(acknowledged))
	arrived := map[string]bool{}
	for _, topic := range topics {
		for _, value := range kafkatest.Values(t, b.Addr(), topic) {
			key, _, _ := strings.Cut(value, ".")
			if strings.Trim(strings.ReplaceAll(value, key+".", ""), "") != "" || strings.Count(key, "/") != 2 {
				t.Fatalf("topic %s: expected a value that repeats its key, found %.100q", topic, value)
			}
			arrived[key] = true
		}
	}
	var lost []string
	for key := range acknowledged {
		if !arrived[key] {
			lost = append(lost, key)
		}
	}
	slices.Sort(lost)
	assert.True(t, len(lost) == 0, "expected all acknowledged records, %d are missing: %.200q", len(lost), lost)
}
