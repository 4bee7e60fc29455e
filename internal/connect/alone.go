package connect

import (
	"context"
	"log/slog"

	"github.com/culvert-project/culvert/internal/config"
	"github.com/culvert-project/culvert/internal/kafka"
	"github.com/culvert-project/culvert/internal/run/fencing"
	"github.com/culvert-project/culvert/wit"
)

// alone is the [Group] of a worker without other members. It always leads and runs all connectors with all their tasks.
//
// What differs from a group of several workers asks HasOthers: a plan stays in memory, because values that a plugin
// derives from a secret would be lost if it was stored and read back; a set of tasks ends with its last task, which
// --once waits for; claims need no producers, because no other worker may hold them; the run opens and closes the
// endpoint for notifications, and knows all feeds.
type alone struct {
	worker *config.Worker
	kafka  kafka.Config
	log    *slog.Logger
}

// HasOthers implements [Group].
func (alone) HasOthers() bool { return false }

// PutTaskConfigs implements [Group]. It is not called: the plan of a worker alone stays in memory.
func (alone) PutTaskConfigs(context.Context, string, config.TaskPlan) error { return nil }

// Forward implements [Group]: no other worker has the feed.
func (alone) Forward(context.Context, string, wit.Notification) (result ForwardResult) { return result }

// OwnersLost implements [Group].
func (alone) OwnersLost(string) func(context.Context) bool { return nil }

// CheckLease implements [Membership].
func (alone) CheckLease(context.Context) error { return nil }

// Fence implements [Membership]. The counts are in Kafka's config topic as in a group: a lost data folder must not
// leave producers unfenced.
func (a alone) Fence(ctx context.Context, connector string, _ int64, counts config.FencingCounts,
	producers kafka.Config) error {
	fencer := fencing.Fencer{
		Worker: a.kafka, Group: a.worker.Text("group.id"), Log: a.log.With("connector", connector),
		Topic: kafka.InternalTopic{Name: a.worker.ConfigTopic(), Setting: "config.storage.topic", Partitions: 1,
			Replication: int16(a.worker.Int("config.storage.replication.factor"))},
	}
	return fencer.Fence(ctx, producers, connector, counts)
}

// StatusChanged implements [StatusListener].
func (alone) StatusChanged(string) {}

// RecordTopic implements [StatusListener].
func (alone) RecordTopic(_, _ string, _ int) {}
