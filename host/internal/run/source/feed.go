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
	partition []wit.OffsetEntry
	// opened and index are the feed in the plugin; reading changes them between pages.
	opened *openedVersion
	index  uint32
	// at is where reading goes on; it runs ahead of what is acknowledged.
	at position
	// reads is the stage of reading: [feed.read], or dead letters.
	reads func(context.Context) error
	// standing is where the feed stood before the page that is being read.
	standing []wit.OffsetEntry
	// last is the request and the rows of the page before, if it said that more comes: see [page.advances].
	last  string
	pipe  *pipe
	shown *feedShown
	wakes *wakes

	mu sync.Mutex
	// between is where the feed stood at its last page boundary, for judging other versions.
	between []wit.OffsetEntry
	// fingerprint is what its offsets belong to, see [wit.Feed].
	fingerprint string
	// successor has taken the feed's place.
	successor *feed
}

// pipe is what the stages of a feed hand chunks on by: each chunk is in one of the channels, or with one stage. failed
// ends the stages: its cause is the feed's fault.
type pipe struct {
	output  Output
	free    chan *chunk
	decoded chan *chunk
	shaped  chan *chunk
	sent    chan *chunk

	failed context.Context
	fail   context.CancelCauseFunc
	// fromStart says that the page that broke off is delivered again from its start; nil where none is.
	fromStart func()
}

// feedShown is what is shown of a feed in addition to its rows. Times are in Unix milliseconds, 0 for not yet, or not.
type feedShown struct {
	caughtUp atomic.Bool
	// lastUp is when it was caught up last.
	lastUp atomic.Int64
	// subscribed is since when notifications are to come, notified when the last one came.
	subscribed, notified atomic.Int64

	// Under the feed's lock: asked is the last request, due when the next poll begins by the clock, faulted what went
	// wrong last, lastSnapshot the one that the plugin was asked for last.
	asked        *FeedRequest
	due          time.Time
	faulted      *FeedError
	lastSnapshot *FeedSnapshot
}

// newFeedOf is a feed of which nothing is known yet.
func newFeedOf(t *Task, o *openedVersion) *feed {
	return &feed{task: t, opened: o, pipe: &pipe{}, shown: &feedShown{}, wakes: &wakes{came: guard.NewBell()}}
}

// chunks is how many chunks wait for their acknowledgement in a feed, at most, shapedChunks how many converted ones are
// still to be produced: they gather while a transaction is committed.
const chunks, shapedChunks = 16, 8

var errStopped = errors.New("the stop took too long")

// newFeed finds where a feed stands and whether it may go on from there.
func (t *Task) newFeed(ctx context.Context, o *openedVersion, index uint32) (*feed, error) {
	w := &o.feeds[index]
	f := newFeedOf(t, o)
	f.name, f.partition, f.fingerprint, f.index = w.Name, w.Partition, w.Fingerprint, index
	f.log = t.log.With("feed", w.Name)
	stored, err := t.o.StoredOffset(ctx, w.Partition)
	if err != nil {
		return nil, fmt.Errorf("read the stored offset: %w", err)
	}
	if stored == nil {
		f.at = position{fields: []wit.OffsetEntry{}}
	} else if f.at, f.wakes.subscriptionDigest, err = t.resume(ctx, o, w, stored); err != nil {
		return nil, err
	}
	f.standing, f.between, f.reads = f.at.fields, f.at.fields, f.read
	return f, nil
}

// resume checks a stored offset: it must belong to what the feed is now (P7), and the plugin must know its form.
func (t *Task) resume(ctx context.Context, o *openedVersion, w *wit.Feed, stored []wit.OffsetEntry) (p position,
	subscription string, err error) {
	p, fingerprint, subscription, err := positionOf(stored)
	if err != nil {
		return p, "", err
	}
	now := w.Fingerprint
	if fingerprint != nil && *fingerprint != now && strings.Contains(*fingerprint, topicPart) {
		p.topic = w.Topic
		now = belonging(now, p.topic)
	}
	if fingerprint == nil {
		t.log.Warn("the stored offset does not say what it belongs to: it is taken as it is", "feed", w.Name)
	} else if changed := difference(*fingerprint, now); *fingerprint == now {
	} else if w.OnMismatch == wit.MismatchReload {
		t.log.Warn("the stored offset belongs to something else: the feed is read again", "feed", w.Name, "changed",
			changed)
		return position{fields: []wit.OffsetEntry{}}, "", nil
	} else if w.OnMismatch == wit.MismatchKeep {
		t.log.Info("the stored offset belongs to something else, and is gone on from", "feed", w.Name, "changed",
			changed)
	} else {
		decide := ""
		if by := t.o.MismatchSetting; by != "" {
			decide = ", set " + by + "=keep to go on from it all the same, or =reload"
		}
		return p, "", &wit.Error{Kind: wit.ErrorConfig, Message: "the stored offset belongs to something else (" +
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
	if f.pipe.output, err = o.NewOutput(f.name); err != nil {
		return err
	}
	shaper, err := f.newShaper(ctx)
	if err != nil {
		f.closeOutput()
		return err
	}
	f.pipe.free, f.pipe.decoded = make(chan *chunk, ownChunks), make(chan *chunk, 1)
	f.pipe.shaped, f.pipe.sent = make(chan *chunk, shapedChunks), make(chan *chunk, chunks)
	for range ownChunks {
		f.pipe.free <- newChunk(o.Registry)
	}
	// What was read is brought to its end after ctx has ended, but not for ever.
	f.pipe.failed, f.pipe.fail = context.WithCancelCause(context.WithoutCancel(ctx))
	stopped := context.AfterFunc(ctx, func() {
		time.AfterFunc(o.StopTimeout*3/4, func() { f.pipe.fail(errStopped) })
	})
	defer stopped()
	f.pipe.output.OnFailure(f.pipe.fail)
	reading, endReading := context.WithCancelCause(ctx)
	defer endReading(nil)
	linked := context.AfterFunc(f.pipe.failed, func() { endReading(context.Cause(f.pipe.failed)) })
	defer linked()

	var stages sync.WaitGroup
	stages.Go(func() { defer close(f.pipe.shaped); f.shape(shaper) })
	stages.Go(func() { defer close(f.pipe.sent); f.produce() })
	stages.Go(f.settle)
	readErr := guard.Do(f.task.log, "feed "+f.name+", the stage of reading", func() error { return f.reads(reading) })
	close(f.pipe.decoded)
	stages.Wait()

	return f.end(ctx, readErr)
}

// end stores what was acknowledged and tells what became of the feed.
func (f *feed) end(ctx context.Context, readErr error) error {
	cause := context.Cause(f.pipe.failed)
	late, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	hurry := func() { time.AfterFunc(max(f.task.o.StopTimeout/4, time.Second), cancel) }
	if cause == nil && readErr == nil || kafka.Outlasted(cause) {
		// A feed that has read everything can wait for a busy broker, and one whose transaction was not ended in time
		// for one that is away: until a stop is asked for.
		defer context.AfterFunc(ctx, hurry)()
	} else {
		hurry()
	}
	storeErr := f.pipe.output.Flush(late)
	f.closeOutput()
	f.pipe.fail(nil)
	switch {
	case kafka.Outlasted(cause) && storeErr == nil && !errors.As(cause, new(*kafka.Rewound)):
		return &kafka.Rewound{Cause: cause} // it was given up
	case cause != nil && !errors.Is(cause, errStopped):
		return cause
	case readErr != nil && ctx.Err() == nil:
		return readErr
	case cause != nil:
		f.log.Warn("stopped before everything that was read was acknowledged: it will be read again", "within",
			f.task.o.StopTimeout)
		return nil
	case storeErr != nil:
		return fmt.Errorf("store the offset: %w", storeErr)
	}
	return nil
}

func (f *feed) closeOutput() {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	_ = f.pipe.output.Close(ctx) // failures were reported with their batches
}

func (f *feed) wit() *wit.Feed { return &f.opened.feeds[f.index] }

// skipped says that a row was left out: by its cause where a letter holds it, else each of them.
func (f *feed) skipped(page string, row uint32, stage task.ErrorStage, err error, more func() []any) {
	f.task.o.Metrics.Logged.Add(1)
	if f.task.o.DeadLetters == nil {
		f.task.o.LogSkipped(f.log, rowSkipped, []any{"page", page, "row", row, "stage", stage, "error", err}, more)
		return
	}
	f.task.skips.Skip(f.log, stage, err, []any{"page", page, "row", row}, more)
}

const rowSkipped = "row skipped"

// progress is how far the feed is.
func (f *feed) progress() FeedProgress {
	f.mu.Lock()
	defer f.mu.Unlock()
	s := f.shown
	p := FeedProgress{Name: f.name, CaughtUp: s.caughtUp.Load(), Notifications: len(f.wakes.waiting.list),
		Snapshots: len(f.wakes.snapshots), LastRequest: s.asked, LastError: s.faulted, LastSnapshot: s.lastSnapshot,
		LastCaughtUp: moment(s.lastUp.Load()), Subscribed: moment(s.subscribed.Load())}
	if p.Subscribed != nil {
		p.LastNotified = moment(s.notified.Load())
	}
	if !s.due.IsZero() {
		due := s.due.UTC()
		p.NextRun = &due
	}
	if p.LastCaughtUp != nil {
		age := max(time.Since(*p.LastCaughtUp), 0).Seconds()
		p.AgeSeconds = &age
	}
	return p
}

// moment is a time in milliseconds since 1970, nil for 0.
func moment(ms int64) *time.Time {
	if ms <= 0 {
		return nil
	}
	at := time.UnixMilli(ms).UTC()
	return &at
}

// asks notes the request for a page, before it is sent and when it is answered.
func (f *feed) asks(r FeedRequest) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.shown.asked = &r
}

// waitsUntil notes when the feed is read again by the clock; never, or not while it is being read.
func (f *feed) waitsUntil(due time.Time, ever bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.shown.due = due; !ever {
		f.shown.due = time.Time{}
	}
}

// failing notes what went wrong with a page, whatever becomes of it.
func (f *feed) failing(err error) {
	var fault *wit.Error
	if !errors.As(err, &fault) {
		return
	}
	last := &FeedError{At: time.Now().UTC(), Message: shown.Line(err.Error())}
	if fault.Code != nil {
		last.Code = shown.Line(*fault.Code)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.shown.faulted = last
}
