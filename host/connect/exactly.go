package connect

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/culvert-project/culvert/host/check"
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
		return &wit.Fault{Kind: wit.FaultConfig, Message: "exactly.once.support=required: " + *s.Unsupported}
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

// counts are how many transactional producers the connector has with so many tasks.
func (c *connector) counts(tasks int) fencing.Counts {
	return fencing.Counts{Tasks: tasks, Producers: producersOfTask}
}

// claimed are the transactional ids of the connector, as claims: by their names those of two connectors may be the
// same, which would fence each other without end.
func (c *connector) claimed(tasks int) (claims []string) {
	if !c.exactly() {
		return nil
	}
	for _, id := range c.counts(tasks).IDs(c.o.Worker.Text("group.id"), c.config.Name) {
		claims = append(claims, "the transactional id "+id)
	}
	return claims
}

// fence keeps earlier tasks of the connector from committing anything, wherever they run.
func (c *connector) fence(ctx context.Context, tasks int) error {
	if !c.exactly() {
		return nil
	}
	w := c.o.Worker
	producers, _ := c.producers()
	f := fencing.Fencer{Worker: c.o.Kafka, Group: w.Text("group.id"), Log: c.log, Topic: kafka.Internal{
		Name: w.ConfigTopic(), Setting: "config.storage.topic", Partitions: 1,
		Replication: int16(w.Int("config.storage.replication.factor"))}}
	return f.Fence(ctx, producers, c.config.Name, c.counts(tasks))
}

// openOffsets opens the store of the connector's offsets: the worker's, or one of its own, where it names a topic or
// where its transactions are on another cluster than the worker's.
func (c *connector) openOffsets(ctx context.Context) (err error) {
	c.to.offsets = c.o.Offsets
	if c.isSink() {
		return nil
	}
	topic := c.config.Text("offsets.storage.topic")
	producers, _ := c.producers()
	elsewhere := len(producers.Producer.Bootstrap) > 0 &&
		!slices.Equal(producers.Producer.Bootstrap, c.o.Kafka.Bootstrap)
	if topic == "" && !(elsewhere && c.exactly()) || topic == c.o.Worker.Text("offset.storage.topic") && !elsewhere {
		return nil
	}
	settings, wrong := offset.Parse(c.o.Worker.All())
	if err := wrong.Err(); err != nil {
		return err
	}
	if topic != "" {
		settings.Topic = topic
	}
	own, err := offset.OpenOwn(ctx, producers.OfProducers(), settings, c.config.Name, c.o.Offsets, c.log)
	if err != nil {
		return fmt.Errorf("offsets.storage.topic: %w", err)
	}
	c.to.offsets = own
	return nil
}

func (c *connector) closeOffsets() {
	if c.to.offsets != nil && c.to.offsets != c.o.Offsets {
		c.to.offsets.Close()
	}
	c.to.offsets = nil
}

// delivery is how a task's records and offsets get to Kafka.
type delivery struct {
	renew  func(ctx context.Context, feeds int) error
	output func(feed string) (source.Output, error)
	close  func(ctx context.Context)
}

// atLeastOnce is by one idempotent producer, with offsets of an owner that are written from time to time.
func (t *task) atLeastOnce(owner string, _ func(int) []string) (delivery, error) {
	c := t.connector
	writer := c.to.offsets.Writer(owner, t.tally.Commits.Ended)
	return delivery{
		output: func(string) (source.Output, error) {
			k, key := c.producers()
			p, err := k.SharedProducer(key, "connector-producer")
			if err != nil {
				return nil, err
			}
			return kafka.NewOutput(p, writer), nil
		},
		close: func(ctx context.Context) {
			if err := writer.Close(ctx); err != nil {
				c.log.Error("offsets are not written: rows behind them come again", "task", t.number, "error", err)
			}
		},
	}, nil
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
func (t *task) exactlyOnce(owner string, ids func(feeds int) []string) (delivery, error) {
	c := t.connector
	interval, err := check.Boundary(c.config, c.o.Worker, c.to.kafka.Producer.TransactionTimeout)
	if err != nil {
		return delivery{}, err
	}
	offsets := c.to.offsets.Transactional(owner)
	var transactions *kafka.Transactions
	return delivery{
		renew: func(ctx context.Context, feeds int) error {
			if transactions == nil {
				k, _ := c.producers()
				var err error
				transactions, err = kafka.OpenTransactions(ctx, k, fmt.Sprintf("connector-producer-%s-%d",
					c.config.Name, t.number), ids(feeds), offsets, interval)
				if err != nil {
					return err
				}
				transactions.Ended = t.tally.Commits.Transaction
			}
			return c.to.offsets.Renew(ctx)
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
	}, nil
}
