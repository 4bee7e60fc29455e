package cluster

import (
	"math"
	"sync"
	"time"

	"github.com/culvert-project/culvert/host/internal/run/task"
)

// Rebalances are Kafka Connect's figures of them (connect-worker-rebalance-metrics).
type Rebalances struct {
	// Completed counts the generations that have begun, since this worker was started. Running: the next one has not.
	Completed  int64
	InProgress bool
	// Duration is how long they took lately, and Since how long ago the last one ended, in milliseconds; +Inf: none
	// did.
	Duration  task.Summary
	SinceLast float64
	// Generation is that of the group, 0 before the first; Leader is the URL of its leader, and Protocol the name of
	// what its members agree on, "" while there is none.
	Generation       int32
	Leader, Protocol string
}

// Rebalances are those of this worker. A nil Worker has seen none.
func (w *Worker) Rebalances() Rebalances {
	if w == nil || w.group.Load() == nil {
		return new(laps).now()
	}
	r := w.group.Load().laps.now()
	w.mu.Lock()
	defer w.mu.Unlock()
	if r.Generation = w.generation; w.assigned {
		r.Leader, r.Protocol = w.assignment.LeaderURL, culvertProtocol
	}
	return r
}

// laps measures rebalances: each from when this member's metadata is given out to the generation that it is for. The
// zero value is ready.
type laps struct {
	mu          sync.Mutex
	began, over time.Time // of the one under way, and of the last one; zero: there is none
	completed   int64
	took        task.Window
}

func (r *laps) begins() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.began.IsZero() { // else it is one that is tried again
		r.began = time.Now()
	}
}

func (r *laps) ended() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.began.IsZero() {
		return
	}
	r.over = time.Now()
	r.took.AddSince(r.over, r.began)
	r.completed++
	r.began = time.Time{}
}

func (r *laps) now() Rebalances {
	r.mu.Lock()
	defer r.mu.Unlock()
	at := time.Now()
	all := Rebalances{Completed: r.completed, InProgress: !r.began.IsZero(), Duration: r.took.Summary(at),
		SinceLast: math.Inf(1)}
	if !r.over.IsZero() {
		all.SinceLast = float64(at.Sub(r.over)) / float64(time.Millisecond)
	}
	return all
}
