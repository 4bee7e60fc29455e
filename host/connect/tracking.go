package connect

import (
	"context"
	"slices"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/culvert-project/culvert/host/internal/run/sink"
	"github.com/culvert-project/culvert/host/internal/run/source"
	"github.com/culvert-project/culvert/host/kafka"
)

// uses records that the task uses a topic: for the group, or in this process if the worker is alone. It is called for
// each batch, and takes no lock for a topic that is already known. The group receives the topic each time, because
// another worker may have reset the topics.
func (t *task) uses(topic string) {
	c := t.connector
	if c.o.Group != nil {
		c.o.Group.RecordTopic(c.given.Name, topic, t.number)
		return
	}
	if _, known := c.controller.topics.Load(topic); !known {
		c.controller.topics.Store(topic, true)
	}
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
	k, err := h.find(name)
	if err != nil {
		return nil, err
	}
	for topic := range k.topics.Range {
		topics = append(topics, topic.(string))
	}
	slices.Sort(topics)
	return topics, nil
}

// ResetTopics forgets the topics that a connector has used so far: they are listed again when they are used again.
func (h *Herder) ResetTopics(name string) error {
	return h.with(name, func(k *controller) { k.topics.Clear() })
}
