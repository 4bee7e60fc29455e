package sink

import (
	"context"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/culvert-project/culvert/internal/kafka"
	"github.com/culvert-project/culvert/internal/plugin"
	"github.com/culvert-project/culvert/internal/record"
	"github.com/culvert-project/culvert/internal/run/task"
	"github.com/culvert-project/culvert/internal/transport"
	"github.com/culvert-project/culvert/wit"
)

// Writer calls a sink plugin's instance, a *plugin.Instance. It belongs to one goroutine at a time.
type Writer interface {
	OpenSink(ctx context.Context, component string, settings []wit.Setting, state []byte,
		answers []wit.Response) (wit.SinkOpenResult, error)
	Encode(ctx context.Context, context []byte, b *record.Batch, origins record.RecordIDs,
		hints []wit.Hint) (wit.EncodeResult, error)
	HandleResponse(ctx context.Context, context []byte, memo []byte, rows []uint32,
		response wit.Response) (wit.ResponseResult, error)
	Warnings() int // how many warnings and errors the last call has logged
}

// Code is one version of a plugin for one connector; Versions are those that the connector runs or could run.
type (
	Code     = task.PluginVersion[Writer]
	Versions = task.PluginVersions[Writer]
)

// BoundVersions returns the plugin versions of a binding. settings returns the settings that a version may see.
func BoundVersions(b *plugin.Binding, settings task.SettingsFunc) Versions {
	return task.NewPluginVersions(b, task.InstanceFuncs[Writer]{VisibleSettings: settings,
		Acquire: func(ctx context.Context, p *plugin.Pool, fresh bool) (Writer, error) {
			acquire := p.Acquire
			if fresh {
				acquire = p.AcquireFresh
			}
			i, err := acquire(ctx)
			if err != nil {
				return nil, err // i would be a Writer that is not nil
			}
			return i, nil
		},
		Release: func(p *plugin.Pool, w Writer) { p.Release(w.(*plugin.Instance)) }})
}

// Client sends requests to the service: *transport.Client.
type Client interface {
	transport.Fetcher
	Exchange(ctx context.Context, r *wit.Request) (wit.Response, error)
	Retry() transport.Retry
	Away() bool // whether an outage lasts since a failed request
}

// Chain runs the transforms: *transform.Chain. It replaces rows and appends data. Row indexes are of the call.
type Chain interface {
	Apply(ctx context.Context, b *record.Batch) ([]wit.RowError, error)
}

// Consumer reads the topics: *kafka.Consumer. The records of a poll are in order within a partition.
type Consumer interface {
	Poll(ctx context.Context) ([]*kgo.Record, error)
	Commit(ctx context.Context, offsets kafka.Offsets) error
	// CheckMembership returns nil if no other member can own this member's partitions. If the session may have
	// expired, for example because the process was paused, it asks the group's coordinator.
	CheckMembership(ctx context.Context) error
	// IsSessionValid reports whether CheckMembership would return nil without a request.
	IsSessionValid() bool
	Close()
}
