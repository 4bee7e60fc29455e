package connect

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/culvert-project/culvert/internal/config"
	"github.com/culvert-project/culvert/internal/kafka"
	"github.com/culvert-project/culvert/internal/run/fencing"
	"github.com/culvert-project/culvert/internal/run/offset"
	"github.com/culvert-project/culvert/wit"
)

const concurrentProducers = 4

func (c *connectorRun) isExactlyOnce() bool { return !c.isSink() && c.options.Worker.ExactlyOnce() }

func (c *connectorRun) requiresExactlyOnce() bool {
	return strings.EqualFold(c.config.Text("exactly.once.support"), "required")
}

func (c *connectorRun) checkExactlyOnce(s wit.Support) error {
	if c.requiresExactlyOnce() && s.Unsupported != nil {
		return &wit.Error{Kind: wit.ErrorConfig, Message: "exactly.once.support=required: " + *s.Unsupported}
	}
	return nil
}

// producerConfig returns the configuration of the connector's producers and the key under which they are shared.
func (c *connectorRun) producerConfig() (k kafka.Config, key string) {
	k, key = c.clientConfig("producer.override.")
	if !c.options.Worker.Boolean("topic.creation.enable") { // the broker may create topics
		k.Extra = append(slices.Clone(k.Extra), kgo.AllowAutoTopicCreation())
	}
	return k, key
}

// producersFor returns the number of transactional producers of each task: 0, 1 for offsets only, or one for each
// concurrent feed. Offsets need one if the tasks have claims in a group: a paused worker could overwrite the offsets of
// the task's new owner, and the service has forgotten the acknowledged rows.
func (c *connectorRun) producersFor(claims []string) int {
	switch {
	case c.isExactlyOnce():
		return concurrentProducers
	case c.options.Group != nil && !c.isSink() && len(claims) > 0:
		return 1
	}
	return 0
}

// transactionalClaims returns the transactional IDs as claims, because two connectors with the same IDs would fence
// each other forever.
func (c *connectorRun) transactionalClaims(plan wit.PlanResult) (claims []string) {
	n := c.producersFor(plan.Claims)
	if n == 0 {
		return nil
	}
	for _, id := range kafka.TransactionalIDs(c.options.Worker.Text("group.id"), c.config.Name, len(plan.Tasks), n) {
		claims = append(claims, "the transactional id "+id)
	}
	return claims
}

func (c *connectorRun) fence(ctx context.Context, tasks int) error {
	counts := config.FencingCounts{Tasks: tasks, Producers: c.clients.producersPerTask}
	if c.options.Group != nil {
		return c.options.Group.Fence(ctx, c.config.Name, c.assignment().version(), counts)
	}
	w := c.options.Worker
	f := fencing.Fencer{Worker: c.options.Kafka, Group: w.Text("group.id"), Log: c.log, Topic: kafka.InternalTopic{
		Name: w.ConfigTopic(), Setting: "config.storage.topic", Partitions: 1,
		Replication: int16(w.Int("config.storage.replication.factor"))}}
	return f.Fence(ctx, c.transactionalConfig(), c.config.Name, counts)
}

func (c *connectorRun) transactionalConfig() kafka.Config {
	if _, own := c.ownOffsets(); !own && !c.isExactlyOnce() {
		return c.options.Kafka
	}
	producers, _ := c.producerConfig()
	return producers
}

// TransactionalConfig returns the configuration of clients that fence the connector's transactional producers.
func (h *Herder) TransactionalConfig(ctx context.Context, name string) (kafka.Config, error) {
	k, err := h.find(name)
	if err != nil {
		return kafka.Config{}, err
	}
	c := k.newDetachedRun()
	if err := c.configureKafka(ctx); err != nil {
		return kafka.Config{}, err
	}
	return c.transactionalConfig(), nil
}

func (c *connectorRun) ownOffsets() (topic string, own bool) {
	topic = c.config.Text("offsets.storage.topic")
	producers, _ := c.producerConfig()
	elsewhere := len(producers.Producer.Bootstrap) > 0 &&
		!slices.Equal(producers.Producer.Bootstrap, c.options.Kafka.Bootstrap)
	if topic == "" {
		return "", elsewhere && c.isExactlyOnce()
	}
	return topic, elsewhere || topic != c.options.Worker.Text("offset.storage.topic")
}

func (c *connectorRun) openOffsets(ctx context.Context) (err error) {
	c.clients.offsets = c.options.Offsets
	if c.isSink() {
		return nil
	}
	topic, own := c.ownOffsets()
	if !own {
		return nil
	}
	settings, wrong := offset.ParseConfig(c.options.Worker.All())
	if err := wrong.Err(); err != nil {
		return err
	}
	if topic != "" {
		settings.Topic = topic
	}
	producers, _ := c.producerConfig()
	store, err := offset.OpenForConnector(ctx, producers.ForProducers(), settings, c.config.Name, c.options.Offsets,
		c.log)
	if err != nil {
		return fmt.Errorf("offsets.storage.topic: %w", err)
	}
	c.clients.offsets = store
	return nil
}

func (c *connectorRun) closeOffsets() {
	if c.clients.offsets != nil && c.clients.offsets != c.options.Offsets {
		c.clients.offsets.Close()
	}
	c.clients.offsets = nil
}
