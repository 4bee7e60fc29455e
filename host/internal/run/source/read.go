package source

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/culvert-project/culvert/host/internal/base/cron"
	"github.com/culvert-project/culvert/host/internal/base/pause"
	"github.com/culvert-project/culvert/host/internal/run/task"
	"github.com/culvert-project/culvert/host/plugin"
	"github.com/culvert-project/culvert/wit"
)

// upgradeInterval is how often an idle feed looks for a new version of its plugin.
const upgradeInterval = time.Second

// read is the first stage: page after page. It returns nil when nothing is left to do, with Once when the feed is
// caught up.
func (f *feed) read(ctx context.Context) error {
	start := wit.Cause{Start: wit.Chosen}
	r := &readLoop{feed: f, reason: start, retryReason: start, attempts: attempts{retry: f.task.o.Client.Retry()}}
	upgrade := f.upgrade
	for {
		if err := upgrade(ctx); err != nil {
			return err
		}
		upgrade = f.upgrade
		r.preemptForSnapshot()
		if r.reason.Wake != nil {
			f.markReading()
		}
		end, err := f.step(ctx, r.reason, &r.attempts)
		if err != nil {
			if err = r.handleError(ctx, end, err); err != nil {
				return err
			}
			upgrade = f.upgradeWaiting // the version that failed may have been left for another one
			continue
		}
		if done, err := r.afterStep(ctx, end); done || err != nil {
			return err
		}
	}
}

// readLoop is what the first stage keeps from one turn to the next: above all why the next one comes.
type readLoop struct {
	feed        *feed
	reason      wit.Cause // of the next turn
	retryReason wit.Cause // of the turn after a page that failed
	attempts    attempts
	backoff     progressBackoff
	// displaced is the cause that a snapshot has taken the place of, nil: none has.
	displaced *wit.Cause
	// later: the plugin reads a snapshot only after what it is reading.
	snapshotDeferred bool
}

// preemptForSnapshot puts a snapshot that waits in the place of what was about to be read. A start's own page comes before a
// snapshot, which does not say which entities are gone.
func (r *readLoop) preemptForSnapshot() {
	if r.displaced != nil || r.snapshotDeferred || r.reason.Start != nil {
		return
	}
	if ident, found := r.feed.nextSnapshot(); found {
		before := r.reason
		r.displaced, r.reason = &before, wit.Cause{Snapshot: &ident}
	}
}

// overcome decides what becomes of a turn that failed; nil: another one is tried.
func (r *readLoop) handleError(ctx context.Context, end stepResult, err error) error {
	r.feed.setLastError(err)
	if err := r.feed.prepareRetry(ctx, &r.attempts, err); err != nil {
		return err
	}
	if end.fetched {
		r.reason = r.retryReason // the feed's position is the place in this page now
	}
	return nil
}

// afterStep works out, after a turn without an error, why and when the next one comes. done: there is none.
func (r *readLoop) afterStep(ctx context.Context, end stepResult) (done bool, err error) {
	r.attempts.reset()
	if r.reason.Start != nil && end.requested && !end.fetched {
		r.retryReason = wit.Cause{More: wit.Chosen} // what the plugin reads at a start, in addition to the offset, was read
	}
	if r.reason.Wake != nil && end.more && !end.fetched && end.wait > 0 {
		r.feed.scheduleRepeat(end.wait)
		end.more, end.wait = false, 0
	}
	if r.displaced != nil {
		before := *r.displaced
		r.displaced = nil
		if err := r.afterSnapshot(ctx, end.requested); err != nil {
			return false, err
		}
		if !end.more { // what was about to be read comes now
			r.reason = before
			return false, nil
		}
		if before.Wake != nil { // a snapshot does not tell of an entity that is gone
			r.feed.requeue()
		}
	}
	if end.more {
		return false, r.continueReading(ctx, end)
	}
	return r.waitForWork(ctx, end)
}

// afterSnapshot notes what the plugin made of a snapshot: it has begun to read it, wants to read it later, or reads
// none.
func (r *readLoop) afterSnapshot(ctx context.Context, started bool) error {
	f := r.feed
	if r.snapshotDeferred = !started && !f.status.caughtUp.Load(); r.snapshotDeferred {
		return nil
	}
	if started {
		// If the feed starts over before the first page is committed, the snapshot is still in its list and is asked
		// for again.
		if err := f.awaitDurable(ctx); err != nil {
			return err
		}
	}
	f.snapshotAnswered(started)
	return nil
}

// continueReading has what comes after a page read next, when the plugin wants it. Where the page brought no rows, or left the
// offset as it was, that takes a pause: a plugin may ask for more for ever.
func (r *readLoop) continueReading(ctx context.Context, end stepResult) error {
	r.reason = wit.Cause{More: wit.Chosen}
	progressed := end.rows && end.moved
	if minDelay := r.backoff.after(progressed); !progressed {
		end.wait = max(end.wait, minDelay)
	}
	return pause.For(ctx, end.wait)
}

// waitForWork waits, after the feed was read to its end, until it is to be read again. done: it is not.
func (r *readLoop) waitForWork(ctx context.Context, end stepResult) (done bool, err error) {
	f := r.feed
	f.status.caughtUp.Store(true)
	r.snapshotDeferred = false
	f.status.lastCaughtUp.Store(time.Now().UnixMilli())
	if err := f.ackProcessed(ctx); err != nil {
		return false, err
	}
	if !f.hasWork() {
		if f.task.o.Once {
			return true, nil
		}
		due, scheduled := f.nextPoll(time.Now(), max(end.wait, r.backoff.after(end.rows)))
		if err := f.waitForPoll(ctx, due, scheduled && !end.finished); err != nil {
			return false, err
		}
	}
	r.reason = wit.Cause{Poll: wit.Chosen}
	if token, found := f.nextTrigger(); found { // before what is due by the clock
		r.reason = wit.Cause{Wake: &token}
	}
	return false, nil
}

// stepResult is how a turn ended.
type stepResult struct {
	// asked: the plugin had something to ask for
	requested bool
	// fetched: there was a page with a position of its own
	fetched, more, finished bool
	// rows came; moved: the offset after the page is another one than that before it
	rows, moved bool
	wait        time.Duration
}

// step asks the plugin what to fetch and reads that page, all on one instance: a swap of the plugin waits for it.
func (f *feed) step(ctx context.Context, cause wit.Cause, attempts *attempts) (end stepResult, err error) {
	r, err := f.opened.code.Acquire(ctx)
	if err != nil {
		if f.opened.code != f.task.plugin.Current() {
			return end, errVersionReplaced
		}
		return end, err
	}
	defer f.opened.code.Release(r)
	// Behind the instance: it is kept while a slot is waited for once more, and whoever has a slot waits for none.
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
	end.moved = !sameFields(pageStart, f.pageStart)
	end.requested, end.fetched = true, step.Fetch.Position != nil
	return end, err
}

// pageSlot is one of the slots for pages that are read at the same time.
type pageSlot struct {
	task *Task
	held bool
}

// acquire waits for one.
func (s *pageSlot) acquire(ctx context.Context) error {
	select {
	case s.task.pageSlots <- struct{}{}:
		s.held = true
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

func (s *pageSlot) release() {
	if s.held {
		s.held = false
		<-s.task.pageSlots
	}
}

// errVersionReplaced: another feed has promoted a newer version while this one was about to use the old.
var errVersionReplaced = errors.New("the plugin was swapped")

// nextPoll is when a feed that was read to its end by now is polled again, at least so much later; false: never.
func (f *feed) nextPoll(now time.Time, minDelay time.Duration) (due time.Time, scheduled bool) {
	w := f.spec()
	switch {
	case w.Cron != nil:
		// The expression was read when the feeds were checked.
		if schedule, err := cron.Parse(*w.Cron); err == nil {
			due, scheduled = schedule.Next(now)
		}
	case w.PollEveryMs != nil:
		due, scheduled = now.Add(time.Duration(*w.PollEveryMs)*time.Millisecond), true
	}
	if minDue := now.Add(minDelay); due.Before(minDue) {
		due = minDue
	}
	return due, scheduled
}

// waitForPoll waits until the next poll is due, for ever where there is none. In the meantime it looks for a new version of
// the plugin.
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

// hasWork tells whether the feed is to be read before its next poll: for a notification, or a snapshot.
func (f *feed) hasWork() bool {
	_, found := f.nextSnapshot()
	return found || f.hasDueTrigger()
}

// RestsFrom is the least time that all feeds of a task wait before [Options.Rest] is called. It is what instances of a
// plugin live that nobody calls, so that none is made more often for it.
const RestsFrom = 5 * time.Second

// trackIdle counts a feed that waits for its next poll, and for nothing else, until the returned function is called.
func (t *Task) trackIdle(now time.Time) (done func()) {
	t.idleMu.Lock()
	defer t.idleMu.Unlock()
	t.idleFeeds++
	if feeds := t.currentFeeds(); t.idleFeeds == len(feeds) && t.o.Rest != nil {
		if until := earliest(feeds); until.IsZero() || !until.Before(now.Add(RestsFrom)) {
			t.endIdle = t.o.Rest(until)
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

// earliest is when the first of feeds that wait for their next poll has it; zero: none ever has.
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

// maxSnapshots is how many may wait for a feed.
const maxSnapshots = 16

// ErrNoFeed is the error of a feed that a task does not have, ErrSnapshots of one for which too many snapshots wait.
var (
	ErrNoFeed    = errors.New("the task has no such feed")
	ErrSnapshots = errors.New("snapshots wait already")
)

// Snapshot has a feed read as it is now, in addition to going on from its offset: at its next page boundary, or, where
// the plugin wants it so, when all has been read. Those that were not begun when the task ends are forgotten.
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
			return fmt.Errorf("feed %s: %d %w", feed, len(f.notifications.snapshots), ErrSnapshots)
		}
		f.notifications.snapshots = append(f.notifications.snapshots, ident)
		f.notifications.signal.Ring() // it need not doze on
		return nil
	}
	return fmt.Errorf("%w: %q", ErrNoFeed, feed)
}

// nextSnapshot is the one that is next.
func (f *feed) nextSnapshot() (ident string, found bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.notifications.snapshots) == 0 {
		return "", false
	}
	return f.notifications.snapshots[0], true
}

// taken says that the plugin has answered the one that was next: it has begun to read it, or reads none.
func (f *feed) snapshotAnswered(started bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.status.lastSnapshot = &FeedSnapshot{Snapshot: f.notifications.snapshots[0], At: time.Now().UTC(), Begun: started}
	if !started {
		f.log.Error("the plugin reads no snapshots of this feed", "snapshot", f.notifications.snapshots[0])
	}
	f.notifications.snapshots = f.notifications.snapshots[1:]
}

// attempts counts what was tried for one page.
type attempts struct {
	retry    retryPolicy
	count    int
	reopened bool
	// bisection is for rows on which the plugin breaks.
	bisection bisection
	// trialFailures counts those on which a version in doubt broke.
	trialFailures int
}

type retryPolicy interface {
	Times() int
	Names(code string) bool
	Wait(ctx context.Context, atLeast time.Duration) error
}

func (a *attempts) reset() { *a = attempts{retry: a.retry} }

// errMismatch: the page is not the one that was begun; it is to be delivered again from its start.
var errMismatch = errors.New("the page answers differently now")

// prepareRetry decides what becomes of a page that failed: nil where it is to be asked for again.
func (f *feed) prepareRetry(ctx context.Context, a *attempts, err error) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if errors.Is(err, errVersionReplaced) {
		f.onPageRestart()
		return nil
	}
	if errors.Is(err, errMismatch) && f.task.o.Required {
		return fmt.Errorf("%w: rows up to row %d of it were delivered before, and would come twice, which "+
			"exactly.once.support=required forbids", err, f.position.row)
	}
	if errors.Is(err, errMismatch) {
		f.task.count.repeated.Add(1)
		f.log.Warn("the rows that were delivered already are not those that the service answers now: the "+
			"page is delivered again",
			"row", f.position.row, "page", describeOffset(f.position.fields))
		f.position.midPage = false
		return nil
	}
	if shared := new(plugin.Abandoned); errors.As(err, &shared) {
		f.onPageRestart()
		f.log.Info("page to be asked for again", "reason", shared)
		return nil
	}
	f.task.count.errors.Count()
	if f.task.plugin.Again(err) {
		f.onPageRestart()
		return f.retryOnTrial(ctx, a, err)
	}
	if inPage := new(trapError); errors.As(err, &inPage) && a.bisection.narrow(inPage) {
		f.onPageRestart()
		f.log.Warn("the plugin broke: the page is asked for again, to find the row", "try", a.bisection.tries, "found",
			len(a.bisection.rows),
			"from_byte", inPage.from, "to_byte", inPage.to, "error", inPage)
		if a.bisection.since > immediateRetries {
			return a.retry.Wait(ctx, 0)
		}
		return context.Cause(ctx)
	}
	var pluginErr *wit.Fault
	var permanent *permanentError
	var trap *plugin.Trap
	if errors.As(err, &trap) && trap.Limit != "" {
		pluginErr = &wit.Fault{Kind: wit.FaultTransient} // a busy machine breaks fences too
	} else if !errors.As(err, &pluginErr) || errors.As(err, &permanent) {
		return err
	}
	switch {
	case pluginErr.Kind == wit.FaultStale && !a.reopened:
		a.reopened = true
		f.onPageRestart()
		f.log.Info("the plugin asks to be opened again", "reason", pluginErr.Message)
		return f.reopen(ctx)
	case pluginErr.Kind == wit.FaultStale:
		return fmt.Errorf("opening the plugin again did not help: %w", err)
	case pluginErr.Kind == wit.FaultTransient || pluginErr.Code != nil && a.retry.Names(*pluginErr.Code):
		if a.retry.Times() == 0 {
			return err
		}
		if a.count >= a.retry.Times() {
			return fmt.Errorf("tried %d times: %w", a.count+1, err)
		}
		a.count++
		f.task.o.Tally.Retries.Add(1)
		f.onPageRestart()
		task.TriedAgain(f.log, f.task.o.Client, "page to be asked for again", "retry", a.count, "error", err)
		return a.retry.Wait(ctx, 0)
	}
	return err
}

// onPageRestart says that a page is delivered again from its start, where it is: a fault that is final is not followed by
// that.
func (f *feed) onPageRestart() {
	if log := f.pipeline.logRestart; log != nil {
		f.pipeline.logRestart = nil
		log()
	}
}

// immediateRetries is how often a page is asked for again without a pause where the version of the plugin is in doubt, or
// where a row is searched for on which it breaks.
const immediateRetries = 3

// retryOnTrial has a page asked for again that broke a version in doubt: it is left for the one before soon, or proves
// itself.
func (f *feed) retryOnTrial(ctx context.Context, a *attempts, err error) error {
	a.trialFailures++
	f.log.Warn("a version of the plugin that is new broke: the page is asked for again", "version",
		f.opened.code.Version(), "error", err)
	switch {
	case a.trialFailures <= immediateRetries:
		return context.Cause(ctx)
	case a.trialFailures-immediateRetries > a.retry.Times():
		return fmt.Errorf("tried %d times: %w", a.trialFailures, err)
	}
	return a.retry.Wait(ctx, 0)
}

// permanentError is one that must not be tried again here: the transport has done so already.
type permanentError struct{ err error }

func (e *permanentError) Error() string { return e.err.Error() }
func (e *permanentError) Unwrap() error { return e.err }

// setBoundary notes the plugin's offset between two pages: whether another version of the plugin takes this offset decides
// whether that version can take over.
func (f *feed) setBoundary(offset []wit.Field) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.boundary = offset
}

// describeOffset writes fields for a message.
func describeOffset(fields []wit.Field) string {
	b := []byte{}
	for i, f := range fields {
		if i > 0 {
			b = append(b, ' ')
		}
		b = append(append(b, f.Name...), '=')
		switch v := f.Value; {
		case v.Text != nil:
			b = append(b, *v.Text...)
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

// progressBackoff keeps a feed from asking a service, or a plugin, without a pause where nothing comes of it: whatever period or
// `more` a plugin names. The zero value is ready.
type progressBackoff struct{ backoff pause.Backoff }

// The pause before the next try grows from the one to the other while nothing comes.
const (
	minPause = 100 * time.Millisecond
	maxPause = time.Second
)

// after is the least pause after a try that brought something, or nothing.
func (p *progressBackoff) after(progressed bool) time.Duration {
	p.backoff.First, p.backoff.Longest = minPause, maxPause
	if progressed {
		p.backoff.Reset()
		return minPause
	}
	return p.backoff.Next()
}
