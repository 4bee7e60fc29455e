package connect

import (
	"testing"
	"time"

	"github.com/culvert-project/culvert/internal/base/assert"
)

// Tasks share plugin instances, which are released when all tasks are idle for a long time.
func TestIdleTasksReleaseInstances(t *testing.T) {
	now := time.Unix(1_700_000_000, 0)
	var tracker idleTracker
	releases := 0
	setIdle := func(task int, until time.Time, wantReleases int) (end func()) {
		t.Helper()
		releases = 0
		end = tracker.setIdle(task, until, now, func() { releases++ })
		assert.Equal(t, wantReleases, releases, "idle task", task, "releases of instances")
		return end
	}
	never := time.Time{}
	later := now.Add(time.Minute)
	endFirst := tracker.addTask()
	defer endFirst()
	setIdle(0, later, 1)() // the only task
	endSecond := tracker.addTask()
	wakeFirst := setIdle(0, later, 0)
	wakeSecond := setIdle(1, never, 1)
	wakeFirst()
	now = now.Add(30 * time.Second)
	wakeFirst = setIdle(0, never, 1)
	wakeSecond()
	wakeSecond = setIdle(1, now.Add(6*time.Second), 1)
	wakeFirst()
	now = now.Add(5 * time.Second)
	wakeFirst = setIdle(0, never, 0) // the other task continues in a second
	wakeSecond()
	wakeSecond = setIdle(1, later.Add(time.Hour), 1)
	wakeSecond()
	endSecond() // only the first task remains
	wakeFirst()
	setIdle(0, later.Add(time.Hour), 1)()
}
