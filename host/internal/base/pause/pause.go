// Package pause waits, and no longer than somebody wants to.
package pause

import (
	"context"
	"time"
)

// For waits for d, or until ctx ends, with its cause.
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

// WithWaitObserver is a context of which waits are noted, so that they do not count as work: note is called with 1 when one
// begins, and with -1 when it ends. Several may last at a time.
func WithWaitObserver(ctx context.Context, note func(by int)) context.Context {
	return context.WithValue(ctx, observerKey{}, note)
}

// MarkWait notes a wait, until end is called, where somebody wants that.
func MarkWait(ctx context.Context) (end func()) {
	note, some := ctx.Value(observerKey{}).(func(int))
	if !some {
		return func() {}
	}
	note(1)
	return func() { note(-1) }
}
