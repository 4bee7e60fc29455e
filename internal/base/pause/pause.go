// Package pause waits until a time or the end of a context.
package pause

import (
	"context"
	"time"
)

// For waits for d, or returns the cause of ctx.
func For(ctx context.Context, d time.Duration) error {
	if d <= 0 {
		return context.Cause(ctx)
	}
	defer MarkWait(ctx)()
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

type (
	observerKey      struct{}
	limitObserverKey struct{}
)

// WithWaitObserver returns a context whose waits call count with 1 at the start and -1 at the end; they may overlap.
func WithWaitObserver(ctx context.Context, count func(delta int)) context.Context {
	return context.WithValue(ctx, observerKey{}, count)
}

// MarkWait reports the beginning of a wait to the observer of ctx, if any. The caller must call end after it.
func MarkWait(ctx context.Context) (end func()) { return mark(ctx, observerKey{}) }

// WithLimitObserver is [WithWaitObserver] for waits that a user's limit causes.
func WithLimitObserver(ctx context.Context, count func(delta int)) context.Context {
	return context.WithValue(ctx, limitObserverKey{}, count)
}

// MarkLimitWait is [MarkWait] for a wait that a user's limit causes.
func MarkLimitWait(ctx context.Context) (end func()) {
	endLimit := mark(ctx, limitObserverKey{})
	endWait := MarkWait(ctx)
	return func() { endWait(); endLimit() }
}

// mark calls the observer of a key with 1. end calls it with -1.
func mark(ctx context.Context, key any) (end func()) {
	count, ok := ctx.Value(key).(func(int))
	if !ok {
		return func() {}
	}
	count(1)
	return func() { count(-1) }
}
