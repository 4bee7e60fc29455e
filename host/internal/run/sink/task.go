package sink

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/culvert-project/culvert/host/convert"
	"github.com/culvert-project/culvert/host/guard"
	"github.com/culvert-project/culvert/host/internal/base/pause"
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
	// NewChain makes the transforms; nil: there are none.
	NewChain func(ctx context.Context) (Chain, error)
	// NewConverters makes the converters.
	NewConverters func() (key, value convert.Converter, err error)
	// NewHeaders makes the converter of headers. Default: SimpleHeaderConverter.
	NewHeaders func() (convert.Headers, error)
	// Rows and Every bound a batch: it is written when it has so many rows, or so long after its first record came.
	// Default of Rows: 500. Every 0: what came is not kept waiting.
	Rows  int
	Every time.Duration
	// InFlight is how many requests are under way at the same time. Default 4. Rows of one key never overtake each
	// other.
	InFlight int
	// CommitEvery is how often offsets are committed while a batch is being written; they are also at its end. Default
	// 1 s.
	CommitEvery time.Duration
	// Tolerance is for records that cannot be converted or that the service refuses.
	task.Tolerance
	// Retry is for transforms, encodings and deliveries that fail and may do better the next time: for so long they are
	// tried again, deliveries and encodings as often as the client's settings say in any case.
	Retry task.Retrying
	// DeadLetters gets the records of skipped rows before they are settled. Default: they are only logged.
	DeadLetters DeadLetters
	// Once is [Task.Finish] from the start. It needs CaughtUp.
	Once bool
	// CaughtUp tells whether everything up to the ends that topics had at its first call is committed.
	CaughtUp func(ctx context.Context) (bool, error)
	// StopWithin bounds what a stop may take: requests on their way are waited for so long. Default 5 s.
	StopWithin time.Duration
	// Send and Skip name uncertain records that an operator has looked at, as TOPIC-PARTITION@OFFSET or
	// TOPIC-PARTITION@FIRST-LAST: those to be sent again, each as often as it is named, and those to be left out.
	Send, Skip []string
	// Uncertain is what the tasks of the connector share. Default: the task's own.
	Uncertain *Uncertain
	// Settled is what the tasks of the connector share. Default: the task's own.
	Settled *Settled
	// Reach is what the tasks of the connector share. Default: nothing is said about topics that records do not reach.
	Reach *Reach
	// Tally is what is counted of the task. Default: the task's own.
	Tally *task.Tally
	// Tracer makes spans of batches; nil: there are none.
	Tracer *tracing.Tracer
	// Logger. Default: discards.
	Logger *slog.Logger

	// parts are the rows of records that are to be written although others of them are, of a replay; a record that is
	// not among them is written as a whole.
	parts map[recordID]task.Parts
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
	skips      *task.Skips
	// broken gets what ends the task from the group's callbacks.
	broken chan error

	plugin *task.Plugin[Writer, *openedVersion]
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
	settling chan struct{}

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
	Skipped, Faults, Again int64
	// Warnings were logged by the plugin about answers of requests that succeeded.
	Warnings int64
	// LastFault is when the last fault came; zero: none has.
	LastFault time.Time
	// Open records were read and are not settled.
	Open int
	// Partitions are those that the task has of its group.
	Partitions int
	// Uncertain records of the connector may have been written, and nobody knows.
	Uncertain int
	// Stages is how long each stage was at work, all requests together; what a stage waits for others is not in it.
	Stages Stages
	// Version of the plugin.
	Version string
}

// Stages are times by the clock. Convert and Transform make rows of records, Encode requests of rows; Send is the wait
// for answers, Settle what the plugin makes of them.
type Stages struct{ Convert, Transform, Encode, Send, Settle time.Duration }

type counters struct {
	read, written, ignored, batches, requests, again, warnings atomic.Int64
	faults                                                     task.Faults
	convert, transform, encode, send, settle                   task.Clock
}

// NewTask makes a task; nothing runs before [Task.Run].
func NewTask(o Options) *Task {
	if o.Rows <= 0 {
		o.Rows = 500
	}
	if o.InFlight <= 0 {
		o.InFlight = 4
	}
	if o.CommitEvery <= 0 {
		o.CommitEvery = time.Second
	}
	if o.StopWithin <= 0 {
		o.StopWithin = 5 * time.Second
	}
	if o.Tally == nil {
		o.Tally = &task.Tally{}
	}
	if o.Uncertain == nil {
		o.Uncertain = &Uncertain{}
	}
	if o.Settled == nil {
		o.Settled = &Settled{}
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	log := o.Logger.With("connector", o.Connector, "task", o.Task)
	t := &Task{o: o, log: log, account: newAccount(o.Settled, o.Uncertain, log), count: &counters{},
		skips: &task.Skips{}, finishing: make(chan struct{}), broken: make(chan error, 1)}
	t.skips.Tolerance, t.skips.Message = o.Tolerance, recordSkipped
	t.plugin = task.NewPlugin(o.Versions, o.Client, t.log, task.Opening[Writer, *openedVersion]{
		New:  func(c Code) *openedVersion { return &openedVersion{code: c, settling: make(chan struct{}, 1)} },
		Of:   func(o *openedVersion) Code { return o.code },
		Call: t.call, Fits: t.fits})
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
		Skipped: c.faults.Skipped.Load(), Faults: c.faults.All.Load(), LastFault: c.faults.Last(),
		Again: c.again.Load(),
		Open:  t.account.open(), Partitions: t.account.sum(func(*partition) int { return 1 }),
		Uncertain: t.o.Uncertain.count(),
		Version:   t.plugin.Version(), Warnings: c.warnings.Load(),
		Stages: Stages{c.convert.Took(), c.transform.Took(), c.encode.Took(), c.send.Took(), c.settle.Took()}}
}

// Run writes until ctx ends, then waits for what is on its way, commits and returns nil; likewise after [Task.Finish].
// An error is the task's fault and names the record, where it is one's. Offsets of what was settled in order are
// committed then too.
func (t *Task) Run(ctx context.Context) (err error) {
	if t.send, err = parseDecisions(sendSetting, t.o.Send); err != nil {
		return err
	}
	if t.skip, err = parseDecisions(skipSetting, t.o.Skip); err != nil {
		return err
	}
	o, err := t.plugin.Start(ctx)
	if err != nil {
		if ctx.Err() != nil {
			return nil
		}
		return err
	}
	t.plugin.Take(o)
	defer t.plugin.Close()
	g, err := t.newGatherer(ctx)
	if err != nil {
		return err
	}
	// Requests on their way outlive ctx, but not for ever.
	working, abort := context.WithCancelCause(context.WithoutCancel(ctx))
	defer abort(nil)
	settling, endSettling := context.WithCancelCause(context.WithoutCancel(ctx))
	defer endSettling(nil)
	ending, fail := context.WithCancel(ctx)
	defer fail()
	t.run = &running{stopping: ctx, ending: ending, working: working, settling: settling, fail: fail}
	consumer, err := t.o.NewConsumer(o.topics, t.account.rebalances(t.committed))
	if err != nil {
		return err
	}
	defer consumer.Close()
	g.consumer, t.run.consumer = consumer, consumer

	stop := context.AfterFunc(ctx, func() {
		time.AfterFunc(t.o.StopWithin*3/4, func() { abort(errStopped) })
		time.AfterFunc(t.o.StopWithin*7/8, func() { endSettling(errStopped) })
	})
	defer stop()
	gathering, endGathering := context.WithCancel(ctx)
	batches := make(chan *batch)
	var gatherer sync.WaitGroup
	gatherer.Go(func() { defer close(batches); g.run(gathering, batches) })
	committing, endCommits := context.WithCancel(working)
	var committer sync.WaitGroup
	committer.Go(func() {
		defer guard.Recover(t.log, "a sink task, its commits", nil, func(p *guard.Panic) { abort(p) })
		t.commits(committing)
	})

	err = guard.Do(t.log, "a sink task", func() error { return t.deliverAll(batches) })
	endGathering()
	for range batches { // lets the gatherer go
	}
	gatherer.Wait()
	endCommits()
	committer.Wait()
	t.skips.Close()
	last, cancel := context.WithTimeout(context.WithoutCancel(ctx), max(t.o.StopWithin/4, time.Second))
	defer cancel()
	lost := t.commitLast(last)
	err = t.account.upTo(err)
	if errors.As(err, new(*recordError)) {
		t.o.Tally.Errors.Add(1)
	}
	t.sum()
	if err == nil {
		err = lost
	}
	return err
}

// sum says what the task did and how long each stage was at work.
func (t *Task) sum() {
	p := t.Progress()
	t.log.Info("sink task ended", "rows", p.Written, "read", p.Read, "deliveries", p.Requests, "batches", p.Batches,
		"ignored", p.Ignored, "skipped", p.Skipped,
		"again", p.Again, slog.Group("at_work", "convert", p.Stages.Convert, "transform", p.Stages.Transform, "encode",
			p.Stages.Encode,
			"send", p.Stages.Send, "settle", p.Stages.Settle))
}

var errStopped = errors.New("the stop took too long")

// deliverAll writes batch after batch.
func (t *Task) deliverAll(batches <-chan *batch) error {
	d := newDispatch(t)
	err := d.run(batches)
	if errors.Is(err, errDone) {
		return nil
	}
	if err == nil {
		err = d.doubt // the stop came before all of them were found
	}
	if uncertain(err) {
		err = t.o.Uncertain.advised(err)
	}
	return ignoreStop(t.run.stopping, err)
}

// errDone ends a task that finishes.
var errDone = errors.New("done")

// fail ends the task; the first fault counts.
func (t *Task) fail(err error) {
	select {
	case t.broken <- err:
	default:
	}
}

// ignoreStop takes what comes of the end of ctx for no fault.
func ignoreStop(ctx context.Context, err error) error {
	var record *recordError
	if ctx.Err() != nil && !errors.As(err, &record) {
		return nil
	}
	return err
}

// commits commits from time to time what is settled.
func (t *Task) commits(ctx context.Context) {
	ticker := time.NewTicker(t.o.CommitEvery)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
			t.commit(ctx)
		}
	}
}

// store has metadata stored that says what was announced by a number, where no other commit has done so meanwhile.
func (t *Task) store(ctx context.Context, number int) error {
	t.committing.Lock()
	defer t.committing.Unlock()
	if t.account.holds(number) {
		return nil
	}
	return t.commitNow(ctx)
}

// commit stores what is settled. What cannot be stored is given back to the ledger, for the next time.
func (t *Task) commit(ctx context.Context) error {
	t.committing.Lock()
	defer t.committing.Unlock()
	return t.commitNow(ctx)
}

// errLeftOut is the error of a commit that stored nothing for partitions which are this task's.
var errLeftOut = errors.New("the commit has left out partitions that began again while it was on its way")

// commitNow is commit for who holds committing.
func (t *Task) commitNow(ctx context.Context) error {
	taken := t.account.apply(offsetsTaken{})
	if len(taken.offsets) == 0 {
		t.account.apply(offsetsStored{nil, taken.number}) // all of it is stored
		return nil
	}
	began := time.Now()
	err := t.run.consumer.Commit(ctx, taken.offsets)
	t.o.Tally.Commits.Ended(began, err)
	if err == nil {
		if !t.account.apply(offsetsStored{taken.offsets, taken.number}).yes {
			t.log.Info("offsets not committed, their partitions began again meanwhile: to be tried again")
			return errLeftOut
		}
		if t.uncommitted {
			t.log.Info("offsets are committed again")
		}
		t.uncommitted = false
		return nil
	}
	// Partitions that went away are not in the ledger any more; one that is stays this task's, also where the group has
	// rebalanced.
	t.account.apply(offsetsKept{taken.offsets})
	switch {
	case errors.Is(err, kafka.ErrRebalanced):
		t.log.Info("offsets not committed, the group has rebalanced: to be tried again", "error", err)
	case !t.uncommitted: // said once, until it goes well again
		t.log.Warn("offsets not committed, to be tried again", "error", err)
		t.uncommitted = true
	}
	return err
}

// commitLast stores what is settled when nothing more is to come, trying as long as ctx lasts. It returns the fault of
// metadata that is not stored: nothing that comes by itself mends that.
func (t *Task) commitLast(ctx context.Context) error {
	for wait := 50 * time.Millisecond; ; wait = min(2*wait, time.Second) {
		err := t.commit(ctx)
		if err == nil {
			return nil
		}
		if pause.For(ctx, wait) != nil {
			t.log.Error("what was settled last is not committed: it is written again after a restart", "error", err)
			if errors.Is(err, kafka.ErrCommitMetadata) {
				return err
			}
			return nil
		}
	}
}

// call makes one call of open.
func (t *Task) call(ctx context.Context, w Writer, o *openedVersion, state []byte, answers []wit.Response) (*wit.Need,
	error) {
	opening, err := w.OpenSink(ctx, t.o.Component, task.Seen(o.code, t.o.Settings), state, answers)
	if err == nil && opening.Ready != nil {
		o.context, o.topics = opening.Ready.Context, opening.Ready.Topics
	}
	return opening.Ask, err
}

// fits tells whether a newer version can go on: one that wants the same topics.
func (t *Task) fits(_ context.Context, o *openedVersion) error {
	if was := t.plugin.Opened().topics; !slices.Equal(o.topics, was) {
		return fmt.Errorf("expected its topics %q, found %q: a change of topics needs a restart of the task", was,
			o.topics)
	}
	return nil
}
