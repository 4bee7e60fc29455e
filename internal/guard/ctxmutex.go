package guard

import "context"

// CtxMutex is a mutex whose Lock can be canceled. Create it with [NewCtxMutex].
type CtxMutex chan struct{}

// NewCtxMutex returns an unlocked mutex.
func NewCtxMutex() CtxMutex { return make(CtxMutex, 1) }

// Lock locks the mutex, or returns the cause if ctx ends first.
func (c CtxMutex) Lock(ctx context.Context) error {
	select {
	case c <- struct{}{}:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// TryLock locks the mutex if it is free, and reports whether it did.
func (c CtxMutex) TryLock() bool {
	select {
	case c <- struct{}{}:
		return true
	default:
		return false
	}
}

// Yield unlocks the mutex and locks it again, after the goroutines that wait for it now.
func (c CtxMutex) Yield() {
	<-c // Go's runtime passes the free place to the goroutine that waits longest
	c <- struct{}{}
}

// Unlock unlocks the mutex.
func (c CtxMutex) Unlock() { <-c }

// Bell wakes a goroutine that receives from it. Create it with [NewBell].
type Bell chan struct{}

// NewBell returns a bell that has not rung.
func NewBell() Bell { return make(Bell, 1) }

// Ring wakes one receiver, now or at its next receive. It does not block; a bell that has rung already rings once.
func (b Bell) Ring() {
	select {
	case b <- struct{}{}:
	default: // it has rung already
	}
}
