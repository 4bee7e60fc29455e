package source

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/culvert-project/culvert/internal/base/cron"
	"github.com/culvert-project/culvert/internal/base/pause"
	"github.com/culvert-project/culvert/internal/guard"
	"github.com/culvert-project/culvert/internal/kafka"
	"github.com/culvert-project/culvert/internal/run/offset"
	"github.com/culvert-project/culvert/internal/run/task"
	"github.com/culvert-project/culvert/internal/transport"
	"github.com/culvert-project/culvert/wit"
)

// Task reads the feeds of one task. The goroutines of its feeds run while Run runs.
type Task struct {
	o         Options
	log       *slog.Logger
	pageSlots chan struct{} // one element for each page being read
	count     counters
	skips     task.SkipLog
	plugin    *task.Plugin[Reader, *openedVersion]

	mu    sync.Mutex
	feeds []*feed // replaced, not modified: other goroutines may iterate over it

	// idleMu is locked while [Options.OnIdle], or the function that it returned, is called; mu may be locked under it.
	idleMu    sync.Mutex
	idleFeeds int    // counts feeds that wait for their next poll
	endIdle   func() // returned by OnIdle
}

// openedVersion is a version of the plugin that the task has opened.
type openedVersion struct {
	code    Code
	context []byte
	feeds   []wit.Feed
}

// stageClocks measure how long the stages of a task are busy. wait has the waits of fetch for limits and retries.
type stageClocks struct {
	wait      task.BusyClock
	fetch     task.BusyClock
	decode    task.BusyClock
	transform task.BusyClock
	convert   task.BusyClock
	produce   task.BusyClock
}

type counters struct {
	read       atomic.Int64
	pages      atomic.Int64
	repeated   atomic.Int64
	resumed    atomic.Int64
	notified   atomic.Int64
	duplicates atomic.Int64
	written    task.Meter
	bytes      task.Meter
	errors     task.ErrorCounts
	stageClocks
	startedAt time.Time
}

// NewTask returns a task that [Task.Run] starts.
func NewTask(o Options) *Task {
	o.setDefaults()
	t := &Task{o: o, log: o.Logger.With("connector", o.Connector, "task", o.Task),
		pageSlots: make(chan struct{}, o.ConcurrentPages)}
	t.skips.Tolerance = o.Tolerance
	t.skips.Message = rowSkipped
	t.count.startedAt = time.Now()
	t.plugin = task.NewPlugin(o.Versions, o.Client, t.log, task.Opener[Reader, *openedVersion]{
		New:       func(c Code) *openedVersion { return &openedVersion{code: c} },
		VersionOf: func(opened *openedVersion) Code { return opened.code }, CallOpen: t.callOpen,
		CheckCompatible: t.compatible, Answered: o.Answered})
	return t
}

// Run reads until ctx ends, then waits for acknowledgements, stores offsets and returns nil. With Once it returns nil
// when every feed has caught up and is acknowledged. An error names the feed and, if possible, the request and the row.
// The offsets of acknowledged rows are stored in any case.
func (t *Task) Run(ctx context.Context) error {
	err := t.start(ctx)
	var stopListening func()
	if err == nil {
		stopListening, err = t.listen(ctx)
	}
	switch {
	case err != nil && ctx.Err() != nil:
		return nil
	case err != nil:
		return err
	}
	defer stopListening()
	defer t.plugin.Close()
	runCtx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	t.plugin.WatchVersions(runCtx)
	var wg sync.WaitGroup
	var firstErr error
	var recordErr sync.Once
	for i, feed := range t.currentFeeds() {
		wg.Go(func() {
			if err := guard.Do(t.log, "feed "+feed.name, func() error { return t.runFeed(runCtx, i) }); err != nil {
				recordErr.Do(func() { firstErr = fmt.Errorf("feed %s: %w", feed.name, err) })
				stop(errOtherFeed)
			}
		})
	}
	wg.Wait()
	t.skips.Close()
	if errors.As(firstErr, new(*rowError)) {
		t.o.Metrics.Errors.Add(1)
	}
	t.logSummary()
	return firstErr
}

func (t *Task) currentFeeds() []*feed {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.feeds
}

// maxRejectedCommits bounds how often a feed starts over from the same offset because brokers reject the commit. It is
// more than one because a rejection may concern only one transaction. Outages have no such bound.
const maxRejectedCommits = 5

// runFeed runs a feed. If its transaction was aborted, a replacement of the feed starts over from the stored offset.
func (t *Task) runFeed(ctx context.Context, i int) error {
	affinity := &transport.Affinity{Resumed: !t.currentFeeds()[i].atBeginning}
	defer affinity.Forget()
	var backoff progressBackoff
	rejectedCommits := 0
	for {
		feed := t.currentFeeds()[i]
		feed.affinity = affinity // a replacement continues the session, because its next link is the same
		start := feed.position
		written := t.count.written.Load()
		err := feed.run(ctx)
		var aborted *kafka.TransactionAbortedError
		if !errors.As(err, &aborted) || ctx.Err() != nil {
			return err
		}
		t.count.repeated.Add(1)
		feed.log.Warn("the feed starts over from its stored offset", "reason", aborted.Cause)
		if err := pause.For(ctx, backoff.after(t.count.written.Load() > written)); err != nil {
			return err
		}
		if err := t.o.PrepareOffsets(ctx, len(t.currentFeeds())); err != nil {
			return err
		}
		replacement, err := t.startOver(ctx, feed)
		if err != nil {
			return err
		}
		// Only rejections without progress between them are counted.
		moved := replacement.position.row != start.row || !sameFields(replacement.position.fields, start.fields)
		if moved || aborted.Committed {
			rejectedCommits = 0
		}
		if aborted.IsRejected() {
			rejectedCommits++
		}
		if rejectedCommits == maxRejectedCommits {
			return fmt.Errorf("%d times in succession: %w", rejectedCommits, aborted)
		}
		replacement.moveStateFrom(feed)
		t.mu.Lock()
		t.feeds = slices.Clone(t.feeds)
		t.feeds[i] = replacement
		t.mu.Unlock()
	}
}

// startOver creates a replacement of a feed with the newest version of the plugin, from the stored offset.
func (t *Task) startOver(ctx context.Context, old *feed) (*feed, error) {
	for {
		opened, err := t.plugin.Upgrade(ctx)
		if err != nil {
			return nil, err
		}
		index, err := opened.feedOf(old.partition)
		if err != nil {
			return nil, fmt.Errorf("version %s of the plugin: %w", opened.code.Version(), err)
		}
		f, err := t.newFeed(ctx, opened, index)
		if !t.plugin.Superseded(opened, err) {
			return f, err
		}
	}
}

func (t *Task) logSummary() {
	p := t.Progress()
	c := &t.count
	t.log.Info("source task ended", "rows", p.Written, "pages", p.Pages, "bytes", p.Bytes, "skipped", p.Skipped,
		"repeated", p.Repeated, "resumed", p.Resumed,
		slog.Group("at_work", "fetch", c.fetch.Total(), "decode", c.decode.Total(), "transform", c.transform.Total(),
			"convert", c.convert.Total(), "produce", c.produce.Total()))
}

var errOtherFeed = errors.New("another feed of the task has failed")

func (t *Task) start(ctx context.Context) error {
	opened, err := t.plugin.Start(ctx)
	if err != nil {
		return err
	}
	if err := checkFeeds(opened.feeds, t.count.startedAt); err != nil {
		return err
	}
	if err := t.o.PrepareOffsets(ctx, len(opened.feeds)); err != nil {
		return err
	}
	feeds := make([]*feed, len(opened.feeds))
	for i := range opened.feeds {
		feeds[i], err = t.newFeed(ctx, opened, uint32(i))
		if t.plugin.Superseded(opened, err) {
			return t.start(ctx) // another task of the connector has switched the version
		}
		if err != nil {
			return fmt.Errorf("feed %s: %w", opened.feeds[i].Name, err)
		}
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.plugin.Use(opened)
	t.feeds = feeds
	return nil
}

func (t *Task) callOpen(ctx context.Context, r Reader, opened *openedVersion, state []byte,
	answers []wit.Response) (*wit.RequestBatch, error) {
	result, err := r.OpenSource(ctx, t.o.Component, task.VisibleSettings(opened.code, t.o.Settings), state, answers)
	if err == nil && result.Ready != nil {
		opened.context = result.Ready.Context
		opened.feeds = result.Ready.Feeds
	}
	return result.Pending, err
}

// checkFeeds rejects feeds with the same offset partition or a cron expression that is invalid or has no start after a
// time.
func checkFeeds(feeds []wit.Feed, after time.Time) error {
	partitions := make(map[string]int, len(feeds))
	for i := range feeds {
		if expression := feeds[i].Cron; expression != nil {
			schedule, err := cron.Parse(*expression)
			if err == nil {
				if _, ok := schedule.Next(after); !ok {
					err = fmt.Errorf("expected times in the future, found %q, whose last time has passed", *expression)
				}
			}
			if err != nil {
				return &wit.Error{Kind: wit.ErrorConfig, Message: "feed " + feeds[i].Name + ": its times: " +
					err.Error()}
			}
		}
		key := offset.Identity(feeds[i].Partition)
		if j, ok := partitions[key]; ok {
			return fmt.Errorf("feeds %s and %s have the same offset partition: expected each to have one of its own",
				feeds[j].Name, feeds[i].Name)
		}
		partitions[key] = i
	}
	return nil
}
