package connect

import "time"

// stateClocks has the time that each task spent in its states. As in Kafka Connect, a pause keeps the clock of a task;
// a stop or restart resets it. The controller's lock guards it.
type stateClocks map[int]*stateClock

// stateClock is the clock of one task.
type stateClock struct {
	createdAt    time.Time
	countedUntil time.Time // running and paused include the time until then
	stateSince   time.Time
	state        State
	running      time.Duration
	paused       time.Duration
}

// advance adds the time since the last call to the state's total.
func (s *stateClock) advance(now time.Time) {
	switch elapsed := now.Sub(s.countedUntil); s.state {
	case Running:
		s.running += elapsed
	case Paused:
		s.paused += elapsed
	}
	s.countedUntil = now
}

func (s stateClocks) setState(number int, state State) {
	now := time.Now()
	clock := s[number]
	if clock == nil {
		clock = &stateClock{createdAt: now, countedUntil: now}
		s[number] = clock
	}
	clock.advance(now)
	if clock.state != state {
		clock.state = state
		clock.stateSince = now
	}
}

// ratios returns the shares of the task's lifetime, from 0 to 1. Both are 0 for the zero clock.
func (s stateClock) ratios() (running, paused float64) {
	now := time.Now()
	s.advance(now)
	lifetime := now.Sub(s.createdAt)
	if s.createdAt.IsZero() || lifetime <= 0 {
		return 0, 0
	}
	return float64(s.running) / float64(lifetime), float64(s.paused) / float64(lifetime)
}
