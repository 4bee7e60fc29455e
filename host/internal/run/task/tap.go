package task

import (
	"sync/atomic"

	"github.com/culvert-project/culvert/host/guard"
	"github.com/culvert-project/culvert/host/record"
)

// Look is called with a batch of a task, or of one feed of it, before its transforms, and copies what it wants.
type Look func(task int, feed string, b *record.Batch)

// Tap is where rows of a connector's tasks can be looked at. While nobody looks it costs one atomic load for each
// batch. The zero value, and nil, are looked at by nobody. Safe for use by several goroutines.
type Tap struct{ look atomic.Pointer[Look] }

// Set has rows looked at from now on; nil: no longer.
func (t *Tap) Set(look Look) {
	if look == nil {
		t.look.Store(nil)
		return
	}
	t.look.Store(&look)
}

// Before is called with a batch before transforms.
func (t *Tap) Before(task int, feed string, b *record.Batch) {
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
