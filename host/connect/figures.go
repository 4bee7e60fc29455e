package connect

import "github.com/culvert-project/culvert/host/transport"

// MaxTasksWithMetrics is how many tasks have figures of their own; those of the worker count all.
const MaxTasksWithMetrics = 10_000

// Metrics are what can be counted of a connector.
type Metrics struct {
	Name    string        `json:"name"`
	State   State         `json:"state"`
	Type    string        `json:"type"`
	Tasks   []TaskMetrics `json:"tasks"`
	Class   string        `json:"-"`
	Version string        `json:"-"`
	// OwnsConnector: this worker runs the connector itself, not tasks of it alone.
	OwnsConnector bool `json:"-"`
	// HTTP is what its client has done; nil before it has one.
	HTTP *transport.Counters `json:"-"`
}

// TaskMetrics are those of one of its tasks, since the task was made.
type TaskMetrics struct {
	Task     int    `json:"id"`
	State    State  `json:"state"`
	WorkerID string `json:"worker_id"`
	// Progress is nil where Error says why it is not known: another worker runs the task, and has not said.
	*Progress
	Error string `json:"error,omitempty"`
	// Running and Paused are how much of its time it was that, from 0 to 1.
	Running, Paused float64 `json:"-"`
}

// Metrics are those of all connectors, by name.
func (h *Herder) Metrics() []Metrics {
	var list []Metrics
	for _, k := range h.all() {
		list = append(list, k.observe().figures())
	}
	return list
}

// ConnectorMetrics are those of one connector.
func (h *Herder) ConnectorMetrics(name string) (Metrics, error) { return of(h, name, (*view).figures) }

func (v *view) figures() Metrics {
	s := v.answer()
	f := Metrics{Name: v.name, Type: s.Type, Class: v.current.class.component.Name, Version: s.Connector.Version,
		State: v.state, Tasks: []TaskMetrics{}, OwnsConnector: v.share.Standalone || v.share.OwnsConnector}
	if v.client != nil {
		n := v.client.Counters()
		f.HTTP = &n
	}
	for i, t := range s.Tasks {
		running, paused := v.tasks[i].times.ratios()
		now := v.tasks[i].now()
		f.Tasks = append(f.Tasks, TaskMetrics{Task: t.ID, State: t.State, WorkerID: t.WorkerID, Progress: &now,
			Running: running, Paused: paused})
	}
	return f
}
