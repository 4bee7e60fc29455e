package kafka

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
)

// Producer writes the records of one feed, idempotent and acknowledged by all in-sync replicas unless configured
// otherwise. Its client may be shared, see [Config.SharedProducer].
//
// Batches are reported in order. After a failed record its batch and all later ones fail: no later offset is stored.
type Producer struct {
	client    *sharedClient
	limit     int                        // of unreported batches, in bytes
	txnClient atomic.Pointer[kgo.Client] // of the open transaction, else nil

	mu           sync.Mutex
	bytes        int           // of the queue
	spaceFreed   chan struct{} // closed when bytes has shrunk; nil if nobody waits
	queue        []*Batch      // produced and not yet reported, oldest first
	isReporting  bool          // a goroutine is calling done functions
	flushWaiters []chan struct{}
	failure      error
}

// NewProducer opens a producer with a client of its own. It connects with the first batch.
func NewProducer(c Config, clientID string) (*Producer, error) {
	client, err := newSharedClient(c, clientID)
	if err != nil {
		return nil, err
	}
	p, _ := client.newProducer(c.Producer.BufferBytes)
	return p, nil
}

// deny makes this and all further batches fail with err, unless the producer has failed, and ends waits for space.
func (p *Producer) deny(err error) {
	p.mu.Lock()
	if p.failure == nil {
		p.failure = err
	}
	if p.spaceFreed != nil {
		close(p.spaceFreed)
		p.spaceFreed = nil
	}
	p.mu.Unlock()
}

const slabRecords = 512 // that a batch allocates at a time

// Batch is acknowledged as a whole. The caller must not change the bytes of its records until done is called.
type Batch struct {
	producer *Producer
	slabs    [][]kgo.Record
	headers  []kgo.RecordHeader
	records  int
	bytes    int // of all records, with their overhead

	// promise is the method value of onResponse: one allocation for the batch, none for a record.
	promise  func(*kgo.Record, error)
	done     func(n int, err error)
	pending  atomic.Int64          // responses, and 1 while Produce sends
	acks     atomic.Int64          // acknowledged records
	failure  atomic.Pointer[error] // the first error
	complete bool                  // nothing is pending; guarded by the producer's mu
}

var batchPool sync.Pool // of all producers

// NewBatch returns an empty batch. It belongs to the caller until [Producer.Produce].
func (p *Producer) NewBatch() *Batch {
	b, _ := batchPool.Get().(*Batch)
	if b == nil {
		b = &Batch{}
		b.promise = b.onResponse
	}
	b.producer = p
	return b
}

// Add appends a record to fill in: Topic is required; Partition -1 means by key; a zero Timestamp means now.
func (b *Batch) Add() *kgo.Record {
	if b.records == len(b.slabs)*slabRecords {
		b.slabs = append(b.slabs, make([]kgo.Record, slabRecords))
	}
	r := b.record(b.records)
	b.records++
	*r = kgo.Record{Partition: -1}
	return r
}

// Headers returns n headers to be filled in for a record of the batch. They are valid until done is called.
func (b *Batch) Headers(n int) []kgo.RecordHeader {
	if len(b.headers)+n > cap(b.headers) {
		b.headers = make([]kgo.RecordHeader, 0, max(slabRecords, n)) // records keep their part of the old array
	}
	start := len(b.headers)
	b.headers = b.headers[:start+n]
	return b.headers[start : start+n : start+n]
}

// EachTopic calls visit with the topic of each run of records.
func (b *Batch) EachTopic(visit func(topic string)) {
	previous := ""
	remaining := b.records
	for _, slab := range b.slabs {
		for i := range slab[:min(len(slab), remaining)] {
			if topic := slab[i].Topic; topic != previous {
				previous = topic
				visit(topic)
			}
		}
		remaining -= min(len(slab), remaining)
	}
}

func (b *Batch) Len() int { return b.records }

func (b *Batch) record(i int) *kgo.Record { return &b.slabs[i/slabRecords][i%slabRecords] }

// Produce sends a batch. It waits while more than buffer.memory bytes are unacknowledged (a larger batch is sent
// alone); if ctx ends the wait, nothing is sent. done is called, in order of batches, with the number of acknowledged
// records and the first error; then the batch is recycled. done must neither block nor call Flush.
func (p *Producer) Produce(ctx context.Context, b *Batch, done func(n int, err error)) {
	b.done = done
	b.pending.Store(int64(b.records) + 1)
	const recordOverhead = 64 // estimated bytes of a record besides its content
	b.bytes = 0
	for i := range b.records {
		r := b.record(i)
		b.bytes += recordOverhead + len(r.Key) + len(r.Value)
		for j := range r.Headers {
			b.bytes += len(r.Headers[j].Key) + len(r.Headers[j].Value)
		}
	}
	p.enqueue(ctx, b)
	p.send(b)
	b.release(1)
}

// send produces the records of a batch. It stops after the first failure.
func (p *Producer) send(b *Batch) {
	client := p.currentClient()
	for i := range b.records {
		if b.failure.Load() != nil {
			b.release(int64(b.records - i)) // records that are not sent
			return
		}
		r := b.record(i)
		r.Context = p.client.ctx
		client.Produce(p.client.ctx, r, b.promise)
	}
}

func (p *Producer) currentClient() *kgo.Client {
	if client := p.txnClient.Load(); client != nil {
		return client
	}
	return p.client.Client
}

// enqueue adds a batch to the unreported ones. It blocks until the batch fits in the buffer, or queues it as failed.
func (p *Producer) enqueue(ctx context.Context, b *Batch) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for p.failure == nil && b.bytes > 0 && p.bytes > 0 && p.bytes+b.bytes > p.limit {
		if p.spaceFreed == nil {
			p.spaceFreed = make(chan struct{})
		}
		spaceFreed := p.spaceFreed
		p.mu.Unlock()
		select {
		case <-spaceFreed:
		case <-ctx.Done():
		}
		p.mu.Lock()
		if err := ctx.Err(); err != nil {
			b.fail(fmt.Errorf("produce: waiting for buffer space: %w", err))
			break
		}
	}
	if p.failure != nil {
		b.fail(p.failure)
	}
	p.bytes += b.bytes
	p.queue = append(p.queue, b)
}

// onResponse is called for each record when it is acknowledged or has failed.
func (b *Batch) onResponse(r *kgo.Record, err error) {
	switch {
	case err == nil:
		b.acks.Add(1)
	case errors.Is(err, kerr.MessageTooLarge):
		// The client caches a topic's limit; the next client reads it again.
		b.producer.client.retire()
		b.fail(fmt.Errorf("produce to topic %s: a batch is larger than the topic's max.message.bytes or our "+
			"max.request.size (%d). Set producer.override.max.request.size to at most max.message.bytes, or raise "+
			"both if a single record is larger: %w", r.Topic, b.producer.client.maxRequestBytes, err))
	default:
		b.fail(fmt.Errorf("produce to topic %s: %w", r.Topic, withClockHint(r,
			WithMissingRight(err, "WRITE", "Topic "+r.Topic))))
		b.producer.client.retire()
	}
	b.release(1)
}

// withClockHint adds both times to an InvalidTimestamp error: either clock may be wrong.
func withClockHint(r *kgo.Record, err error) error {
	if !errors.Is(err, kerr.InvalidTimestamp) {
		return err
	}
	return fmt.Errorf("%w (the record's time is %s, this machine's clock says %s: check the clock, and the topic's "+
		"message.timestamp.after.max.ms and message.timestamp.before.max.ms)", err,
		r.Timestamp.UTC().Format(time.RFC3339), time.Now().UTC().Format(time.RFC3339))
}

func (b *Batch) fail(err error) { b.failure.CompareAndSwap(nil, &err) }

// release subtracts n pending responses. With the last one it reports the batch, after which b may be recycled.
func (b *Batch) release(n int64) {
	p := b.producer // b may be recycled afterwards
	if b.pending.Add(-n) == 0 {
		p.report(b)
	}
}

// report marks a batch as complete and calls done of the oldest complete batches, in order, without mu.
func (p *Producer) report(settled *Batch) {
	p.mu.Lock()
	defer p.mu.Unlock()
	settled.complete = true
	if p.isReporting {
		return // the goroutine that reports now includes it
	}
	p.isReporting = true
	for len(p.queue) > 0 && p.queue[0].complete {
		b := p.queue[0]
		p.queue = p.queue[1:]
		p.bytes -= b.bytes
		if p.spaceFreed != nil {
			close(p.spaceFreed)
			p.spaceFreed = nil
		}
		if err := b.failure.Load(); err != nil && p.failure == nil {
			p.failure = *err
		}
		failure := p.failure
		done := b.done
		acks := int(b.acks.Load())
		p.mu.Unlock()
		if done != nil {
			done(acks, failure)
		}
		p.mu.Lock()
		// The pool keeps at most maxSlabs, so that one large batch does not stay.
		const maxSlabs = 32
		for i := range b.records {
			*b.record(i) = kgo.Record{} // releases the caller's bytes
		}
		if len(b.slabs) > maxSlabs {
			b.slabs = b.slabs[:maxSlabs:maxSlabs]
		}
		clear(b.headers)
		b.headers = b.headers[:0]
		b.records = 0
		b.done = nil
		b.complete = false
		b.acks.Store(0)
		b.failure.Store(nil)
		batchPool.Put(b)
	}
	p.isReporting = false
	if len(p.queue) == 0 {
		p.queue = nil
		for _, w := range p.flushWaiters {
			close(w)
		}
		p.flushWaiters = nil
	}
}

// Flush waits until every batch is reported, and returns the producer's first failure or the context's error.
func (p *Producer) Flush(ctx context.Context) error {
	// The client's Flush stops lingering, but would also wait for records of other feeds.
	flushCtx, cancel := context.WithCancel(ctx)
	defer cancel()
	if client := p.currentClient(); client != nil { // nil between transactions
		go func() { _ = client.Flush(flushCtx) }()
	}
	p.mu.Lock()
	if len(p.queue) == 0 && !p.isReporting {
		defer p.mu.Unlock()
		return p.failure
	}
	reported := make(chan struct{})
	p.flushWaiters = append(p.flushWaiters, reported)
	p.mu.Unlock()
	select {
	case <-reported:
		return p.Err()
	case <-ctx.Done():
		return fmt.Errorf("flush: %w", ctx.Err())
	}
}

// Err returns the producer's first failure, nil for none.
func (p *Producer) Err() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.failure
}

// Close flushes until ctx ends, then closes the client unless it is shared. Unacknowledged batches fail.
func (p *Producer) Close(ctx context.Context) error {
	err := p.Flush(ctx)
	p.client.remove(p)
	return err
}

// partitioner keeps a record's partition, if it is not negative. Else it hashes the key or fills batches evenly.
type partitioner struct{ byKey kgo.Partitioner }

func newPartitioner() kgo.Partitioner {
	const bytesInARow, isAdaptive, byKey = 64 << 10, true, true
	return partitioner{kgo.UniformBytesPartitioner(bytesInARow, isAdaptive, byKey, nil)}
}

func (p partitioner) ForTopic(topic string) kgo.TopicPartitioner {
	return &topicPartitioner{p.byKey.ForTopic(topic).(kgo.TopicBackupPartitioner)}
}

type topicPartitioner struct{ byKey kgo.TopicBackupPartitioner }

// RequiresConsistency makes a record with a partition wait for its leader.
func (p *topicPartitioner) RequiresConsistency(r *kgo.Record) bool {
	return r.Partition >= 0 || p.byKey.RequiresConsistency(r)
}

// Partition is not called by the client, which prefers PartitionByBackup.
func (p *topicPartitioner) Partition(r *kgo.Record, n int) int { return p.PartitionByBackup(r, n, nil) }

// PartitionByBackup implements [kgo.TopicBackupPartitioner]: the client prefers partitions with fewer waiting records.
func (p *topicPartitioner) PartitionByBackup(r *kgo.Record, n int, backup kgo.TopicBackupIter) int {
	if r.Partition >= 0 {
		return int(r.Partition)
	}
	return p.byKey.PartitionByBackup(r, n, backup)
}
