// Package fencing keeps workers from committing what belongs to another one: before tasks of a source with exactly-once
// start, the transactional producers of those that ran before are fenced, wherever these still run. How many there were
// is kept in the topic of configurations, as Kafka Connect keeps it (KIP-618): tasks-fencing-<connector>.
package fencing

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/culvert-project/culvert/host/kafka"
)

// Counts are how many tasks a connector has, and how many transactional producers each of them has at most.
type Counts struct {
	Tasks     int `json:"task-count"`
	Producers int `json:"producer-count,omitempty"`
}

// maxCount bounds both, so that a strange record does not have millions of producers fenced.
const maxCount = 10_000

// IDs are the transactional ids of a connector.
func (c Counts) IDs(group, connector string) []string {
	var ids []string
	for task := range c.Tasks {
		for producer := range max(1, c.Producers) {
			ids = append(ids, kafka.TransactionalID(group, connector, task, producer))
		}
	}
	return ids
}

// Fencer fences and remembers for one worker.
type Fencer struct {
	// Worker is the configuration of the worker's clients, Topic the topic of configurations, Group the group.id.
	Worker kafka.Config
	Topic  kafka.Internal
	Group  string
	Log    *slog.Logger
}

// Fence ends what producers of a connector have open that ran before, on the cluster of its producers, and remembers
// how many there will be from now on.
func (f Fencer) Fence(ctx context.Context, producers kafka.Config, connector string, now Counts) error {
	admin, err := kafka.NewAdmin(f.Worker)
	if err != nil {
		return err
	}
	defer admin.Close()
	if err := admin.EnsureInternal(ctx, f.Topic); err != nil {
		return err
	}
	before, err := f.before(ctx, connector)
	if err != nil {
		return err
	}
	all := Counts{max(before.Tasks, now.Tasks), max(before.Producers, now.Producers)}
	if err := kafka.Fence(ctx, producers, all.IDs(f.Group, connector)); err != nil {
		return err
	}
	if before == now {
		return nil
	}
	return f.remember(ctx, connector, now)
}

func key(connector string) string { return "tasks-fencing-" + connector }

// before is what was remembered last.
func (f Fencer) before(ctx context.Context, connector string) (c Counts, err error) {
	reader, err := kafka.NewReader(f.Worker)
	if err != nil {
		return c, err
	}
	defer reader.Close()
	_, err = reader.Read(ctx, f.Topic.Name, kafka.ReadOptions{Expected: true}, func(r *kgo.Record) error {
		if string(r.Key) != key(connector) {
			return nil
		}
		if c, err = countsOf(r.Value); err != nil {
			f.Log.Warn("a record in the topic of configurations is skipped", "topic", r.Topic, "partition", r.Partition,
				"offset", r.Offset, "error", err)
		}
		return nil
	})
	if err != nil {
		return c, fmt.Errorf("%s: %w", f.Topic.Setting, err)
	}
	return c, nil
}

// countsOf reads what was remembered; nothing is none.
func countsOf(value []byte) (c Counts, err error) {
	if value == nil {
		return c, nil
	}
	if err := json.Unmarshal(value, &c); err != nil {
		return Counts{}, fmt.Errorf("expected task-count and producer-count: %w", err)
	}
	if c.Tasks < 0 || c.Tasks > maxCount || c.Producers < 0 || c.Producers > maxCount {
		return Counts{}, fmt.Errorf("expected task-count and producer-count from 0 to %d, found %s", maxCount, value)
	}
	return c, nil
}

func (f Fencer) remember(ctx context.Context, connector string, c Counts) error {
	value, err := json.Marshal(c)
	if err != nil {
		return err
	}
	k := f.Worker
	k.Producer.Acks, k.Producer.Idempotent, k.Producer.Linger = -1, true, 0
	producer, err := kafka.NewProducer(k, "connector-fencing")
	if err != nil {
		return err
	}
	defer func() { _ = producer.Close(ctx) }()
	batch := producer.NewBatch()
	r := batch.Add()
	r.Topic, r.Key, r.Value = f.Topic.Name, []byte(key(connector)), value
	producer.Produce(ctx, batch, nil)
	if err := producer.Flush(ctx); err != nil {
		return fmt.Errorf("%s: %w", f.Topic.Setting, err)
	}
	return nil
}
