package task

import (
	"context"
	"log/slog"
	"sync/atomic"
	"time"
)

// Tolerance is what a task does about records that it cannot handle.
type Tolerance struct {
	// TolerateAll skips records that cannot be handled, counted and logged (`errors.tolerance=all`). Default: the task
	// fails.
	TolerateAll bool
	// LogErrors has skipped records logged as errors, else as warnings (`errors.log.enable`); LogMessages with what
	// else is known of them (`errors.log.include.messages`).
	LogErrors, LogMessages bool
}

// ErrorCounts counts records that could not be handled, retried ones included, and among them those that were skipped.
type ErrorCounts struct {
	All, Skipped atomic.Int64
	last         atomic.Int64 // when the last one came, in milliseconds of Unix
}

// Add counts a fault.
func (f *ErrorCounts) Add() {
	f.All.Add(1)
	f.last.Store(time.Now().UnixMilli())
}

// Last is when the last fault came; zero: none has.
func (f *ErrorCounts) Last() time.Time {
	if at := f.last.Load(); at > 0 {
		return time.UnixMilli(at)
	}
	return time.Time{}
}

// HandleError counts a record that cannot be handled: it is the task's fault, or skipped, which skipped is to say.
func (t Tolerance) HandleError(count *ErrorCounts, fault error, skipped func()) error {
	count.Add()
	if !t.TolerateAll {
		return fault
	}
	count.Skipped.Add(1)
	skipped()
	return nil
}

// LogSkipped says that a record was left out, always; how loudly, and how much about it, is the user's choice.
func (t Tolerance) LogSkipped(log *slog.Logger, message string, about []any, more func() []any) {
	level := slog.LevelWarn
	if t.LogErrors {
		level = slog.LevelError
	}
	if t.LogMessages && more != nil {
		about = append(about, more()...)
	}
	log.Log(context.Background(), level, message, about...)
}
