package connect

import (
	"time"

	"github.com/culvert-project/culvert/internal/guard"
	"github.com/culvert-project/culvert/internal/run/source"
)

// idleTracker knows which tasks of a source wait for their next poll, to release plugin instances while all of them do.
type idleTracker struct {
	mu guard.Mutex
	// running counts tasks. idleUntil has the idle ones; zero means indefinitely.
	running   int
	idleUntil map[int]time.Time
}

func (t *idleTracker) addTask() (end func()) {
	count := func(delta int) {
		t.mu.Lock()
		defer t.mu.Unlock()
		t.running += delta
	}
	count(1)
	return func() { count(-1) }
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
	allIdle := len(t.idleUntil) == t.running
	for _, due := range t.idleUntil {
		allIdle = allIdle && (due.IsZero() || !due.Before(now.Add(source.MinIdleTime)))
	}
	if allIdle {
		release()
	}
	return func() {
		t.mu.Lock()
		defer t.mu.Unlock()
		delete(t.idleUntil, task)
	}
}
