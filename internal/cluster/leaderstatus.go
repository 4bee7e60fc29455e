package cluster

import (
	"net/url"

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
	generation, unplaced := l.generation, l.unplaced
	l.mu.Unlock()
	if len(members) == 0 { // a static leader that has returned does not know the members yet
		return
	}
	for name, why := range unplaced {
		_, there := snapshot.ConfigOffsets[name]
		if _, known := l.worker.options.Status.Connector(name); there && !known {
			l.worker.options.Status.PutSafe(Status{Connector: name, Task: -1, State: connect.Unassigned, Trace: why,
				WorkerID: l.worker.options.WorkerID, Generation: generation})
		}
	}
	for _, name := range l.worker.options.Status.Connectors() {
		if _, there := snapshot.ConfigOffsets[name]; !there {
			l.worker.options.Status.Delete(name)
			continue
		}
		all := l.worker.options.Status.Tasks(name)
		if set, there := snapshot.Tasks[name]; there && len(all) > len(set.Settings) {
			l.worker.options.Status.DeleteTasks(name, len(set.Settings))
			all = all[:len(set.Settings)]
		}
		if connectorStatus, ok := l.worker.options.Status.Connector(name); ok {
			all = append(all, connectorStatus)
		}
		for _, one := range all {
			why := ""
			if one.Task < 0 {
				why = unplaced[name]
			}
			switch {
			case one.State == connect.Unassigned && (why == "" || why == one.Trace):
			case one.State != connect.Unassigned && members[one.WorkerID], l.worker.ownsStatus(one.Connector, one.Task):
			default:
				one.State, one.Trace = connect.Unassigned, why
				l.worker.options.Status.PutSafe(one)
			}
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
