package guard

import (
	"sync"
	"sync/atomic"
	"time"
	"weak"
)

// Mutex guards state of several tasks. A panic while it is held ends the process: at once if Unlock is deferred,
// otherwise after stuckAfter. The zero value is unlocked.
type Mutex struct {
	mu          sync.Mutex
	transitions atomic.Uint64 // counts calls of Lock and Unlock: odd while the mutex is locked
	isListed    atomic.Bool   // it is in locks
}

// Lock locks m.
func (m *Mutex) Lock() {
	if !m.isListed.Load() && !m.isListed.Swap(true) {
		locks.Store(weak.Make(m), struct{}{})
	}
	m.mu.Lock()
	m.transitions.Add(1)
}

// Unlock unlocks m. If it is deferred and the function has panicked, it ends the process.
func (m *Mutex) Unlock() {
	if value := recover(); value != nil {
		exitAfterPanic("code that holds a lock of several tasks", value)
	}
	m.transitions.Add(1)
	m.mu.Unlock()
}

// RWMutex is a [Mutex] with shared read locks. Its Unlock and RUnlock must be deferred, because it is not in locks.
type RWMutex struct{ sync.RWMutex }

// Unlock unlocks m.
func (m *RWMutex) Unlock() {
	if value := recover(); value != nil {
		exitAfterPanic("code that holds a lock of several tasks", value)
	}
	m.RWMutex.Unlock()
}

// RUnlock undoes one RLock.
func (m *RWMutex) RUnlock() {
	if value := recover(); value != nil {
		exitAfterPanic("code that holds a lock of several tasks", value)
	}
	m.RWMutex.RUnlock()
}

// locks contains each Mutex that was ever locked, as a weak.Pointer[Mutex].
var locks sync.Map

// stuckAfter is how long a lock may be held after a panic elsewhere.
const stuckAfter = 10 * time.Second

// exitIfLocksStuck ends the process if a lock that is held now is still held by the same owner after stuckAfter.
func exitIfLocksStuck() {
	held := map[*Mutex]uint64{} // transitions of the locked ones
	locks.Range(func(key, _ any) bool {
		if m := key.(weak.Pointer[Mutex]).Value(); m == nil {
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
				exitAfterPanic("code that never released a lock of several tasks", "see the log")
			}
		}
	})
}
