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
	LogErrors, LogMessages bool
}

// ErrorCounts counts errors, including those of retried operations, and skipped records.
type ErrorCounts struct {
	All, Skipped atomic.Int64
	// lastMilli is when the last error was counted, refusedMilli the last refused record, in Unix milliseconds.
	lastMilli, refusedMilli atomic.Int64
}

// Add counts an error.
func (f *ErrorCounts) Add() {
	f.All.Add(1)
	f.lastMilli.Store(time.Now().UnixMilli())
}

// Last returns the time of the last error, or zero.
func (f *ErrorCounts) Last() time.Time { return unixMilli(&f.lastMilli) }

// LastRefused returns the time of the last refused record, or zero.
func (f *ErrorCounts) LastRefused() time.Time { return unixMilli(&f.refusedMilli) }

// AddRefused counts skipped records that could not be handled.
func (f *ErrorCounts) AddRefused(records int64) {
	f.Skipped.Add(records)
	f.refusedMilli.Store(time.Now().UnixMilli())
}

func unixMilli(milli *atomic.Int64) time.Time {
	if at := milli.Load(); at > 0 {
		return time.UnixMilli(at)
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
