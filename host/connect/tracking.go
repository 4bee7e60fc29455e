package connect

import (
	"context"
	"maps"
	"slices"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/culvert-project/culvert/host/internal/run/sink"
	"github.com/culvert-project/culvert/host/internal/run/source"
	"github.com/culvert-project/culvert/host/kafka"
)

// uses notes that the task uses a topic: where all workers of a group look, or in this process, since the worker began
// or the topics were reset.
func (t *task) uses(topic string) {
	c := t.connector
	if c.o.Group != nil {
		c.o.Group.Uses(c.given.Name, topic, t.number)
		return
	}
	c.controller.change(func(_ *spec, s *status) {
		if s.topics == nil {
			s.topics = map[string]bool{}
		}
		s.topics[topic] = true
	})
}

// trackedOutput notes where a source's records go.
type trackedOutput struct {
	source.Output
	uses func(topic string)
}

func (o trackedOutput) Produce(ctx context.Context, b source.Batch, after kafka.Offset, done func(n int, err error)) {
	if batch, ok := b.(*kafka.Batch); ok {
		batch.EachTopic(o.uses)
	}
	o.Output.Produce(ctx, b, after, done)
}

// trackedConsumer notes where a sink's records come from.
type trackedConsumer struct {
	sink.Consumer
	uses func(topic string)
}

func (c trackedConsumer) Poll(ctx context.Context) ([]*kgo.Record, error) {
	records, err := c.Consumer.Poll(ctx)
	last := ""
	for _, r := range records {
		if r.Topic != last {
			last = r.Topic
			c.uses(last)
		}
	}
	return records, err
}

// Topics are those that a connector's records have gone to or come from.
func (h *Herder) Topics(name string) (topics []string, err error) {
	err = h.with(name, func(k *controller) {
		k.change(func(_ *spec, s *status) { topics = slices.Sorted(maps.Keys(s.topics)) })
	})
	return topics, err
}

// ResetTopics forgets the topics that a connector has used so far: they are listed again when they are used again.
func (h *Herder) ResetTopics(name string) error {
	return h.with(name, func(k *controller) { k.change(func(_ *spec, s *status) { s.topics = nil }) })
}
