package task

import (
	"context"
	"sync"
	"time"

	"github.com/culvert-project/culvert/host/internal/base/pause"
)

// BusyClock is how long a stage of a task was at work, in all and in the last minute. Several goroutines may be at work
// at a time; of the last minute their time counts once. What they wait for is no work, see [BusyClock.Track]. The zero
// value is ready.
type BusyClock struct {
	mu    sync.Mutex
	busy  int           // so many are at work
	until time.Time     // their work is counted up to then
	took  time.Duration // by all of them together
	last  recent        // nanoseconds in which one was at work at least, and how often one began
}

// Start says that one more is at work, End that it is no longer: for work that waits for nobody.
func (c *BusyClock) Start() { c.change(1, 1) }

// Stop ends what Begin began.
func (c *BusyClock) Stop() { c.change(-1, 0) }

// Track is Begin and End for work whose waits package pause notes: those for limits, and between tries. The context is
// for the work; end may be called once.
func (c *BusyClock) Track(ctx context.Context) (working context.Context, end func()) {
	var mu sync.Mutex
	waits, ended := 0, false
	c.Start()
	note := func(by int) {
		mu.Lock()
		defer mu.Unlock()
		before := waits
		if waits += by; ended || before > 0 == (waits > 0) {
			return // waits of a connection may last longer than the request for which it was made
		}
		c.change(-by, 0)
	}
	return pause.Noted(ctx, note), func() {
		mu.Lock()
		defer mu.Unlock()
		if ended = true; waits == 0 {
			c.Stop()
		}
	}
}

// change counts what was done until now.
func (c *BusyClock) change(busy int, calls int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := c.count()
	c.busy += busy
	c.last.at(now).count += calls
}

// count counts up to now; c.mu is held.
func (c *BusyClock) count() (now time.Time) {
	now = time.Now()
	if c.busy > 0 {
		c.took += time.Duration(c.busy) * now.Sub(c.until)
		c.last.spent(c.until, now)
	}
	c.until = now
	return now
}

// Total is the time by the clock.
func (c *BusyClock) Total() time.Duration {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.count()
	return c.took
}

// Meter counts rows or bytes, in all and in the last minute. The zero value is ready; it is for use by several
// goroutines, not for each row.
type Meter struct {
	mu            sync.Mutex
	all           int64
	last          recent
	since, latest time.Time // see [Flow]
}

// Add counts n more.
func (m *Meter) Add(n int64) {
	if n == 0 {
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	now := time.Now()
	if now.Sub(m.latest) > minute {
		m.since = now
	}
	m.latest = now
	m.all += n
	m.last.at(now).amount += n
}

// Load is how many there were in all.
func (m *Meter) Load() int64 {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.all
}

// Flow is where a task's time went in the last minute.
type Flow struct {
	// Period is the time that the figures are about: a minute, or the age of a younger task.
	Period time.Duration
	// Stages are in the order in which a row goes through them.
	Stages []Stage
	// Rows that were delivered, Bytes that were fetched or consumed, in a second.
	Rows, Bytes float64
	// ActiveSince is when the first rows came after which no minute was without any, Latest when the last ones did;
	// zero: there were none.
	ActiveSince, LastActive time.Time
}

// Stage is how long a stage was at work, and how often.
type Stage struct {
	Name  string
	Busy  time.Duration
	Calls int64
}

// NewStage is a stage that has these clocks.
func NewStage(name string, clocks ...*BusyClock) Stage {
	s := Stage{Name: name}
	for _, c := range clocks {
		c.mu.Lock()
		work, calls := c.last.sum(c.count())
		c.mu.Unlock()
		s.Busy, s.Calls = s.Busy+time.Duration(work), s.Calls+int64(calls)
	}
	return s
}

// NewFlow is that of a task which began at a time.
func NewFlow(began time.Time, rows, bytes *Meter, stages ...Stage) Flow {
	now := time.Now()
	f := Flow{Period: max(min(now.Sub(began), minute), time.Nanosecond), Stages: stages}
	for i := range stages { // clocks of a stage may be at work side by side
		stages[i].Busy = min(stages[i].Busy, f.Period)
	}
	f.Bytes, _, _ = bytes.flow(now, f.Period)
	f.Rows, f.ActiveSince, f.LastActive = rows.flow(now, f.Period)
	return f
}

// flow is how much came in a second, see [Flow].
func (m *Meter) flow(now time.Time, over time.Duration) (inSecond float64, since, latest time.Time) {
	m.mu.Lock()
	defer m.mu.Unlock()
	amount, _ := m.last.sum(now)
	return amount / max(over.Seconds(), 1), m.since, m.latest
}

const (
	minute = time.Minute
	// bucketTime is what a bucket of a [recent] is of.
	bucketTime = 5 * time.Second
	// buckets are those of a minute, and the one that has just begun.
	buckets = int64(minute/bucketTime) + 1
)

// recent is what was counted in the last minute: a ring of buckets, the present one among them.
type recent [buckets]bucket

// bucket is what was counted in the nth bucketTime since 1970.
type bucket struct{ n, amount, count int64 }

func (r *recent) at(now time.Time) *bucket {
	n := now.UnixNano() / int64(bucketTime)
	b := &r[n%buckets]
	if b.n != n {
		*b = bucket{n: n}
	}
	return b
}

// spent counts time in the buckets to which it belongs.
func (r *recent) spent(from, to time.Time) {
	if first := to.Add(-minute - bucketTime); from.Before(first) {
		from = first
	}
	for from.Before(to) {
		next := from.Add(bucketTime - time.Duration(from.UnixNano()%int64(bucketTime)))
		if next.After(to) {
			next = to
		}
		r.at(from).amount += int64(next.Sub(from))
		from = next
	}
}

// sum is that of the last minute: of the oldest bucket only what is not too old, by its share of the time.
func (r *recent) sum(now time.Time) (amount, count float64) {
	newest, since := now.UnixNano()/int64(bucketTime), now.UnixNano()%int64(bucketTime)
	for _, b := range r {
		part := 1.0
		switch age := newest - b.n; {
		case age < 0 || age >= buckets:
			continue
		case age == buckets-1:
			part -= float64(since) / float64(bucketTime)
		}
		amount, count = amount+part*float64(b.amount), count+part*float64(b.count)
	}
	return amount, count
}
