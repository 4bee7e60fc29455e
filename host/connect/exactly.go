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

// maxProducersPerTask is how many transactional producers a task has: as many feeds as read a page at the same time.
const maxProducersPerTask = 4

// isExactlyOnce tells whether a connector writes its records and offsets in transactions.
func (c *connectorRun) isExactlyOnce() bool { return !c.isSink() && c.options.Worker.ExactlyOnce() }

// requiresExactlyOnce tells whether it must.
func (c *connectorRun) requiresExactlyOnce() bool {
	return strings.EqualFold(c.config.Text("exactly.once.support"), "required")
}

// checkExactlyOnce is the preflight of a connector that must have exactly-once.
func (c *connectorRun) checkExactlyOnce(s wit.Support) error {
	if c.requiresExactlyOnce() && s.Unsupported != nil {
		return &wit.Error{Kind: wit.ErrorConfig, Message: "exactly.once.support=required: " + *s.Unsupported}
	}
	return nil
}

// producerConfig is the configuration of the connector's producers, which also tells where its records go.
func (c *connectorRun) producerConfig() (k kafka.Config, key string) {
	k, key = c.clientConfig("producer.override.")
	if !c.options.Worker.Boolean("topic.creation.enable") { // then it is the broker that makes topics, if it does
		k.Extra = append(slices.Clone(k.Extra), kgo.AllowAutoTopicCreation())
	}
	return k, key
}

// producersFor is how many transactional producers each task of the connector has, by what the tasks claim: 0, 1 for
// its offsets alone, or as many as write records. In a group a worker that was paused could write offsets of a
// task that is another worker's by now, and compaction would keep these. That only repeats rows, unless the service
// forgets what is acknowledged, as of what a connector claims.
func (c *connectorRun) producersFor(claims []string) int {
	switch {
	case c.isExactlyOnce():
		return maxProducersPerTask
	case c.options.Group != nil && !c.isSink() && len(claims) > 0:
		return 1
	}
	return 0
}

// transactionalClaims are the transactional ids of the connector, as claims: by their names those of two connectors may be the
// same, which would fence each other without end.
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

// fence keeps earlier tasks of the connector from committing anything, wherever they run.
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

// transactionalConfig is the configuration of the connector's transactional producers: where only offsets go through them, that
// of the store.
func (c *connectorRun) transactionalConfig() kafka.Config {
	if _, own := c.ownOffsets(); !own && !c.isExactlyOnce() {
		return c.options.Kafka
	}
	producers, _ := c.producerConfig()
	return producers
}

// TransactionalConfig is the configuration of clients that fence the transactional producers of a connector, for
// [Group].Fence of whichever worker leads.
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

// ownOffsets tells whether the connector has a store of its own for its offsets, and in which topic; "" is that of the
// worker's name.
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

// openOffsets opens the store of the connector's offsets: the worker's, or one of its own, where it names a topic or
// where its transactions are on another cluster than the worker's.
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

// delivery is how a task's records and offsets get to Kafka. renew is nil where offsets are as they were.
type delivery struct {
	prepare func(ctx context.Context, feeds int) error
	output  func(feed string) (source.Output, error)
	close   func(ctx context.Context)
}

// newDelivery returns how records are delivered: offsets belong to an owner, ids name the transactional producers.
func (t *task) newDelivery(owner string, ids func(feeds int) []string) delivery {
	switch {
	case t.run.isExactlyOnce():
		return t.transactionalDelivery(owner, ids)
	case t.run.clients.producersPerTask > 0:
		return t.fencedDelivery(owner, ids)
	}
	return t.atLeastOnceDelivery(owner, ids)
}

// atLeastOnceDelivery is by one idempotent producer, with offsets of an owner that are written from time to time.
func (t *task) atLeastOnceDelivery(owner string, _ func(int) []string) delivery {
	writer := t.run.clients.offsets.NewWriter(owner, t.metrics.Commits.Record)
	return delivery{
		output: func(string) (source.Output, error) { return t.idempotentOutput(writer) },
		close:  func(ctx context.Context) { t.closeWriter(ctx, writer) },
	}
}

// fencedDelivery is at least once, too, with offsets that go through a transactional producer of the task's own.
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

// checkLease returns nil where the worker is a member of its group still: one that is not must not fence the task's owner. It
// is asked before producers are opened, and after: in between the worker may have been paused, and others have fenced
// all that was open then.
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

// asFencedError is the fault of a task. Where its producers were fenced in a group, by another worker, it passes: the group
// takes the task from this one, or that one was paused and has fenced what is not its own any more. The task is FAILED
// until then, and not UNASSIGNED, which would hide a second cluster of the same group.id. By itself it goes on only
// after a pause (task.auto.restart) and as a member of its group, see owns: two workers do not fence each other without
// end.
func (t *task) asFencedError(err error) error {
	id := kafka.Taken(err)
	if t.run.options.Group == nil || id == "" {
		return err
	}
	return &wit.Error{Kind: wit.ErrorTransient, Message: fmt.Sprintf("transactional id %s: another worker has fenced "+
		"the producer, which stores nothing more: the task is that worker's, until the group gives it back", id)}
}

// idempotentOutput is an output by the producer that connectors share.
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

// transactionalIDs are those of the task for a number of feeds.
func (t *task) transactionalIDs(feeds int) []string {
	ids := make([]string, min(max(1, feeds), maxProducersPerTask))
	for i := range ids {
		ids[i] = kafka.TransactionalID(t.run.options.Worker.Text("group.id"), t.run.config.Name, t.number, i)
	}
	return ids
}

// transactionalDelivery is by transactions with these ids.
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
