package sink

import (
	"errors"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/culvert-project/culvert/host/internal/base/assert"
	"github.com/culvert-project/culvert/host/internal/base/require"
	"github.com/culvert-project/culvert/host/internal/run/runtest"
)

// A worker that was paused for longer than its session sends nothing before it knows that its records are still its
// own, and commits nothing of those that are not.
func TestNothingIsSentBeyondTheSession(t *testing.T) {
	for _, repeatable := range []bool{false, true} {
		// paused runs a task whose session is over when the first of three requests is answered.
		paused := func(t *testing.T, then func(x *world)) {
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
				stop := runtest.Start(t, NewTask(x.o).Run)
				time.Sleep(time.Minute)
				assert.Equal(t, []string{"a=1"}, x.service.seen(), "repeatable", repeatable)
				then(x)
				require.NoError(t, stop())
			})
		}
		back := func(x *world) {
			x.group.mu.Lock()
			defer x.group.mu.Unlock()
			x.group.away, x.group.refuse = nil, nil
		}
		paused(t, func(x *world) { // it was the network, and the group has waited
			back(x)
			time.Sleep(time.Minute)
			if found := x.service.seen(); !slices.Equal(found, []string{"a=1", "a=2", "a=3"}) || x.committed("t",
				0) != 3 {
				t.Errorf("repeatable %v: expected all records to be written, found %v, committed %d", repeatable, found,
					x.committed("t", 0))
			}
		})
		paused(t, func(x *world) { // another one writes them
			x.group.lose(topicPartition{"t", 0})
			back(x)
			time.Sleep(time.Minute)
			if found := x.service.seen(); len(found) != 1 || x.committed("t", 0) != 0 {
				t.Errorf("repeatable %v: another member's records were written: %v, committed %d", repeatable, found,
					x.committed("t", 0))
			}
		})
		paused(t, func(*world) {}) // a stop does not wait for the group
	}
}
