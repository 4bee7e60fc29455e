package task

import (
	"context"
	"log/slog"
	"sync/atomic"
	"time"
)

// Tolerance decides about records that a task cannot handle.
type Tolerance struct {
	// TolerateAll skips, counts and logs them (errors.tolerance=all). Otherwise the task fails.
	TolerateAll bool
	// LogErrors logs skipped records as errors, not warnings (errors.log.enable). LogMessages adds details
	// (errors.log.include.messages).
	LogErrors   bool
	LogMessages bool
}

// ErrorCounts counts errors, also errors of retried operations, and skipped records.
type ErrorCounts struct {
	All     atomic.Int64
	Skipped atomic.Int64
	// In Unix milliseconds, 0 for never.
	lastErrorMillis atomic.Int64
	refusal         atomic.Pointer[Refusal]
}

// RefusingTime is how long a refused record counts.
const RefusingTime = 10 * time.Minute

// Refusal describes refused records that follow each other within [RefusingTime]. The zero value means none.
type Refusal struct {
	Since time.Time // the time of the first one
	Last  time.Time
	Err   error // why the last one was refused
}

// Add counts an error.
func (e *ErrorCounts) Add() {
	e.All.Add(1)
	e.lastErrorMillis.Store(time.Now().UnixMilli())
}

// Last returns the time of the last error, or zero.
func (e *ErrorCounts) Last() time.Time {
	if ms := e.lastErrorMillis.Load(); ms > 0 {
		return time.UnixMilli(ms)
	}
	return time.Time{}
}

// Refusal returns the last refused records.
func (e *ErrorCounts) Refusal() Refusal {
	if refusal := e.refusal.Load(); refusal != nil {
		return *refusal
	}
	return Refusal{}
}

// AddRefused counts records that could not be handled and are skipped. Goroutines that call it at the same time may
// replace each other's error.
func (e *ErrorCounts) AddRefused(records int64, err error) {
	e.Skipped.Add(records)
	refusedAt := time.Now()
	refusal := Refusal{Since: refusedAt, Last: refusedAt, Err: err}
	if previous := e.Refusal(); refusal.Last.Sub(previous.Last) < RefusingTime {
		refusal.Since = previous.Since
	}
	e.refusal.Store(&refusal)
}

// HandleError counts an error. If errors are not tolerated it returns the error, otherwise it counts a refused record
// with the reason, which is the error without the record's position, calls onSkip and returns nil.
func (t Tolerance) HandleError(count *ErrorCounts, err, reason error, onSkip func()) error {
	count.Add()
	if !t.TolerateAll {
		return err
	}
	count.AddRefused(1, reason)
	onSkip()
	return nil
}

// LogSkipped logs a skipped record. details, which may be nil, is called only for LogMessages.
func (t Tolerance) LogSkipped(log *slog.Logger, message string, attrs []any, details func() []any) {
	level := slog.LevelWarn
	if t.LogErrors {
		level = slog.LevelError
	}
	if t.LogMessages && details != nil {
		attrs = append(attrs, details()...)
	}
	log.Log(context.Background(), level, message, attrs...)
}
