package connect

import (
	"sync"
	"time"

	core "github.com/culvert-project/culvert/host/internal/run/task"
)

// startups are how many connectors and tasks of a worker have started, or could not.
type startups struct {
	connectors, tasks startup
}

type startup struct {
	mu       sync.Mutex
	outcomes core.Outcomes
}

// ended counts one, by whether it went well.
func (s *startup) ended(well bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.outcomes.Add(time.Now(), well)
}

// Startups are those of connectors, or of tasks.
type Startups struct {
	Succeeded, Failed int64
	// LastMinute are the shares of the last minute.
	LastMinute core.OutcomeRatios
}

func (s *startup) now() Startups {
	s.mu.Lock()
	defer s.mu.Unlock()
	return Startups{s.outcomes.Succeeded, s.outcomes.Failed, s.outcomes.Ratios(time.Now())}
}

// Startups of the worker's connectors and tasks since it began. One that is tried again counts again.
func (h *Herder) Startups() (connectors, tasks Startups) {
	return h.o.started.connectors.now(), h.o.started.tasks.now()
}

// times records how long each task of a connector was in which state, by the number of the task. As in Kafka Connect, a
// pause keeps the task and its times; a stop or a restart begins new ones. The controller's lock guards them.
type times map[int]*stateTimes

type stateTimes struct {
	began, since    time.Time
	entered         time.Time // when the state was entered
	state           State
	running, paused time.Duration
}

// until counts the time in the state up to now.
func (s *stateTimes) until(now time.Time) {
	switch spent := now.Sub(s.since); s.state {
	case Running:
		s.running += spent
	case Paused:
		s.paused += spent
	}
	s.since = now
}

// enter notes that a task has another state.
func (t times) enter(number int, state State) {
	now := time.Now()
	s := t[number]
	if s == nil {
		s = &stateTimes{began: now, since: now}
		t[number] = s
	}
	if s.until(now); s.state != state {
		s.state, s.entered = state, now
	}
}

// ratios returns the shares of its time that the task was running, and paused; 0 for a task that has not begun.
func (s stateTimes) ratios() (running, paused float64) {
	now := time.Now()
	s.until(now)
	all := now.Sub(s.began)
	if s.began.IsZero() || all <= 0 {
		return 0, 0
	}
	return float64(s.running) / float64(all), float64(s.paused) / float64(all)
}
