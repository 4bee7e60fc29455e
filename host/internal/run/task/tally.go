package task

import (
	"sync"
	"sync/atomic"
	"time"
)

// Tally is what Kafka Connect counts of a task besides its rows. Its parts are counted where they happen, by any
// goroutine. The zero value is ready.
type Tally struct {
	Batches Batches
	// Commits of offsets.
	Commits Commits
	// Retries are operations that failed and were tried again, Logged records of which a line said that they were
	// skipped.
	Retries, Logged atomic.Int64
	// Errors are records by which the task failed.
	Errors atomic.Int64
	// Letters were to be sent as dead letters, LostLetters of them could not be.
	Letters, LostLetters atomic.Int64
}

// Batches are pages of a source, or what a sink writes at a time.
type Batches struct {
	mu                 sync.Mutex
	size, took, active Window
	now                int64
}

// Ended counts a batch of so many rows that began at a time.
func (b *Batches) Ended(began time.Time, rows int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	now := time.Now()
	b.took.Took(now, began)
	b.size.add(now, float64(rows))
}

// Hold counts rows that are under way from now on; fewer than 0: that are no longer.
func (b *Batches) Hold(rows int) {
	if rows == 0 {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.now += int64(rows)
	b.active.add(time.Now(), float64(b.now))
}

// Commits are those of offsets, by what became of them.
type Commits struct {
	mu            sync.Mutex
	took, records Window
	outcomes      Outcomes
}

// Ended counts a commit that began at a time.
func (c *Commits) Ended(began time.Time, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := time.Now()
	if c.outcomes.Add(now, err == nil); err == nil {
		c.took.Took(now, began)
	}
}

// Transaction counts one that was to be committed, of so many records, with the offset in it.
func (c *Commits) Transaction(began time.Time, records int, err error) {
	c.Ended(began, err)
	if err == nil {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.records.add(time.Now(), float64(records))
	}
}

// Tallied is a [Tally] as it is at a time.
type Tallied struct {
	// BatchSize is in rows, BatchTime and CommitTime in milliseconds. Active rows were read and are not settled.
	BatchSize, BatchTime, CommitTime, ActiveRows Summary
	// Transactions are by their records.
	Transactions Summary
	Active       int64
	// Commits of offsets that were done, and that failed.
	Commits, FailedCommits int64
	// Recent are the shares of those commits that came to their end in the last minute.
	Recent Shares
	// The others are as in [Tally].
	Retries, Logged, Errors, Letters, LostLetters int64
}

// At is what the tally comes to.
func (t *Tally) At(now time.Time) Tallied {
	b, c := &t.Batches, &t.Commits
	b.mu.Lock()
	defer b.mu.Unlock()
	c.mu.Lock()
	defer c.mu.Unlock()
	return Tallied{BatchSize: b.size.Summary(now), BatchTime: b.took.Summary(now), CommitTime: c.took.Summary(now),
		ActiveRows: b.active.Summary(now), Active: b.now, Transactions: c.records.Summary(now),
		Commits: c.outcomes.Well, FailedCommits: c.outcomes.Badly, Recent: c.outcomes.Shares(now),
		Retries: t.Retries.Load(), Logged: t.Logged.Load(),
		Errors: t.Errors.Load(), Letters: t.Letters.Load(), LostLetters: t.LostLetters.Load()}
}
