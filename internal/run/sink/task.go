package sink

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/culvert-project/culvert/internal/guard"
	"github.com/culvert-project/culvert/internal/run/task"
	"github.com/culvert-project/culvert/wit"
)

// Task reads the partitions of its consumer and writes their records to a service. Its goroutines run while Run runs.
type Task struct {
	o       Options
	log     *slog.Logger
	tracker *offsetTracker
	count   *counters
	run     *runContext

	finishing  chan struct{} // closed by Finish
	finishOnce sync.Once

	committing    sync.Mutex // a commit never overtakes another
	commitFailing bool       // the last commit failed; under committing

	send   decisions
	skip   decisions
	skips  *task.SkipLog
	broken chan error // receives an error from a callback of the group, which ends the task

	plugin       *task.Plugin[Writer, *openedVersion]
	reopening    guard.CtxMutex // held while the plugin is opened again
	knownChanged chan struct{}  // has one element while knowledge of the plugin waits to be stored
}

// runContext belongs to one call of [Task.Run].
type runContext struct {
	consumer Consumer
	// stopCtx ends when the task must stop. startCtx also ends on failure: nothing new starts then. Later requestCtx
	// cancels the requests in flight, then resultCtx the handling of their responses.
	stopCtx    context.Context
	startCtx   context.Context
	requestCtx context.Context
	resultCtx  context.Context
	fail       context.CancelFunc // ends startCtx
}

func (r *runContext) isEnding() bool { return r.startCtx.Err() != nil }

// openedVersion is a version of the plugin that the task has opened.
type openedVersion struct {
	code         Code
	topics       []string
	responseLock guard.CtxMutex // serializes handle-response calls: each needs the previous one's context

	mu         sync.Mutex
	context    *pluginContext // the current one
	freshUntil time.Time      // when the context loses [wit.ContextFresh]
}

// Progress is what a task has done since it started. Counts are of rows unless they name something else.
type Progress struct {
	Read       int64 // records
	Written    int64
	Ignored    int64
	Batches    int64
	Requests   int64
	Skipped    int64
	Errors     int64
	Reencoded  int64
	Warnings   int64     // logged by the plugin about successful responses
	LastError  time.Time // zero means none
	Refusal    task.Refusal
	Unsettled  int       // records that were read and are not settled
	Partitions int       // owned by the task
	InDoubt    int       // records of the connector whose outcome is unknown
	Flow       task.Flow // consume, convert, transform, encode, send, settle
	Version    string    // of the plugin
}

// stageClocks measure how long the stages of a task are busy. wait has the waits of send for limits and retries.
type stageClocks struct {
	wait      task.BusyClock
	consume   task.BusyClock
	convert   task.BusyClock
	transform task.BusyClock
	encode    task.BusyClock
	send      task.BusyClock
	settle    task.BusyClock
}

type counters struct {
	read      atomic.Int64
	ignored   atomic.Int64
	batches   atomic.Int64
	requests  atomic.Int64
	reencoded atomic.Int64
	warnings  atomic.Int64
	written   task.Meter
	bytes     task.Meter
	errors    task.ErrorCounts
	stageClocks
	startedAt time.Time
}

const recordSkipped = "record skipped"

// NewTask returns a task that [Task.Run] starts.
func NewTask(o Options) *Task {
	o.setDefaults()
	log := o.Logger.With("connector", o.Connector, "task", o.Task)
	t := &Task{
		o:   o,
		log: log,
		tracker: &offsetTracker{ledger: newLedger(o.InDoubt), revokedPartitions: o.Revoked, inDoubt: o.InDoubt,
			log: log},
		count:        &counters{startedAt: time.Now()},
		skips:        &task.SkipLog{},
		finishing:    make(chan struct{}),
		broken:       make(chan error, 1),
		reopening:    guard.NewCtxMutex(),
		knownChanged: make(chan struct{}, 1),
	}
	t.skips.Tolerance = o.Tolerance
	t.skips.Message = recordSkipped
	t.plugin = task.NewPlugin(o.Versions, o.Client, t.log, task.Opener[Writer, *openedVersion]{
		New: func(c Code) *openedVersion {
			return &openedVersion{code: c, responseLock: guard.NewCtxMutex()}
		},
		VersionOf: func(opened *openedVersion) Code { return opened.code },
		CallOpen:  t.callOpen,
		CheckCompatible: func(_ context.Context, opened *openedVersion) error {
			if prior := t.plugin.Opened().topics; !slices.Equal(opened.topics, prior) {
				return fmt.Errorf("expected the topics %q, found %q: restart the task to change topics", prior,
					opened.topics)
			}
			return nil
		},
		Answered: o.Answered,
	})
	if o.Once {
		t.Finish()
	}
	return t
}

// Finish makes Run return when everything that the topics hold now is settled.
func (t *Task) Finish() { t.finishOnce.Do(func() { close(t.finishing) }) }

// Progress returns the current counts. It may be called at any time.
func (t *Task) Progress() Progress {
	c := t.count
	return Progress{
		Read:       c.read.Load(),
		Written:    c.written.Load(),
		Ignored:    c.ignored.Load(),
		Batches:    c.batches.Load(),
		Requests:   c.requests.Load(),
		Skipped:    c.errors.Skipped.Load(),
		Errors:     c.errors.All.Load(),
		LastError:  c.errors.Last(),
		Refusal:    c.errors.Refusal(),
		Reencoded:  c.reencoded.Load(),
		Unsettled:  t.tracker.unsettled(),
		Partitions: t.tracker.sum(func(*partition) int { return 1 }),
		InDoubt:    t.o.InDoubt.count(),
		Version:    t.plugin.Version(),
		Warnings:   c.warnings.Load(),
		Flow: task.NewFlow(c.startedAt, &c.written, &c.bytes, task.NewStage("consume", &c.consume),
			task.NewStage("convert", &c.convert), task.NewStage("transform", &c.transform),
			task.NewStage("encode", &c.encode), task.NewStage("wait", &c.wait),
			task.NewStage("send", &c.send), task.NewStage("settle", &c.settle)),
	}
}

// Owns reports whether the task owns a partition. It may be called at any time.
func (t *Task) Owns(topic string, partition int32) bool {
	return t.tracker.owns(topicPartition{topic, partition})
}

// fail ends the task with an error, unless another one is about to end it. It does not block.
func (t *Task) fail(err error) {
	select {
	case t.broken <- err:
	default:
	}
}

func (t *Task) callOpen(ctx context.Context, w Writer, opened *openedVersion, state []byte,
	answers []wit.Response) (*wit.RequestBatch, error) {
	result, err := w.OpenSink(ctx, t.o.Component, task.VisibleSettings(opened.code, t.o.Settings), state, answers)
	if err == nil && result.Ready != nil {
		opened.context = &pluginContext{opened, result.Ready.Context}
		opened.freshUntil = time.Now().Add(contextFreshFor)
		opened.topics = result.Ready.Topics
	}
	return result.Pending, err
}

// reopen opens a version of the plugin again after a call with its context has failed with the error stale. If another
// batch has done so since the call, it returns that result.
func (t *Task) reopen(ctx context.Context, opened *openedVersion, stale error) (*openedVersion, error) {
	if err := t.reopening.Lock(ctx); err != nil {
		return nil, err
	}
	defer t.reopening.Unlock()
	if current := t.plugin.Opened(); current != opened && current.code == opened.code {
		return current, nil
	}
	t.log.Info("the plugin's context is stale: opening the plugin again", "version", opened.code.Version(),
		"reason", stale)
	return t.plugin.Reopen(ctx, opened, stale)
}

// markInDoubt puts a record in doubt and returns the error with which the task fails unless a check resolves the doubt.
func (t *Task) markInDoubt(i *item, reason error) *recordError {
	t.o.InDoubt.add(idOf(i.record), reason)
	t.tracker.apply(inDoubtChanged{i})
	return &recordError{item: i, stage: "it may have been written or not, and is not sent again", err: reason,
		inDoubt: true}
}
