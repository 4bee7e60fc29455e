package connect

import "github.com/culvert-project/culvert/host/transport"

// MaxMeteredTasks is how many tasks have figures of their own; those of the worker count all.
const MaxMeteredTasks = 10_000

// Figures are what can be counted of a connector.
type Figures struct {
	Name    string        `json:"name"`
	State   State         `json:"state"`
	Type    string        `json:"type"`
	Tasks   []TaskFigures `json:"tasks"`
	Class   string        `json:"-"`
	Version string        `json:"-"`
	// Plans: this worker runs the connector itself, not tasks of it alone.
	Plans bool `json:"-"`
	// HTTP is what its client has done; nil before it has one.
	HTTP *transport.Counters `json:"-"`
}

// TaskFigures are those of one of its tasks, since the task was made.
type TaskFigures struct {
	Task     int    `json:"id"`
	State    State  `json:"state"`
	WorkerID string `json:"worker_id"`
	// Progress is nil where Error says why it is not known: another worker runs the task, and has not said.
	*Progress
	Error string `json:"error,omitempty"`
	// Running and Paused are how much of its time it was that, from 0 to 1.
	Running, Paused float64 `json:"-"`
}

// Figures are those of all connectors, by name.
func (h *Herder) Figures() []Figures {
	var list []Figures
	for _, k := range h.all() {
		list = append(list, k.observe().figures())
	}
	return list
}

// FiguresOf are those of one connector.
func (h *Herder) FiguresOf(name string) (Figures, error) { return of(h, name, (*view).figures) }

func (v *view) figures() Figures {
	s := v.answer()
	f := Figures{Name: v.name, Type: s.Type, Class: v.current.class.component.Name, Version: s.Connector.Version,
		State: v.state, Tasks: []TaskFigures{}, Plans: v.share.Whole || v.share.Plans}
	if v.client != nil {
		n := v.client.Counters()
		f.HTTP = &n
	}
	for i, t := range s.Tasks {
		running, paused := v.tasks[i].times.ratios()
		now := v.tasks[i].now()
		f.Tasks = append(f.Tasks, TaskFigures{Task: t.ID, State: t.State, WorkerID: t.WorkerID, Progress: &now,
			Running: running, Paused: paused})
	}
	return f
}
