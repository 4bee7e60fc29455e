package source

import (
	"context"

	"github.com/culvert-project/culvert/host/kafka"
	"github.com/culvert-project/culvert/host/offset"
	"github.com/culvert-project/culvert/host/plugin"
	"github.com/culvert-project/culvert/wit"
)

// VersionsOf makes a binding what a task runs.
func VersionsOf(b *plugin.Binding) Versions { return Bound(b, nil) }

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
