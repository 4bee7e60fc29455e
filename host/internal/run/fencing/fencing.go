// Package fencing keeps a worker from committing what belongs to another one: before tasks of a source start that have
// transactional producers, those of tasks that ran before are fenced, wherever these still run. How many there were is
// kept in the topic of configurations: for Kafka Connect as it keeps it (KIP-618), in tasks-fencing-<connector>, and
// for us in culvert-fencing-<connector>.
package fencing

import (
	"context"
	"fmt"
	"log/slog"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/culvert-project/culvert/host/config"
	"github.com/culvert-project/culvert/host/kafka"
)

// Fencer fences and remembers for one worker that is alone.
type Fencer struct {
	// Worker is the configuration of the worker's clients, Topic the topic of configurations, Group the group.id.
	Worker kafka.Config
	Topic  kafka.Internal
	Group  string
	Log    *slog.Logger
}

// Fence ends what producers of a connector have open that ran before, on the cluster of its producers, and remembers
// how many there will be from now on.
func (f Fencer) Fence(ctx context.Context, producers kafka.Config, connector string, now config.FencingCounts) error {
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
	all := now.Max(before)
	ids := kafka.TransactionalIDs(f.Group, connector, all.Tasks, all.Producers)
	if err := kafka.Fence(ctx, producers, ids); err != nil {
		return err
	}
	if now.At = before.At; before == now {
		return nil
	}
	return f.remember(ctx, connector, now)
}

// before is what was remembered last.
func (f Fencer) before(ctx context.Context, connector string) (c config.FencingCounts, err error) {
	reader, err := kafka.NewReader(f.Worker)
	if err != nil {
		return c, err
	}
	defer reader.Close()
	state := config.NewState()
	_, err = reader.Read(ctx, f.Topic.Name, kafka.ReadOptions{Expected: true}, func(r *kgo.Record) error {
		record := config.Record{Key: string(r.Key), Value: r.Value, Offset: r.Offset}
		if name, ok := record.FencedConnector(); !ok || name != connector {
			return nil
		}
		if _, err := state.Apply(record); err != nil {
			f.Log.Warn("a record in the topic of configurations is skipped", "topic", r.Topic, "partition", r.Partition,
				"offset", r.Offset, "error", err)
		}
		return nil
	})
	if err != nil {
		return c, fmt.Errorf("%s: %w", f.Topic.Setting, err)
	}
	return state.Fencing(connector), nil
}

func (f Fencer) remember(ctx context.Context, connector string, c config.FencingCounts) error {
	k := f.Worker
	k.Producer.Acks, k.Producer.Idempotent, k.Producer.Linger = -1, true, 0
	producer, err := kafka.NewProducer(k, "connector-fencing")
	if err != nil {
		return err
	}
	defer func() { _ = producer.Close(ctx) }()
	batch := producer.NewBatch()
	for _, r := range config.FencingRecords(connector, c) {
		record := batch.Add()
		record.Topic, record.Key, record.Value = f.Topic.Name, []byte(r.Key), r.Value
	}
	producer.Produce(ctx, batch, nil)
	if err := producer.Flush(ctx); err != nil {
		return fmt.Errorf("%s: %w", f.Topic.Setting, err)
	}
	return nil
}
