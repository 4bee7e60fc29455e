package cluster

import (
	"encoding/json"
	"slices"
	"time"

	"github.com/culvert-project/culvert/internal/connect"
)

const republishInterval = time.Second

// republish rewrites statuses that others have overwritten, and marks all connectors: plugin versions change silently.
func (w *Worker) republish() {
	w.mu.Lock()
	defer w.mu.Unlock()
	for name, written := range w.published {
		w.dirty[name] = true
		for task, s := range written {
			stored := w.options.Status.status(statusKey{connector: name, task: task})
			hasNewOwner := stored.Generation > s.Generation && stored.State != connect.Unassigned
			isOverwritten := stored.WorkerID != s.WorkerID ||
				(stored.State == connect.Unassigned && s.State != connect.Unassigned)
			if isOverwritten && stored != (Status{}) && !hasNewOwner {
				w.options.Status.Put(s)
			}
		}
	}
}

// StatusChanged makes Run publish the statuses of a connector. It does not wait.
func (w *Worker) StatusChanged(connector string) {
	w.mu.Lock()
	w.dirty[connector] = true
	w.mu.Unlock()
	w.notify.Ring()
}

func (w *Worker) publishStatuses() {
	w.mu.Lock()
	dirty := w.dirty
	generation := w.generation
	w.dirty = map[string]bool{}
	w.mu.Unlock()
	ownerships := map[string][]connect.Ownership{}
	for _, h := range w.options.Herder.Owned() {
		ownerships[h.Connector] = append(ownerships[h.Connector], h)
	}
	for name := range dirty {
		statuses := w.statuses(name, ownerships[name], generation)
		w.mu.Lock()
		for task, s := range statuses {
			if w.published[name][task] != s {
				w.options.Status.Put(s)
			}
		}
		tasks := len(w.applied.Tasks[name].Settings)
		if _, ok := w.applied.ConfigOffsets[name]; !ok {
			tasks = -1 // less than the connector's number: it was deleted
		}
		for task, s := range w.published[name] { // the leader deletes the statuses of what no longer exists
			if _, ok := statuses[task]; !ok && task < tasks && s.State != connect.Unassigned {
				s.State = connect.Unassigned
				s.Trace = ""
				s.Extension = ""
				w.options.Status.PutSafe(s)
			}
		}
		w.published[name] = statuses
		if len(statuses) == 0 {
			delete(w.published, name)
		}
		w.mu.Unlock()
	}
}

// ownsStatus reports whether this worker has published the status, and so keeps it up to date.
func (w *Worker) ownsStatus(connector string, task int) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	_, ok := w.published[connector][task]
	return ok
}

// statuses returns the statuses of the owned resources of a connector, by task, -1 for the connector itself.
func (w *Worker) statuses(name string, ownerships []connect.Ownership, generation int32) map[int]Status {
	statuses := map[int]Status{}
	status, err := w.options.Herder.Status(name)
	if err != nil {
		return nil
	}
	add := func(task int, state connect.State, trace, version string, extension any) {
		encoded, err := json.Marshal(extension)
		if err != nil || string(encoded) == "{}" {
			encoded = nil
		}
		statuses[task] = Status{Connector: name, Task: task, State: state, Trace: trace, WorkerID: w.options.WorkerID,
			Generation: generation, Version: version, Extension: string(encoded)}
	}
	type statusExtension struct {
		Plugin      string   `json:"plugin,omitempty"`
		Plugins     []string `json:"plugins,omitempty"`
		Restarts    string   `json:"restarts,omitempty"`
		ConfigError string   `json:"config_error,omitempty"`
	}
	connectorExtension := statusExtension{Plugin: status.Connector.Plugin, Restarts: status.Connector.Restarts,
		ConfigError: status.Connector.ConfigError[:min(len(status.Connector.ConfigError), maxTraceBytes)]}
	for _, h := range ownerships {
		if h.Plans {
			add(-1, status.Connector.State, status.Connector.Trace, status.Connector.Version, connectorExtension)
		}
		for _, task := range h.Tasks { // Status also has tasks that this worker ran before
			pos := slices.IndexFunc(status.Tasks, func(t connect.TaskStatus) bool { return t.ID == task })
			works := pos >= 0 && status.Tasks[pos].State != connect.Unassigned &&
				status.Tasks[pos].State != connect.Failed
			switch {
			// The connector cannot start here, for example without a secret: newer than a failure of the task.
			case !works && status.Connector.State == connect.Failed:
				add(task, connect.Failed, status.Connector.Trace, status.Connector.Version,
					statusExtension{Restarts: connectorExtension.Restarts})
			case pos >= 0:
				t := status.Tasks[pos]
				add(task, t.State, t.Trace, t.Version, statusExtension{Plugin: t.Plugin, Plugins: t.Plugins,
					Restarts: t.Restarts})
			case status.Connector.State == connect.Paused: // the task has not run here
				add(task, connect.Paused, "", status.Connector.Version, statusExtension{})
			}
		}
	}
	return statuses
}
