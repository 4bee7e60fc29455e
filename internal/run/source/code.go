package source

import (
	"context"

	"github.com/culvert-project/culvert/internal/kafka"
	"github.com/culvert-project/culvert/internal/plugin"
	"github.com/culvert-project/culvert/internal/record"
	"github.com/culvert-project/culvert/internal/run/task"
	"github.com/culvert-project/culvert/internal/transport"
	"github.com/culvert-project/culvert/wit"
)

// Reader calls an instance of a source plugin; *plugin.Reader implements it. It belongs to one goroutine at a time.
type Reader interface {
	OpenSource(ctx context.Context, component string, settings []wit.Setting, state []byte,
		answers []wit.Response) (wit.SourceOpenResult, error)
	CheckOffset(ctx context.Context, partition, offset []wit.OffsetEntry) error
	// Next returns the next action of a feed: to request a page, or to stay idle. now is in Unix milliseconds.
	Next(ctx context.Context, context []byte, feed uint32, offset []wit.OffsetEntry, cause wit.PollReason,
		now int64) (wit.NextAction, error)
	// Progress returns nil if the plugin does not report it, or the offset belongs to no load.
	Progress(ctx context.Context, context []byte, feed uint32, offset []wit.OffsetEntry) (*wit.LoadProgress, error)
	KeyReader
	PageReader
	NotificationReader
}

// KeyReader decides about the comparison of the keys of a first load.
type KeyReader interface {
	// Keys returns what to do with the keys of the page that Next requests from an offset.
	Keys(ctx context.Context, context []byte, feed uint32, offset []wit.OffsetEntry) (wit.KeysUse, error)
	// Compared returns the offset after a comparison that has found all keys of the load, and also unknown ones. Nil
	// means that the rows must be read again.
	Compared(ctx context.Context, context []byte, feed uint32, offset []wit.OffsetEntry,
		unknown [][]byte) (*[]wit.OffsetEntry, error)
}

// PageReader decodes the responses of pages.
type PageReader interface {
	// Begin returns the ID of a new page, for Decode and Abandon.
	Begin(ctx context.Context, context []byte, feed uint32, position *[]wit.OffsetEntry,
		response wit.Response) (page uint32, err error)
	// Decode decodes a piece of a response. It appends rows and data to into; Rows and Data of the result are nil.
	Decode(ctx context.Context, page uint32, tag string, status uint16, piece []byte, last bool,
		into *record.Batch) (wit.DecodeResult, error)
	Abandon(ctx context.Context, page uint32) error
}

// NotificationReader subscribes to notifications and interprets them.
type NotificationReader interface {
	HandleNotification(ctx context.Context, context []byte, n wit.Notification) ([]wit.Trigger, error)
	Subscribe(ctx context.Context, context []byte, feed uint32, address string, state []byte,
		answers []wit.Response) (wit.CallResult, error)
}

// Code is one version of a plugin for one connector; Versions are those that the connector runs or could run. Readers
// share instances: a page may fail with a *plugin.PageLostError because another page has broken the instance.
type (
	Code     = task.PluginVersion[Reader]
	Versions = task.PluginVersions[Reader]
)

// BoundVersions returns the plugin versions of a binding. settings returns the settings that a version may see.
func BoundVersions(b *plugin.Binding, settings task.SettingsFunc) Versions {
	return task.NewPluginVersions(b, task.InstanceFuncs[Reader]{VisibleSettings: settings,
		Acquire: func(ctx context.Context, p *plugin.Pool, _ bool) (Reader, error) {
			r, err := p.Reader(ctx)
			if err != nil {
				return nil, err // r would be a Reader that is not nil
			}
			return r, nil
		},
		Release: func(_ *plugin.Pool, r Reader) { r.(*plugin.Reader).Close() }})
}

// Client sends requests; *transport.Client implements it.
type Client interface {
	transport.Fetcher
	Do(ctx context.Context, r *wit.Request) (*transport.Answer, error)
	Retry() transport.Retry
	Away() bool // whether an outage lasts since a failed request
}

// Chain runs the transforms; *transform.Chain implements it. It replaces the rows of a batch and appends data. The row
// index of an error is the position of the row in the batch that was passed to Apply.
type Chain interface {
	Apply(ctx context.Context, b *record.Batch) ([]wit.RowError, error)
	// Input returns an input row of the last call by its position; its bytes are still in the batch.
	Input(index uint32) wit.Row
}

// Batch is a list of records that is acknowledged as a whole.
type Batch = kafka.Records

// Output receives the records and the offsets of a feed; *kafka.Output implements it. It calls the done functions in
// the order of Produce, once everything before is acknowledged; after a failure it calls all of them with the error.
// They must not block. An empty batch only stores an offset.
type Output interface {
	NewBatch() Batch
	// Produce sends a batch. The offset after it becomes valid with the batch.
	Produce(ctx context.Context, b Batch, upTo kafka.Offset, done func(n int, err error))
	PageTransactions
	OutputCloser
}

// PageTransactions make the batches of a page visible together.
type PageTransactions interface {
	// AtLeastOnce reports whether the sent part of an interrupted page stays visible, so that the page can continue
	// after it. Otherwise the page is read again from its start.
	AtLeastOnce() bool
	// Begin and Commit enclose the batches of a page, or of a part of it that need not be read again. Abort replaces
	// Commit for an interrupted page that is read again from its start.
	Begin(ctx context.Context) error
	Commit(ctx context.Context) error
	Abort(ctx context.Context) error
}

// OutputCloser ends an output.
type OutputCloser interface {
	// OnFailure sets a function that is called if the commit between two pages fails while no other call could return
	// the error. The feed must stop then.
	OnFailure(failed func(error))
	// Flush returns when the offset after the acknowledged records is stored.
	Flush(ctx context.Context) error
	Close(ctx context.Context) error
}
