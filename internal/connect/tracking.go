package connect

import (
	"context"
	"slices"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/culvert-project/culvert/internal/kafka"
	"github.com/culvert-project/culvert/internal/run/sink"
	"github.com/culvert-project/culvert/internal/run/source"
)

func (t *task) recordTopic(topic string) {
	run := t.run
	run.options.Group.RecordTopic(run.accepted.Name, topic, t.number)
	if _, ok := run.controller.topics.Load(topic); !ok {
		run.controller.topics.Store(topic, true)
	}
}

// trackedOutput calls recordTopic with each topic of each batch.
type trackedOutput struct {
	source.Output
	recordTopic func(topic string)
}

// Produce implements [source.Output].
func (o trackedOutput) Produce(ctx context.Context, b source.Batch, after kafka.Offset, done func(n int, err error)) {
	if batch, ok := b.(*kafka.Batch); ok {
		batch.EachTopic(o.recordTopic)
	}
	o.Output.Produce(ctx, b, after, done)
}

// trackedConsumer calls recordTopic with the topics of polled records.
type trackedConsumer struct {
	sink.Consumer
	recordTopic func(topic string)
}

// Poll implements [sink.Consumer].
func (c trackedConsumer) Poll(ctx context.Context) ([]*kgo.Record, error) {
	records, err := c.Consumer.Poll(ctx)
	lastTopic := ""
	for _, r := range records {
		if r.Topic != lastTopic {
			lastTopic = r.Topic
			c.recordTopic(lastTopic)
		}
	}
	return records, err
}

// Topics returns the topics that a connector has used.
func (h *Herder) Topics(name string) (topics []string, err error) {
	ctl, err := h.find(name)
	if err != nil {
		return nil, err
	}
	for topic := range ctl.topics.Range {
		topics = append(topics, topic.(string))
	}
	slices.Sort(topics)
	return topics, nil
}

// ResetTopics clears the topics that a connector has used.
func (h *Herder) ResetTopics(name string) error {
	return h.withController(name, func(ctl *controller) { ctl.topics.Clear() })
}
