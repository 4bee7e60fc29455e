package task

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/culvert-project/culvert/internal/guard"
	"github.com/culvert-project/culvert/internal/record"
)

// Metrics counts what Kafka Connect's metrics of a task show, except rows. It is safe for concurrent use.
type Metrics struct {
	Batches BatchMetrics
	Commits CommitMetrics
	// Retries counts retried operations, Logged the skipped records that were logged.
	Retries atomic.Int64
	Logged  atomic.Int64
	Errors  atomic.Int64 // records that made the task fail
	// DeadLetters counts dead letters, LostDeadLetters those that could not be stored.
	DeadLetters     atomic.Int64
	LostDeadLetters atomic.Int64
}

// BatchMetrics measure a source's pages or a sink's batches.
type BatchMetrics struct {
	mu       sync.Mutex
	size     Window // rows of each batch
	duration Window
	active   Window // each value of current
	current  int64  // rows in progress
}

// Record counts a batch that ends now.
func (b *BatchMetrics) Record(start time.Time, rows int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	now := time.Now()
	b.duration.AddSince(now, start)
	b.size.add(now, float64(rows))
}

// AddActive adds rows, or a negative number, to those in progress.
func (b *BatchMetrics) AddActive(rows int) {
	if rows == 0 {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.current += int64(rows)
	b.active.add(time.Now(), float64(b.current))
}

// CommitMetrics measure offset commits.
type CommitMetrics struct {
	mu       sync.Mutex
	duration Window
	records  Window // of each transaction
	outcomes Outcomes
}

// Record counts a commit that ends now. The duration of a failed one is not counted.
func (c *CommitMetrics) Record(start time.Time, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := time.Now()
	c.outcomes.Add(now, err == nil)
	if err == nil {
		c.duration.AddSince(now, start)
	}
}

// RecordTransaction is Record for a transaction. The records of a failed one are not counted.
func (c *CommitMetrics) RecordTransaction(start time.Time, records int, err error) {
	c.Record(start, err)
	if err == nil {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.records.add(time.Now(), float64(records))
	}
}

// MetricsSnapshot is a snapshot of [Metrics].
type MetricsSnapshot struct {
	BatchSize       Summary // rows
	BatchTime       Summary // milliseconds
	CommitTime      Summary // milliseconds
	ActiveRows      Summary // rows that were read and are not settled
	Transactions    Summary // records of each transaction
	Active          int64   // the current number of active rows
	Commits         int64
	FailedCommits   int64
	RecentCommits   OutcomeRatios
	Retries         int64
	Logged          int64
	Errors          int64
	DeadLetters     int64
	LostDeadLetters int64
}

// Snapshot returns the current values.
func (m *Metrics) Snapshot(now time.Time) MetricsSnapshot {
	b := &m.Batches
	c := &m.Commits
	b.mu.Lock()
	defer b.mu.Unlock()
	c.mu.Lock()
	defer c.mu.Unlock()
	return MetricsSnapshot{
		BatchSize:       b.size.Summary(now),
		BatchTime:       b.duration.Summary(now),
		CommitTime:      c.duration.Summary(now),
		ActiveRows:      b.active.Summary(now),
		Transactions:    c.records.Summary(now),
		Active:          b.current,
		Commits:         c.outcomes.Succeeded,
		FailedCommits:   c.outcomes.Failed,
		RecentCommits:   c.outcomes.Ratios(now),
		Retries:         m.Retries.Load(),
		Logged:          m.Logged.Load(),
		Errors:          m.Errors.Load(),
		DeadLetters:     m.DeadLetters.Load(),
		LostDeadLetters: m.LostDeadLetters.Load(),
	}
}

// ObserveFunc receives a batch before its transforms and must copy what it retains. feed is "" for a sink.
type ObserveFunc func(task int, feed string, b *record.Batch)

// Observer passes batches to a function, if one is set. A nil Observer ignores them. It is safe for concurrent use.
type Observer struct{ observe atomic.Pointer[ObserveFunc] }

// Set sets the function. Nil removes it.
func (o *Observer) Set(observe ObserveFunc) {
	if observe == nil {
		o.observe.Store(nil)
		return
	}
	o.observe.Store(&observe)
}

// Observe passes a batch with rows to the function, and recovers its panic.
func (o *Observer) Observe(task int, feed string, b *record.Batch) {
	if o == nil {
		return
	}
	observe := o.observe.Load()
	if observe == nil || len(b.Rows) == 0 {
		return
	}
	defer guard.Recover(nil, "the observer of rows before transforms", nil)
	(*observe)(task, feed, b)
}
