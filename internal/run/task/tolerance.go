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
	// In Unix milliseconds, 0 for never: the last error, and the last refused record.
	lastErrorMillis   atomic.Int64
	lastRefusedMillis atomic.Int64
}

// Add counts an error.
func (e *ErrorCounts) Add() {
	e.All.Add(1)
	e.lastErrorMillis.Store(time.Now().UnixMilli())
}

// Last returns the time of the last error, or zero.
func (e *ErrorCounts) Last() time.Time { return unixMilli(&e.lastErrorMillis) }

// LastRefused returns the time of the last refused record, or zero.
func (e *ErrorCounts) LastRefused() time.Time { return unixMilli(&e.lastRefusedMillis) }

// AddRefused counts records that could not be handled and are skipped.
func (e *ErrorCounts) AddRefused(records int64) {
	e.Skipped.Add(records)
	e.lastRefusedMillis.Store(time.Now().UnixMilli())
}

func unixMilli(millis *atomic.Int64) time.Time {
	if ms := millis.Load(); ms > 0 {
		return time.UnixMilli(ms)
	}
	return time.Time{}
}

// HandleError counts an error. If errors are not tolerated it returns the error, otherwise it counts a refused record,
// calls onSkip and returns nil.
func (t Tolerance) HandleError(count *ErrorCounts, err error, onSkip func()) error {
	count.Add()
	if !t.TolerateAll {
		return err
	}
	count.AddRefused(1)
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
