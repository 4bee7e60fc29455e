package guard

import (
	"sync"
	"sync/atomic"
	"time"
	"weak"
)

// Mutex is a lock of state that several tasks share. A panic in code that holds it ends the process.
//
// Where its Unlock is deferred the panic is seen at once. Where it is not, the lock stays held, and those who wait for
// it would wait for ever: a lock that stays held after a panic that [Recover] has seen ends the process too.
type Mutex struct {
	mu sync.Mutex
	// transitions counts how often it was held, and is odd while it is.
	transitions atomic.Uint64
	registered  atomic.Bool
}

// Lock waits for the lock.
func (m *Mutex) Lock() {
	if !m.registered.Load() && !m.registered.Swap(true) {
		locks.Store(weak.Make(m), struct{}{})
	}
	m.mu.Lock()
	m.transitions.Add(1)
}

// Unlock gives it free.
func (m *Mutex) Unlock() {
	if value := recover(); value != nil {
		exitAfterPanic("code that holds a lock which several tasks use", value)
	}
	m.transitions.Add(1)
	m.mu.Unlock()
}

// RWMutex is a [Mutex] that several may read under at once. Code under it holds it for a moment only: all of it defers
// the unlocking.
type RWMutex struct{ sync.RWMutex }

// Unlock gives it free.
func (m *RWMutex) Unlock() {
	if value := recover(); value != nil {
		exitAfterPanic("code that holds a lock which several tasks use", value)
	}
	m.RWMutex.Unlock()
}

// RUnlock gives free what was read.
func (m *RWMutex) RUnlock() {
	if value := recover(); value != nil {
		exitAfterPanic("code that holds a lock which several tasks use", value)
	}
	m.RWMutex.RUnlock()
}

// locks are all that were ever held, as weak pointers.
var locks sync.Map

// stuckAfter is for how long a lock is held at most; nobody waits for anything under one.
const stuckAfter = 10 * time.Second

// exitIfLocksStuck ends the process if a lock that is held now is still held, by the same, after a while.
func exitIfLocksStuck() {
	held := map[*Mutex]uint64{}
	locks.Range(func(key, _ any) bool {
		m := key.(weak.Pointer[Mutex]).Value()
		if m == nil {
			locks.Delete(key)
		} else if n := m.transitions.Load(); n%2 == 1 {
			held[m] = n
		}
		return true
	})
	if len(held) == 0 {
		return
	}
	time.AfterFunc(stuckAfter, func() {
		for m, n := range held {
			if m.transitions.Load() == n {
				exitAfterPanic("code that held a lock which several tasks use and never gave it free", "see the log")
			}
		}
	})
}
