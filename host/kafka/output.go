package kafka

import (
	"context"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/culvert-project/culvert/wit"
)

// Records is a run of records that is acknowledged as a whole: a [Batch].
type Records interface {
	Add() *kgo.Record
	Headers(n int) []kgo.RecordHeader
	Len() int
}

// Offset is where a feed of a source stands; the zero value is none.
type Offset struct{ Partition, Position []wit.OffsetEntry }

// OffsetStore takes what was acknowledged, and stores it from time to time: *offset.Writer.
type OffsetStore interface {
	// Acknowledged says that everything up to a position is in Kafka. It must not block.
	Acknowledged(partition, position []wit.OffsetEntry)
	// Flush returns when what was acknowledged is stored.
	Flush(ctx context.Context) error
	// OnFailure adds a function that is called when nothing can be stored any more.
	OnFailure(failed func(error))
}

// Rewound says that pages were not committed that a feed has gone on from: it is to start over from its stored offset,
// which is to be read again from Kafka. Where a commit's answer was lost, that offset tells whether it was done.
type Rewound struct {
	Cause error
	// Committed: the output has committed others before.
	Committed bool
}

func (r *Rewound) Error() string { return "what was read is not committed: " + r.Cause.Error() }
func (r *Rewound) Unwrap() error { return r.Cause }

// Output is where one feed of a source writes to: records, and the offset after them. A page begins, produces, and is
// committed, or aborted where it broke off and comes again from its start. Delivery is at least once: what was sent of
// an aborted page stays, an offset is stored some time after all records before it were acknowledged, and Begin, Commit
// and Abort have nothing to do. With transactions, Commit is where one ends with its records and its last offset, in
// the client of the feed's own that they need.
type Output struct {
	producer *Producer
	offsets  OffsetStore
}

// NewOutput makes one, which closes the producer; the offsets are the caller's to close, after it.
func NewOutput(p *Producer, o OffsetStore) *Output { return &Output{p, o} }

// NewBatch is [Producer.NewBatch].
func (o *Output) NewBatch() Records { return o.producer.NewBatch() }

// OnFailure sets what is called when offsets cannot be stored any more: the feed may be at rest.
func (o *Output) OnFailure(failed func(error)) { o.offsets.OnFailure(failed) }

// Keeps tells whether what was sent of a page that broke off stays, so that the page can be gone on with after it.
func (o *Output) Keeps() bool { return true }

// Begin is where a page begins, or one that broke off goes on.
func (o *Output) Begin(context.Context) error { return nil }

// Produce is [Producer.Produce], of a batch that NewBatch has made, with the offset that is after it and all before:
// before done is called without an error, that is acknowledged too.
func (o *Output) Produce(ctx context.Context, b Records, upTo Offset, done func(n int, err error)) {
	o.producer.Produce(ctx, b.(*Batch), func(n int, err error) {
		if err == nil && upTo.Partition != nil {
			o.offsets.Acknowledged(upTo.Partition, upTo.Position)
		}
		done(n, err)
	})
}

// Commit is where a page ends, or how far it came before it broke off, to go on from there.
func (o *Output) Commit(context.Context) error { return nil }

// Abort is where a page broke off that comes again from its start.
func (o *Output) Abort(context.Context) error { return nil }

// Flush returns when the offset after what was acknowledged is stored.
func (o *Output) Flush(ctx context.Context) error { return o.offsets.Flush(ctx) }

// Close is [Producer.Close].
func (o *Output) Close(ctx context.Context) error { return o.producer.Close(ctx) }
