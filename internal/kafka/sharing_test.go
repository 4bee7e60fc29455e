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
	"github.com/culvert-project/culvert/internal/kafka/embedded"
	"github.com/culvert-project/culvert/internal/kafka/kafkatest"
)

// flaky makes a broker drop connections and reject batches for a while, before or after the write, in an order that the
// seed determines.
func flaky(b *embedded.Broker, seed uint64, times int) {
	pick := rand.New(rand.NewPCG(seed, 0))
	b.Cluster.ControlKey(int16(kmsg.Produce), func(r kmsg.Request) (kmsg.Response, error, bool) {
		b.Cluster.KeepControl()
		if times == 0 {
			return nil, nil, false
		}
		switch pick.IntN(4) {
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

func (p *bufferPool) take() (b []byte) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if n := len(p.free); n > 0 {
		b = p.free[n-1]
		p.free = p.free[:n-1]
	}
	return b[:0]
}

func (p *bufferPool) give(b []byte) {
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
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) { shareClient(t, seed) })
	}
}

func shareClient(t *testing.T, seed uint64) {
	const producers, batches = 6, 60
	b := openTestBroker(t, t.TempDir())
	ctx := kafkatest.Context(t)
	topics := []string{"orders", "details"}
	for _, name := range topics {
		makeTopics(t, b.Addr(), Topic{Name: name, Partitions: 2})
	}
	c := shareable(t, b.Addr())
	c.Producer.MaxRequestBytes = 20_000
	c.Producer.BufferBytes = 100_000
	flaky(b, seed, 8)
	memory := &bufferPool{}
	var mu sync.Mutex
	acknowledged := map[string]bool{}
	var kept [][2][]byte // unacknowledged buffers, and their original contents
	var all, reported sync.WaitGroup
	for n := range producers {
		all.Go(func() {
			pick := rand.New(rand.NewPCG(seed, uint64(n)+1))
			open := func() *Producer {
				p, err := c.SharedProducer("", "connector-producer")
				assert.NoError(t, err)
				return p
			}
			p := open()
			failed := make(chan struct{}, batches)
			for number := range batches {
				batch := p.NewBatch()
				data := memory.take()
				count := 1 + pick.IntN(20)
				keys := []string{}
				type place struct{ key, value, end int }
				var places []place
				for row := range count {
					key := fmt.Sprintf("%d/%d/%d", n, number, row)
					keys = append(keys, key)
					at := place{key: len(data)}
					data = append(data, key...)
					at.value = len(data)
					data = append(data, strings.Repeat(key+".", 1+pick.IntN(60))...)
					at.end = len(data)
					places = append(places, at)
				}
				for i, at := range places {
					r := batch.Add()
					r.Topic = topics[i%2]
					r.Key = data[at.key:at.value:at.value]
					r.Value = data[at.value:at.end:at.end]
					if i%5 == 0 {
						r.Headers = batch.Headers(1)
						r.Headers[0] = kgo.RecordHeader{Key: "key", Value: r.Key}
					}
				}
				if pick.IntN(25) == 0 { // a batch that no broker accepts
					r := batch.Add()
					r.Topic = topics[0]
					r.Value = make([]byte, 50_000)
				}
				// of this producer
				was := bytes.Clone(data)
				down := failed
				reported.Add(1)
				p.Produce(ctx, batch, func(_ int, err error) {
					defer reported.Done()
					mu.Lock()
					defer mu.Unlock()
					if err != nil {
						kept = append(kept, [2][]byte{data, was})
						down <- struct{}{}
						return
					}
					for _, key := range keys {
						acknowledged[key] = true
					}
					memory.give(data)
				})
				select {
				case <-failed:
					// Like a failed feed: another one replaces it without waiting for records in flight.
					ended, cancel := context.WithCancel(ctx)
					cancel()
					_ = p.Close(ended)
					p = open()
					failed = make(chan struct{}, batches)
				default:
				}
			}
			_ = p.Close(ctx)
		})
	}
	all.Wait()
	reported.Wait() // including producers closed earlier
	if ctx.Err() != nil {
		t.Fatal("expected the end in time")
	}
	for _, k := range kept {
		if !bytes.Equal(k[0], k[1]) {
			t.Errorf("expected an unacknowledged buffer not to change, found %.60q", k[0])
		}
	}
	if len(kept) == 0 || len(acknowledged) < 1000 {
		t.Errorf("expected failed and acknowledged records, found %d failed batches, %d acknowledged records",
			len(kept), len(acknowledged))
	}
	arrived := map[string]bool{}
	for _, topic := range topics {
		for _, value := range kafkatest.Values(t, b.Addr(), topic) {
			key, _, _ := strings.Cut(value, ".")
			if strings.Trim(strings.ReplaceAll(value, key+".", ""), "") != "" || strings.Count(key, "/") != 2 {
				t.Fatalf("topic %s: unexpected value %.100q", topic, value)
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
	if len(lost) > 0 {
		t.Errorf("expected all acknowledged records, %d are missing: %.200q", len(lost), lost)
	}
}
