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

// watchEvery is how often an idle feed looks for a new version of its plugin.
const watchEvery = time.Second

// read is the first stage: page after page. It returns nil when nothing is left to do, with Once when the feed is
// caught up.
func (f *feed) read(ctx context.Context) error {
	start := wit.PollReason{Start: wit.Set}
	r := &reading{feed: f, cause: start, again: start, tried: attempts{retry: f.task.o.Client.Retry()}}
	adopt := f.adopt
	for {
		if err := adopt(ctx); err != nil {
			return err
		}
		adopt = f.adopt
		r.displace()
		if r.cause.Trigger != nil {
			f.serve()
		}
		end, err := f.turn(ctx, r.cause, &r.tried)
		if err != nil {
			if err = r.overcome(ctx, end, err); err != nil {
				return err
			}
			adopt = f.adoptWaiting // the version that failed may have been left for another one
			continue
		}
		if done, err := r.ended(ctx, end); done || err != nil {
			return err
		}
	}
}

// reading is what the first stage keeps from one turn to the next: above all why the next one comes.
type reading struct {
	feed  *feed
	cause wit.PollReason // of the next turn
	again wit.PollReason // of the turn after a page that failed
	tried attempts
	pace  pace
	// displaced is the cause that a snapshot has taken the place of, nil: none has.
	displaced *wit.PollReason
	// later: the plugin reads a snapshot only after what it is reading.
	later bool
}

// displace puts a snapshot that waits in the place of what was about to be read. A start's own page comes before a
// snapshot, which does not say which entities are gone.
func (r *reading) displace() {
	if r.displaced != nil || r.later || r.cause.Start != nil {
		return
	}
	if ident, some := r.feed.snapshot(); some {
		before := r.cause
		r.displaced, r.cause = &before, wit.PollReason{Snapshot: &ident}
	}
}

// overcome decides what becomes of a turn that failed; nil: another one is tried.
func (r *reading) overcome(ctx context.Context, end turnEnd, err error) error {
	r.feed.failing(err)
	if err := r.feed.overcome(ctx, &r.tried, err); err != nil {
		return err
	}
	if end.fetched {
		r.cause = r.again // the feed's position is the place in this page now
	}
	return nil
}

// ended works out, after a turn without an error, why and when the next one comes. done: there is none.
func (r *reading) ended(ctx context.Context, end turnEnd) (done bool, err error) {
	r.tried.reset()
	if r.cause.Start != nil && end.asked && !end.fetched {
		r.again = wit.PollReason{More: wit.Set} // what the plugin reads at a start, in addition to the offset, was read
	}
	if r.cause.Trigger != nil && end.more && !end.fetched && end.wait > 0 {
		r.feed.later(end.wait)
		end.more, end.wait = false, 0
	}
	if r.displaced != nil {
		before := *r.displaced
		r.displaced = nil
		if err := r.snapshotEnded(ctx, end.asked); err != nil {
			return false, err
		}
		if !end.more { // what was about to be read comes now
			r.cause = before
			return false, nil
		}
		if before.Trigger != nil { // a snapshot does not tell of an entity that is gone
			r.feed.putBack()
		}
	}
	if end.more {
		return false, r.goOn(ctx, end)
	}
	return r.caughtUp(ctx, end)
}

// snapshotEnded notes what the plugin made of a snapshot: it has begun to read it, wants to read it later, or reads
// none.
func (r *reading) snapshotEnded(ctx context.Context, begun bool) error {
	f := r.feed
	if r.later = !begun && !f.shown.caughtUp.Load(); r.later {
		return nil
	}
	if begun {
		// If the feed starts over before the first page is committed, the snapshot is still in its list and is asked
		// for again.
		if err := f.durable(ctx); err != nil {
			return err
		}
	}
	f.taken(begun)
	return nil
}

// goOn has what comes after a page read next, when the plugin wants it. Where the page brought no rows, or left the
// offset as it was, that takes a pause: a plugin may ask for more for ever.
func (r *reading) goOn(ctx context.Context, end turnEnd) error {
	r.cause = wit.PollReason{More: wit.Set}
	goesOn := end.rows && end.moved
	if least := r.pace.after(goesOn); !goesOn {
		end.wait = max(end.wait, least)
	}
	return pause.For(ctx, end.wait)
}

// caughtUp waits, after the feed was read to its end, until it is to be read again. done: it is not.
func (r *reading) caughtUp(ctx context.Context, end turnEnd) (done bool, err error) {
	f := r.feed
	f.shown.caughtUp.Store(true)
	r.later = false
	f.shown.lastUp.Store(time.Now().UnixMilli())
	if err := f.release(ctx); err != nil {
		return false, err
	}
	if !f.called() {
		if f.task.o.Once {
			return true, nil
		}
		due, ever := f.nextPoll(time.Now(), max(end.wait, r.pace.after(end.rows)))
		if err := f.rest(ctx, due, ever && !end.finished); err != nil {
			return false, err
		}
	}
	r.cause = wit.PollReason{Poll: wit.Set}
	if token, some := f.nextWake(); some { // before what is due by the clock
		r.cause = wit.PollReason{Trigger: &token}
	}
	return false, nil
}

// turnEnd is how a turn ended.
type turnEnd struct {
	// asked: the plugin had something to ask for
	asked bool
	// fetched: there was a page with a position of its own
	fetched, more, finished bool
	// rows came; moved: the offset after the page is another one than that before it
	rows, moved bool
	wait        time.Duration
}

// turn asks the plugin what to fetch and reads that page, all on one instance: a swap of the plugin waits for it.
func (f *feed) turn(ctx context.Context, cause wit.PollReason, tried *attempts) (end turnEnd, err error) {
	r, err := f.opened.code.Acquire(ctx)
	if err != nil {
		if f.opened.code != f.task.plugin.Current() {
			return end, errSwapped
		}
		return end, err
	}
	defer f.opened.code.Release(r)
	// Behind the instance: it is kept while a slot is waited for once more, and whoever has a slot waits for none.
	slot := &pageSlot{task: f.task}
	if err := slot.take(ctx); err != nil {
		return end, err
	}
	defer slot.giveBack()
	step, err := r.Next(ctx, f.opened.context, f.index, f.at.fields, cause, time.Now().UnixMilli())
	if err != nil {
		return end, fmt.Errorf("next: %w", err)
	}
	if step.Fetch == nil {
		f.last = ""
		return turnEnd{finished: step.Finished != nil}, nil
	}
	if position := step.Fetch.Position; position != nil {
		if name, ok := reservedField(*position); ok {
			return end, fmt.Errorf("next: the plugin's offset has a field %s, which is the host's name", name)
		}
	}
	f.shown.caughtUp.Store(false)
	standing := f.standing
	if end, err = f.page(ctx, r, step.Fetch, tried, slot); err != nil {
		f.last = ""
	}
	end.moved = !sameFields(standing, f.standing)
	end.asked, end.fetched = true, step.Fetch.Position != nil
	return end, err
}

// pageSlot is one of the slots for pages that are read at the same time.
type pageSlot struct {
	task  *Task
	taken bool
}

// take waits for one.
func (s *pageSlot) take(ctx context.Context) error {
	select {
	case s.task.pages <- struct{}{}:
		s.taken = true
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

func (s *pageSlot) giveBack() {
	if s.taken {
		s.taken = false
		<-s.task.pages
	}
}

// errSwapped: another feed has promoted a newer version while this one was about to use the old.
var errSwapped = errors.New("the plugin was swapped")

// nextPoll is when a feed that was read to its end by now is polled again, at least so much later; false: never.
func (f *feed) nextPoll(now time.Time, least time.Duration) (due time.Time, ever bool) {
	w := f.wit()
	switch {
	case w.Cron != nil:
		// The expression was read when the feeds were checked.
		if schedule, err := cron.Parse(*w.Cron); err == nil {
			due, ever = schedule.Next(now)
		}
	case w.PollEveryMs != nil:
		due, ever = now.Add(time.Duration(*w.PollEveryMs)*time.Millisecond), true
	}
	if soonest := now.Add(least); due.Before(soonest) {
		due = soonest
	}
	return due, ever
}

// rest waits until the next poll is due, for ever where there is none. In the meantime it looks for a new version of
// the plugin.
func (f *feed) rest(ctx context.Context, due time.Time, ever bool) error {
	f.waitsUntil(due, ever)
	defer f.waitsUntil(time.Time{}, false)
	f.stand(f.at.fields)
	if !f.wit().Subscribes { // a notification may come at any time
		defer f.task.rests(time.Now())()
	}
	for {
		next := watchEvery
		if ever {
			left := time.Until(due)
			if left <= 0 {
				return context.Cause(ctx)
			}
			next = min(next, left)
		}
		if err := f.doze(ctx, next); err != nil {
			return err
		}
		if err := f.adopt(ctx); err != nil {
			return err
		}
		if f.called() {
			return nil
		}
	}
}

// called tells whether the feed is to be read before its next poll: for a notification, or a snapshot.
func (f *feed) called() bool {
	_, some := f.snapshot()
	return some || f.woken()
}

// MinIdleTime is the least time that all feeds of a task wait before [Options.OnIdle] is called. It is what instances
// of a plugin live that nobody calls, so that none is made more often for it.
const MinIdleTime = 5 * time.Second

// rests counts a feed that waits for its next poll, and for nothing else, until the returned function is called.
func (t *Task) rests(now time.Time) (done func()) {
	t.restMu.Lock()
	defer t.restMu.Unlock()
	t.resting++
	if feeds := t.current(); t.resting == len(feeds) && t.o.OnIdle != nil {
		if until := earliest(feeds); until.IsZero() || !until.Before(now.Add(MinIdleTime)) {
			t.endRest = t.o.OnIdle(until)
		}
	}
	return func() {
		t.restMu.Lock()
		defer t.restMu.Unlock()
		t.resting--
		if t.endRest != nil {
			t.endRest()
			t.endRest = nil
		}
	}
}

// earliest is when the first of feeds that wait for their next poll has it; zero: none ever has.
func earliest(feeds []*feed) (due time.Time) {
	for _, f := range feeds {
		f.mu.Lock()
		if !f.shown.due.IsZero() && (due.IsZero() || f.shown.due.Before(due)) {
			due = f.shown.due
		}
		f.mu.Unlock()
	}
	return due
}

// maxSnapshots is how many may wait for a feed.
const maxSnapshots = 16

// ErrNoFeed is the error of a feed that a task does not have, ErrSnapshots of one for which too many snapshots wait.
var (
	ErrNoFeed           = errors.New("the task has no such feed")
	ErrTooManySnapshots = errors.New("snapshots wait already")
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
		if len(f.wakes.snapshots) >= maxSnapshots {
			return fmt.Errorf("feed %s: %d %w", feed, len(f.wakes.snapshots), ErrTooManySnapshots)
		}
		f.wakes.snapshots = append(f.wakes.snapshots, ident)
		f.wakes.came.Ring() // it need not doze on
		return nil
	}
	return fmt.Errorf("%w: %q", ErrNoFeed, feed)
}

// snapshot is the one that is next.
func (f *feed) snapshot() (ident string, some bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.wakes.snapshots) == 0 {
		return "", false
	}
	return f.wakes.snapshots[0], true
}

// taken says that the plugin has answered the one that was next: it has begun to read it, or reads none.
func (f *feed) taken(begun bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.shown.lastSnapshot = &FeedSnapshot{Snapshot: f.wakes.snapshots[0], At: time.Now().UTC(), Started: begun}
	if !begun {
		f.log.Error("the plugin reads no snapshots of this feed", "snapshot", f.wakes.snapshots[0])
	}
	f.wakes.snapshots = f.wakes.snapshots[1:]
}

// attempts counts what was tried for one page.
type attempts struct {
	retry retryPolicy
	count int
	stale bool
	// search is for rows on which the plugin breaks.
	search search
	// doubts counts those on which a version in doubt broke.
	doubts int
}

type retryPolicy interface {
	Times() int
	Names(code string) bool
	Wait(ctx context.Context, atLeast time.Duration) error
}

func (a *attempts) reset() { *a = attempts{retry: a.retry} }

// errMismatch: the page is not the one that was begun; it is to be delivered again from its start.
var errMismatch = errors.New("the page answers differently now")

// overcome decides what becomes of a page that failed: nil where it is to be asked for again.
func (f *feed) overcome(ctx context.Context, a *attempts, err error) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if errors.Is(err, errSwapped) {
		f.askedAgain()
		return nil
	}
	if errors.Is(err, errMismatch) && f.task.o.ExactlyOnceRequired {
		return fmt.Errorf("%w: rows up to row %d of it were delivered before, and would come twice, which "+
			"exactly.once.support=required forbids", err, f.at.row)
	}
	if errors.Is(err, errMismatch) {
		f.task.count.repeated.Add(1)
		f.log.Warn("the rows that were delivered already are not those that the service answers now: the "+
			"page is delivered again",
			"row", f.at.row, "page", describe(f.at.fields))
		f.at.inside = false
		return nil
	}
	if shared := new(plugin.Abandoned); errors.As(err, &shared) {
		f.askedAgain()
		f.log.Info("page to be asked for again", "reason", shared)
		return nil
	}
	f.task.count.faults.Add()
	if f.task.plugin.ShouldRetry(err) {
		f.askedAgain()
		return f.onTrial(ctx, a, err)
	}
	if broke := new(trapped); errors.As(err, &broke) && a.search.narrow(broke) {
		f.askedAgain()
		f.log.Warn("the plugin broke: the page is asked for again, to find the row", "try", a.search.tries, "found",
			len(a.search.rows),
			"from_byte", broke.from, "to_byte", broke.to, "error", broke)
		if a.search.since > soonAgain {
			return a.retry.Wait(ctx, 0)
		}
		return context.Cause(ctx)
	}
	var fault *wit.Error
	var final *finalError
	var trap *plugin.Trap
	if errors.As(err, &trap) && trap.Limit != "" {
		fault = &wit.Error{Kind: wit.ErrorTransient} // a busy machine breaks fences too
	} else if !errors.As(err, &fault) || errors.As(err, &final) {
		return err
	}
	switch {
	case fault.Kind == wit.ErrorStale && !a.stale:
		a.stale = true
		f.askedAgain()
		f.log.Info("the plugin asks to be opened again", "reason", fault.Message)
		return f.reopen(ctx)
	case fault.Kind == wit.ErrorStale:
		return fmt.Errorf("opening the plugin again did not help: %w", err)
	case fault.Kind == wit.ErrorTransient || fault.Code != nil && a.retry.Names(*fault.Code):
		if a.retry.Times() == 0 {
			return err
		}
		if a.count >= a.retry.Times() {
			return fmt.Errorf("tried %d times: %w", a.count+1, err)
		}
		a.count++
		f.task.o.Metrics.Retries.Add(1)
		f.askedAgain()
		task.LogRetry(f.log, f.task.o.Client, "page to be asked for again", "retry", a.count, "error", err)
		return a.retry.Wait(ctx, 0)
	}
	return err
}

// askedAgain says that a page is delivered again from its start, where it is: a fault that is final is not followed by
// that.
func (f *feed) askedAgain() {
	if say := f.pipe.fromStart; say != nil {
		f.pipe.fromStart = nil
		say()
	}
}

// soonAgain is how often a page is asked for again without a pause where the version of the plugin is in doubt, or
// where a row is searched for on which it breaks.
const soonAgain = 3

// onTrial has a page asked for again that broke a version in doubt: it is left for the one before soon, or proves
// itself.
func (f *feed) onTrial(ctx context.Context, a *attempts, err error) error {
	a.doubts++
	f.log.Warn("a version of the plugin that is new broke: the page is asked for again", "version",
		f.opened.code.Version(), "error", err)
	switch {
	case a.doubts <= soonAgain:
		return context.Cause(ctx)
	case a.doubts-soonAgain > a.retry.Times():
		return fmt.Errorf("tried %d times: %w", a.doubts, err)
	}
	return a.retry.Wait(ctx, 0)
}

// finalError is one that must not be tried again here: the transport has done so already.
type finalError struct{ err error }

func (e *finalError) Error() string { return e.err.Error() }
func (e *finalError) Unwrap() error { return e.err }

// stand notes the plugin's offset between two pages: whether another version of the plugin takes this offset decides
// whether that version can take over.
func (f *feed) stand(at []wit.OffsetEntry) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.between = at
}

// describe writes fields for a message.
func describe(fields []wit.OffsetEntry) string {
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

// pace keeps a feed from asking a service, or a plugin, without a pause where nothing comes of it: whatever period or
// `more` a plugin names. The zero value is ready.
type pace struct{ backoff pause.Backoff }

// The pause before the next try grows from the one to the other while nothing comes.
const (
	leastPause = 100 * time.Millisecond
	maxPause   = time.Second
)

// after is the least pause after a try that brought something, or nothing.
func (p *pace) after(something bool) time.Duration {
	p.backoff.First, p.backoff.Longest = leastPause, maxPause
	if something {
		p.backoff.Reset()
		return leastPause
	}
	return p.backoff.Next()
}
