package connect

import (
	"context"
	"log/slog"
	"time"

	"github.com/culvert-project/culvert/internal/base/memory"
	"github.com/culvert-project/culvert/internal/config"
	"github.com/culvert-project/culvert/internal/events"
	"github.com/culvert-project/culvert/internal/kafka"
	"github.com/culvert-project/culvert/internal/plugin"
	"github.com/culvert-project/culvert/internal/record"
	"github.com/culvert-project/culvert/internal/run/notify"
	"github.com/culvert-project/culvert/internal/run/offset"
	"github.com/culvert-project/culvert/internal/run/source"
	core "github.com/culvert-project/culvert/internal/run/task"
	"github.com/culvert-project/culvert/internal/run/tracing"
	"github.com/culvert-project/culvert/internal/transport"
	"github.com/culvert-project/culvert/internal/transport/lockouts"
	"github.com/culvert-project/culvert/wit"
)

// Options are the dependencies of a [Herder].
type Options struct {
	Worker   *config.Worker
	Plugins  *plugin.Manager
	Registry *record.Registry
	Kafka    kafka.Config
	Offsets  *offset.Store
	Lockouts *lockouts.Store // remembers rejected credentials. Default: one for the process.
	// Destinations shares limits between clients of the same origin. Default: one for the process.
	Destinations *transport.OriginRegistry
	Memory       *memory.Budget // divided among the tasks; nil means no limit
	WorkerID     string         // host:port of this worker
	Version      string         // reported as the version of converters
	// Target returns the initial target state of a connector. Default: Running.
	Target   func(*config.Connector) TargetState
	Group    Group                                 // the worker's group. Nil means that it is standalone.
	Tracer   *tracing.Tracer                       // may be nil
	Observer func(connector string) *core.Observer // returns the row observer of a connector. It may be nil.
	Logger   *slog.Logger

	sharedResources
}

// sharedResources holds the objects that the connectors of a worker share.
type sharedResources struct {
	reserved        kafka.ReservedTopics // topics that connectors must not write to
	claims          *claimRegistry
	buffers         *source.Buffers
	hub             *notify.Hub
	starts          *startCounters
	events          *events.Recorder
	refreshInterval time.Duration // how often a failed start checks again for settings that change elsewhere
}

// Group is the group of a worker. No lock is held during a call, except connectorRun's openLock during Fence.
type Group interface {
	// InGroup reports whether other workers may run tasks: false for a standalone worker.
	InGroup() bool
	// PutTaskConfigs stores the task configs of a connector. The group assigns them by [Herder.Assign].
	PutTaskConfigs(ctx context.Context, connector string, plan config.TaskPlan) error
	// Forward sends a notification to the worker that runs the task with its feed.
	Forward(ctx context.Context, connector string, n wit.Notification) ForwardResult
	// OwnersLost returns nil if this worker does not lead, or is in no group. The function waits until the owners of
	// the deleted connector are known to be lost or not, and reports whether this worker must clean up for them.
	OwnersLost(connector string) func(context.Context) bool
	Membership
	StatusListener
}

// Membership proves that the worker is a member of its group. Only a member may fence producers.
type Membership interface {
	// CheckLease returns nil for a member. After the end of the context it answers from the last known state.
	CheckLease(ctx context.Context) error
	// Fence fences the producers of earlier versions and stores the new counts. Version 0 is for a change of offsets.
	// A group's leader ignores producers and uses its own configuration of them.
	Fence(ctx context.Context, connector string, version int64, counts config.FencingCounts,
		producers kafka.Config) error
}

// StatusListener receives what other workers must know of this one. Its methods must not block.
type StatusListener interface {
	// StatusChanged is called after a change of the status or of what this worker owns.
	StatusChanged(connector string)
	// RecordTopic is called with each topic of each batch of a task.
	RecordTopic(connector, topic string, task int)
}

// initialAssignment returns what the worker runs of a new or changed connector until the group assigns something.
func (o *Options) initialAssignment() Assignment {
	return Assignment{OwnsConnector: !o.Group.InGroup()}
}
