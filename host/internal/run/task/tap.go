package task

import (
	"sync/atomic"

	"github.com/culvert-project/culvert/host/guard"
	"github.com/culvert-project/culvert/host/record"
)

// ObserveFunc is called with a batch of a task, or of one feed of it, before its transforms, and copies what it wants.
type ObserveFunc func(task int, feed string, b *record.Batch)

// Observer is where rows of a connector's tasks can be looked at. While nobody looks it costs one atomic load for each
// batch. The zero value, and nil, are looked at by nobody. Safe for use by several goroutines.
type Observer struct{ look atomic.Pointer[ObserveFunc] }

// Set has rows looked at from now on; nil: no longer.
func (t *Observer) Set(look ObserveFunc) {
	if look == nil {
		t.look.Store(nil)
		return
	}
	t.look.Store(&look)
}

// Observe is called with a batch before transforms.
func (t *Observer) Observe(task int, feed string, b *record.Batch) {
	if t == nil {
		return
	}
	look := t.look.Load()
	if look == nil || len(b.Rows) == 0 {
		return
	}
	defer guard.Recover(nil, "a look at rows before transforms", nil) // the task goes on
	(*look)(task, feed, b)
}
