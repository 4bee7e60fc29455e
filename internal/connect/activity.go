package connect

import (
	"slices"
	"time"

	"github.com/culvert-project/culvert/internal/history"
)

// Activity is what a connector, or a part of it, has read and written. Nil means unknown.
type Activity struct {
	Sets       []string   `json:"sets"`            // feed names of the sets that a source reads
	Topics     []string   `json:"topics"`          // topics that a source writes or a sink reads
	Rows       *float64   `json:"rows_per_second"` // mean of delivered rows in the last minute
	Minutes    []*int64   `json:"minutes"`         // delivered rows of each of the last 60 minutes, the oldest first
	LastActive *time.Time `json:"last_active"`     // the last delivery
	CaughtUp   *time.Time `json:"caught_up"`       // of a source: the earliest time of its feeds
	NextRead   *time.Time `json:"next_read"`       // of a source: of the feed that is read next
	// Lag counts what a sink has not committed of its topics, and what a source has not read of a load.
	Lag         *int64  `json:"lag"`
	Load        *Load   `json:"load"`
	Complete    *string `json:"complete"`     // the weakest proof of the last loads, see [FeedProgress]
	Refused     *int64  `json:"refused"`      // records that were refused and tolerated since the start of the tasks
	RefusedHour *int64  `json:"refused_hour"` // the same in the last hour
}

// Load is the progress of the loads of a source that have not ended. Nil means unknown.
type Load struct {
	Read        uint64  `json:"read"`         // rows that were read
	Total       *uint64 `json:"total"`        // rows that the loads will read
	SecondsLeft *int64  `json:"seconds_left"` // of the load that takes longest
}

func taskActivity(p *Progress) Activity {
	activity := Activity{Rows: &p.Flow.Rows, Refused: &p.Failed, LastActive: seconds(p.Flow.LastActive)}
	if p.IsLagKnown {
		activity.Lag = &p.Lag
	}
	for i := range p.Feeds {
		activity.Add(feedActivity(&p.Feeds[i]))
	}
	return activity
}

func feedActivity(feed *FeedProgress) Activity {
	activity := Activity{Sets: []string{feed.Name}, Complete: feed.Complete}
	if feed.LastCaughtUp != nil {
		activity.CaughtUp = seconds(*feed.LastCaughtUp)
	}
	if feed.NextRun != nil {
		activity.NextRead = seconds(*feed.NextRun)
	}
	if feed.Topic != "" {
		activity.Topics = []string{feed.Topic}
	}
	if feed.Load == nil {
		return activity
	}
	activity.Load = &Load{Read: feed.Load.Read, Total: feed.Load.Total, SecondsLeft: feed.Load.SecondsLeft}
	if feed.Load.Total != nil {
		activity.Lag = new(max(int64(*feed.Load.Total)-int64(feed.Load.Read), 0))
	}
	return activity
}

// seconds returns a time in UTC without fractions of a second. Nil means the zero time.
func seconds(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	return new(t.UTC().Truncate(time.Second))
}

// Add adds another part of the connector.
func (a *Activity) Add(other Activity) {
	// One set that was never caught up makes the time of all of them unknown. A part without sets has no time.
	isEarlier := a.CaughtUp != nil && (other.CaughtUp == nil || other.CaughtUp.Before(*a.CaughtUp))
	if len(other.Sets) > 0 && (len(a.Sets) == 0 || isEarlier) {
		a.CaughtUp = other.CaughtUp
	}
	if other.NextRead != nil && (a.NextRead == nil || other.NextRead.Before(*a.NextRead)) {
		a.NextRead = other.NextRead
	}
	a.Sets = union(a.Sets, other.Sets)
	a.Topics = union(a.Topics, other.Topics)
	a.Rows = history.Sum(a.Rows, other.Rows)
	a.Refused = history.Sum(a.Refused, other.Refused)
	a.RefusedHour = history.Sum(a.RefusedHour, other.RefusedHour)
	a.Lag = history.Sum(a.Lag, other.Lag)
	a.addMinutes(other.Minutes)
	if other.LastActive != nil && (a.LastActive == nil || other.LastActive.After(*a.LastActive)) {
		a.LastActive = other.LastActive
	}
	if other.Complete != nil &&
		(a.Complete == nil || slices.Index(proofs, *other.Complete) < slices.Index(proofs, *a.Complete)) {
		a.Complete = other.Complete
	}
	if other.Load == nil {
		return
	}
	if a.Load == nil {
		a.Load = &Load{Total: new(uint64), SecondsLeft: new(int64)} // zero: nil means unknown
	}
	a.Load.add(other.Load)
}

func (l *Load) add(other *Load) {
	l.Read += other.Read
	if l.Total == nil || other.Total == nil {
		l.Total = nil
	} else {
		l.Total = new(*l.Total + *other.Total)
	}
	if l.SecondsLeft != nil && (other.SecondsLeft == nil || *other.SecondsLeft > *l.SecondsLeft) {
		l.SecondsLeft = other.SecondsLeft
	}
}

// addMinutes adds the rows of each minute. If the numbers of minutes differ, the first ones are kept.
func (a *Activity) addMinutes(other []*int64) {
	if len(a.Minutes) != len(other) {
		if len(a.Minutes) == 0 {
			a.Minutes = slices.Clone(other)
		}
		return
	}
	for i := range other {
		a.Minutes[i] = history.Sum(a.Minutes[i], other[i])
	}
}

// proofs are the values of Complete, the weakest first, see [FeedProgress].
var proofs = []string{"unproven", "count", "key", "delta"}

func union(a, b []string) []string {
	if len(b) == 0 {
		return a
	}
	names := append(slices.Clone(a), b...)
	slices.Sort(names)
	return slices.Compact(names)
}
