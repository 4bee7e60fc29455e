package task

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/culvert-project/culvert/internal/guard"
	"github.com/culvert-project/culvert/internal/record"
)

// Metrics are Kafka Connect's metrics of a task except its rows. It is safe for concurrent use.
type Metrics struct {
	Batches BatchMetrics
	Commits CommitMetrics
	// Retries counts retried operations, Logged the skipped records that were logged.
	Retries atomic.Int64
	Logged  atomic.Int64
	Errors  atomic.Int64
	// DeadLetters counts dead letters, LostDeadLetters those that could not be stored.
	DeadLetters     atomic.Int64
	LostDeadLetters atomic.Int64
}

// BatchMetrics measure a source's pages or a sink's batches.
type BatchMetrics struct {
	mu       sync.Mutex
	size     Window
	duration Window
	active   Window
	current  int64
}

// Record counts a batch.
func (b *BatchMetrics) Record(began time.Time, rows int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	now := time.Now()
	b.duration.AddSince(now, began)
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
	records  Window
	outcomes Outcomes
}

// Record counts a commit.
func (c *CommitMetrics) Record(began time.Time, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := time.Now()
	c.outcomes.Add(now, err == nil)
	if err == nil {
		c.duration.AddSince(now, began)
	}
}

// RecordTransaction counts the commit of a transaction with records.
func (c *CommitMetrics) RecordTransaction(began time.Time, records int, err error) {
	c.Record(began, err)
	if err == nil {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.records.add(time.Now(), float64(records))
	}
}

// MetricsSnapshot is a snapshot of [Metrics].
type MetricsSnapshot struct {
	// BatchSize is in rows, BatchTime and CommitTime are in milliseconds. ActiveRows were read and are not settled.
	BatchSize       Summary
	BatchTime       Summary
	CommitTime      Summary
	ActiveRows      Summary
	Transactions    Summary
	Active          int64
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
	return MetricsSnapshot{BatchSize: b.size.Summary(now), BatchTime: b.duration.Summary(now),
		CommitTime: c.duration.Summary(now),
		ActiveRows: b.active.Summary(now), Active: b.current, Transactions: c.records.Summary(now),
		Commits: c.outcomes.Succeeded, FailedCommits: c.outcomes.Failed, RecentCommits: c.outcomes.Ratios(now),
		Retries: m.Retries.Load(), Logged: m.Logged.Load(),
		Errors: m.Errors.Load(), DeadLetters: m.DeadLetters.Load(), LostDeadLetters: m.LostDeadLetters.Load()}
}

// ObserveFunc receives a batch before its transforms and must copy what it retains. feed is "" for a sink.
type ObserveFunc func(task int, feed string, b *record.Batch)

// Observer passes batches to a function, if one is set. Nil observes nothing. It is safe for concurrent use.
type Observer struct{ observe atomic.Pointer[ObserveFunc] }

// Set sets the function. Nil removes it.
func (o *Observer) Set(observe ObserveFunc) {
	if observe == nil {
		o.observe.Store(nil)
		return
	}
	o.observe.Store(&observe)
}

// Observe passes a batch to the function.
func (o *Observer) Observe(task int, feed string, b *record.Batch) {
	if o == nil {
		return
	}
	observe := o.observe.Load()
	if observe == nil || len(b.Rows) == 0 {
		return
	}
	defer guard.Recover(nil, "the observer of rows before transforms", nil) // an observer's panic does not end the task
	(*observe)(task, feed, b)
}
