package source

import (
	"context"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/culvert-project/culvert/internal/base/memory"
	"github.com/culvert-project/culvert/internal/convert"
	"github.com/culvert-project/culvert/internal/record"
	"github.com/culvert-project/culvert/internal/run/notify"
	"github.com/culvert-project/culvert/internal/run/task"
	"github.com/culvert-project/culvert/internal/run/tracing"
	"github.com/culvert-project/culvert/wit"
)

// Options configure a task. Connector to Registry, StoredOffset, NewOutput and NewConverters are required.
type Options struct {
	Connector string // names the task in logs and headers, with Task
	Task      int
	Component string        // the class that the plugin opens
	Settings  []wit.Setting // of this task, without passwords
	Versions  Versions
	Client    Client
	Registry  *record.Registry
	Answered  *atomic.Bool // shared by the tasks of a connector, see [task.Opener]; nil means the task's own
	Once      bool         // Run ends when every feed has caught up and all rows are acknowledged
	// OnIdle, if not nil, is called when all feeds will wait for their next poll for [MinIdleTime] or longer. until is
	// the earliest poll; zero means that there is none. end is called before the first feed continues.
	OnIdle func(until time.Time) (end func())
	Offsets
	Stages
	ErrorHandling
	Limits
	Telemetry
}

// Offsets are how a task uses stored offsets.
type Offsets struct {
	// StoredOffset returns the stored offset of a partition, or nil.
	StoredOffset func(ctx context.Context, partition []wit.OffsetEntry) ([]wit.OffsetEntry, error)
	// MismatchSetting is the setting of [wit.Feed.OnMismatch], for the error about another query. It may be "".
	MismatchSetting string
	// PrepareOffsets, if not nil, is called with the number of feeds before offsets are read, and again before a feed
	// starts over. With transactions it fences other producers and reads what they have committed.
	PrepareOffsets func(ctx context.Context, feeds int) error
	// CheckLease, if not nil, returns an error if another worker may own the task: then a request that lets the service
	// delete delivered data must not be sent. It is called before such a request, when all earlier rows are stored, and
	// may wait. At the moment of sending it is called with an ended context, and must answer from what it knows.
	CheckLease func(ctx context.Context) error
	// ExactlyOnceRequired makes it an error if a repeated page has other rows, because some would be delivered twice.
	ExactlyOnceRequired bool
}

// Stages create what each feed needs.
type Stages struct {
	NewOutput          func(feed string) (Output, error)        // the task closes it
	NewChain           func(ctx context.Context) (Chain, error) // nil means no transforms
	NewConverters      func() (key, value convert.Converter, err error)
	NewHeaderConverter func() (convert.Headers, error)               // default SimpleHeaderConverter
	EnsureTopic        func(ctx context.Context, topic string) error // if not nil, called before a topic's first record
	// Listen, if not nil, opens an endpoint for a feed's notifications and returns the address to subscribe with.
	// handle returns when the notification may be answered. Nil disables subscriptions.
	Listen func(feed string, handle notify.Handler) (address string, close func(), err error)
}

// ErrorHandling decides about rows that fail.
type ErrorHandling struct {
	task.Tolerance
	Retry       task.RetryPolicy // for transforms that fail transiently
	DeadLetters *DeadLetters     // receives skipped rows; nil only logs them
}

// Limits bound memory and waiting times.
type Limits struct {
	StopTimeout     time.Duration // to have everything acknowledged and stored, default 5 s
	MaxRecordBytes  int           // `max.request.size`, with the overhead of a record; default 1 MiB
	ConcurrentPages int           // feeds that read a response at the same time, default 4
	Buffers         *Buffers      // of all tasks of a worker, default the task's own
	Spare           *memory.Quota // of a worker, for keys of first loads; nil means no limit
}

// Telemetry observes a task. Nil observes nothing.
type Telemetry struct {
	Metrics      *task.Metrics
	Observer     *task.Observer // sees rows before the transforms
	Tracer       *tracing.Tracer
	TraceHeaders bool // adds the trace context of its page to each record
	Logger       *slog.Logger
}

func (o *Options) setDefaults() {
	if o.StopTimeout == 0 {
		o.StopTimeout = 5 * time.Second
	}
	if o.ConcurrentPages == 0 {
		o.ConcurrentPages = 4
	}
	if o.MaxRecordBytes == 0 {
		o.MaxRecordBytes = 1 << 20
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Metrics == nil {
		o.Metrics = &task.Metrics{}
	}
	if o.Buffers == nil {
		o.Buffers = NewBuffers(memory.DefaultChunks)
	}
	if o.PrepareOffsets == nil {
		o.PrepareOffsets = func(context.Context, int) error { return nil }
	}
	if o.NewHeaderConverter == nil {
		o.NewHeaderConverter = func() (convert.Headers, error) {
			return convert.SimpleHeaders{Registry: o.Registry}, nil
		}
	}
}
