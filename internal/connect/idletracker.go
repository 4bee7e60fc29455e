package connect

import (
	"time"

	"github.com/culvert-project/culvert/internal/guard"
	"github.com/culvert-project/culvert/internal/run/source"
)

type idleTracker struct {
	mu guard.Mutex
	// running counts tasks. idleUntil has the idle ones; zero means indefinitely.
	running   int
	idleUntil map[int]time.Time
}

func (s *idleTracker) addTask() (end func()) {
	count := func(delta int) {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.running += delta
	}
	count(1)
	return func() { count(-1) }
}

// setIdle marks a task as idle until end is called. If all tasks are idle for at least [source.MinIdleTime], it calls
// release; no task continues before that returns.
func (s *idleTracker) setIdle(task int, until, now time.Time, release func()) (end func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.idleUntil == nil {
		s.idleUntil = map[int]time.Time{}
	}
	s.idleUntil[task] = until
	all := len(s.idleUntil) == s.running
	for _, due := range s.idleUntil {
		all = all && (due.IsZero() || !due.Before(now.Add(source.MinIdleTime)))
	}
	if all {
		release()
	}
	return func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		delete(s.idleUntil, task)
	}
}
