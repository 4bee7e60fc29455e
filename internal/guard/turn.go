package guard

import "context"

// CtxMutex is a lock that whoever waits for it can stop waiting for. It is made by [NewCtxMutex].
type CtxMutex chan struct{}

// NewCtxMutex makes one that nobody holds.
func NewCtxMutex() CtxMutex { return make(CtxMutex, 1) }

// Lock returns without the lock, with the cause, where ctx ends before.
func (t CtxMutex) Lock(ctx context.Context) error {
	select {
	case t <- struct{}{}:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// TryLock tells whether it has taken the lock, which nobody held.
func (t CtxMutex) TryLock() bool {
	select {
	case t <- struct{}{}:
		return true
	default:
		return false
	}
}

// Unlock gives it free.
func (t CtxMutex) Unlock() { <-t }

// Bell wakes whoever receives from it. It is made by [NewBell].
type Bell chan struct{}

// NewBell makes one that has not rung.
func NewBell() Bell { return make(Bell, 1) }

// Ring wakes one receiver, or the next one that comes: of several rings before that it hears one.
func (b Bell) Ring() { CtxMutex(b).TryLock() }
