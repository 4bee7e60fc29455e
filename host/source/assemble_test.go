package source

import (
	"context"

	"github.com/culvert-project/culvert/host/kafka"
	"github.com/culvert-project/culvert/host/offset"
	"github.com/culvert-project/culvert/host/plugin"
	"github.com/culvert-project/culvert/wit"
)

// VersionsOf makes a binding what a task runs.
func VersionsOf(b *plugin.Binding) Versions { return binding{b} }

type binding struct{ *plugin.Binding }

func (b binding) Current() Code { return code{b.Binding.Current()} }

func (b binding) Candidate() Code {
	if p := b.Binding.Candidate(); p != nil {
		return code{p}
	}
	return nil
}

func (b binding) Promote(c Code)               { b.Binding.Promote(c.(code).Pool) }
func (b binding) Reject(c Code, reason string) { b.Binding.Reject(c.(code).Pool, reason) }

type code struct{ *plugin.Pool }

func (c code) Acquire(ctx context.Context) (Reader, error) {
	r, err := c.Pool.Reader(ctx)
	if err != nil {
		return nil, err
	}
	return r, nil
}

func (c code) Release(r Reader) { r.(*plugin.Reader).Close() }
func (c code) Version() string  { return c.Module().Version }

// ProducerOf makes a Kafka client what a feed writes with.
func ProducerOf(p *kafka.Producer) Producer { return producer{p} }

type producer struct{ *kafka.Producer }

func (p producer) NewBatch() Batch { return p.Producer.NewBatch() }

func (p producer) Produce(ctx context.Context, b Batch, done func(n int, err error)) {
	p.Producer.Produce(ctx, b.(*kafka.Batch), done)
}

// OffsetsOf makes a worker's store what a task of a connector stores its offsets with. The writer is the caller's to close,
// after Run.
func OffsetsOf(s *offset.Store, connector string, w *offset.Writer) Offsets {
	return offsets{s, connector, w}
}

type offsets struct {
	store     *offset.Store
	connector string
	*offset.Writer
}

func (o offsets) Get(_ context.Context, partition []wit.Field) ([]wit.Field, error) {
	fields, _, err := o.store.Get(o.connector, partition)
	return fields, err
}
