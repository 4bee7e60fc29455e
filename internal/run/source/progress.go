package source

import (
	"time"

	"github.com/culvert-project/culvert/internal/run/task"
)

// Progress is what a task has done since it started.
type Progress struct {
	Counts
	LastError time.Time    // zero means that there was none
	Refusal   task.Refusal // rows that failed and were skipped
	Flow      task.Flow    // wait, fetch, decode, transform with the converters, produce
	CaughtUp  bool         // no feed has anything left to read
	// LastCaughtUp is the earliest of the feeds' times, zero if one never caught up. LastNotified is the earliest of
	// the times of the last notification, or else of the subscription, of feeds that subscribe; zero if none does.
	LastCaughtUp time.Time
	LastNotified time.Time
	Feeds        []FeedProgress // in the plugin's order
	Version      string         // of the plugin
}

// Counts are counts of rows, except as noted.
type Counts struct {
	Read       int64
	Written    int64 // acknowledged records
	Bytes      int64 // of response bodies
	Pages      int64 // pages
	Skipped    int64
	Errors     int64 // errors of rows, of pages and of repeated attempts
	Repeated   int64 // pages that were delivered again from their start
	Resumed    int64 // rows that were read but not delivered again
	Notified   int64 // notifications
	Duplicates int64 // notifications that were received again
}

// FeedProgress is the state of a feed in REST. Times are in UTC; nil means never or none.
type FeedProgress struct {
	Name  string `json:"name"`
	Topic string `json:"topic"` // for its rows, unless transforms change it
	// State is the condition of the feed, see package connect.
	State        string     `json:"state"`
	CaughtUp     bool       `json:"caught_up"`
	ReadingSince *time.Time `json:"reading_since"`  // nil unless pages follow each other
	LastCaughtUp *time.Time `json:"last_caught_up"` // as old as its delta token
	LastRead     *time.Time `json:"last_read"`      // the end of the last read with pages, of this run
	Subscribed   *time.Time `json:"subscribed,omitempty"`
	LastNotified *time.Time `json:"last_notified,omitempty"`
	AgeSeconds   *float64   `json:"age_seconds"` // since LastCaughtUp
	NextRun      *time.Time `json:"next_run"`    // nil while it is being read or has no schedule
	// Notifications counts waiting triggers, Snapshots requested snapshots that have not started.
	Notifications int           `json:"waiting_notifications"`
	LastRequest   *FeedRequest  `json:"last_request"`
	LastError     *FeedError    `json:"last_error"`
	Snapshots     int           `json:"waiting_snapshots"`
	LastSnapshot  *FeedSnapshot `json:"last_snapshot"`
	Load          *FeedLoad     `json:"load"` // nil while no load is under way
	// Complete is what proves that the last load has read all rows: key, count or delta; unproven if nothing does.
	Complete *string `json:"complete"`
}

// FeedLoad is the progress of the current load of a feed.
type FeedLoad struct {
	Read  uint64  `json:"read"`  // rows
	Total *uint64 `json:"total"` // the service's count of the rows, nil if it is unknown or not believed
	// SecondsLeft is an estimate from the last minute, nil in the first 30 seconds and without a total.
	SecondsLeft *int64 `json:"seconds_left"`
}

// FeedSnapshot is a requested snapshot of a feed.
type FeedSnapshot struct {
	Snapshot string    `json:"snapshot"`
	At       time.Time `json:"at"`
	Started  bool      `json:"begun"` // false if the plugin supports none
}

// FeedRequest is a request for a page.
type FeedRequest struct {
	Request      string    `json:"request" quotes:"records"` // method and target without secrets
	At           time.Time `json:"at"`
	Status       int       `json:"status"` // zero without a response
	Milliseconds int64     `json:"ms"`     // until the response began
}

// FeedError is the last error of a page. Code and message are the service's if it has sent any, and contain its ID of
// the request.
type FeedError struct {
	At      time.Time `json:"at"`
	Code    string    `json:"code,omitempty"`
	Message string    `json:"message" quotes:"records"`
}

// Progress returns the current progress. It may be called at any time.
func (t *Task) Progress() Progress {
	c := &t.count
	p := Progress{Counts: Counts{Read: c.read.Load(), Written: c.written.Load(), Bytes: c.bytes.Load(),
		Pages: c.pages.Load(), Skipped: c.errors.Skipped.Load(), Errors: c.errors.All.Load(),
		Repeated: c.repeated.Load(), Resumed: c.resumed.Load(),
		Notified: c.notified.Load(), Duplicates: c.duplicates.Load()},
		LastError: c.errors.Last(), Refusal: c.errors.Refusal(), Version: t.plugin.Version(),
		Flow: task.NewFlow(c.startedAt, &c.written, &c.bytes,
			task.NewStage("wait", &c.wait), task.NewStage("fetch", &c.fetch), task.NewStage("decode", &c.decode),
			task.NewStage("transform", &c.transform, &c.convert), task.NewStage("produce", &c.produce))}
	t.mu.Lock()
	defer t.mu.Unlock()
	p.CaughtUp = t.plugin.Opened() != nil
	for i, feed := range t.feeds {
		progress := feed.progress()
		var lastCaughtUp time.Time
		if progress.LastCaughtUp != nil {
			lastCaughtUp = *progress.LastCaughtUp
		}
		if i == 0 || lastCaughtUp.Before(p.LastCaughtUp) {
			p.LastCaughtUp = lastCaughtUp
		}
		if progress.Subscribed != nil {
			last := *progress.Subscribed
			if progress.LastNotified != nil && progress.LastNotified.After(last) {
				last = *progress.LastNotified
			}
			if p.LastNotified.IsZero() || last.Before(p.LastNotified) {
				p.LastNotified = last
			}
		}
		p.CaughtUp = p.CaughtUp && progress.CaughtUp
		p.Feeds = append(p.Feeds, progress)
	}
	return p
}
