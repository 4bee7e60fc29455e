package source

import (
	"context"

	"github.com/culvert-project/culvert/host/internal/run/task"
	"github.com/culvert-project/culvert/host/kafka"
	"github.com/culvert-project/culvert/host/plugin"
	"github.com/culvert-project/culvert/host/record"
	"github.com/culvert-project/culvert/host/transport"
	"github.com/culvert-project/culvert/wit"
)

// Reader makes calls of a source plugin, on one of its instances: *plugin.Reader. It belongs to one goroutine at a
// time.
type Reader interface {
	OpenSource(ctx context.Context, component string, settings []wit.Setting, state []byte,
		answers []wit.Response) (wit.SourceOpenResult, error)
	Next(ctx context.Context, context []byte, feed uint32, offset []wit.OffsetEntry, cause wit.PollReason,
		now int64) (wit.NextAction,
		error)
	Begin(ctx context.Context, context []byte, feed uint32, position *[]wit.OffsetEntry, response wit.Response) (uint32,
		error)
	// Decode appends rows and data to `into`; Rows and Data of the portion are nil.
	Decode(ctx context.Context, page uint32, tag string, status uint16, piece []byte, last bool,
		into *record.Batch) (wit.DecodeResult, error)
	Abandon(ctx context.Context, page uint32) error
	CheckOffset(ctx context.Context, partition, offset []wit.OffsetEntry) error
	HandleNotification(ctx context.Context, context []byte, n wit.Notification) ([]wit.Trigger, error)
	Subscribe(ctx context.Context, context []byte, feed uint32, address string, state []byte,
		answers []wit.Response) (wit.CallResult, error)
}

// Code is one version of a plugin at work for one connector, and Versions what a connector runs and what it could run.
// Readers share instances: a page may fail with a *plugin.Abandoned because of another one.
type (
	Code     = task.PluginVersion[Reader]
	Versions = task.PluginVersions[Reader]
)

// BoundVersions is the versions of the plugin that a connector is bound to. settings are those that a version may see.
func BoundVersions(b *plugin.Binding, settings task.SettingsFunc) Versions {
	return task.NewPluginVersions(b, task.InstanceFuncs[Reader]{VisibleSettings: settings,
		Acquire: func(ctx context.Context, p *plugin.Pool, _ bool) (Reader, error) {
			r, err := p.Reader(ctx)
			if err != nil {
				return nil, err
			}
			return r, nil
		},
		Release: func(_ *plugin.Pool, r Reader) { r.(*plugin.Reader).Close() }})
}

// Client makes the exchanges: *transport.Client.
type Client interface {
	transport.Fetcher
	Do(ctx context.Context, r *wit.Request) (*transport.Answer, error)
	Retry() transport.Retry
	Away() bool
}

// Chain is the transforms: *transform.Chain. It replaces the rows of a batch and appends data; a fault's origin is the
// position of the row in the call.
type Chain interface {
	Apply(ctx context.Context, b *record.Batch) ([]wit.RowError, error)
	// Input is a row of the last batch as it came, by its place there; its bytes are in the batch still.
	Input(origin uint32) wit.Row
}

// Batch is a run of records that is acknowledged as a whole.
type Batch = kafka.Records

// Output is where a feed writes its records and its offset to: *kafka.Output. done functions are called in the order of
// Produce, once all that came before is acknowledged too; after a failure all are called with it. They must not block.
// An empty batch is a mark.
type Output interface {
	NewBatch() Batch
	// OnFailure sets what is called when that fails which was to be committed between two pages: when no call of the
	// output's is under way that could say so. Whoever uses the output ends.
	OnFailure(failed func(error))
	// Keeps tells whether what was sent of a page that broke off stays, so that the page can be gone on with after it.
	// Else it comes again from its start.
	Keeps() bool
	// Begin and Commit are around the batches of a page, or of a part of it that need not come again; Abort is in the
	// place of Commit where a page broke off that comes again from its start.
	Begin(ctx context.Context) error
	// Produce sends a batch. The offset after it counts when the batch does.
	Produce(ctx context.Context, b Batch, upTo kafka.Offset, done func(n int, err error))
	Commit(ctx context.Context) error
	Abort(ctx context.Context) error
	// Flush returns when the offset after what was acknowledged is stored.
	Flush(ctx context.Context) error
	Close(ctx context.Context) error
}
