package task

import (
	"sync"
	"sync/atomic"
	"time"
)

// Metrics is what Kafka Connect counts of a task besides its rows. Its parts are counted where they happen, by any
// goroutine. The zero value is ready.
type Metrics struct {
	Batches BatchMetrics
	// CommitMetrics of offsets.
	Commits CommitMetrics
	// Retries are operations that failed and were tried again, Logged records of which a line said that they were
	// skipped.
	Retries, Logged atomic.Int64
	// Errors are records by which the task failed.
	Errors atomic.Int64
	// DeadLetters were to be sent as dead letters, LostLetters of them could not be.
	DeadLetters, LostDeadLetters atomic.Int64
}

// BatchMetrics are pages of a source, or what a sink writes at a time.
type BatchMetrics struct {
	mu                 sync.Mutex
	size, took, active Window
	now                int64
}

// Record counts a batch of so many rows that began at a time.
func (b *BatchMetrics) Record(began time.Time, rows int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	now := time.Now()
	b.took.AddSince(now, began)
	b.size.add(now, float64(rows))
}

// AddActive counts rows that are under way from now on; fewer than 0: that are no longer.
func (b *BatchMetrics) AddActive(rows int) {
	if rows == 0 {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.now += int64(rows)
	b.active.add(time.Now(), float64(b.now))
}

// CommitMetrics are those of offsets, by what became of them.
type CommitMetrics struct {
	mu            sync.Mutex
	took, records Window
	outcomes      Outcomes
}

// Record counts a commit that began at a time.
func (c *CommitMetrics) Record(began time.Time, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := time.Now()
	if c.outcomes.Add(now, err == nil); err == nil {
		c.took.AddSince(now, began)
	}
}

// RecordTransaction counts one that was to be committed, of so many records, with the offset in it.
func (c *CommitMetrics) RecordTransaction(began time.Time, records int, err error) {
	c.Record(began, err)
	if err == nil {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.records.add(time.Now(), float64(records))
	}
}

// MetricsSnapshot is a [Metrics] as it is at a time.
type MetricsSnapshot struct {
	// BatchSize is in rows, BatchTime and CommitTime in milliseconds. Active rows were read and are not settled.
	BatchSize, BatchTime, CommitTime, ActiveRows Summary
	// Transactions are by their records.
	Transactions Summary
	Active       int64
	// Commits of offsets that were done, and that failed.
	Commits, FailedCommits int64
	// RecentCommits are the shares of those commits that came to their end in the last minute.
	RecentCommits OutcomeRatios
	// The others are as in [Metrics].
	Retries, Logged, Errors, DeadLetters, LostDeadLetters int64
}

// Snapshot is what the tally comes to.
func (t *Metrics) Snapshot(now time.Time) MetricsSnapshot {
	b, c := &t.Batches, &t.Commits
	b.mu.Lock()
	defer b.mu.Unlock()
	c.mu.Lock()
	defer c.mu.Unlock()
	return MetricsSnapshot{BatchSize: b.size.Summary(now), BatchTime: b.took.Summary(now),
		CommitTime: c.took.Summary(now),
		ActiveRows: b.active.Summary(now), Active: b.now, Transactions: c.records.Summary(now),
		Commits: c.outcomes.Succeeded, FailedCommits: c.outcomes.Failed, RecentCommits: c.outcomes.Ratios(now),
		Retries: t.Retries.Load(), Logged: t.Logged.Load(),
		Errors: t.Errors.Load(), DeadLetters: t.DeadLetters.Load(), LostDeadLetters: t.LostDeadLetters.Load()}
}
