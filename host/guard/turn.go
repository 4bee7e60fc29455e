package guard

import "context"

// Turn is a lock that whoever waits for it can stop waiting for. It is made by [NewTurn].
type Turn chan struct{}

// NewTurn makes one that nobody holds.
func NewTurn() Turn { return make(Turn, 1) }

// Lock returns without the lock, with the cause, where ctx ends before.
func (t Turn) Lock(ctx context.Context) error {
	select {
	case t <- struct{}{}:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// TryLock tells whether it has taken the lock, which nobody held.
func (t Turn) TryLock() bool {
	select {
	case t <- struct{}{}:
		return true
	default:
		return false
	}
}

// Unlock gives it free.
func (t Turn) Unlock() { <-t }

// Bell wakes whoever receives from it. It is made by [NewBell].
type Bell chan struct{}

// NewBell makes one that has not rung.
func NewBell() Bell { return make(Bell, 1) }

// Ring wakes one receiver, or the next one that comes: of several rings before that it hears one.
func (b Bell) Ring() { Turn(b).TryLock() }
