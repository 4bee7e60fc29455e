// Package sink writes topics to a service: the loop of a sink task. What a request looks like and what its answer means is the
// plugin's business; order, what may be sent again and what counts as settled is this package's.
package sink

import (
	"context"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/culvert-project/culvert/host/kafka"
	"github.com/culvert-project/culvert/host/record"
	"github.com/culvert-project/culvert/host/transport"
	"github.com/culvert-project/culvert/wit"
)

// Writer is an instance of a sink plugin: *plugin.Instance. It belongs to one goroutine at a time.
type Writer interface {
	OpenSink(ctx context.Context, component string, settings []wit.Setting, state []byte, answers []wit.Response) (wit.SinkOpening, error)
	Encode(ctx context.Context, context []byte, b *record.Batch, origins record.Origins, hints []wit.Hint) (wit.Deliveries, error)
	Settle(ctx context.Context, context []byte, memo []byte, rows []uint32, response wit.Response) (wit.Settled, error)
}

// Code is one version of a plugin at work for one connector: *plugin.Pool.
type Code interface {
	Acquire(ctx context.Context) (Writer, error)
	// AcquireFresh is Acquire of an instance that has done nothing yet.
	AcquireFresh(ctx context.Context) (Writer, error)
	Release(Writer)
	// Version is for messages.
	Version() string
}

// Versions is what a connector runs and what it could run: *plugin.Binding. Codes are comparable.
type Versions interface {
	Current() Code
	// Candidate is a newer version that nobody has judged yet, nil if there is none.
	Candidate() Code
	Promote(Code)
	Reject(c Code, reason string)
	// Again tells whether what failed is to be tried once more before it counts: the version is on trial, or was just rolled back,
	// and then the one before is the candidate.
	Again(err error) bool
}

// Client makes the exchanges: *transport.Client.
type Client interface {
	transport.Fetcher
	Exchange(ctx context.Context, r *wit.Request) (wit.Response, error)
	Retry() transport.Retry
}

// Chain is the transforms: *transform.Chain. It replaces the rows of a batch and appends data; a row's and a fault's origin is
// the position of the row in the call.
type Chain interface {
	Apply(ctx context.Context, b *record.Batch) ([]wit.RowFault, error)
}

// Consumer reads the topics: *kafka.Consumer. Records of a poll are in order within a partition.
type Consumer interface {
	Poll(ctx context.Context) ([]*kgo.Record, error)
	Commit(ctx context.Context, offsets kafka.Offsets) error
	Close()
}

// Rebalances are what a consumer tells its task; see kafka.ConsumerOptions.
type Rebalances struct {
	Assigned func(partitions map[string][]int32)
	Revoked  func(ctx context.Context, partitions map[string][]int32) kafka.Offsets
	Lost     func(partitions map[string][]int32)
	Note     func(topic string, partition int32, next int64) string
	Limit    func(bytes int)
	Noted    func(topic string, partition int32, next int64, note string)
}

func do(ctx context.Context, code Code, call func(Writer) error) error {
	return doWith(ctx, code, code.Acquire, call)
}

func doWith(ctx context.Context, code Code, acquire func(context.Context) (Writer, error), call func(Writer) error) error {
	w, err := acquire(ctx)
	if err != nil {
		return err
	}
	defer code.Release(w)
	return call(w)
}
