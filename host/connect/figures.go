package connect

import "github.com/culvert-project/culvert/host/transport"

// MaxTasksWithMetrics is the maximum number of tasks with their own metrics.
const MaxTasksWithMetrics = 10_000

// Metrics are the metrics of a connector.
type Metrics struct {
	Name    string        `json:"name"`
	State   State         `json:"state"`
	Type    string        `json:"type"`
	Tasks   []TaskMetrics `json:"tasks"`
	Class   string        `json:"-"`
	Version string        `json:"-"`
	// OwnsConnector means that this worker runs the connector itself and not only tasks of it.
	OwnsConnector bool `json:"-"`
	// HTTP is nil before the connector has a client.
	HTTP *transport.Counters `json:"-"`
}

// TaskMetrics are the metrics of a task since it was created.
type TaskMetrics struct {
	Task     int    `json:"id"`
	State    State  `json:"state"`
	WorkerID string `json:"worker_id"`
	// Progress is nil if Error specifies why it is unknown.
	*Progress
	Error string `json:"error,omitempty"`
	// Running and Paused are shares of the task's lifetime, from 0 to 1.
	Running, Paused float64 `json:"-"`
}

// Metrics returns the metrics of all connectors, sorted by name.
func (h *Herder) Metrics() []Metrics {
	var list []Metrics
	for _, k := range h.all() {
		list = append(list, k.observe().metrics())
	}
	return list
}

// ConnectorMetrics returns the metrics of one connector.
func (h *Herder) ConnectorMetrics(name string) (Metrics, error) {
	return fromView(h, name, (*view).metrics)
}

func (v *view) metrics() Metrics {
	s := v.restStatus()
	f := Metrics{Name: v.name, Type: s.Type, Class: v.currentRun.class.component.Name, Version: s.Connector.Version,
		State: v.state, Tasks: []TaskMetrics{}, OwnsConnector: v.assignment.Standalone || v.assignment.OwnsConnector}
	if v.client != nil {
		n := v.client.Counters()
		f.HTTP = &n
	}
	for i, t := range s.Tasks {
		running, paused := v.tasks[i].clock.ratios()
		now := v.tasks[i].currentProgress()
		f.Tasks = append(f.Tasks, TaskMetrics{Task: t.ID, State: t.State, WorkerID: t.WorkerID, Progress: &now,
			Running: running, Paused: paused})
	}
	return f
}
