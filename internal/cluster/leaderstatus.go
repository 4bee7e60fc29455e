package cluster

import (
	"net/url"
	"slices"

	"github.com/culvert-project/culvert/internal/connect"
)

// cleanStatuses deletes statuses of missing connectors and tasks, and marks resources that no member runs as
// unassigned. Worker and generation stay as they are: generations begin with 1 again if the brokers forget the group.
func (l *leader) cleanStatuses() {
	snapshot, ok := l.worker.options.Store.Snapshot()
	if !ok {
		return
	}
	l.mu.Lock()
	members := map[string]bool{} // by worker ID
	for _, m := range l.members {
		members[workerID(m.URL)] = true
	}
	generation := l.generation
	unplaced := l.unplaced
	l.mu.Unlock()
	if len(members) == 0 { // a static leader that has returned does not know the members yet
		return
	}
	for name, reason := range unplaced { // a connector that never ran has no status yet
		_, ok := snapshot.ConfigOffsets[name]
		if _, hasStatus := l.worker.options.Status.Connector(name); ok && !hasStatus {
			l.worker.options.Status.PutSafe(Status{Connector: name, Task: -1, State: connect.Unassigned, Trace: reason,
				WorkerID: l.worker.options.WorkerID, Generation: generation})
		}
	}
	for _, name := range l.worker.options.Status.Connectors() {
		if _, ok := snapshot.ConfigOffsets[name]; !ok {
			l.worker.options.Status.Delete(name)
			continue
		}
		statuses := l.worker.options.Status.Tasks(name)
		if set, ok := snapshot.Tasks[name]; ok {
			isMissing := func(s Status) bool { return s.Task >= len(set.Settings) }
			if slices.ContainsFunc(statuses, isMissing) {
				l.worker.options.Status.DeleteTasks(name, len(set.Settings))
				statuses = slices.DeleteFunc(statuses, isMissing)
			}
		}
		if connectorStatus, ok := l.worker.options.Status.Connector(name); ok {
			statuses = append(statuses, connectorStatus)
		}
		for _, status := range statuses {
			reason := ""
			if status.Task < 0 {
				reason = unplaced[name]
			}
			isCurrent := status.State == connect.Unassigned && (reason == "" || reason == status.Trace)
			runs := status.State != connect.Unassigned && members[status.WorkerID]
			if isCurrent || runs || l.worker.ownsStatus(status.Connector, status.Task) {
				continue
			}
			status.State = connect.Unassigned
			status.Trace = reason
			l.worker.options.Status.PutSafe(status)
		}
	}
}

func workerID(advertised string) string {
	u, err := url.Parse(advertised)
	if err != nil {
		return advertised
	}
	return u.Host
}
