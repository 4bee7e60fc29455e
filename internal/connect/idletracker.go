package connect

import (
	"time"

	"github.com/culvert-project/culvert/internal/guard"
	"github.com/culvert-project/culvert/internal/run/source"
)

// idleTracker records idle tasks of a source, to release plugin instances while all tasks wait for their next poll.
type idleTracker struct {
	mu        guard.Mutex
	running   int               // number of tasks that run, including idle ones
	idleUntil map[int]time.Time // by number of an idle task; the zero time means indefinitely
}

func (t *idleTracker) addTask() (end func()) {
	add := func(delta int) {
		t.mu.Lock()
		defer t.mu.Unlock()
		t.running += delta
	}
	add(1)
	return func() { add(-1) }
}

// setIdle marks a task as idle until end is called. If all tasks are idle for at least [source.MinIdleTime], it
// calls release; no task continues before that returns.
func (t *idleTracker) setIdle(task int, until, now time.Time, release func()) (end func()) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.idleUntil == nil {
		t.idleUntil = map[int]time.Time{}
	}
	t.idleUntil[task] = until
	areAllIdle := len(t.idleUntil) == t.running
	for _, nextPoll := range t.idleUntil {
		areAllIdle = areAllIdle && (nextPoll.IsZero() || !nextPoll.Before(now.Add(source.MinIdleTime)))
	}
	if areAllIdle {
		release()
	}
	return func() {
		t.mu.Lock()
		defer t.mu.Unlock()
		delete(t.idleUntil, task)
	}
}
