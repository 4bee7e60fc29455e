package connect

import (
	"testing"
	"time"
)

// Tasks share plugin instances, which are released when all tasks are idle for long.
func TestIdleTasksReleaseInstances(t *testing.T) {
	now := time.Unix(1_700_000_000, 0)
	var tracker idleTracker
	let := 0
	rest := func(task int, until time.Time, want int) (end func()) {
		t.Helper()
		let = 0
		end = tracker.setIdle(task, until, now, func() { let++ })
		if let != want {
			t.Errorf("idle task %d: expected %d releases of instances, found %d", task, want, let)
		}
		return end
	}
	never := time.Time{}
	later := now.Add(time.Minute)
	first := tracker.addTask()
	defer first()
	rest(0, later, 1)() // the only task
	second := tracker.addTask()
	end := rest(0, later, 0)
	wake := rest(1, never, 1)
	end()
	now = now.Add(30 * time.Second)
	end = rest(0, never, 1)
	wake()
	wake = rest(1, now.Add(6*time.Second), 1)
	end()
	now = now.Add(5 * time.Second)
	end = rest(0, never, 0) // the other task continues in a second
	wake()
	wake = rest(1, later.Add(time.Hour), 1)
	wake()
	second() // an ended task uses none
	end()
	rest(0, later.Add(time.Hour), 1)()
}
