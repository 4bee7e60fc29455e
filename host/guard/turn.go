package guard

import "context"

// Turn is a lock that whoever waits for it can stop waiting for. It is made by [NewTurn].
type Turn chan struct{}

// NewTurn makes one that nobody holds.
func NewTurn() Turn { return make(Turn, 1) }

// Lock returns without the lock, with its error, where ctx ends before.
func (t Turn) Lock(ctx context.Context) error {
	select {
	case t <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Unlock gives it free.
func (t Turn) Unlock() { <-t }
