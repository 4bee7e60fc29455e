package source

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/culvert-project/culvert/internal/guard"
	"github.com/culvert-project/culvert/internal/kafka"
	"github.com/culvert-project/culvert/internal/run/task"
	"github.com/culvert-project/culvert/internal/shown"
	"github.com/culvert-project/culvert/internal/transport"
	"github.com/culvert-project/culvert/wit"
)

// feed is a part of a source that is read on its own, such as an entity set. Four goroutines, started and ended by run,
// pass its rows on as chunks, so that memory does not depend on the size of pages: read (fetch and decode), transform
// (with the converters), produce, settle.
type feed struct {
	task      *Task
	name      string
	topic     string
	log       *slog.Logger
	partition []wit.OffsetEntry           // the same in every version of the plugin
	readStage func(context.Context) error // [feed.read], or reads dead letters
	readState
	pipeline      *pipeline
	status        *feedStatus
	notifications *notificationQueue

	mu          sync.Mutex
	boundary    []wit.OffsetEntry // the offset at the last page boundary, for checking other versions
	fingerprint string
	replacement *feed // has replaced this feed, which started over
}

// readState belongs to the read stage.
type readState struct {
	opened    *openedVersion      // changes between pages only
	index     uint32              // of the feed in opened.feeds
	position  position            // where reading continues; it is ahead of what is acknowledged
	pageStart []wit.OffsetEntry   // the offset before the current page
	affinity  *transport.Affinity // the session of the pages
	lastPage  string              // identifies the previous page if more was to follow, see [page.checkProgress]
	// atBeginning means that no row of the first load was sent.
	atBeginning bool
	// sentRows means that rows were sent since the last offset that is stored promptly.
	sentRows bool
	// keys are the keys of the first load. Nil means that they will not be compared.
	keys *keySet
	// progressAt is when the progress of the load was last requested from the plugin.
	progressAt time.Time
}

// pipeline connects the stages: each chunk is in one channel or with one stage. The cause of ctx is the feed's error.
type pipeline struct {
	output    Output
	free      chan *chunk
	decoded   chan *chunk
	converted chan *chunk
	sent      chan *chunk

	ctx        context.Context
	fail       context.CancelCauseFunc
	logRestart func() // logs that an interrupted page is delivered again from its start; nil if no page is
}

// feedStatus is the visible state of a feed. Times are in Unix milliseconds, 0 for none.
type feedStatus struct {
	caughtUp     atomic.Bool
	lastCaughtUp atomic.Int64
	// lastRead is [FeedProgress.LastRead].
	lastRead atomic.Int64
	// subscribed is the start of the subscription, notified the last notification.
	subscribed atomic.Int64
	notified   atomic.Int64

	// The feed's lock guards the fields below.
	lastRequest  *FeedRequest
	nextPoll     time.Time
	lastError    *FeedError
	lastSnapshot *FeedSnapshot
	load         *FeedLoad
	loadPace     loadPace
	readingSince time.Time // zero unless pages follow each other
	complete     string    // the proof of the last load, see [FeedProgress.Complete]; empty means none
}

func emptyFeed(t *Task, opened *openedVersion) *feed {
	return &feed{task: t, readState: readState{opened: opened}, pipeline: &pipeline{}, status: &feedStatus{},
		notifications: &notificationQueue{signal: guard.NewBell()}}
}

const (
	chunks          = 16 // bounds the chunks of a feed that wait for acknowledgement
	convertedChunks = 8  // bounds those that wait for the producer, for example during the commit of a transaction
)

var errStopped = errors.New("the stop took too long")

// newFeed creates a feed that continues from its stored offset.
func (t *Task) newFeed(ctx context.Context, opened *openedVersion, index uint32) (*feed, error) {
	spec := &opened.feeds[index]
	feed := emptyFeed(t, opened)
	feed.name = spec.Name
	feed.partition = spec.Partition
	feed.fingerprint = spec.Fingerprint
	feed.index = index
	feed.topic = spec.Topic
	feed.log = t.log.With("feed", spec.Name)
	stored, err := t.o.StoredOffset(ctx, spec.Partition)
	if err != nil {
		return nil, fmt.Errorf("read the stored offset: %w", err)
	}
	feed.position = position{fields: []wit.OffsetEntry{}}
	if stored != nil {
		feed.position, feed.notifications.subscriptionDigest, err = t.resume(ctx, opened, spec, stored)
		if err != nil {
			return nil, err
		}
	}
	feed.pageStart = feed.position.fields
	feed.boundary = feed.position.fields
	feed.readStage = feed.read
	feed.atBeginning = len(feed.position.fields) == 0
	if feed.atBeginning {
		return feed, nil
	}
	return feed, task.Do(ctx, opened.code, func(r Reader) error { feed.observeLoad(ctx, r); return nil })
}

// resume returns the position in a stored offset. An offset of another query would silently continue that one, so its
// fingerprint must match the feed's (RATIONALE.md P7). The plugin must accept it, too.
func (t *Task) resume(ctx context.Context, opened *openedVersion, spec *wit.Feed,
	stored []wit.OffsetEntry) (p position, subscription string, err error) {
	p, fingerprint, subscription, err := parsePosition(stored)
	if err != nil {
		return p, "", err
	}
	current := spec.Fingerprint
	if fingerprint != nil && *fingerprint != current && strings.Contains(*fingerprint, topicPart) {
		p.topic = spec.Topic // stored within a load: all of its rows must have the same topic
		current = withTopic(current, p.topic)
	}
	if fingerprint == nil {
		t.log.Warn("the stored offset has no fingerprint: it is used without a check", "feed", spec.Name)
	} else if *fingerprint != current {
		changed := describeDiff(*fingerprint, current)
		switch spec.OnMismatch {
		case wit.MismatchReload:
			t.log.Warn("the stored offset is of another query: the feed is read again",
				"feed", spec.Name, "changed", changed)
			return position{fields: []wit.OffsetEntry{}}, "", nil
		case wit.MismatchKeep:
			t.log.Info("the stored offset is of another query: reading continues from it",
				"feed", spec.Name, "changed", changed)
		default:
			settingHint := ""
			if setting := t.o.MismatchSetting; setting != "" {
				settingHint = ", set " + setting + "=keep to continue from it nevertheless, or =reload"
			}
			return p, "", &wit.Error{Kind: wit.ErrorConfig, Message: "the stored offset belongs to something else (" +
				changed + "): restore that" + settingHint +
				", rename the connector, or reset its offsets to read everything again"}
		}
	}
	err = task.Do(ctx, opened.code, func(r Reader) error { return r.CheckOffset(ctx, spec.Partition, p.fields) })
	if err != nil {
		return p, "", fmt.Errorf("the plugin rejects the stored offset: %w", err)
	}
	return p, subscription, nil
}

// run runs the stages until reading ends and all rows are acknowledged, or one stage fails.
func (f *feed) run(ctx context.Context) (err error) {
	defer f.dropKeys()
	o := &f.task.o
	if f.pipeline.output, err = o.NewOutput(f.name); err != nil {
		return err
	}
	stage, err := f.newTransformStage(ctx)
	if err != nil {
		f.closeOutput()
		return err
	}
	f.pipeline.free = make(chan *chunk, reservedChunks)
	f.pipeline.decoded = make(chan *chunk, 1)
	f.pipeline.converted = make(chan *chunk, convertedChunks)
	f.pipeline.sent = make(chan *chunk, chunks)
	for range reservedChunks {
		f.pipeline.free <- newChunk(o.Registry)
	}
	// After ctx has ended, the rows that were read are still delivered, within most of the stop timeout.
	f.pipeline.ctx, f.pipeline.fail = context.WithCancelCause(context.WithoutCancel(ctx))
	cancelStop := context.AfterFunc(ctx, func() {
		time.AfterFunc(o.StopTimeout*3/4, func() { f.pipeline.fail(errStopped) })
	})
	defer cancelStop()
	f.pipeline.output.OnFailure(f.pipeline.fail)
	readCtx, cancelRead := context.WithCancelCause(ctx)
	defer cancelRead(nil)
	// A failure of any stage ends reading.
	unlink := context.AfterFunc(f.pipeline.ctx, func() { cancelRead(context.Cause(f.pipeline.ctx)) })
	defer unlink()

	var stages sync.WaitGroup
	stages.Go(func() { defer close(f.pipeline.converted); f.runTransform(stage) })
	stages.Go(func() { defer close(f.pipeline.sent); f.runProduce() })
	stages.Go(f.runSettle)
	readErr := guard.Do(f.task.log, "feed "+f.name+", the stage of reading",
		func() error { return f.readStage(readCtx) })
	close(f.pipeline.decoded)
	stages.Wait()

	return f.finish(ctx, readErr)
}

// finish stores the last offset, closes the output, and returns the error of the feed. It may wait for the brokers.
func (f *feed) finish(ctx context.Context, readErr error) error {
	cause := context.Cause(f.pipeline.ctx)
	flushCtx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	limitWait := func() { time.AfterFunc(max(f.task.o.StopTimeout/4, time.Second), cancel) }
	if (cause == nil && readErr == nil) || kafka.IsTransactionTimeout(cause) {
		// Until the task stops, a feed that has read everything waits for a busy broker, and one whose transaction
		// timed out for an unavailable one.
		defer context.AfterFunc(ctx, limitWait)()
	} else {
		limitWait()
	}
	storeErr := f.pipeline.output.Flush(flushCtx)
	f.closeOutput()
	f.pipeline.fail(nil) // releases the context; cause was read before
	switch {
	case kafka.IsTransactionTimeout(cause) && storeErr == nil && !errors.As(cause, new(*kafka.TransactionAbortedError)):
		return &kafka.TransactionAbortedError{Cause: cause} // the transaction was given up
	case cause != nil && !errors.Is(cause, errStopped):
		return cause
	case readErr != nil && ctx.Err() == nil:
		return readErr
	case cause != nil:
		f.log.Warn("stopped before all rows were acknowledged: they will be read again", "within", f.task.o.StopTimeout)
		return nil
	case storeErr != nil:
		return fmt.Errorf("store the offset: %w", storeErr)
	}
	return nil
}

func (f *feed) closeOutput() {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	_ = f.pipeline.output.Close(ctx) // errors were reported with their batches
}

func (f *feed) spec() *wit.Feed { return &f.opened.feeds[f.index] }

// logSkipped logs a skipped row: each one, or, if it becomes a dead letter, the first ones of each cause.
func (f *feed) logSkipped(page string, row uint32, stage task.ErrorStage, err error, more func() []any) {
	f.task.o.Metrics.Logged.Add(1)
	if f.task.o.DeadLetters == nil {
		f.task.o.LogSkipped(f.log, rowSkipped, []any{"page", page, "row", row, "stage", stage, "error", err}, more)
		return
	}
	f.task.skips.Skip(f.log, stage, err, []any{"page", page, "row", row}, more)
}

const rowSkipped = "row skipped"

func (f *feed) progress() FeedProgress {
	f.mu.Lock()
	defer f.mu.Unlock()
	s := f.status
	p := FeedProgress{Name: f.name, Topic: f.topic, CaughtUp: s.caughtUp.Load(),
		Notifications: len(f.notifications.pending.list), Snapshots: len(f.notifications.snapshots),
		LastRequest: s.lastRequest, LastError: s.lastError, LastSnapshot: s.lastSnapshot, Load: s.load,
		LastCaughtUp: timePtr(s.lastCaughtUp.Load()), LastRead: timePtr(s.lastRead.Load()),
		Subscribed: timePtr(s.subscribed.Load())}
	if s.load != nil && !s.loadPace.isCurrent(time.Now()) {
		p.Load = s.load.WithoutEstimate()
	}
	if s.complete != "" {
		p.Complete = &s.complete
	}
	if !s.readingSince.IsZero() {
		since := s.readingSince.UTC()
		p.ReadingSince = &since
	}
	if p.Subscribed != nil {
		p.LastNotified = timePtr(s.notified.Load())
	}
	if !s.nextPoll.IsZero() {
		due := s.nextPoll.UTC()
		p.NextRun = &due
	}
	if p.LastCaughtUp != nil {
		age := max(time.Since(*p.LastCaughtUp), 0).Seconds()
		p.AgeSeconds = &age
	}
	return p
}

func timePtr(ms int64) *time.Time {
	if ms <= 0 {
		return nil
	}
	t := time.UnixMilli(ms).UTC()
	return &t
}

func (f *feed) setLastRequest(r FeedRequest) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.status.lastRequest = &r
}

// setReading records since when pages follow each other; zero means that they do not.
func (f *feed) setReading(since time.Time) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.status.readingSince = since
}

// setNextPoll records when the feed polls next. isScheduled is false if it will not.
func (f *feed) setNextPoll(nextPoll time.Time, isScheduled bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.status.nextPoll = nextPoll
	if !isScheduled {
		f.status.nextPoll = time.Time{}
	}
}

// setLastError records an error of the plugin or the service. It ignores other errors.
func (f *feed) setLastError(err error) {
	var pluginErr *wit.Error
	if !errors.As(err, &pluginErr) {
		return
	}
	last := &FeedError{At: time.Now().UTC(), Message: shown.Line(err.Error())}
	if pluginErr.Code != nil {
		last.Code = shown.Line(*pluginErr.Code)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.status.lastError = last
}
