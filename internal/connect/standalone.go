package connect

import (
	"context"
	"log/slog"

	"github.com/culvert-project/culvert/internal/config"
	"github.com/culvert-project/culvert/internal/kafka"
	"github.com/culvert-project/culvert/internal/run/fencing"
	"github.com/culvert-project/culvert/wit"
)

// standalone is the [Group] of a worker without a group. It runs all connectors with all their tasks. Callers that must
// distinguish it call InGroup:
//
//   - A plan stays in memory, because storing it would lose values that a plugin derives from a secret.
//   - A set of tasks ends with its last task, for which --once waits.
//   - Claims need no producers, because no other worker holds them.
//   - The run opens and closes the endpoint for notifications, and has all feeds.
type standalone struct {
	worker *config.Worker
	kafka  kafka.Config
	log    *slog.Logger
}

// InGroup implements [Group].
func (standalone) InGroup() bool { return false }

// PutTaskConfigs implements [Group]. It is not called: the plan stays in memory.
func (standalone) PutTaskConfigs(context.Context, string, config.TaskPlan) error { return nil }

// Forward implements [Group]: no other worker has the feed.
func (standalone) Forward(context.Context, string, wit.Notification) (result ForwardResult) {
	return result
}

// OwnersLost implements [Group].
func (standalone) OwnersLost(string) func(context.Context) bool { return nil }

// CheckLease implements [Membership].
func (standalone) CheckLease(context.Context) error { return nil }

// Fence implements [Membership]. The counts are in Kafka's config topic as in a group: a lost data folder must not
// leave producers unfenced.
func (s standalone) Fence(ctx context.Context, connector string, _ int64, counts config.FencingCounts,
	producers kafka.Config) error {
	fencer := fencing.Fencer{
		Worker: s.kafka, Group: s.worker.Text("group.id"), Log: s.log.With("connector", connector),
		Topic: kafka.InternalTopic{Name: s.worker.ConfigTopic(), Setting: "config.storage.topic", Partitions: 1,
			Replication: int16(s.worker.Int("config.storage.replication.factor"))},
	}
	return fencer.Fence(ctx, producers, connector, counts)
}

// StatusChanged implements [StatusListener].
func (standalone) StatusChanged(string) {}

// RecordTopic implements [StatusListener].
func (standalone) RecordTopic(_, _ string, _ int) {}
