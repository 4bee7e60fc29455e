package kafka

import (
	"context"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/culvert-project/culvert/wit"
)

// Records is a batch to be filled, which is acknowledged as a whole, see [Batch].
type Records interface {
	Add() *kgo.Record
	Headers(n int) []kgo.RecordHeader
	Len() int
}

// Offset is the source offset of a feed. The zero value means no offset.
type Offset struct {
	Partition []wit.OffsetEntry
	Position  []wit.OffsetEntry
	Prompt    bool // Prompt requests that the offset be stored once it is acknowledged, not only periodically.
}

// OffsetStore stores acknowledged offsets periodically (*offset.Writer).
type OffsetStore interface {
	// Acknowledged reports that all records up to a position are in Kafka. It must not block.
	Acknowledged(partition, position []wit.OffsetEntry)
	// FlushSoon requests that acknowledged offsets be stored soon. It must not block.
	FlushSoon()
	// Flush stores acknowledged offsets.
	Flush(ctx context.Context) error
	// OnFailure adds a function that is called when offsets cannot be stored any more.
	OnFailure(notify func(error))
}

// Output writes the records and offsets of one source feed, at least once: records of an aborted page stay, and offsets
// are stored some time after their records. Begin, Commit and Abort do nothing. See [TransactionalOutput].
type Output struct {
	producer *Producer
	offsets  OffsetStore
}

// NewOutput returns an output that closes the producer. The caller closes the offsets after the output.
func NewOutput(p *Producer, o OffsetStore) *Output { return &Output{p, o} }

// NewBatch returns an empty batch for [Output.Produce].
func (o *Output) NewBatch() Records { return o.producer.NewBatch() }

// OnFailure adds a function that is called when offsets cannot be stored any more.
func (o *Output) OnFailure(notify func(error)) { o.offsets.OnFailure(notify) }

// AtLeastOnce reports whether records of an interrupted page stay, so that the page can be continued.
func (o *Output) AtLeastOnce() bool { return true }

// Begin does nothing: there is no transaction.
func (o *Output) Begin(context.Context) error { return nil }

// Produce is [Producer.Produce]. upTo is the offset after the batch; it is acknowledged before done is called.
func (o *Output) Produce(ctx context.Context, b Records, upTo Offset, done func(n int, err error)) {
	o.producer.Produce(ctx, b.(*Batch), func(n int, err error) {
		if err == nil && upTo.Partition != nil {
			o.offsets.Acknowledged(upTo.Partition, upTo.Position)
			if upTo.Prompt {
				o.offsets.FlushSoon()
			}
		}
		done(n, err)
	})
}

func (o *Output) Commit(context.Context) error { return nil }

func (o *Output) Abort(context.Context) error { return nil }

// Flush stores the acknowledged offsets and waits for that. It does not wait for batches.
func (o *Output) Flush(ctx context.Context) error { return o.offsets.Flush(ctx) }

// Close closes the producer, see [Producer.Close], but not the offsets.
func (o *Output) Close(ctx context.Context) error { return o.producer.Close(ctx) }
