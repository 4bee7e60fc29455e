// Package pause waits with contexts.
package pause

import (
	"context"
	"time"
)

// For waits for d. If ctx ends first, it returns the cause.
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

type observerKey struct{}

// WithWaitObserver returns a context whose waits call note with 1 at the start and -1 at the end, so that they do
// not count as work. Waits may overlap.
func WithWaitObserver(ctx context.Context, note func(by int)) context.Context {
	return context.WithValue(ctx, observerKey{}, note)
}

// MarkWait reports a wait to the observer of [WithWaitObserver], until end is called.
func MarkWait(ctx context.Context) (end func()) {
	note, some := ctx.Value(observerKey{}).(func(int))
	if !some {
		return func() {}
	}
	note(1)
	return func() { note(-1) }
}
