package task

import (
	"sync/atomic"

	"github.com/culvert-project/culvert/host/guard"
	"github.com/culvert-project/culvert/host/record"
)

// ObserveFunc is called with a batch before its transforms and must copy what it keeps. feed is "" for a sink.
type ObserveFunc func(task int, feed string, b *record.Batch)

// Observer passes batches to a function. Without one it costs an atomic load for each batch. The zero value and nil
// have none. It is safe for concurrent use.
type Observer struct{ observe atomic.Pointer[ObserveFunc] }

// Set sets the function. Nil removes it.
func (t *Observer) Set(look ObserveFunc) {
	if look == nil {
		t.observe.Store(nil)
		return
	}
	t.observe.Store(&look)
}

// Observe passes a batch to the function.
func (t *Observer) Observe(task int, feed string, b *record.Batch) {
	if t == nil {
		return
	}
	look := t.observe.Load()
	if look == nil || len(b.Rows) == 0 {
		return
	}
	defer guard.Recover(nil, "a look at rows before transforms", nil) // a panic does not stop the task
	(*look)(task, feed, b)
}
