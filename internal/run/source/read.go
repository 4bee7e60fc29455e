package source

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/culvert-project/culvert/internal/base/cron"
	"github.com/culvert-project/culvert/internal/base/pause"
	"github.com/culvert-project/culvert/internal/plugin"
	"github.com/culvert-project/culvert/internal/run/task"
	"github.com/culvert-project/culvert/wit"
)

const upgradeInterval = time.Second

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

type readLoop struct {
	feed             *feed
	reason           wit.PollReason // of the next step
	retryReason      wit.PollReason // of the step after a failed page
	attempts         attempts
	backoff          progressBackoff
	preempted        *wit.PollReason // the reason that a snapshot has preempted
	snapshotDeferred bool            // the plugin reads a snapshot only after the current data
}

// preemptForSnapshot lets a waiting snapshot precede the next step. The page of a start comes before it, because a
// snapshot does not report deleted entities.
func (r *readLoop) preemptForSnapshot() {
	if r.preempted != nil || r.snapshotDeferred || r.reason.Start != nil {
		return
	}
	if ident, found := r.feed.nextSnapshot(); found {
		before := r.reason
		r.preempted, r.reason = &before, wit.PollReason{Snapshot: &ident}
	}
}

func (r *readLoop) handleError(ctx context.Context, end stepResult, err error) error {
	r.feed.setLastError(err)
	if err := r.feed.prepareRetry(ctx, &r.attempts, err); err != nil {
		return err
	}
	if end.fetched {
		r.reason = r.retryReason // the feed's position is within this page now
	}
	return nil
}

func (r *readLoop) afterStep(ctx context.Context, end stepResult) (done bool, err error) {
	r.attempts.reset()
	if r.reason.Start != nil && end.requested && !end.fetched {
		r.retryReason = wit.PollReason{More: wit.Set} // the plugin's extra page of a start was read
	}
	if r.reason.Trigger != nil && end.more && !end.fetched && end.wait > 0 {
		r.feed.scheduleRepeat(end.wait)
		end.more, end.wait = false, 0
	}
	if r.preempted != nil {
		before := *r.preempted
		r.preempted = nil
		if err := r.afterSnapshot(ctx, end.requested); err != nil {
			return false, err
		}
		if !end.more { // continue with the preempted step
			r.reason = before
			return false, nil
		}
		if before.Trigger != nil { // a snapshot does not report a deleted entity
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

// continueReading pauses after a page without rows or progress: a plugin may announce more for ever.
func (r *readLoop) continueReading(ctx context.Context, end stepResult) error {
	r.reason = wit.PollReason{More: wit.Set}
	progressed := end.rows && end.advanced
	if minDelay := r.backoff.after(progressed); !progressed {
		end.wait = max(end.wait, minDelay)
	}
	return pause.For(ctx, end.wait)
}

func (r *readLoop) waitForWork(ctx context.Context, end stepResult) (done bool, err error) {
	feed := r.feed
	feed.status.caughtUp.Store(true)
	r.snapshotDeferred = false
	feed.status.lastCaughtUp.Store(time.Now().UnixMilli())
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
	if token, found := feed.nextTrigger(); found { // before a poll that is due
		r.reason = wit.PollReason{Trigger: &token}
	}
	return false, nil
}

type stepResult struct {
	requested bool // the plugin returned a request
	// fetched: the page had a position of its own
	fetched, more, finished bool
	// rows: the page had rows; moved: it changed the offset
	rows, advanced bool
	wait           time.Duration
}

// step asks the plugin for the next action and reads that page, all on one instance: an upgrade of the plugin waits for
// it.
func (f *feed) step(ctx context.Context, cause wit.PollReason, attempts *attempts) (end stepResult, err error) {
	r, err := f.opened.code.Acquire(ctx)
	if err != nil {
		if f.opened.code != f.task.plugin.Current() {
			return end, errVersionReplaced
		}
		return end, err
	}
	defer f.opened.code.Release(r)
	// After the instance, which is kept while the page waits for a slot again: the owner of a slot never waits.
	slot := &pageSlot{task: f.task}
	if err := slot.acquire(ctx); err != nil {
		return end, err
	}
	defer slot.release()
	step, err := r.Next(ctx, f.opened.context, f.index, f.position.fields, cause, time.Now().UnixMilli())
	if err != nil {
		return end, fmt.Errorf("next: %w", err)
	}
	if step.Fetch == nil {
		f.lastPage = ""
		return stepResult{finished: step.Finished != nil}, nil
	}
	if position := step.Fetch.Position; position != nil {
		if name, ok := reservedField(*position); ok {
			return end, fmt.Errorf("next: the plugin's offset has a field %s, which is the host's name", name)
		}
	}
	f.status.caughtUp.Store(false)
	pageStart := f.pageStart
	if end, err = f.readPage(ctx, r, step.Fetch, attempts, slot); err != nil {
		f.lastPage = ""
	}
	end.advanced = !sameFields(pageStart, f.pageStart)
	end.requested, end.fetched = true, step.Fetch.Position != nil
	return end, err
}

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

// errVersionReplaced: another feed has promoted a newer version in the meantime.
var errVersionReplaced = errors.New("the plugin was swapped")

func (f *feed) nextPoll(now time.Time, minDelay time.Duration) (due time.Time, scheduled bool) {
	spec := f.spec()
	switch {
	case spec.Cron != nil:
		// checkFeeds has validated the expression.
		if schedule, err := cron.Parse(*spec.Cron); err == nil {
			due, scheduled = schedule.Next(now)
		}
	case spec.PollEveryMs != nil:
		due, scheduled = now.Add(time.Duration(*spec.PollEveryMs)*time.Millisecond), true
	}
	if minDue := now.Add(minDelay); due.Before(minDue) {
		due = minDue
	}
	return due, scheduled
}

func (f *feed) waitForPoll(ctx context.Context, due time.Time, scheduled bool) error {
	f.setNextPoll(due, scheduled)
	defer f.setNextPoll(time.Time{}, false)
	f.setBoundary(f.position.fields)
	if !f.spec().Subscribes { // a notification may come at any time
		defer f.task.trackIdle(time.Now())()
	}
	for {
		next := upgradeInterval
		if scheduled {
			remaining := time.Until(due)
			if remaining <= 0 {
				return context.Cause(ctx)
			}
			next = min(next, remaining)
		}
		if err := f.sleep(ctx, next); err != nil {
			return err
		}
		if err := f.upgrade(ctx); err != nil {
			return err
		}
		if f.hasWork() {
			return nil
		}
	}
}

func (f *feed) hasWork() bool {
	_, found := f.nextSnapshot()
	return found || f.hasDueTrigger()
}

// MinIdleTime is the minimum idle time before [Options.OnIdle] is called: the lifetime of unused plugin instances, so
// that none is created more often because of it.
const MinIdleTime = 5 * time.Second

// trackIdle counts a feed as waiting for its next poll only, until the returned function is called.
func (t *Task) trackIdle(now time.Time) (done func()) {
	t.idleMu.Lock()
	defer t.idleMu.Unlock()
	t.idleFeeds++
	if feeds := t.currentFeeds(); t.idleFeeds == len(feeds) && t.o.OnIdle != nil {
		if until := earliest(feeds); until.IsZero() || !until.Before(now.Add(MinIdleTime)) {
			t.endIdle = t.o.OnIdle(until)
		}
	}
	return func() {
		t.idleMu.Lock()
		defer t.idleMu.Unlock()
		t.idleFeeds--
		if t.endIdle != nil {
			t.endIdle()
			t.endIdle = nil
		}
	}
}

func earliest(feeds []*feed) (due time.Time) {
	for _, f := range feeds {
		f.mu.Lock()
		if !f.status.nextPoll.IsZero() && (due.IsZero() || f.status.nextPoll.Before(due)) {
			due = f.status.nextPoll
		}
		f.mu.Unlock()
	}
	return due
}

const maxSnapshots = 16

// ErrNoFeed is the error of a feed that a task does not have, ErrSnapshots of one for which too many snapshots wait.
var (
	ErrNoFeed           = errors.New("the task has no such feed")
	ErrTooManySnapshots = errors.New("snapshots wait already")
)

// Snapshot requests the current state of a feed in addition to the changes after its offset: at its next page boundary
// or, if the plugin prefers that, after all changes were read. Snapshots that have not started when the task ends are
// dropped.
func (t *Task) Snapshot(feed, ident string) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, f := range t.feeds {
		if f.name != feed {
			continue
		}
		f.mu.Lock()
		defer f.mu.Unlock()
		if len(f.notifications.snapshots) >= maxSnapshots {
			return fmt.Errorf("feed %s: %d %w", feed, len(f.notifications.snapshots), ErrTooManySnapshots)
		}
		f.notifications.snapshots = append(f.notifications.snapshots, ident)
		f.notifications.signal.Ring()
		return nil
	}
	return fmt.Errorf("%w: %q", ErrNoFeed, feed)
}

func (f *feed) nextSnapshot() (ident string, found bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.notifications.snapshots) == 0 {
		return "", false
	}
	return f.notifications.snapshots[0], true
}

func (f *feed) snapshotAnswered(started bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.status.lastSnapshot = &FeedSnapshot{Snapshot: f.notifications.snapshots[0], At: time.Now().UTC(),
		Started: started}
	if !started {
		f.log.Error("the plugin reads no snapshots of this feed", "snapshot", f.notifications.snapshots[0])
	}
	f.notifications.snapshots = f.notifications.snapshots[1:]
}

type attempts struct {
	retry         retryPolicy
	count         int
	reopened      bool
	bisection     bisection
	trialFailures int // counts the failures of a version on trial
}

type retryPolicy interface {
	Times() int
	Names(code string) bool
	Wait(ctx context.Context, atLeast time.Duration) error
}

func (a *attempts) reset() { *a = attempts{retry: a.retry} }

// errMismatch means that the page is not the interrupted one; it is delivered again from its start.
var errMismatch = errors.New("the page answers differently now")

// prepareRetry returns nil if a failed page is requested again.
func (f *feed) prepareRetry(ctx context.Context, attempts *attempts, err error) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if errors.Is(err, errVersionReplaced) {
		f.onPageRestart()
		return nil
	}
	if errors.Is(err, errMismatch) {
		return f.handleMismatch(err)
	}
	if shared := new(plugin.PageLost); errors.As(err, &shared) {
		f.onPageRestart()
		f.log.Info("page to be requested again", "reason", shared)
		return nil
	}
	f.task.count.errors.Add()
	if f.task.plugin.ShouldRetry(err) {
		f.onPageRestart()
		return f.retryOnTrial(ctx, attempts, err)
	}
	if inPage := new(trapError); errors.As(err, &inPage) && attempts.bisection.narrow(inPage) {
		f.onPageRestart()
		f.log.Warn("the plugin broke: requesting the page again to find the row", "try", attempts.bisection.tries,
			"found",
			len(attempts.bisection.rows),
			"from_byte", inPage.from, "to_byte", inPage.to, "error", inPage)
		if attempts.bisection.sinceFound > immediateRetries {
			return attempts.retry.Wait(ctx, 0)
		}
		return context.Cause(ctx)
	}
	return f.retryError(ctx, attempts, err)
}

// handleMismatch delivers a page again from its start, unless that would deliver rows twice.
func (f *feed) handleMismatch(err error) error {
	if f.task.o.ExactlyOnceRequired {
		return fmt.Errorf("%w: rows up to row %d of it were delivered before, and would come twice, which "+
			"exactly.once.support=required forbids", err, f.position.row)
	}
	f.task.count.repeated.Add(1)
	f.log.Warn("the service returns other rows than those that were delivered: the page is delivered again",
		"row", f.position.row, "page", describeOffset(f.position.fields))
	f.position.midPage = false
	return nil
}

// retryError decides by the kind of an error.
func (f *feed) retryError(ctx context.Context, attempts *attempts, err error) error {
	var pluginErr *wit.Error
	var permanent *permanentError
	var trap *plugin.Trap
	if errors.As(err, &trap) && trap.Limit != "" {
		pluginErr = &wit.Error{Kind: wit.ErrorTransient} // also a result of a busy machine
	} else if !errors.As(err, &pluginErr) || errors.As(err, &permanent) {
		return err
	}
	switch {
	case pluginErr.Kind == wit.ErrorStale && !attempts.reopened:
		attempts.reopened = true
		f.onPageRestart()
		f.log.Info("the plugin's context is stale: opening the plugin again", "reason", pluginErr.Message)
		return f.reopen(ctx)
	case pluginErr.Kind == wit.ErrorStale:
		return fmt.Errorf("opening the plugin again did not help: %w", err)
	case pluginErr.Kind == wit.ErrorTransient || pluginErr.Code != nil && attempts.retry.Names(*pluginErr.Code):
		if attempts.retry.Times() == 0 {
			return err
		}
		if attempts.count >= attempts.retry.Times() {
			return fmt.Errorf("tried %d times: %w", attempts.count+1, err)
		}
		attempts.count++
		f.task.o.Metrics.Retries.Add(1)
		f.onPageRestart()
		task.LogRetry(f.log, f.task.o.Client, "page to be requested again", "retry", attempts.count, "error", err)
		return attempts.retry.Wait(ctx, 0)
	}
	return err
}

func (f *feed) onPageRestart() {
	if log := f.pipeline.logRestart; log != nil {
		f.pipeline.logRestart = nil
		log()
	}
}

const immediateRetries = 3

// retryOnTrial: soon the version is rolled back, or proves itself.
func (f *feed) retryOnTrial(ctx context.Context, attempts *attempts, err error) error {
	attempts.trialFailures++
	f.log.Warn("a new version of the plugin failed: the page is requested again", "version",
		f.opened.code.Version(), "error", err)
	switch {
	case attempts.trialFailures <= immediateRetries:
		return context.Cause(ctx)
	case attempts.trialFailures-immediateRetries > attempts.retry.Times():
		return fmt.Errorf("tried %d times: %w", attempts.trialFailures, err)
	}
	return attempts.retry.Wait(ctx, 0)
}

type permanentError struct{ err error }

func (e *permanentError) Error() string { return e.err.Error() }
func (e *permanentError) Unwrap() error { return e.err }

func (f *feed) setBoundary(offset []wit.OffsetEntry) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.boundary = offset
}

func describeOffset(fields []wit.OffsetEntry) string {
	b := []byte{}
	for i, f := range fields {
		if i > 0 {
			b = append(b, ' ')
		}
		b = append(append(b, f.Name...), '=')
		switch v := f.Value; {
		case v.String != nil:
			b = append(b, *v.String...)
		case v.Integer != nil:
			b = fmt.Append(b, *v.Integer)
		case v.Real != nil:
			b = fmt.Append(b, *v.Real)
		case v.Boolean != nil:
			b = fmt.Append(b, *v.Boolean)
		default:
			b = append(b, "null"...)
		}
	}
	return string(b)
}

// progressBackoff adds pauses between requests that bring nothing, whatever interval the plugin requests. The zero
// value is ready to use.
type progressBackoff struct{ backoff pause.Backoff }

const (
	minPause = 100 * time.Millisecond
	maxPause = time.Second
)

// after returns the minimum pause after an attempt.
func (p *progressBackoff) after(progressed bool) time.Duration {
	p.backoff.First, p.backoff.Longest = minPause, maxPause
	if progressed {
		p.backoff.Reset()
		return minPause
	}
	return p.backoff.Next()
}
