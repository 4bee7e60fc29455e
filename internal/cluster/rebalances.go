package cluster

import (
	"math"
	"sync"
	"time"

	"github.com/culvert-project/culvert/internal/run/task"
)

// Rebalances are Kafka Connect's rebalance metrics (connect-worker-rebalance-metrics).
type Rebalances struct {
	Completed  int64
	InProgress bool
	// Duration summarizes recent rebalances, SinceLast is the time since the last, in milliseconds; +Inf if there was
	// none.
	Duration   task.Summary
	SinceLast  float64
	Generation int32
	Leader     string
	Protocol   string
}

// Rebalances returns the metrics of this worker. A nil Worker has seen no rebalance.
func (w *Worker) Rebalances() Rebalances {
	if w == nil || w.group.Load() == nil {
		return new(rebalanceTimer).snapshot()
	}
	r := w.group.Load().timer.snapshot()
	w.mu.Lock()
	defer w.mu.Unlock()
	r.Generation = w.generation
	if w.assigned {
		r.Leader = w.assignment.LeaderURL
		r.Protocol = culvertProtocol
	}
	return r
}

type rebalanceTimer struct {
	mu sync.Mutex
	// of the current and the last rebalance; zero means none
	startedAt time.Time
	endedAt   time.Time
	completed int64
	durations task.Window
}

func (r *rebalanceTimer) start() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.startedAt.IsZero() { // else the rebalance is repeated
		r.startedAt = time.Now()
	}
}

func (r *rebalanceTimer) stop() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.startedAt.IsZero() {
		return
	}
	r.endedAt = time.Now()
	r.durations.AddSince(r.endedAt, r.startedAt)
	r.completed++
	r.startedAt = time.Time{}
}

func (r *rebalanceTimer) snapshot() Rebalances {
	r.mu.Lock()
	defer r.mu.Unlock()
	at := time.Now()
	all := Rebalances{Completed: r.completed, InProgress: !r.startedAt.IsZero(), Duration: r.durations.Summary(at),
		SinceLast: math.Inf(1)}
	if !r.endedAt.IsZero() {
		all.SinceLast = float64(at.Sub(r.endedAt)) / float64(time.Millisecond)
	}
	return all
}
