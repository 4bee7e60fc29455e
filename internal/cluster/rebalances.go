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
	Duration   task.Summary // of recent rebalances
	SinceLast  float64      // milliseconds since the end of the last rebalance; +Inf before the first
	Generation int32        // the generation of the last assignment
	Leader     string       // the leader's URL; "" while the worker has no assignment
	Protocol   string       // "" while the worker has no assignment
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
	mu        sync.Mutex
	startedAt time.Time // of the rebalance in progress; zero means that no rebalance is in progress
	endedAt   time.Time // of the last rebalance; zero before the first
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
	readAt := time.Now()
	metrics := Rebalances{Completed: r.completed, InProgress: !r.startedAt.IsZero(),
		Duration: r.durations.Summary(readAt), SinceLast: math.Inf(1)}
	if !r.endedAt.IsZero() {
		metrics.SinceLast = float64(readAt.Sub(r.endedAt)) / float64(time.Millisecond)
	}
	return metrics
}
