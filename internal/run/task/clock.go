package task

import (
	"context"
	"sync"
	"time"

	"github.com/culvert-project/culvert/internal/base/pause"
)

// BusyClock measures how long a stage was busy, in total and in the last minute, where concurrent goroutines count
// once. The zero value is ready to use.
type BusyClock struct {
	mu           sync.Mutex
	busy         int // goroutines
	countedUntil time.Time
	total        time.Duration // sum over all goroutines
	last         recent        // nanoseconds with a busy goroutine, number of starts
}

// Start counts another busy goroutine.
func (c *BusyClock) Start() { c.add(1, 1) }

// Stop ends a Start.
func (c *BusyClock) Stop() { c.add(-1, 0) }

// Track is Start and Stop for work that waits. Waits that package pause reports, for limits and retries, do not count
// here, but for waiting, which may be nil.
func (c *BusyClock) Track(ctx context.Context, waiting *BusyClock) (working context.Context, end func()) {
	var mu sync.Mutex
	waits := 0
	ended := false
	c.Start()
	onWait := func(delta int) {
		mu.Lock()
		defer mu.Unlock()
		previous := waits
		if waits += delta; ended || previous > 0 == (waits > 0) {
			return // a wait of a shared connection may outlast the request
		}
		c.add(-delta, 0)
		if waiting != nil {
			waiting.add(delta, max(int64(delta), 0))
		}
	}
	return pause.WithWaitObserver(ctx, onWait), func() {
		mu.Lock()
		defer mu.Unlock()
		ended = true
		if waits == 0 {
			c.Stop()
		} else if waiting != nil {
			waiting.Stop()
		}
	}
}

func (c *BusyClock) add(busy int, calls int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := c.advance()
	c.busy += busy
	c.last.bucket(now).count += calls
}

func (c *BusyClock) advance() (now time.Time) {
	now = time.Now()
	if c.busy > 0 {
		c.total += time.Duration(c.busy) * now.Sub(c.countedUntil)
		c.last.addSpan(c.countedUntil, now)
	}
	c.countedUntil = now
	return now
}

// Total returns the busy time of all goroutines together.
func (c *BusyClock) Total() time.Duration {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.advance()
	return c.total
}

// Meter counts rows or bytes, in total and in the last minute. It is safe for concurrent use, but not meant for single
// rows.
type Meter struct {
	mu    sync.Mutex
	total int64
	last  recent
	// see [Flow]
	since  time.Time
	latest time.Time
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
	m.total += n
	m.last.bucket(now).amount += n
}

// Load returns the total.
func (m *Meter) Load() int64 {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.total
}

// Flow shows where the time of a task went in the last minute.
type Flow struct {
	Period time.Duration // a minute, or the age of a younger task
	Stages []Stage
	Rows   float64
	Bytes  float64
	// ActiveSince is the end of the last pause of a minute, LastActive the last delivery. Zero means none.
	ActiveSince time.Time
	LastActive  time.Time
}

// Stage is the busy time of a stage and how often it started.
type Stage struct {
	Name  string
	Busy  time.Duration
	Calls int64
}

// NewStage returns a stage with the sums of its clocks.
func NewStage(name string, clocks ...*BusyClock) Stage {
	s := Stage{Name: name}
	for _, c := range clocks {
		c.mu.Lock()
		work, calls := c.last.sum(c.advance())
		c.mu.Unlock()
		s.Busy = s.Busy + time.Duration(work)
		s.Calls = s.Calls + int64(calls)
	}
	return s
}

// NewFlow returns the flow of a task that started at began.
func NewFlow(began time.Time, rows, bytes *Meter, stages ...Stage) Flow {
	now := time.Now()
	f := Flow{Period: max(min(now.Sub(began), minute), time.Nanosecond), Stages: stages}
	for i := range stages { // several clocks may have run at once
		stages[i].Busy = min(stages[i].Busy, f.Period)
	}
	f.Bytes, _, _ = bytes.perSecond(now, f.Period)
	f.Rows, f.ActiveSince, f.LastActive = rows.perSecond(now, f.Period)
	return f
}

func (m *Meter) perSecond(now time.Time, over time.Duration) (inSecond float64, since, latest time.Time) {
	m.mu.Lock()
	defer m.mu.Unlock()
	amount, _ := m.last.sum(now)
	return amount / max(over.Seconds(), 1), m.since, m.latest
}

const (
	minute     = time.Minute
	bucketTime = 5 * time.Second
	buckets    = int64(minute/bucketTime) + 1
)

// recent counts in a ring of buckets.
type recent [buckets]bucket

type bucket struct {
	n      int64 // the number of its period since 1970
	amount int64
	count  int64
}

func (r *recent) bucket(now time.Time) *bucket {
	n := now.UnixNano() / int64(bucketTime)
	b := &r[n%buckets]
	if b.n != n {
		*b = bucket{n: n}
	}
	return b
}

func (r *recent) addSpan(from, to time.Time) {
	if first := to.Add(-minute - bucketTime); from.Before(first) {
		from = first
	}
	for from.Before(to) {
		next := from.Add(bucketTime - time.Duration(from.UnixNano()%int64(bucketTime)))
		if next.After(to) {
			next = to
		}
		r.bucket(from).amount += int64(next.Sub(from))
		from = next
	}
}

// sum weights the oldest bucket by the part of it that is within the last minute.
func (r *recent) sum(now time.Time) (amount, count float64) {
	newest := now.UnixNano() / int64(bucketTime)
	since := now.UnixNano() % int64(bucketTime)
	for _, b := range r {
		weight := 1.0
		switch age := newest - b.n; {
		case age < 0 || age >= buckets:
			continue
		case age == buckets-1:
			weight -= float64(since) / float64(bucketTime)
		}
		amount = amount + weight*float64(b.amount)
		count = count + weight*float64(b.count)
	}
	return amount, count
}
