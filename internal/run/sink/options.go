package sink

import (
	"context"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/culvert-project/culvert/internal/base/memory"
	"github.com/culvert-project/culvert/internal/convert"
	"github.com/culvert-project/culvert/internal/kafka"
	"github.com/culvert-project/culvert/internal/record"
	"github.com/culvert-project/culvert/internal/run/task"
	"github.com/culvert-project/culvert/internal/run/tracing"
	"github.com/culvert-project/culvert/wit"
)

// Options configure a task. Connector to Registry, NewConsumer and NewConverters are required.
type Options struct {
	Connector string // names the task in logs, with Task
	Task      int
	Component string        // the class that the plugin opens
	Settings  []wit.Setting // of the connector, without passwords
	Versions  Versions
	Client    Client
	Registry  *record.Registry
	Once      bool                                    // as if [Task.Finish] was called; both require CaughtUp
	CaughtUp  func(ctx context.Context) (bool, error) // whether all up to the first call's end offsets is committed
	Stages
	Limits
	ErrorHandling
	Shared
	Telemetry

	// The fields below are of a [Replay], otherwise zero. written may be nil.
	deadLetterOf map[recordID]task.DeadLetter
	dryRun       bool
	checkOnly    bool
	written      func(*kgo.Record)
}

// Stages create what a task needs to read and convert records.
type Stages struct {
	// NewConsumer joins the group with the plugin's topics, unless `topics` names others. The task closes the consumer.
	NewConsumer func(topics []string, r kafka.Rebalances) (Consumer, error)
	// AwaitWritable, if not nil, blocks until the records may be written, or fails when ctx ends.
	AwaitWritable      func(ctx context.Context, records []*kgo.Record) error
	NewChain           func(ctx context.Context) (Chain, error) // nil means no transforms
	NewConverters      func() (key, value convert.Converter, err error)
	NewHeaderConverter func() (convert.Headers, error) // default SimpleHeaderConverter
}

// Limits bound batches, requests and waiting times.
type Limits struct {
	// BatchRows and Linger bound a batch: its rows (default 500), and the wait after its first record (default none).
	BatchRows      int
	Linger         time.Duration
	InFlight       int           // requests at the same time, default 4; rows of one key stay in order
	CommitInterval time.Duration // default 1 s; the end of a batch commits, too
	StopTimeout    time.Duration // for requests in flight when the task stops, default 5 s
	Memory         *memory.Share // for the rows of all sink tasks; nil means no limit
}

type byteLimits struct {
	batch     int // records of a batch
	converted int // rows of a batch
	active    int // rows, requests and records of all batches
}

// memoryLimits divides the task's part of the memory: one batch gets a fraction of it. A single row may exceed that.
func (l *Limits) memoryLimits() byteLimits {
	part := l.Memory.Part()
	return byteLimits{batch: int(min(part/8, maxBatchBytes)), converted: int(min(part/4, maxConvertedBytes)),
		active: int(min(part, maxActiveBytes))}
}

// ErrorHandling decides about records and requests that fail.
type ErrorHandling struct {
	task.Tolerance
	// Retry is for transforms, encodings and deliveries that fail transiently, in addition to the client's own retries.
	Retry       task.RetryPolicy
	DeadLetters DeadLetters // receives skipped records before they are settled; nil only logs them
	// Send and Skip name records in doubt that an operator has checked, as TOPIC-PARTITION@OFFSET or
	// TOPIC-PARTITION@FIRST-LAST: those to send again, once for each time they are named, and those to skip.
	Send []string
	Skip []string
}

// DeadLetters stores records that were skipped.
type DeadLetters interface {
	// Send returns nil when the brokers have all records. Several goroutines call it.
	Send(ctx context.Context, records []FailedRecord) error
}

// Shared is the state that the tasks of a connector share, by default a task's own. Nil Unmatched checks no topics.
type Shared struct {
	Answered  *atomic.Bool // see [task.Opener]
	InDoubt   *InDoubtRecords
	Revoked   *RevokedPartitions
	Unmatched *UnmatchedTopics
}

// Telemetry observes a task. Nil observes nothing.
type Telemetry struct {
	Metrics  *task.Metrics
	Observer *task.Observer // sees rows before the transforms
	Tracer   *tracing.Tracer
	Logger   *slog.Logger
}

func (o *Options) setDefaults() {
	if o.BatchRows <= 0 {
		o.BatchRows = 500
	}
	if o.InFlight <= 0 {
		o.InFlight = 4
	}
	if o.CommitInterval <= 0 {
		o.CommitInterval = time.Second
	}
	if o.StopTimeout <= 0 {
		o.StopTimeout = 5 * time.Second
	}
	if o.Metrics == nil {
		o.Metrics = &task.Metrics{}
	}
	if o.InDoubt == nil {
		o.InDoubt = &InDoubtRecords{}
	}
	if o.Revoked == nil {
		o.Revoked = &RevokedPartitions{}
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
}
