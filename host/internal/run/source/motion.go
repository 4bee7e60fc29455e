package source

import (
	"errors"
	"time"

	"github.com/culvert-project/culvert/host/shown"
	"github.com/culvert-project/culvert/wit"
)

// progress is how far the feed is.
func (f *feed) progress() FeedProgress {
	f.mu.Lock()
	defer f.mu.Unlock()
	s := f.shown
	p := FeedProgress{Name: f.name, CaughtUp: s.caughtUp.Load(), Notifications: len(f.wakes.waiting.list),
		Snapshots: len(f.wakes.snapshots), LastRequest: s.asked, LastError: s.faulted, LastSnapshot: s.lastSnapshot,
		LastCaughtUp: moment(s.lastUp.Load()), Subscribed: moment(s.subscribed.Load())}
	if p.Subscribed != nil {
		p.LastNotified = moment(s.told.Load())
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
	var fault *wit.Fault
	if !errors.As(err, &fault) {
		return
	}
	told := &FeedError{At: time.Now().UTC(), Message: shown.Line(err.Error())}
	if fault.Code != nil {
		told.Code = shown.Line(*fault.Code)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.shown.faulted = told
}
