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
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
