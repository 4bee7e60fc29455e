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

// ErrorCounts counts errors, including those of retried operations, and skipped records.
type ErrorCounts struct {
	All     atomic.Int64
	Skipped atomic.Int64
	// lastMilli is when the last error was counted, refusedMilli the last refused record, in Unix milliseconds.
	lastMilli    atomic.Int64
	refusedMilli atomic.Int64
}

// Add counts an error.
func (e *ErrorCounts) Add() {
	e.All.Add(1)
	e.lastMilli.Store(time.Now().UnixMilli())
}

// Last returns the time of the last error, or zero.
func (e *ErrorCounts) Last() time.Time { return unixMilli(&e.lastMilli) }

// LastRefused returns the time of the last refused record, or zero.
func (e *ErrorCounts) LastRefused() time.Time { return unixMilli(&e.refusedMilli) }

// AddRefused counts skipped records that could not be handled.
func (e *ErrorCounts) AddRefused(records int64) {
	e.Skipped.Add(records)
	e.refusedMilli.Store(time.Now().UnixMilli())
}

func unixMilli(milli *atomic.Int64) time.Time {
	if ms := milli.Load(); ms > 0 {
		return time.UnixMilli(ms)
	}
	return time.Time{}
}

// HandleError counts an error and returns it, or skips the record and calls skipped.
func (t Tolerance) HandleError(count *ErrorCounts, err error, skipped func()) error {
	count.Add()
	if !t.TolerateAll {
		return err
	}
	count.AddRefused(1)
	skipped()
	return nil
}

// LogSkipped logs a skipped record. details may be nil.
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
