package connect

import (
	"testing"
	"testing/synctest"
	"time"
)

// A task that was running for six seconds of ten, and paused for three.
func TestTimesOfTasks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		all := times{}
		want := func(number int, running, paused float64) {
			t.Helper()
			var s stateTimes
			if all[number] != nil {
				s = *all[number]
			}
			if r, p := s.ratios(); r != running || p != paused {
				t.Errorf("task %d: expected %v running and %v paused, found %v and %v", number, running, paused, r, p)
			}
		}
		want(0, 0, 0)
		all.enter(0, Running)
		all.enter(1, Failed)
		want(0, 0, 0) // of no time
		time.Sleep(6 * time.Second)
		want(0, 1, 0)
		all.enter(0, Unassigned)
		time.Sleep(time.Second)
		all.pause()
		time.Sleep(3 * time.Second)
		want(0, 0.6, 0.3)
		want(1, 0, 0)  // a task that has failed is not paused
		delete(all, 0) // it was restarted
		all.enter(0, Running)
		time.Sleep(time.Second)
		want(0, 1, 0)
		want(1, 0, 0)
	})
}
