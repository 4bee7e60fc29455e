package task

import (
	"context"
	"sync"
	"time"

	"github.com/culvert-project/culvert/internal/base/pause"
)

// BusyClock measures how long a stage was busy. The total adds up the time of all goroutines; in the last minute,
// concurrent goroutines count once. It is safe for concurrent use. The zero value is ready to use.
type BusyClock struct {
	mu           sync.Mutex
	busy         int // the number of busy goroutines
	countedUntil time.Time
	total        time.Duration // sum over all goroutines
	recent       recent        // amount: nanoseconds with a busy goroutine, count: calls of Start
}

// Start counts another busy goroutine.
func (c *BusyClock) Start() { c.add(1, 1) }

// Stop ends a Start.
func (c *BusyClock) Stop() { c.add(-1, 0) }

// Track is Start and, at end, Stop for work that sometimes waits. While package pause reports a wait, for limits and
// retries, the work counts for waitClock instead of c. If waitClock is nil, waits are not counted at all.
func (c *BusyClock) Track(ctx context.Context, waitClock *BusyClock) (workCtx context.Context, end func()) {
	var mu sync.Mutex
	waits := 0
	hasEnded := false
	c.Start()
	onWait := func(delta int) {
		mu.Lock()
		defer mu.Unlock()
		wasWaiting := waits > 0
		waits += delta
		isWaiting := waits > 0
		if hasEnded || isWaiting == wasWaiting {
			return // a wait of a shared connection may outlast the request
		}
		c.add(-delta, 0)
		if waitClock != nil {
			waitClock.add(delta, max(int64(delta), 0)) // only the begin of a wait counts as a start
		}
	}
	return pause.WithWaitObserver(ctx, onWait), func() {
		mu.Lock()
		defer mu.Unlock()
		hasEnded = true
		if waits == 0 {
			c.Stop()
		} else if waitClock != nil {
			waitClock.Stop()
		}
	}
}

func (c *BusyClock) add(busyDelta int, starts int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := c.advance()
	c.busy += busyDelta
	c.recent.bucket(now).count += starts
}

// advance counts the time since its last call and returns the current time. The caller holds mu.
func (c *BusyClock) advance() (now time.Time) {
	now = time.Now()
	if c.busy > 0 {
		c.total += time.Duration(c.busy) * now.Sub(c.countedUntil)
		from := c.countedUntil
		if earliest := now.Add(-minute - bucketTime); from.Before(earliest) {
			from = earliest
		}
		for from.Before(now) { // divide the time among the buckets
			next := from.Add(bucketTime - time.Duration(from.UnixNano()%int64(bucketTime)))
			if next.After(now) {
				next = now
			}
			c.recent.bucket(from).amount += int64(next.Sub(from))
			from = next
		}
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

// Meter counts rows or bytes, in total and in the last minute. It is safe for concurrent use. Add is too slow for each
// single row; add the rows of a batch at once.
type Meter struct {
	mu          sync.Mutex
	total       int64
	recent      recent
	activeSince time.Time // as in [Flow]
	lastActive  time.Time // as in [Flow]
}

// Add counts n more.
func (m *Meter) Add(n int64) {
	if n == 0 {
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	now := time.Now()
	if now.Sub(m.lastActive) > minute {
		m.activeSince = now
	}
	m.lastActive = now
	m.total += n
	m.recent.bucket(now).amount += n
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
		busy, calls := c.recent.sum(c.advance())
		c.mu.Unlock()
		s.Busy += time.Duration(busy)
		s.Calls += int64(calls)
	}
	return s
}

// NewFlow returns the flow of a task that began at start. It limits the Busy times in stages to the period.
func NewFlow(start time.Time, rows, bytes *Meter, stages ...Stage) Flow {
	now := time.Now()
	f := Flow{Period: max(min(now.Sub(start), minute), time.Nanosecond), Stages: stages}
	for i := range stages { // the sum of concurrent clocks may exceed the period
		stages[i].Busy = min(stages[i].Busy, f.Period)
	}
	f.Bytes, _, _ = bytes.perSecond(now, f.Period)
	f.Rows, f.ActiveSince, f.LastActive = rows.perSecond(now, f.Period)
	return f
}

func (m *Meter) perSecond(now time.Time, period time.Duration) (rate float64, activeSince, lastActive time.Time) {
	m.mu.Lock()
	defer m.mu.Unlock()
	amount, _ := m.recent.sum(now)
	return amount / max(period.Seconds(), 1), m.activeSince, m.lastActive
}

const (
	minute     = time.Minute
	bucketTime = 5 * time.Second
	buckets    = int64(minute/bucketTime) + 1 // the newest and the oldest are within the minute only in part
)

// recent holds the counts of the last minute in a ring of buckets.
type recent [buckets]bucket

type bucket struct {
	index  int64 // Unix time divided by bucketTime
	amount int64
	count  int64
}

func (r *recent) bucket(now time.Time) *bucket {
	index := now.UnixNano() / int64(bucketTime)
	b := &r[index%buckets]
	if b.index != index {
		*b = bucket{index: index}
	}
	return b
}

// sum returns the sums of the last minute. The oldest bucket counts for the part of it that is within that minute.
func (r *recent) sum(now time.Time) (amount, count float64) {
	newest := now.UnixNano() / int64(bucketTime)
	elapsed := now.UnixNano() % int64(bucketTime)
	for _, b := range r {
		weight := 1.0
		switch age := newest - b.index; {
		case age < 0 || age >= buckets:
			continue
		case age == buckets-1:
			weight -= float64(elapsed) / float64(bucketTime)
		}
		amount += weight * float64(b.amount)
		count += weight * float64(b.count)
	}
	return amount, count
}
