package source

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/culvert-project/culvert/internal/base/pause"
	"github.com/culvert-project/culvert/wit"
)

const upgradeInterval = time.Second

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
		r.preemptForSnapshot()
		if r.reason.Trigger != nil {
			f.markReading()
		}
		if r.reason.More == nil {
			r.began = time.Now()
		}
		end, err := f.step(ctx, r.reason, &r.attempts)
		if err != nil {
			if err = r.handleError(ctx, end, err); err != nil {
				return err
			}
			upgrade = f.upgradeWaiting // another version may have replaced the one that failed
			continue
		}
		if done, err := r.afterStep(ctx, end); done || err != nil {
			return err
		}
	}
}

// readLoop is the state of a feed's read stage between pages.
type readLoop struct {
	feed             *feed
	reason           wit.PollReason // of the next step
	began            time.Time      // the first of the pages that follow each other
	retryReason      wit.PollReason // of the step after a failed page
	attempts         attempts
	backoff          progressBackoff
	preempted        *wit.PollReason // the reason that a snapshot has preempted
	hasRead          bool            // pages were read since the feed was caught up
	snapshotDeferred bool            // the plugin reads a snapshot only after the current data
}

// preemptForSnapshot lets a requested snapshot precede the next step, unless that is the first page after a start: a
// snapshot does not report deleted entities.
func (r *readLoop) preemptForSnapshot() {
	if r.preempted != nil || r.snapshotDeferred || r.reason.Start != nil {
		return
	}
	if ident, ok := r.feed.nextSnapshot(); ok {
		reason := r.reason
		r.preempted = &reason
		r.reason = wit.PollReason{Snapshot: &ident}
	}
}

func (r *readLoop) handleError(ctx context.Context, end stepResult, err error) error {
	r.feed.setLastError(err)
	// A comparison that fails is repeated only if a request or the plugin failed; then the rows are read again instead.
	if !end.compared || errors.As(err, new(*wit.Error)) {
		err = r.feed.prepareRetry(ctx, &r.attempts, err)
	}
	if err != nil && end.compared && ctx.Err() == nil {
		r.feed.forgetKeys(err)
		r.attempts.reset()
		r.reason = wit.PollReason{More: wit.Set}
		return nil
	}
	if err != nil {
		return err
	}
	if end.fetched {
		r.reason = r.retryReason // the feed's position is within this page now
	}
	return nil
}

// afterStep decides what follows a page: done ends the feed.
func (r *readLoop) afterStep(ctx context.Context, end stepResult) (done bool, err error) {
	r.attempts.reset()
	r.hasRead = r.hasRead || end.fetched
	if r.reason.Start != nil && end.requested && !end.fetched {
		r.retryReason = wit.PollReason{More: wit.Set} // the plugin's extra page of a start was read
	}
	if r.reason.Trigger != nil && end.more && !end.fetched && end.wait > 0 {
		r.feed.scheduleRepeat(end.wait)
		end.more = false
		end.wait = 0
	}
	if r.preempted != nil {
		reason := *r.preempted
		r.preempted = nil
		if err := r.afterSnapshot(ctx, end.requested); err != nil {
			return false, err
		}
		if !end.more { // the preempted step follows
			r.reason = reason
			return false, nil
		}
		if reason.Trigger != nil { // a snapshot does not report a deleted entity
			r.feed.requeue()
		}
	}
	if end.more {
		return false, r.continueReading(ctx, end)
	}
	return r.waitForWork(ctx, end)
}

func (r *readLoop) afterSnapshot(ctx context.Context, started bool) error {
	feed := r.feed
	if r.snapshotDeferred = !started && !feed.status.caughtUp.Load(); r.snapshotDeferred {
		return nil
	}
	if started {
		// Until its first page is committed, the snapshot stays in the list, so that a feed that starts over repeats
		// it.
		if err := feed.awaitDurable(ctx); err != nil {
			return err
		}
	}
	feed.snapshotAnswered(started)
	return nil
}

// continueReading continues with the next page. It pauses after a page without rows or progress, because a plugin may
// announce more for ever; the pauses grow only while the offset stays the same.
func (r *readLoop) continueReading(ctx context.Context, end stepResult) error {
	r.reason = wit.PollReason{More: wit.Set}
	r.feed.setReading(r.began)
	minDelay := r.backoff.after(end.advanced)
	if !end.rows || !end.advanced {
		end.wait = max(end.wait, minDelay)
	}
	return pause.For(ctx, end.wait)
}

// waitForWork acknowledges notifications and waits until the feed has something to read again.
func (r *readLoop) waitForWork(ctx context.Context, end stepResult) (done bool, err error) {
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
	if err := feed.ackProcessed(ctx); err != nil {
		return false, err
	}
	if !feed.hasWork() {
		if feed.task.o.Once {
			return true, nil
		}
		due, scheduled := feed.nextPoll(time.Now(), max(end.wait, r.backoff.after(end.rows)))
		if err := feed.waitForPoll(ctx, due, scheduled && !end.finished); err != nil {
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
func (f *feed) step(ctx context.Context, cause wit.PollReason, attempts *attempts) (end stepResult, err error) {
	r, err := f.opened.code.Acquire(ctx)
	if err != nil {
		if f.opened.code != f.task.plugin.Current() {
			return end, errVersionReplaced
		}
		return end, err
	}
	defer f.opened.code.Release(r)
	// Acquire the slot after the instance, because a page releases and acquires its slot while it has the instance.
	slot := &pageSlot{task: f.task}
	if err := slot.acquire(ctx); err != nil {
		return end, err
	}
	defer slot.release()
	pageStart := f.reached()
	step, err := f.nextAction(ctx, r, cause, time.Now().UnixMilli())
	end.compared = f.keys.comparesPage()
	if err != nil {
		return end, fmt.Errorf("next: %w", err)
	}
	if step.Fetch == nil {
		f.lastPage = ""
		end.finished = step.Finished != nil
		return end, nil
	}
	if position := step.Fetch.Position; position != nil {
		if name, ok := reservedField(*position); ok {
			return end, fmt.Errorf("next: the plugin's offset has a field %s, which is the host's name", name)
		}
	}
	f.status.caughtUp.Store(false)
	isCompared := end.compared
	if end, err = f.readPage(ctx, r, step.Fetch, attempts, slot); err != nil {
		f.lastPage = ""
	}
	end.advanced = !sameFields(pageStart, f.reached())
	end.requested = true
	end.fetched = step.Fetch.Position != nil
	end.compared = isCompared
	if err == nil && (!end.more || time.Since(f.progressAt) >= progressInterval) {
		f.observeLoad(ctx, r)
	}
	return end, err
}

// reached returns the offset at the last page boundary, of the comparison while keys are compared.
func (f *feed) reached() []wit.OffsetEntry {
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

// errVersionReplaced: another feed has switched to a newer version in the meantime.
var errVersionReplaced = errors.New("the plugin was swapped")

func (f *feed) setBoundary(offset []wit.OffsetEntry) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.boundary = offset
}
