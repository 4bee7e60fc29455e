package sink

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/culvert-project/culvert/host/convert"
	"github.com/culvert-project/culvert/host/guard"
	"github.com/culvert-project/culvert/host/internal/run/task"
	"github.com/culvert-project/culvert/host/internal/run/tracing"
	"github.com/culvert-project/culvert/host/kafka"
	"github.com/culvert-project/culvert/host/record"
	"github.com/culvert-project/culvert/wit"
)

// Options are what a task works with. Fields without a default must be set.
type Options struct {
	// Connector and Task name the task in logs.
	Connector string
	Task      int
	// Component is the class that the plugin opens, Settings are the connector's, without passwords.
	Component string
	Settings  []wit.Setting
	Versions  Versions
	Client    Client
	Registry  *record.Registry
	// NewConsumer joins the group. topics are those that the plugin named when it was opened; the connector's own
	// `topics` go first. The task closes it.
	NewConsumer func(topics []string, r kafka.Rebalances) (Consumer, error)
	// AwaitWritable blocks until records that were read may be written. It returns an error if the context ends first.
	// Nil means that records are never held.
	AwaitWritable func(ctx context.Context, records []*kgo.Record) error
	// NewChain makes the transforms; nil: there are none.
	NewChain func(ctx context.Context) (Chain, error)
	// NewConverters makes the converters.
	NewConverters func() (key, value convert.Converter, err error)
	// NewHeaderConverter makes the converter of headers. Default: SimpleHeaderConverter.
	NewHeaderConverter func() (convert.Headers, error)
	// BatchRows and Every bound a batch: it is written when it has so many rows, or so long after its first record
	// came. Default of Rows: 500. Every 0: what came is not kept waiting.
	BatchRows int
	Linger    time.Duration
	// InFlight is how many requests are under way at the same time. Default 4. Rows of one key never overtake each
	// other.
	InFlight int
	// CommitInterval is how often offsets are committed while a batch is being written; they are also at its end.
	// Default 1 s.
	CommitInterval time.Duration
	// Tolerance is for records that cannot be converted or that the service refuses.
	task.Tolerance
	// Retry is for transforms, encodings and deliveries that fail and may do better the next time: for so long they are
	// tried again, deliveries and encodings as often as the client's settings say in any case.
	Retry task.RetryPolicy
	// DeadLetters gets the records of skipped rows before they are settled. Default: they are only logged.
	DeadLetters DeadLetters
	// Once is [Task.Finish] from the start. It needs CaughtUp.
	Once bool
	// CaughtUp tells whether everything up to the ends that topics had at its first call is committed.
	CaughtUp func(ctx context.Context) (bool, error)
	// StopTimeout bounds what a stop may take: requests on their way are waited for so long. Default 5 s.
	StopTimeout time.Duration
	// Send and Skip name uncertain records that an operator has looked at, as TOPIC-PARTITION@OFFSET or
	// TOPIC-PARTITION@FIRST-LAST: those to be sent again, each as often as it is named, and those to be left out.
	Send, Skip []string
	// InDoubt is what the tasks of the connector share. Default: the task's own.
	InDoubt *InDoubtRecords
	// Revoked is what the tasks of the connector share. Default: the task's own.
	Revoked *RevokedPartitions
	// Unmatched is what the tasks of the connector share. Default: nothing is said about topics that records do not
	// reach.
	Unmatched *UnmatchedTopics
	// Metrics is what is counted of the task. Default: the task's own.
	Metrics *task.Metrics
	// Observer has rows looked at before transforms. nil: nobody looks.
	Observer *task.Observer
	// Tracer makes spans of batches; nil: there are none.
	Tracer *tracing.Tracer
	// Logger. Default: discards.
	Logger *slog.Logger

	// replayed are the dead letters of a replay, by their records.
	replayed map[recordID]task.DeadLetter
	dry      bool // see Replay
}

// DeadLetters takes records that cannot be written where such records are tolerated.
type DeadLetters interface {
	// Send returns nil when the brokers have all of the records. It is called by several goroutines.
	Send(ctx context.Context, letters []FailedRecord) error
}

// Task writes the partitions that its consumer gets. It owns its goroutines while Run runs.
type Task struct {
	o       Options
	log     *slog.Logger
	account *account
	count   *counters
	// run is there from the start of the run on.
	run *running

	finishing  chan struct{}
	finishOnce sync.Once

	committing  sync.Mutex // a commit never overtakes another
	uncommitted bool       // the last commit failed; under committing

	send, skip decisions
	skips      *task.SkipLog
	// broken gets what ends the task from the group's callbacks.
	broken chan error

	plugin *task.Plugin[Writer, *openedVersion]
	// learned has one element where what the plugin knows is to be stored.
	learned chan struct{}
}

// running is what a task works with while it runs.
type running struct {
	consumer Consumer
	// stopping ends when the task is to stop, and ending besides when it has failed: nothing is begun then. working
	// ends requests on their way, settling, later still, what answers that came are judged by.
	stopping, ending, working, settling context.Context
	// fail ends ending.
	fail context.CancelFunc
}

// ends tells whether nothing more is to be begun.
func (r *running) ends() bool { return r.ending.Err() != nil }

// openedVersion is a plugin version that has been opened.
type openedVersion struct {
	code   Code
	topics []string
	// settling is held during a call of settle, one at a time: each goes on from what the one before has learned.
	settling guard.Turn

	mu      sync.Mutex
	context []byte
	// learned is how many contexts settle has made that differ from the one before.
	learned int
}

// hashed is what lanes were made by: lanes of equal ones can be compared, since a plugin that has learned something, or
// was opened again, may hash keys otherwise.
type hashed struct {
	opened  *openedVersion
	learned int
}

// newest is the context that calls are given: that of open, or what settle made of it last.
func (o *openedVersion) newest() ([]byte, hashed) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.context, hashed{o, o.learned}
}

// learn takes a context that settle has made. It is lost with what was opened: at a swap, a restart, or when the plugin
// is opened again.
func (o *openedVersion) learn(context []byte) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if !bytes.Equal(o.context, context) {
		o.context = context
		o.learned++
	}
}

// Progress is what a task has done since it started.
type Progress struct {
	// Read records came from Kafka; Written rows are in the service; Ignored ones were to be left out by the
	// connector's settings.
	Read, Written, Ignored int64
	// Batches were encoded, Requests delivered.
	Batches, Requests int64
	// Skipped rows could not be written and were tolerated; Faults counts all faults of rows; Again is how often a row
	// was encoded again.
	Skipped, Errors, Reencoded int64
	// Warnings were logged by the plugin about answers of requests that succeeded.
	Warnings int64
	// LastError is when the last fault came; zero: none has.
	LastError time.Time
	// Unsettled records were read and are not settled.
	Unsettled int
	// Partitions are those that the task has of its group.
	Partitions int
	// Uncertain records of the connector may have been written, and nobody knows.
	InDoubt int
	// Flow is where the time of the last minute went: consume, convert, transform, encode, send, settle.
	Flow task.Flow
	// Version of the plugin.
	Version string
}

type counters struct {
	read, ignored, batches, requests, again, warnings atomic.Int64
	written, bytes                                    task.Meter
	faults                                            task.ErrorCounts
	consume, convert, transform, encode, send, settle task.BusyClock
	began                                             time.Time
}

const recordSkipped = "record skipped"

// NewTask makes a task; nothing runs before [Task.Run].
func NewTask(o Options) *Task {
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
	log := o.Logger.With("connector", o.Connector, "task", o.Task)
	t := &Task{o: o, log: log, account: newAccount(o.Revoked, o.InDoubt, log), count: &counters{began: time.Now()},
		skips: &task.SkipLog{}, finishing: make(chan struct{}), broken: make(chan error, 1),
		learned: make(chan struct{},
			1)}
	t.skips.Tolerance, t.skips.Message = o.Tolerance, recordSkipped
	t.plugin = task.NewPlugin(o.Versions, o.Client, t.log, task.Opener[Writer, *openedVersion]{
		New:       func(c Code) *openedVersion { return &openedVersion{code: c, settling: guard.NewTurn()} },
		VersionOf: func(o *openedVersion) Code { return o.code },
		CallOpen:  t.call, CheckCompatible: t.fits})
	if o.Once {
		t.Finish()
	}
	return t
}

// Finish lets Run return when everything is settled that the topics hold at this moment.
func (t *Task) Finish() { t.finishOnce.Do(func() { close(t.finishing) }) }

// Progress is safe to call at any time.
func (t *Task) Progress() Progress {
	c := t.count
	return Progress{Read: c.read.Load(), Written: c.written.Load(), Ignored: c.ignored.Load(),
		Batches: c.batches.Load(), Requests: c.requests.Load(),
		Skipped: c.faults.Skipped.Load(), Errors: c.faults.All.Load(), LastError: c.faults.Last(),
		Reencoded: c.again.Load(),
		Unsettled: t.account.open(), Partitions: t.account.sum(func(*partition) int { return 1 }),
		InDoubt: t.o.InDoubt.count(),
		Version: t.plugin.Version(), Warnings: c.warnings.Load(),
		Flow: task.NewFlow(c.began, &c.written, &c.bytes, task.NewStage("consume", &c.consume),
			task.NewStage("convert", &c.convert), task.NewStage("transform", &c.transform),
			task.NewStage("encode", &c.encode), task.NewStage("send", &c.send), task.NewStage("settle", &c.settle))}
}

// Owns tells whether a partition of the task's group is its own now. It is safe to call at any time.
func (t *Task) Owns(topic string, partition int32) bool {
	return t.account.has(topicPartition{topic, partition})
}

// fail ends the task; the first fault counts.
func (t *Task) fail(err error) {
	select {
	case t.broken <- err:
	default:
	}
}

// call makes one call of open.
func (t *Task) call(ctx context.Context, w Writer, o *openedVersion, state []byte,
	answers []wit.Response) (*wit.RequestBatch,
	error) {
	opening, err := w.OpenSink(ctx, t.o.Component, task.VisibleSettings(o.code, t.o.Settings), state, answers)
	if err == nil && opening.Ready != nil {
		o.context, o.topics = opening.Ready.Context, opening.Ready.Topics
	}
	return opening.Pending, err
}

// fits tells whether a newer version can go on: one that wants the same topics.
func (t *Task) fits(_ context.Context, o *openedVersion) error {
	if was := t.plugin.Opened().topics; !slices.Equal(o.topics, was) {
		return fmt.Errorf("expected its topics %q, found %q: a change of topics needs a restart of the task", was,
			o.topics)
	}
	return nil
}

// reopen opens a version again because what it worked out no longer fits. A delivery of the version before settles by
// its own.
func (t *Task) reopen(ctx context.Context, o *openedVersion) (*openedVersion, error) {
	t.log.Info("the plugin asks to be opened again", "version", o.code.Version())
	return t.plugin.Reopen(ctx, o)
}

// unsure notes that nobody knows whether a record was written; it returns the task's fault.
func (t *Task) unsure(i *item, why error) *recordError {
	t.o.InDoubt.put(idOf(i.record), why)
	t.account.apply(doubtChanged{i})
	return &recordError{item: i, stage: "it may have been written or not, and is not sent again", err: why,
		uncertain: true}
}
