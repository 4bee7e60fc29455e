package source

import (
	"context"
	"time"

	"github.com/culvert-project/culvert/internal/base/cron"
)

// nextPoll returns when the feed is polled next, not before minDelay. isScheduled is false if it has no schedule.
func (f *feed) nextPoll(now time.Time, minDelay time.Duration) (due time.Time, isScheduled bool) {
	spec := f.spec()
	switch {
	case spec.Cron != nil:
		// checkFeeds has validated the expression.
		if schedule, err := cron.Parse(*spec.Cron); err == nil {
			due, isScheduled = schedule.Next(now)
		}
	case spec.PollEveryMs != nil:
		due = now.Add(time.Duration(*spec.PollEveryMs) * time.Millisecond)
		isScheduled = true
	}
	if minDue := now.Add(minDelay); due.Before(minDue) {
		due = minDue
	}
	return due, isScheduled
}

// waitForPoll waits until a poll is due or a notification or snapshot arrives, and upgrades the plugin in the meantime.
func (f *feed) waitForPoll(ctx context.Context, due time.Time, isScheduled bool) error {
	f.setNextPoll(due, isScheduled)
	defer f.setNextPoll(time.Time{}, false)
	f.setBoundary(f.position.fields)
	if !f.spec().Subscribes { // a feed with a subscription may receive a notification at any time
		defer f.task.trackIdle(time.Now())()
	}
	for {
		wait := upgradeInterval
		if isScheduled {
			remaining := time.Until(due)
			if remaining <= 0 {
				return context.Cause(ctx)
			}
			wait = min(wait, remaining)
		}
		if err := f.sleep(ctx, wait); err != nil {
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
	_, ok := f.nextSnapshot()
	return ok || f.hasDueTrigger()
}

// MinIdleTime is the minimum idle time for [Options.OnIdle]. It equals the lifetime of unused plugin instances, so that
// none is created more often because of it.
const MinIdleTime = 5 * time.Second

// trackIdle counts a feed as idle until done is called. If all feeds are idle for long enough, it calls OnIdle.
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
