package source

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/culvert-project/culvert/internal/base/pause"
	"github.com/culvert-project/culvert/wit"
)

const upgradeInterval = time.Second // between checks for a newer version while a feed waits

// read is the read stage: it gets the next action from the plugin, reads that page and waits for the next poll.
func (f *feed) read(ctx context.Context) error {
	start := wit.PollReason{Start: wit.Set}
	r := &readLoop{feed: f, reason: start, retryReason: start, attempts: attempts{retry: f.task.o.Client.Retry()}}
	upgrade := f.upgrade
	for {
		if err := upgrade(ctx); err != nil {
			return err
		}
		upgrade = f.upgrade
		// A requested snapshot precedes the next step, unless that is the first page after a start: a snapshot does not
		// report deleted entities.
		if r.preempted == nil && !r.snapshotDeferred && r.reason.Start == nil {
			if ident, ok := f.nextSnapshot(); ok {
				reason := r.reason
				r.preempted = &reason
				r.reason = wit.PollReason{Snapshot: &ident}
			}
		}
		if r.reason.Trigger != nil {
			f.markReading()
		}
		if r.reason.More == nil {
			r.readingSince = time.Now()
		}
		result, err := f.step(ctx, r.reason, &r.attempts)
		if err != nil {
			if err = r.handleError(ctx, result, err); err != nil {
				return err
			}
			upgrade = f.upgradeWaiting // another version may have replaced the one that failed
			continue
		}
		if done, err := r.afterStep(ctx, result); done || err != nil {
			return err
		}
	}
}

// readLoop is the state of a feed's read stage between pages.
type readLoop struct {
	feed             *feed
	reason           wit.PollReason // of the next step
	readingSince     time.Time      // the start of the first of the pages that follow each other
	retryReason      wit.PollReason // of the step after a failed page
	attempts         attempts
	backoff          progressBackoff
	preempted        *wit.PollReason // the reason that a snapshot has preempted
	hasRead          bool            // pages were read since the feed was caught up
	snapshotDeferred bool            // the plugin reads a snapshot only after the current data
}

// handleError decides about the error of a step: nil means that r.reason is the next step.
func (r *readLoop) handleError(ctx context.Context, result stepResult, err error) error {
	r.feed.setLastError(err)
	// Other errors of a comparison are final: it ends, and the rows are read again.
	if !result.compared || errors.As(err, new(*wit.Error)) {
		err = r.feed.prepareRetry(ctx, &r.attempts, err)
	}
	if err != nil && result.compared && ctx.Err() == nil {
		r.feed.forgetKeys(err)
		r.attempts.reset()
		r.reason = wit.PollReason{More: wit.Set}
		return nil
	}
	if err != nil {
		return err
	}
	if result.fetched {
		r.reason = r.retryReason // the feed's position is within this page now
	}
	return nil
}

// afterStep decides what follows a step without an error. done means that the feed ends.
func (r *readLoop) afterStep(ctx context.Context, result stepResult) (done bool, err error) {
	r.attempts.reset()
	r.hasRead = r.hasRead || result.fetched
	if r.reason.Start != nil && result.requested && !result.fetched {
		r.retryReason = wit.PollReason{More: wit.Set} // the plugin's extra page at a start was read
	}
	// The plugin wants the trigger's page once more after a wait: until then, other work continues.
	if r.reason.Trigger != nil && result.more && !result.fetched && result.wait > 0 {
		r.feed.scheduleRepeat(result.wait)
		result.more = false
		result.wait = 0
	}
	if r.preempted != nil {
		reason := *r.preempted
		r.preempted = nil
		if err := r.afterSnapshot(ctx, result.requested); err != nil {
			return false, err
		}
		if !result.more { // the preempted step follows
			r.reason = reason
			return false, nil
		}
		if reason.Trigger != nil { // a snapshot does not report a deleted entity
			r.feed.requeue()
		}
	}
	if result.more {
		// A plugin may announce more for ever: pause after a page without rows or progress. The pauses grow only while
		// the offset stays the same.
		r.reason = wit.PollReason{More: wit.Set}
		r.feed.setReading(r.readingSince)
		minDelay := r.backoff.after(result.advanced)
		if !result.rows || !result.advanced {
			result.wait = max(result.wait, minDelay)
		}
		return false, pause.For(ctx, result.wait)
	}
	return r.waitForWork(ctx, result)
}

// afterSnapshot reports the outcome of a requested snapshot, or defers it until the current data was read.
func (r *readLoop) afterSnapshot(ctx context.Context, started bool) error {
	feed := r.feed
	r.snapshotDeferred = !started && !feed.status.caughtUp.Load()
	if r.snapshotDeferred {
		return nil
	}
	if started {
		// Until its first page is committed, the snapshot stays in the list, so that a feed that starts over repeats
		// it.
		if err := feed.awaitDurable(ctx); err != nil {
			return err
		}
	}
	feed.mu.Lock()
	defer feed.mu.Unlock()
	snapshot := feed.notifications.snapshots[0]
	feed.status.lastSnapshot = &FeedSnapshot{Snapshot: snapshot, At: time.Now().UTC(), Started: started}
	if !started {
		feed.log.Warn("the plugin supports no snapshots of this feed", "snapshot", snapshot)
	}
	feed.notifications.snapshots = feed.notifications.snapshots[1:]
	return nil
}

// waitForWork acknowledges notifications and waits for something to read. done means that the feed ends, with Once.
func (r *readLoop) waitForWork(ctx context.Context, result stepResult) (done bool, err error) {
	feed := r.feed
	feed.status.caughtUp.Store(true)
	feed.setReading(time.Time{})
	r.snapshotDeferred = false
	caughtUpAt := time.Now().UnixMilli()
	feed.status.lastCaughtUp.Store(caughtUpAt)
	if r.hasRead {
		feed.status.lastRead.Store(caughtUpAt)
		r.hasRead = false
	}
	// Triggers are acknowledged when Kafka has their rows and offsets: a transaction may be rejected long after the
	// rows were sent, and then the feed reads them again. While more triggers are pending, it waits for a batch.
	feed.mu.Lock()
	n := len(feed.notifications.processing)
	deferred := feed.notifications.pending.hasDue() && n < ackBatch
	feed.mu.Unlock()
	if n > 0 && !deferred {
		if err := feed.awaitDurable(ctx); err != nil {
			return false, err
		}
		feed.ack()
	}
	if !feed.hasWork() {
		if feed.task.o.Once {
			return true, nil
		}
		due, isScheduled := feed.nextPoll(time.Now(), max(result.wait, r.backoff.after(result.rows)))
		if err := feed.waitForPoll(ctx, due, isScheduled && !result.finished); err != nil {
			return false, err
		}
	}
	r.reason = wit.PollReason{Poll: wit.Set}
	if token, ok := feed.nextTrigger(); ok { // before a poll that is due
		r.reason = wit.PollReason{Trigger: &token}
	}
	return false, nil
}

type stepResult struct {
	requested bool // the plugin returned a request
	fetched   bool // the page has an offset of its own
	more      bool // another page follows
	finished  bool // the plugin has no more rows, ever
	rows      bool // the page had rows
	advanced  bool // the page changed the offset
	compared  bool // the page belongs to a comparison of keys
	wait      time.Duration
}

// step gets the next action from the plugin and reads that page, all on one instance: an upgrade of the plugin waits
// for it.
func (f *feed) step(ctx context.Context, reason wit.PollReason, attempts *attempts) (result stepResult, err error) {
	r, err := f.opened.code.Acquire(ctx)
	if err != nil {
		if f.opened.code != f.task.plugin.Current() { // then the pool of this version is closed
			return result, errVersionReplaced
		}
		return result, err
	}
	defer f.opened.code.Release(r)
	// Acquire the slot after the instance, because a page releases and acquires its slot while it has the instance.
	slot := &pageSlot{task: f.task}
	if err := slot.acquire(ctx); err != nil {
		return result, err
	}
	defer slot.release()
	pageStart := f.boundaryOffset()
	action, err := f.nextAction(ctx, r, reason, time.Now().UnixMilli())
	result.compared = f.keys.comparesPage()
	if err != nil {
		return result, fmt.Errorf("next: %w", err)
	}
	if action.Fetch == nil {
		f.lastPage = ""
		result.finished = action.Finished != nil
		return result, nil
	}
	if offset := action.Fetch.Position; offset != nil {
		if name, ok := reservedField(*offset); ok {
			return result, fmt.Errorf("next: the plugin's offset has a field %s, which is the host's name", name)
		}
	}
	f.status.caughtUp.Store(false)
	isCompared := result.compared // readPage returns a new result
	if result, err = f.readPage(ctx, r, action.Fetch, attempts, slot); err != nil {
		f.lastPage = ""
	}
	result.advanced = !sameFields(pageStart, f.boundaryOffset())
	result.requested = true
	result.fetched = action.Fetch.Position != nil
	result.compared = isCompared
	if err == nil && (!result.more || time.Since(f.progressAt) >= progressInterval) {
		f.observeLoad(ctx, r)
	}
	return result, err
}

// boundaryOffset returns the offset at the last page boundary, or, while keys are compared, that of the comparison.
func (f *feed) boundaryOffset() []wit.OffsetEntry {
	if f.keys.isComparing() {
		return f.keys.offset
	}
	return f.pageStart
}

// pageSlot is the right to read a response, of which a task has Options.ConcurrentPages.
type pageSlot struct {
	task     *Task
	acquired bool
}

func (s *pageSlot) acquire(ctx context.Context) error {
	select {
	case s.task.pageSlots <- struct{}{}:
		s.acquired = true
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

func (s *pageSlot) release() {
	if s.acquired {
		s.acquired = false
		<-s.task.pageSlots
	}
}

// errVersionReplaced means that another feed has switched to a newer version in the meantime.
var errVersionReplaced = errors.New("the plugin was swapped")

func (f *feed) setBoundary(offset []wit.OffsetEntry) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.boundary = offset
}
