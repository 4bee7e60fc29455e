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

	"github.com/culvert-project/culvert/host/shown"

	"github.com/culvert-project/culvert/host/guard"
	"github.com/culvert-project/culvert/host/internal/run/task"
	"github.com/culvert-project/culvert/host/kafka"
	"github.com/culvert-project/culvert/wit"
)

// feed is one feed at work. Four goroutines, started and ended by run, hand its rows on as chunks, so that memory does
// not depend on the size of pages: read (fetch and decode), shape (transforms and converters), produce, settle.
type feed struct {
	task *Task
	name string
	log  *slog.Logger
	// partition is the same in every version that the feed runs.
	partition []wit.Field
	// opened and index are the feed in the plugin; reading changes them between pages.
	opened *openedVersion
	index  uint32
	// at is where reading goes on; it runs ahead of what is acknowledged.
	position position
	// readStage is the stage of reading: [findFeed.decodePage], or dead letters.
	readStage func(context.Context) error
	// pageStart is where the feed stood before the page that is being read.
	pageStart []wit.Field
	// lastPage is the request and the rows of the page before, if it said that more comes: see [readPage.checkProgress].
	lastPage      string
	pipeline      *pipeline
	status        *feedStatus
	notifications *notificationQueue

	mu sync.Mutex
	// boundary is where the feed stood at its last page boundary, for judging other versions.
	boundary []wit.Field
	// fingerprint is what its offsets belong to, see [spec.Feed].
	fingerprint string
	// replacement has taken the feed's place.
	replacement *feed
}

// pipeline is what the stages of a feed hand chunks on by: each chunk is in one of the channels, or with one stage. failed
// ends the stages: its cause is the feed's fault.
type pipeline struct {
	output    Output
	free      chan *chunk
	decoded   chan *chunk
	converted chan *chunk
	sent      chan *chunk

	ctx  context.Context
	fail context.CancelCauseFunc
	// logRestart says that the page that broke off is delivered again from its start; nil where none is.
	logRestart func()
}

// feedStatus is what is shown of a feed in addition to its rows. Times are in Unix milliseconds, 0 for not yet, or not.
type feedStatus struct {
	caughtUp atomic.Bool
	// lastCaughtUp is when it was caught up last.
	lastCaughtUp atomic.Int64
	// subscribed is since when notifications are to come, notified when the last one came.
	subscribed, notified atomic.Int64

	// Under the feed's lock: asked is the last request, due when the next poll begins by the clock, faulted what went
	// wrong last, lastSnapshot the one that the plugin was asked for last.
	lastRequest  *FeedRequest
	nextPoll     time.Time
	lastError    *FeedError
	lastSnapshot *FeedSnapshot
}

// emptyFeed is a feed of which nothing is known yet.
func emptyFeed(t *Task, o *openedVersion) *feed {
	return &feed{task: t, opened: o, pipeline: &pipeline{}, status: &feedStatus{}, notifications: &notificationQueue{signal: guard.NewBell()}}
}

// chunks is how many chunks wait for their acknowledgement in a feed, at most, shapedChunks how many converted ones are
// still to be produced: they gather while a transaction is committed.
const chunks, convertedChunks = 16, 8

var errStopped = errors.New("the stop took too long")

// newFeed finds where a feed stands and whether it may go on from there.
func (t *Task) newFeed(ctx context.Context, o *openedVersion, index uint32) (*feed, error) {
	w := &o.feeds[index]
	f := emptyFeed(t, o)
	f.name, f.partition, f.fingerprint, f.index = w.Name, w.Partition, w.Fingerprint, index
	f.log = t.log.With("feed", w.Name)
	stored, err := t.o.Stored(ctx, w.Partition)
	if err != nil {
		return nil, fmt.Errorf("read the stored offset: %w", err)
	}
	if stored == nil {
		f.position = position{fields: []wit.Field{}}
	} else if f.position, f.notifications.subscriptionDigest, err = t.resume(ctx, o, w, stored); err != nil {
		return nil, err
	}
	f.pageStart, f.boundary, f.readStage = f.position.fields, f.position.fields, f.read
	return f, nil
}

// resume checks a stored offset: it must belong to what the feed is now (P7), and the plugin must know its form.
func (t *Task) resume(ctx context.Context, o *openedVersion, w *wit.Feed, stored []wit.Field) (p position,
	subscription string, err error) {
	p, fingerprint, subscription, err := parsePosition(stored)
	if err != nil {
		return p, "", err
	}
	now := w.Fingerprint
	if fingerprint != nil && *fingerprint != now && strings.Contains(*fingerprint, topicPart) {
		p.topic = w.Topic
		now = withTopic(now, p.topic)
	}
	if fingerprint == nil {
		t.log.Warn("the stored offset does not say what it belongs to: it is taken as it is", "feed", w.Name)
	} else if changed := describeDiff(*fingerprint, now); *fingerprint == now {
	} else if w.Changed == wit.ChangedReload {
		t.log.Warn("the stored offset belongs to something else: the feed is read again", "feed", w.Name, "changed",
			changed)
		return position{fields: []wit.Field{}}, "", nil
	} else if w.Changed == wit.ChangedKeep {
		t.log.Info("the stored offset belongs to something else, and is gone on from", "feed", w.Name, "changed",
			changed)
	} else {
		decide := ""
		if setting := t.o.ChangedBy; setting != "" {
			decide = ", set " + setting + "=keep to go on from it all the same, or =reload"
		}
		return p, "", &wit.Fault{Kind: wit.FaultConfig, Message: "the stored offset belongs to something else (" +
			changed + "): set it back as it was" + decide +
			", give the connector another name, or reset its offsets to read everything again"}
	}
	err = task.Do(ctx, o.code, func(r Reader) error { return r.CheckOffset(ctx, w.Partition, p.fields) })
	if err != nil {
		return p, "", fmt.Errorf("the plugin refuses the stored offset: %w", err)
	}
	return p, subscription, nil
}

// run is the feed's life: until ctx ends, and then for as long as a stop may take.
func (f *feed) run(ctx context.Context) (err error) {
	o := &f.task.o
	if f.pipeline.output, err = o.NewOutput(f.name); err != nil {
		return err
	}
	stage, err := f.newTransformStage(ctx)
	if err != nil {
		f.closeOutput()
		return err
	}
	f.pipeline.free, f.pipeline.decoded = make(chan *chunk, ownChunks), make(chan *chunk, 1)
	f.pipeline.converted, f.pipeline.sent = make(chan *chunk, convertedChunks), make(chan *chunk, chunks)
	for range ownChunks {
		f.pipeline.free <- newChunk(o.Registry)
	}
	// What was read is brought to its end after ctx has ended, but not for ever.
	f.pipeline.ctx, f.pipeline.fail = context.WithCancelCause(context.WithoutCancel(ctx))
	stopped := context.AfterFunc(ctx, func() {
		time.AfterFunc(o.StopWithin*3/4, func() { f.pipeline.fail(errStopped) })
	})
	defer stopped()
	f.pipeline.output.OnFailure(f.pipeline.fail)
	reading, endReading := context.WithCancelCause(ctx)
	defer endReading(nil)
	linked := context.AfterFunc(f.pipeline.ctx, func() { endReading(context.Cause(f.pipeline.ctx)) })
	defer linked()

	var stages sync.WaitGroup
	stages.Go(func() { defer close(f.pipeline.converted); f.runTransform(stage) })
	stages.Go(func() { defer close(f.pipeline.sent); f.runProduce() })
	stages.Go(f.runSettle)
	readErr := guard.Do(f.task.log, "feed "+f.name+", the stage of reading", func() error { return f.readStage(reading) })
	close(f.pipeline.decoded)
	stages.Wait()

	return f.end(ctx, readErr)
}

// end stores what was acknowledged and tells what became of the feed.
func (f *feed) end(ctx context.Context, readErr error) error {
	cause := context.Cause(f.pipeline.ctx)
	flushCtx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	limitWait := func() { time.AfterFunc(max(f.task.o.StopWithin/4, time.Second), cancel) }
	if cause == nil && readErr == nil || kafka.Outlasted(cause) {
		// A feed that has read everything can wait for a busy broker, and one whose transaction was not ended in time
		// for one that is away: until a stop is asked for.
		defer context.AfterFunc(ctx, limitWait)()
	} else {
		limitWait()
	}
	storeErr := f.pipeline.output.Flush(flushCtx)
	f.closeOutput()
	f.pipeline.fail(nil)
	switch {
	case kafka.Outlasted(cause) && storeErr == nil && !errors.As(cause, new(*kafka.Rewound)):
		return &kafka.Rewound{Cause: cause} // it was given up
	case cause != nil && !errors.Is(cause, errStopped):
		return cause
	case readErr != nil && ctx.Err() == nil:
		return readErr
	case cause != nil:
		f.log.Warn("stopped before everything that was read was acknowledged: it will be read again", "within",
			f.task.o.StopWithin)
		return nil
	case storeErr != nil:
		return fmt.Errorf("store the offset: %w", storeErr)
	}
	return nil
}

func (f *feed) closeOutput() {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	_ = f.pipeline.output.Close(ctx) // failures were reported with their batches
}

func (f *feed) spec() *wit.Feed { return &f.opened.feeds[f.index] }

// logSkipped says that a row was left out: by its cause where a letter holds it, else each of them.
func (f *feed) logSkipped(page string, row uint32, stage task.ErrorStage, err error, more func() []any) {
	f.task.o.Tally.Logged.Add(1)
	if f.task.o.DeadLetters == nil {
		f.task.o.Say(f.log, rowSkipped, []any{"page", page, "row", row, "stage", stage, "error", err}, more)
		return
	}
	f.task.skips.Skip(f.log, stage, err, []any{"page", page, "row", row}, more)
}

const rowSkipped = "row skipped"

// progress is how far the feed is.
func (f *feed) progress() FeedProgress {
	f.mu.Lock()
	defer f.mu.Unlock()
	s := f.status
	p := FeedProgress{Name: f.name, CaughtUp: s.caughtUp.Load(), Notifications: len(f.notifications.pending.list),
		Snapshots: len(f.notifications.snapshots), LastRequest: s.lastRequest, LastError: s.lastError, LastSnapshot: s.lastSnapshot,
		LastCaughtUp: timePtr(s.lastCaughtUp.Load()), Subscribed: timePtr(s.subscribed.Load())}
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

// timePtr is a time in milliseconds since 1970, nil for 0.
func timePtr(ms int64) *time.Time {
	if ms <= 0 {
		return nil
	}
	at := time.UnixMilli(ms).UTC()
	return &at
}

// setLastRequest notes the request for a page, before it is sent and when it is answered.
func (f *feed) setLastRequest(r FeedRequest) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.status.lastRequest = &r
}

// setNextPoll notes when the feed is read again by the clock; never, or not while it is being read.
func (f *feed) setNextPoll(due time.Time, scheduled bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.status.nextPoll = due; !scheduled {
		f.status.nextPoll = time.Time{}
	}
}

// setLastError notes what went wrong with a page, whatever becomes of it.
func (f *feed) setLastError(err error) {
	var pluginErr *wit.Fault
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
