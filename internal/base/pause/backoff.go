package pause

import (
	"context"
	"time"
)

// Backoff returns pauses that double from First to Longest. Not safe for concurrent use.
type Backoff struct {
	First   time.Duration
	Longest time.Duration

	next time.Duration // zero means First
}

// Next returns the next pause without waiting, and doubles the one after it.
func (b *Backoff) Next() time.Duration {
	d := min(max(b.next, b.First), b.Longest)
	b.next = min(2*d, b.Longest)
	return d
}

// Wait waits for the next pause, or returns the cause of ctx.
func (b *Backoff) Wait(ctx context.Context) error { return For(ctx, b.Next()) }

// Reset starts again with First, after a success.
func (b *Backoff) Reset() { b.next = 0 }
