package sink

import (
	"context"
	"errors"
	"slices"
	"testing"
	"testing/synctest"
	"time"
)

// A worker that was paused for longer than its session sends nothing before it knows that its records are still its
// own, and commits nothing of those that are not.
func TestNothingIsSentBeyondTheSession(t *testing.T) {
	for _, repeatable := range []bool{false, true} {
		// paused runs a task whose session is over when the first of three requests is answered.
		paused := func(t *testing.T, then func(x *world, ctx context.Context)) {
			synctest.Test(t, func(t *testing.T) {
				x := newWorld(&writer{repeatable: repeatable})
				x.o.Once, x.o.InFlight = false, 1
				x.group.put("t", 0, "a=1", "a=2", "a=3")
				x.service.answer = func(n int, _ string) (uint16, error) {
					if n == 1 {
						x.group.mu.Lock()
						defer x.group.mu.Unlock()
						x.group.away, x.group.refuse = errors.New("no answer"), errors.New("unknown member")
					}
					return 201, nil
				}
				ctx, cancel := context.WithCancel(t.Context())
				done := make(chan error)
				go func() { done <- NewTask(x.o).Run(ctx) }()
				time.Sleep(time.Minute)
				if found := x.service.seen(); !slices.Equal(found, []string{"a=1"}) {
					t.Errorf("repeatable %v: expected one request before the session was over, found %v", repeatable,
						found)
				}
				then(x, ctx)
				cancel()
				if err := <-done; err != nil {
					t.Error(err)
				}
			})
		}
		back := func(x *world) {
			x.group.mu.Lock()
			defer x.group.mu.Unlock()
			x.group.away, x.group.refuse = nil, nil
		}
		paused(t, func(x *world, _ context.Context) { // it was the network, and the group has waited
			back(x)
			time.Sleep(time.Minute)
			if found := x.service.seen(); !slices.Equal(found, []string{"a=1", "a=2", "a=3"}) || x.committed("t",
				0) != 3 {
				t.Errorf("repeatable %v: expected all records to be written, found %v, committed %d", repeatable, found,
					x.committed("t", 0))
			}
		})
		paused(t, func(x *world, _ context.Context) { // another one writes them
			x.group.lose(topicPartition{"t", 0})
			back(x)
			time.Sleep(time.Minute)
			if found := x.service.seen(); len(found) != 1 || x.committed("t", 0) != 0 {
				t.Errorf("repeatable %v: another member's records were written: %v, committed %d", repeatable, found,
					x.committed("t", 0))
			}
		})
		paused(t, func(*world, context.Context) {}) // a stop does not wait for the group
	}
}
