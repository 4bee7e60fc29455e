package connect

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/culvert-project/culvert/host/config"
	"github.com/culvert-project/culvert/host/internal/run/fencing"
	"github.com/culvert-project/culvert/host/internal/run/offset"
	"github.com/culvert-project/culvert/host/internal/run/source"
	"github.com/culvert-project/culvert/host/kafka"
	"github.com/culvert-project/culvert/wit"
)

const maxProducersPerTask = 4

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
		return maxProducersPerTask
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
	f := fencing.Fencer{Worker: c.options.Kafka, Group: w.Text("group.id"), Log: c.log, Topic: kafka.Internal{
		Name: w.ConfigTopic(), Setting: "config.storage.topic", Partitions: 1,
		Replication: int16(w.Int("config.storage.replication.factor"))}}
	return f.Fence(ctx, c.transactionalConfig(), c.config.Name, counts)
}

// transactionalConfig returns the configuration of the transactional producers, or of the offset store if only offsets
// are written in transactions.
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

// ownOffsets reports whether the connector has its own offset store, and its topic; "" means the name of the worker's
// topic.
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
	store, err := offset.OpenForConnector(ctx, producers.OfProducers(), settings, c.config.Name, c.options.Offsets, c.log)
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

// delivery sends records and offsets to Kafka. prepare, if not nil, is called before offsets are read.
type delivery struct {
	prepare func(ctx context.Context, feeds int) error
	output  func(feed string) (source.Output, error)
	close   func(ctx context.Context)
}

func (t *task) newDelivery(owner string, ids func(feeds int) []string) delivery {
	switch {
	case t.run.isExactlyOnce():
		return t.transactionalDelivery(owner, ids)
	case t.run.clients.producersPerTask > 0:
		return t.fencedDelivery(owner, ids)
	}
	return t.atLeastOnceDelivery(owner, ids)
}

func (t *task) atLeastOnceDelivery(owner string, _ func(int) []string) delivery {
	writer := t.run.clients.offsets.NewWriter(owner, t.metrics.Commits.Record)
	return delivery{
		output: func(string) (source.Output, error) { return t.idempotentOutput(writer) },
		close:  func(ctx context.Context) { t.closeWriter(ctx, writer) },
	}
}

// fencedDelivery is at least once with offsets written by a transactional producer of the task.
func (t *task) fencedDelivery(owner string, ids func(feeds int) []string) delivery {
	c := t.run
	var writer *offset.Writer
	return delivery{
		prepare: func(ctx context.Context, _ int) (err error) {
			if err = t.checkLease(ctx); err == nil && writer == nil {
				if writer, err = c.clients.offsets.OpenTransactionalWriter(ctx, owner, ids(1)[0],
					t.metrics.Commits.Record); err == nil {
					err = t.checkLease(ctx)
				}
			}
			if err != nil {
				return err
			}
			return c.clients.offsets.RefreshCommitted(ctx)
		},
		output: func(string) (source.Output, error) { return t.idempotentOutput(writer) },
		close: func(ctx context.Context) {
			if writer != nil {
				t.closeWriter(ctx, writer)
			}
		},
	}
}

// checkLease returns nil if the worker is still a member of its group: only a member may fence. Call it before and
// after opening producers, because the worker may be paused in between.
func (t *task) checkLease(ctx context.Context) error {
	g := t.run.options.Group
	if g == nil {
		return nil
	}
	if err := g.CheckLease(ctx); err != nil {
		return &wit.Error{Kind: wit.ErrorTransient, Message: "the task's producers are not opened, since the worker " +
			"may be none of its group's any more: " + err.Error()}
	}
	return nil
}

// asFencedError makes fencing by another worker a transient error: the group revokes the task, or this worker was
// paused. The task is FAILED and not UNASSIGNED, which would hide a second cluster with the same group.id. It restarts
// only after a delay and as a member, so that two workers do not fence each other in a loop.
func (t *task) asFencedError(err error) error {
	id := kafka.Taken(err)
	if t.run.options.Group == nil || id == "" {
		return err
	}
	return &wit.Error{Kind: wit.ErrorTransient, Message: fmt.Sprintf("transactional id %s: another worker has fenced "+
		"the producer, which stores nothing more: the task is that worker's, until the group gives it back", id)}
}

func (t *task) idempotentOutput(writer *offset.Writer) (source.Output, error) {
	k, key := t.run.producerConfig()
	p, err := k.SharedProducer(key, "connector-producer")
	if err != nil {
		return nil, err
	}
	return kafka.NewOutput(p, writer), nil
}

func (t *task) closeWriter(ctx context.Context, writer *offset.Writer) {
	if err := t.asFencedError(writer.Close(ctx)); err != nil {
		t.run.log.Error("offsets are not written: rows after them come again", "task", t.number, "error", err)
	}
}

func (t *task) transactionalIDs(feeds int) []string {
	ids := make([]string, min(max(1, feeds), maxProducersPerTask))
	for i := range ids {
		ids[i] = kafka.TransactionalID(t.run.options.Worker.Text("group.id"), t.run.config.Name, t.number, i)
	}
	return ids
}

func (t *task) transactionalDelivery(owner string, ids func(feeds int) []string) delivery {
	c := t.run
	offsets := c.clients.offsets.NewTransactional(owner)
	var transactions *kafka.Transactions
	return delivery{
		prepare: func(ctx context.Context, feeds int) error {
			if err := t.checkLease(ctx); err != nil {
				return err
			}
			if transactions == nil {
				k, _ := c.producerConfig()
				var err error
				transactions, err = kafka.OpenTransactions(ctx, k, fmt.Sprintf("connector-producer-%s-%d",
					c.config.Name, t.number), ids(feeds), offsets)
				if err != nil {
					return err
				}
				transactions.Ended = t.metrics.Commits.RecordTransaction
				if err := t.checkLease(ctx); err != nil {
					return err
				}
			}
			return c.clients.offsets.RefreshCommitted(ctx)
		},
		output: func(string) (source.Output, error) {
			if transactions == nil {
				return nil, errors.New("no transactional producers are open")
			}
			return transactions.Output(), nil
		},
		close: func(ctx context.Context) {
			if transactions != nil {
				transactions.Close()
			}
			offsets.Close(ctx)
		},
	}
}
