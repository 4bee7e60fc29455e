package pause

import (
	"context"
	"time"
)

// Backoff holds the pauses between tries of one thing: the first one, and the longest, to which they double. It belongs
// to one goroutine.
type Backoff struct {
	First, Longest time.Duration

	next time.Duration // zero: First
}

// Next returns the pause before the next try.
func (b *Backoff) Next() time.Duration {
	d := min(max(b.next, b.First), b.Longest)
	b.next = min(2*d, b.Longest)
	return d
}

// Wait pauses before the next try, or until ctx ends, with its cause.
func (b *Backoff) Wait(ctx context.Context) error { return For(ctx, b.Next()) }

// Reset begins with the first pause again.
func (b *Backoff) Reset() { b.next = 0 }
