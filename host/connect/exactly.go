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

// producersOfTask is how many transactional producers a task has: as many feeds as read a page at the same time.
const producersOfTask = 4

// exactly tells whether a connector writes its records and offsets in transactions.
func (c *connector) exactly() bool { return !c.isSink() && c.o.Worker.ExactlyOnce() }

// required tells whether it must.
func (c *connector) required() bool {
	return strings.EqualFold(c.config.Text("exactly.once.support"), "required")
}

// supported is the preflight of a connector that must have exactly-once.
func (c *connector) supported(s wit.Support) error {
	if c.required() && s.Unsupported != nil {
		return &wit.Error{Kind: wit.ErrorConfig, Message: "exactly.once.support=required: " + *s.Unsupported}
	}
	return nil
}

// producers is the configuration of the connector's producers, which also tells where its records go.
func (c *connector) producers() (k kafka.Config, key string) {
	k, key = c.sharedBy("producer.override.")
	if !c.o.Worker.Boolean("topic.creation.enable") { // then it is the broker that makes topics, if it does
		k.Extra = append(slices.Clone(k.Extra), kgo.AllowAutoTopicCreation())
	}
	return k, key
}

// transactional is how many transactional producers each task of the connector has, by what the tasks claim: 0, 1 for
// its offsets alone, or as many as write records. In a group a worker that was paused could write offsets of a
// task that is another worker's by now, and compaction would keep these. That only repeats rows, unless the service
// forgets what is acknowledged, as of what a connector claims.
func (c *connector) transactional(claims []string) int {
	switch {
	case c.exactly():
		return producersOfTask
	case c.o.Group != nil && !c.isSink() && len(claims) > 0:
		return 1
	}
	return 0
}

// claimed are the transactional ids of the connector, as claims: by their names those of two connectors may be the
// same, which would fence each other without end.
func (c *connector) claimed(layout wit.PlanResult) (claims []string) {
	n := c.transactional(layout.Claims)
	if n == 0 {
		return nil
	}
	for _, id := range kafka.TransactionalIDs(c.o.Worker.Text("group.id"), c.config.Name, len(layout.Tasks), n) {
		claims = append(claims, "the transactional id "+id)
	}
	return claims
}

// fence keeps earlier tasks of the connector from committing anything, wherever they run.
func (c *connector) fence(ctx context.Context, tasks int) error {
	counts := config.FencingCounts{Tasks: tasks, Producers: c.run.transactional}
	if c.o.Group != nil {
		return c.o.Group.Fence(ctx, c.config.Name, c.shared().version(), counts)
	}
	w := c.o.Worker
	f := fencing.Fencer{Worker: c.o.Kafka, Group: w.Text("group.id"), Log: c.log, Topic: kafka.Internal{
		Name: w.ConfigTopic(), Setting: "config.storage.topic", Partitions: 1,
		Replication: int16(w.Int("config.storage.replication.factor"))}}
	return f.Fence(ctx, c.transacting(), c.config.Name, counts)
}

// transacting is the configuration of the connector's transactional producers: where only offsets go through them, that
// of the store.
func (c *connector) transacting() kafka.Config {
	if _, own := c.ownOffsets(); !own && !c.exactly() {
		return c.o.Kafka
	}
	producers, _ := c.producers()
	return producers
}

// TransactionalConfig is the configuration of clients that fence the transactional producers of a connector, for
// [Group].Fence of whichever worker leads.
func (h *Herder) TransactionalConfig(ctx context.Context, name string) (kafka.Config, error) {
	k, err := h.find(name)
	if err != nil {
		return kafka.Config{}, err
	}
	c := k.another()
	if err := c.override(ctx); err != nil {
		return kafka.Config{}, err
	}
	return c.transacting(), nil
}

// ownOffsets tells whether the connector has a store of its own for its offsets, and in which topic; "" is that of the
// worker's name.
func (c *connector) ownOffsets() (topic string, own bool) {
	topic = c.config.Text("offsets.storage.topic")
	producers, _ := c.producers()
	elsewhere := len(producers.Producer.Bootstrap) > 0 &&
		!slices.Equal(producers.Producer.Bootstrap, c.o.Kafka.Bootstrap)
	if topic == "" {
		return "", elsewhere && c.exactly()
	}
	return topic, elsewhere || topic != c.o.Worker.Text("offset.storage.topic")
}

// openOffsets opens the store of the connector's offsets: the worker's, or one of its own, where it names a topic or
// where its transactions are on another cluster than the worker's.
func (c *connector) openOffsets(ctx context.Context) (err error) {
	c.run.offsets = c.o.Offsets
	if c.isSink() {
		return nil
	}
	topic, own := c.ownOffsets()
	if !own {
		return nil
	}
	settings, wrong := offset.ParseConfig(c.o.Worker.All())
	if err := wrong.Err(); err != nil {
		return err
	}
	if topic != "" {
		settings.Topic = topic
	}
	producers, _ := c.producers()
	store, err := offset.OpenForConnector(ctx, producers.OfProducers(), settings, c.config.Name, c.o.Offsets, c.log)
	if err != nil {
		return fmt.Errorf("offsets.storage.topic: %w", err)
	}
	c.run.offsets = store
	return nil
}

func (c *connector) closeOffsets() {
	if c.run.offsets != nil && c.run.offsets != c.o.Offsets {
		c.run.offsets.Close()
	}
	c.run.offsets = nil
}

// delivery is how a task's records and offsets get to Kafka. renew is nil where offsets are as they were.
type delivery struct {
	renew  func(ctx context.Context, feeds int) error
	output func(feed string) (source.Output, error)
	close  func(ctx context.Context)
}

// delivers returns how records are delivered: offsets belong to an owner, ids name the transactional producers.
func (t *task) delivers(owner string, ids func(feeds int) []string) delivery {
	switch {
	case t.connector.exactly():
		return t.exactlyOnce(owner, ids)
	case t.connector.run.transactional > 0:
		return t.fenced(owner, ids)
	}
	return t.atLeastOnce(owner, ids)
}

// atLeastOnce is by one idempotent producer, with offsets of an owner that are written from time to time.
func (t *task) atLeastOnce(owner string, _ func(int) []string) delivery {
	writer := t.connector.run.offsets.NewWriter(owner, t.tally.Commits.Record)
	return delivery{
		output: func(string) (source.Output, error) { return t.idempotent(writer) },
		close:  func(ctx context.Context) { t.closeWriter(ctx, writer) },
	}
}

// fenced is at least once, too, with offsets that go through a transactional producer of the task's own.
func (t *task) fenced(owner string, ids func(feeds int) []string) delivery {
	c := t.connector
	var writer *offset.Writer
	return delivery{
		renew: func(ctx context.Context, _ int) (err error) {
			if err = t.owns(ctx); err == nil && writer == nil {
				if writer, err = c.run.offsets.OpenTransactionalWriter(ctx, owner, ids(1)[0],
					t.tally.Commits.Record); err == nil {
					err = t.owns(ctx)
				}
			}
			if err != nil {
				return err
			}
			return c.run.offsets.RefreshCommitted(ctx)
		},
		output: func(string) (source.Output, error) { return t.idempotent(writer) },
		close: func(ctx context.Context) {
			if writer != nil {
				t.closeWriter(ctx, writer)
			}
		},
	}
}

// owns returns nil where the worker is a member of its group still: one that is not must not fence the task's owner. It
// is asked before producers are opened, and after: in between the worker may have been paused, and others have fenced
// all that was open then.
func (t *task) owns(ctx context.Context) error {
	g := t.connector.o.Group
	if g == nil {
		return nil
	}
	if err := g.CheckLease(ctx); err != nil {
		return &wit.Error{Kind: wit.ErrorTransient, Message: "the task's producers are not opened, since the worker " +
			"may be none of its group's any more: " + err.Error()}
	}
	return nil
}

// overtaken is the fault of a task. Where its producers were fenced in a group, by another worker, it passes: the group
// takes the task from this one, or that one was paused and has fenced what is not its own any more. The task is FAILED
// until then, and not UNASSIGNED, which would hide a second cluster of the same group.id. By itself it goes on only
// after a pause (task.auto.restart) and as a member of its group, see owns: two workers do not fence each other without
// end.
func (t *task) overtaken(err error) error {
	id := kafka.Taken(err)
	if t.connector.o.Group == nil || id == "" {
		return err
	}
	return &wit.Error{Kind: wit.ErrorTransient, Message: fmt.Sprintf("transactional id %s: another worker has fenced "+
		"the producer, which stores nothing more: the task is that worker's, until the group gives it back", id)}
}

// idempotent is an output by the producer that connectors share.
func (t *task) idempotent(writer *offset.Writer) (source.Output, error) {
	k, key := t.connector.producers()
	p, err := k.SharedProducer(key, "connector-producer")
	if err != nil {
		return nil, err
	}
	return kafka.NewOutput(p, writer), nil
}

func (t *task) closeWriter(ctx context.Context, writer *offset.Writer) {
	if err := t.overtaken(writer.Close(ctx)); err != nil {
		t.connector.log.Error("offsets are not written: rows after them come again", "task", t.number, "error", err)
	}
}

// transactionalIDs are those of the task for a number of feeds.
func (t *task) transactionalIDs(feeds int) []string {
	ids := make([]string, min(max(1, feeds), producersOfTask))
	for i := range ids {
		ids[i] = kafka.TransactionalID(t.connector.o.Worker.Text("group.id"), t.connector.config.Name, t.number, i)
	}
	return ids
}

// exactlyOnce is by transactions with these ids.
func (t *task) exactlyOnce(owner string, ids func(feeds int) []string) delivery {
	c := t.connector
	offsets := c.run.offsets.NewTransactional(owner)
	var transactions *kafka.Transactions
	return delivery{
		renew: func(ctx context.Context, feeds int) error {
			if err := t.owns(ctx); err != nil {
				return err
			}
			if transactions == nil {
				k, _ := c.producers()
				var err error
				transactions, err = kafka.OpenTransactions(ctx, k, fmt.Sprintf("connector-producer-%s-%d",
					c.config.Name, t.number), ids(feeds), offsets)
				if err != nil {
					return err
				}
				transactions.Ended = t.tally.Commits.RecordTransaction
				if err := t.owns(ctx); err != nil {
					return err
				}
			}
			return c.run.offsets.RefreshCommitted(ctx)
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
