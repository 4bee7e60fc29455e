package connect

import (
	"context"
	"maps"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/culvert-project/culvert/host/internal/run/sink"
	"github.com/culvert-project/culvert/host/internal/run/source"
	"github.com/culvert-project/culvert/host/kafka"
)

// topics are those that a connector's records have gone to or come from, since the worker began or they were reset.
// They outlive its tasks.
type topics struct {
	seen atomic.Pointer[map[string]bool] // nil: none; never changed
	mu   sync.Mutex
}

// add notes a topic. For one that is known it takes no lock: it is called for records.
func (t *topics) add(topic string) {
	if seen := t.seen.Load(); seen != nil && (*seen)[topic] {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	next := map[string]bool{topic: true}
	if seen := t.seen.Load(); seen != nil {
		maps.Copy(next, *seen)
	}
	t.seen.Store(&next)
}

func (t *topics) reset() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.seen.Store(nil)
}

func (t *topics) names() []string {
	if seen := t.seen.Load(); seen != nil {
		return slices.Sorted(maps.Keys(*seen))
	}
	return nil
}

// uses notes that the task uses a topic: where all workers of a group look, or in this process.
func (t *task) uses(topic string) {
	if c := t.connector; c.o.Group != nil {
		c.o.Group.Uses(c.given.Name, topic, t.number)
	} else {
		c.controller.topics.add(topic)
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
func (h *Herder) Topics(name string) ([]string, error) {
	k, err := h.find(name)
	if err != nil {
		return nil, err
	}
	return k.topics.names(), nil
}

// ResetTopics forgets the topics that a connector has used so far: they are listed again when they are used again.
func (h *Herder) ResetTopics(name string) error {
	return h.with(name, func(k *controller) { k.topics.reset() })
}
