package code

import (
	"runtime/debug"
	"sync/atomic"
	"time"
)

// returnDelay is how long after compiling or freeing code its memory is returned: once for all modules that are loaded
// or freed together, and not while a start waits for the processor.
const returnDelay = time.Second

// memoryReturner returns memory to the system that compiling used (200 MB for Go guests) or that freed code occupied,
// which the engine unmaps when the garbage collector runs. An idle worker would keep both for minutes. It is safe for
// concurrent use. The zero value is ready.
type memoryReturner struct{ scheduled atomic.Bool }

// schedule has memory returned after [returnDelay], once for all calls until then.
func (m *memoryReturner) schedule() {
	if !m.scheduled.Swap(true) {
		time.AfterFunc(returnDelay, m.returnMemory)
	}
}

func (m *memoryReturner) returnMemory() {
	m.scheduled.Store(false)
	debug.FreeOSMemory()
}
