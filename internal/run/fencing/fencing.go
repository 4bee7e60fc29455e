// Package fencing fences the transactional producers of a source's earlier tasks, wherever they run, before new tasks
// start. In the config topic tasks-fencing-CONNECTOR (KIP-618) holds the number of tasks, and culvert-fencing-CONNECTOR
// also the number of each task's producers.
package fencing

import (
	"context"
	"fmt"
	"log/slog"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/culvert-project/culvert/internal/config"
	"github.com/culvert-project/culvert/internal/configtopic"
	"github.com/culvert-project/culvert/internal/kafka"
)

// Fencer fences producers for a standalone worker.
type Fencer struct {
	Worker kafka.Config        // of the clients
	Topic  kafka.InternalTopic // the config topic
	Group  string              // group.id
	Log    *slog.Logger
}

// Fence fences a connector's earlier producers, whose client configuration is producerConfig, and stores counts.
func (f Fencer) Fence(ctx context.Context, producerConfig kafka.Config, connector string,
	counts config.FencingCounts) error {
	admin, err := kafka.NewAdmin(f.Worker)
	if err != nil {
		return err
	}
	defer admin.Close()
	if err := admin.EnsureInternalTopic(ctx, f.Topic); err != nil {
		return err
	}
	stored, err := f.storedCounts(ctx, connector)
	if err != nil {
		return err
	}
	highest := counts.Max(stored) // for the producers of earlier and of new tasks
	ids := kafka.TransactionalIDs(f.Group, connector, highest.Tasks, highest.Producers)
	if err := kafka.Fence(ctx, producerConfig, ids); err != nil {
		return err
	}
	counts.At = stored.At // it is not compared: the broker assigns it
	if stored == counts {
		return nil
	}
	return f.store(ctx, connector, counts)
}

func (f Fencer) storedCounts(ctx context.Context, connector string) (c config.FencingCounts, err error) {
	reader, err := kafka.NewReader(f.Worker)
	if err != nil {
		return c, err
	}
	defer reader.Close()
	state := configtopic.NewState()
	_, err = reader.Read(ctx, f.Topic.Name, kafka.ReadOptions{Expected: true}, func(r *kgo.Record) error {
		record := configtopic.Record{Key: string(r.Key), Value: r.Value, Offset: r.Offset}
		if name, ok := record.FencedConnector(); !ok || name != connector {
			return nil
		}
		if _, err := state.Apply(record); err != nil { // the record is damaged: the counts before it stay
			f.Log.Warn("a record in the config topic is skipped", "topic", r.Topic, "partition", r.Partition,
				"offset", r.Offset, "error", err)
		}
		return nil
	})
	if err != nil {
		return c, fmt.Errorf("%s: %w", f.Topic.Setting, err)
	}
	return state.Fencing(connector), nil
}

func (f Fencer) store(ctx context.Context, connector string, c config.FencingCounts) error {
	clients := f.Worker
	clients.Producer.Acks = -1 // all in-sync replicas
	clients.Producer.Idempotent = true
	clients.Producer.Linger = 0
	producer, err := kafka.NewProducer(clients, "connector-fencing")
	if err != nil {
		return err
	}
	defer func() { _ = producer.Close(ctx) }()
	batch := producer.NewBatch()
	for _, r := range configtopic.FencingRecords(connector, c) {
		record := batch.Add()
		record.Topic = f.Topic.Name
		record.Key = []byte(r.Key)
		record.Value = r.Value
	}
	producer.Produce(ctx, batch, nil)
	if err := producer.Flush(ctx); err != nil {
		return fmt.Errorf("%s: %w", f.Topic.Setting, err)
	}
	return nil
}
