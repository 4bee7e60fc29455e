package sink

import (
	"context"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/culvert-project/culvert/host/internal/run/task"
	"github.com/culvert-project/culvert/host/kafka"
	"github.com/culvert-project/culvert/host/plugin"
	"github.com/culvert-project/culvert/host/record"
	"github.com/culvert-project/culvert/host/transport"
	"github.com/culvert-project/culvert/wit"
)

// Writer is an instance of a sink plugin: *plugin.Instance. It belongs to one goroutine at a time.
type Writer interface {
	OpenSink(ctx context.Context, component string, settings []wit.Setting, state []byte,
		answers []wit.Response) (wit.SinkOpenResult, error)
	Encode(ctx context.Context, context []byte, b *record.Batch, origins record.Origins,
		hints []wit.Hint) (wit.EncodeResult, error)
	HandleResponse(ctx context.Context, context []byte, memo []byte, rows []uint32,
		response wit.Response) (wit.ResponseResult, error)
	// Warnings is how many lines the call before has logged as warnings or errors.
	Warnings() int
}

// Code is one version of a plugin at work for one connector, and Versions what a connector runs and what it could run.
type (
	Code     = task.PluginVersion[Writer]
	Versions = task.PluginVersions[Writer]
)

// BoundVersions is the versions of the plugin that a connector is bound to. settings are those that a version may see.
func BoundVersions(b *plugin.Binding, settings task.SettingsFunc) Versions {
	return task.NewPluginVersions(b, task.InstanceFuncs[Writer]{VisibleSettings: settings,
		Acquire: func(ctx context.Context, p *plugin.Pool, fresh bool) (Writer, error) {
			acquire := p.Acquire
			if fresh {
				acquire = p.AcquireFresh
			}
			i, err := acquire(ctx)
			if err != nil {
				return nil, err
			}
			return i, nil
		},
		Release: func(p *plugin.Pool, w Writer) { p.Release(w.(*plugin.Instance)) }})
}

// Client makes the exchanges: *transport.Client.
type Client interface {
	transport.Fetcher
	Exchange(ctx context.Context, r *wit.Request) (wit.Response, error)
	Retry() transport.Retry
	Away() bool
}

// Chain is the transforms: *transform.Chain. It replaces the rows of a batch and appends data; a row's and a fault's
// origin is the position of the row in the call.
type Chain interface {
	Apply(ctx context.Context, b *record.Batch) ([]wit.RowError, error)
}

// Consumer reads the topics: *kafka.Consumer. Records of a poll are in order within a partition.
type Consumer interface {
	Poll(ctx context.Context) ([]*kgo.Record, error)
	Commit(ctx context.Context, offsets kafka.Offsets) error
	// Alive is nil where this member's partitions cannot have gone to another one without its knowing. It asks the
	// group's coordinator where the session may be over: else a process that was paused for longer would send requests
	// at the same time as the member that has taken over.
	Alive(ctx context.Context) error
	// Lasts tells whether the session lasts, so that Alive would be nil without asking.
	Lasts() bool
	Close()
}
