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

// Producer writes the records of one feed: idempotent, acknowledged by all in-sync replicas unless configured
// otherwise. Its client is its own, or that of all feeds with equal settings: see [Config.SharedProducer]. What fails
// for one feed is no other's failure, unless brokers do not let the client in.
//
// Batches are acknowledged in the order in which they were produced, whatever partitions their records went to: the
// done function of a batch is called after those of all earlier ones. Once a record has failed, its batch and all later
// ones are reported as failed, so that nobody stores an offset after a lost record; the producer stays in that state.
type Producer struct {
	client *sharedClient
	limit  int // bytes of batches that are not reported yet
	// through is the client of the open transaction; nil: records go through the one above.
	txnClient atomic.Pointer[kgo.Client]

	mu         sync.Mutex
	bytes      int           // of the queue
	spaceFreed chan struct{} // closed when bytes has shrunk; nil: nobody waits
	queue      []*Batch      // produced and not yet reported, oldest first
	reporting  bool          // somebody calls done functions
	waiting    []chan struct{}
	failure    error
}

// NewProducer opens a client; Close ends it. The client id is what the configuration says, else the one given, such as
// connector-producer-orders-0.
func NewProducer(c Config, clientID string) (*Producer, error) {
	client, err := newSharedClient(c, clientID)
	if err != nil {
		return nil, err
	}
	p, _ := client.newProducer(c.Producer.BufferBytes)
	return p, nil
}

// deny fails everything: brokers do not let the client in, and the client itself would try without end.
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

// slab is how many records are allocated at once.
const slab = 512

// Batch is a run of records that is acknowledged as a whole. The bytes that its records point to belong to the caller
// and must stay as they are until done has been called.
type Batch struct {
	producer *Producer
	slabs    [][]kgo.Record
	headers  []kgo.RecordHeader
	n        int
	bytes    int // of all records, with what they cost around their bytes

	// promise is the method value of settle, made once: one allocation for the batch, none for a record.
	promise func(*kgo.Record, error)
	done    func(n int, err error)
	// pending counts records without an answer, and one for Produce itself.
	pending  atomic.Int64
	acked    atomic.Int64
	failed   atomic.Pointer[error]
	answered bool // under the producer's lock
}

// batches are those that were used before, of all producers.
var batches sync.Pool

// NewBatch is an empty batch, of memory that an earlier one used where possible.
func (p *Producer) NewBatch() *Batch {
	b, _ := batches.Get().(*Batch)
	if b == nil {
		b = &Batch{}
		b.promise = b.onAnswer
	}
	b.producer = p
	return b
}

// Add appends an empty record to be filled in: Topic is needed; Partition is -1 (chosen by the key) and may be set;
// without a Timestamp it gets the present. Key and Value may be nil.
func (b *Batch) Add() *kgo.Record {
	if b.n == len(b.slabs)*slab {
		b.slabs = append(b.slabs, make([]kgo.Record, slab))
	}
	r := b.at(b.n)
	b.n++
	*r = kgo.Record{Partition: -1}
	return r
}

// Headers are n empty headers for a record of this batch.
func (b *Batch) Headers(n int) []kgo.RecordHeader {
	if len(b.headers)+n > cap(b.headers) {
		b.headers = make([]kgo.RecordHeader, 0, max(slab, n)) // records keep what they were given of the old one
	}
	start := len(b.headers)
	b.headers = b.headers[:start+n]
	return b.headers[start : start+n : start+n]
}

// EachTopic calls see with the topics of the batch's records, each once where they stand together.
func (b *Batch) EachTopic(see func(topic string)) {
	last, left := "", b.n
	for _, slab := range b.slabs {
		for i := range slab[:min(len(slab), left)] {
			if topic := slab[i].Topic; topic != last {
				last = topic
				see(topic)
			}
		}
		left -= min(len(slab), left)
	}
}

// Len is the number of records.
func (b *Batch) Len() int { return b.n }

func (b *Batch) at(i int) *kgo.Record { return &b.slabs[i/slab][i%slab] }

// Produce sends the records on their way. It waits while more bytes than buffer.memory are not acknowledged yet (a
// larger batch goes alone); when ctx ends that wait, the batch fails as a whole and nothing of it is sent. When all
// records are acknowledged or have failed, done is called with the number of acknowledged ones and the first error, and
// the batch belongs to the producer again. done runs where the client's answers arrive: it must not block and must not
// call Flush. An empty batch is a mark: its done is called when all that was produced before is settled.
func (p *Producer) Produce(ctx context.Context, b *Batch, done func(n int, err error)) {
	b.done = done
	b.pending.Store(int64(b.n) + 1)
	b.measure()
	p.enqueue(ctx, b)
	p.send(b)
	b.release(1)
}

// send gives the records of a batch to the client.
func (p *Producer) send(b *Batch) {
	client := p.currentClient()
	for i := range b.n {
		if b.failed.Load() != nil {
			b.release(int64(b.n - i)) // those that are not sent
			return
		}
		r := b.at(i)
		r.Context = p.client.ctx
		client.Produce(p.client.ctx, r, b.promise)
	}
}

// currentClient is the client that records go through; nil where there is a transaction for each page and none is open.
func (p *Producer) currentClient() *kgo.Client {
	if client := p.txnClient.Load(); client != nil {
		return client
	}
	return p.client.Client
}

func (b *Batch) measure() {
	const around = 64 // bytes that a record costs besides, about
	b.bytes = 0
	for i := range b.n {
		r := b.at(i)
		b.bytes += around + len(r.Key) + len(r.Value)
		for j := range r.Headers {
			b.bytes += len(r.Headers[j].Key) + len(r.Headers[j].Value)
		}
	}
}

// enqueue waits for room and gives b its place; b is marked as failed where nothing of it may be sent.
func (p *Producer) enqueue(ctx context.Context, b *Batch) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for p.failure == nil && b.bytes > 0 && p.bytes > 0 && p.bytes+b.bytes > p.limit {
		if p.spaceFreed == nil {
			p.spaceFreed = make(chan struct{})
		}
		room := p.spaceFreed
		p.mu.Unlock()
		select {
		case <-room:
		case <-ctx.Done():
		}
		p.mu.Lock()
		if err := ctx.Err(); err != nil {
			b.fail(fmt.Errorf("produce: waiting for room: %w", err))
			break
		}
	}
	if p.failure != nil {
		b.fail(p.failure)
	}
	p.bytes += b.bytes
	p.queue = append(p.queue, b)
}

// onAnswer is the promise of every record.
func (b *Batch) onAnswer(r *kgo.Record, err error) {
	switch {
	case err == nil:
		b.acked.Add(1)
	case errors.Is(err, kerr.MessageTooLarge):
		// The client keeps the limit that a topic had when it first wrote there: the next one asks for it again.
		b.producer.client.retire()
		b.fail(fmt.Errorf("produce to topic %s: a batch is larger than the topic's max.message.bytes or our "+
			"max.request.size (%d). Set producer.override.max.request.size to at most max.message.bytes, or raise "+
			"both where a record alone is larger: %w", r.Topic, b.producer.client.maxRequestBytes, err))
	default:
		b.fail(fmt.Errorf("produce to topic %s: %w", r.Topic, withClockHint(r,
			Lacking(err, "WRITE", "Topic "+r.Topic))))
		b.producer.client.retire()
	}
	b.release(1)
}

// withClockHint adds a record's time to an error about it: the brokers' answer does not say whose clock may be wrong.
func withClockHint(r *kgo.Record, err error) error {
	if !errors.Is(err, kerr.InvalidTimestamp) {
		return err
	}
	return fmt.Errorf("%w (the record is of %s, by this machine's clock it is %s: see that the clock is right, and "+
		"the topic's message.timestamp.after.max.ms and message.timestamp.before.max.ms)", err,
		r.Timestamp.UTC().Format(time.RFC3339), time.Now().UTC().Format(time.RFC3339))
}

func (b *Batch) fail(err error) { b.failed.CompareAndSwap(nil, &err) }

func (b *Batch) release(n int64) {
	p := b.producer // b may be another's afterwards
	if b.pending.Add(-n) == 0 {
		p.report(b)
	}
}

// report calls done for b and what waits after it, in order, one at a time.
func (p *Producer) report(settled *Batch) {
	p.mu.Lock()
	defer p.mu.Unlock()
	settled.answered = true
	if p.reporting {
		return // whoever delivers now sees it
	}
	p.reporting = true
	for len(p.queue) > 0 && p.queue[0].answered {
		b := p.queue[0]
		p.queue = p.queue[1:]
		p.bytes -= b.bytes
		if p.spaceFreed != nil {
			close(p.spaceFreed)
			p.spaceFreed = nil
		}
		if failed := b.failed.Load(); failed != nil && p.failure == nil {
			p.failure = *failed
		}
		failure, done, acked := p.failure, b.done, int(b.acked.Load())
		p.mu.Unlock()
		if done != nil {
			done(acked, failure)
		}
		p.mu.Lock()
		p.recycle(b)
	}
	p.reporting = false
	if len(p.queue) == 0 {
		p.queue = nil
		for _, w := range p.waiting {
			close(w)
		}
		p.waiting = nil
	}
}

// recycle keeps the memory of batches of ordinary size.
func (p *Producer) recycle(b *Batch) {
	const slabs = 32
	for i := range b.n {
		*b.at(i) = kgo.Record{} // lets go of the caller's bytes
	}
	if len(b.slabs) > slabs {
		b.slabs = b.slabs[:slabs:slabs]
	}
	clear(b.headers)
	b.headers = b.headers[:0]
	b.n, b.done, b.answered = 0, nil, false
	b.acked.Store(0)
	b.failed.Store(nil)
	batches.Put(b)
}

// Flush sends what lingers and waits until every batch has been reported. It returns the first failure since the
// producer was opened, or the context's error.
func (p *Producer) Flush(ctx context.Context) error {
	// The client's flush would wait for the records of other feeds too; until it is ended it keeps what is there from
	// lingering.
	sending, sent := context.WithCancel(ctx)
	defer sent()
	if client := p.currentClient(); client != nil {
		go func() { _ = client.Flush(sending) }()
	}
	p.mu.Lock()
	if len(p.queue) == 0 && !p.reporting {
		defer p.mu.Unlock()
		return p.failure
	}
	settled := make(chan struct{})
	p.waiting = append(p.waiting, settled)
	p.mu.Unlock()
	select {
	case <-settled:
		return p.Err()
	case <-ctx.Done():
		return fmt.Errorf("flush: %w", ctx.Err())
	}
}

// Err is the first failure since the producer was opened.
func (p *Producer) Err() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.failure
}

// Close flushes for as long as ctx lasts, then ends the client where nobody shares it: batches that are not settled by
// then fail. Those of a client that others go on with are reported when the client is done with them.
func (p *Producer) Close(ctx context.Context) error {
	err := p.Flush(ctx)
	p.client.remove(p)
	return err
}
