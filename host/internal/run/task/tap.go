package task

import (
	"sync/atomic"

	"github.com/culvert-project/culvert/host/guard"
	"github.com/culvert-project/culvert/host/record"
	"github.com/culvert-project/culvert/wit"
)

// Look is called with a batch of a task, or of one feed of it, before its transforms, and copies what it wants. What it
// returns is called with what the transforms made of the batch, or with the error by which they failed; nil: it wants
// nothing. A row that comes out has the position of the row that it was made of as its origin, and so have faults.
type Look func(task int, feed string, b *record.Batch) Looked

// Looked is the second half of a [Look].
type Looked func(b *record.Batch, faults []wit.RowFault, err error)

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
func (t *Tap) Before(task int, feed string, b *record.Batch) (looked Looked) {
	if t == nil {
		return nil
	}
	look := t.look.Load()
	if look == nil || len(b.Rows) == 0 {
		return nil
	}
	defer guard.Recover(nil, "a look at rows before transforms", nil) // the task goes on
	return (*look)(task, feed, b)
}

// After is called with the same batch after transforms.
func (s Looked) After(b *record.Batch, faults []wit.RowFault, err error) {
	if s != nil {
		defer guard.Recover(nil, "a look at rows after transforms", nil)
		s(b, faults, err)
	}
}
