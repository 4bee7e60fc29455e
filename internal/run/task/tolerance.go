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
	lastMilli    atomic.Int64 // Unix milliseconds of the last error
}

// Add counts an error.
func (f *ErrorCounts) Add() {
	f.All.Add(1)
	f.lastMilli.Store(time.Now().UnixMilli())
}

// Last returns the time of the last error, or zero.
func (f *ErrorCounts) Last() time.Time {
	if at := f.lastMilli.Load(); at > 0 {
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
	count.Skipped.Add(1)
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
