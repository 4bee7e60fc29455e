package cluster

import (
	"cmp"
	"maps"
	"slices"
	"time"

	"github.com/culvert-project/culvert/internal/rest"
)

// Overview implements [rest.Cluster]: the leader's view of the group. ok is false if this worker is not the leader.
func (w *Worker) Overview() (overview rest.Group, ok bool) {
	leader := w.leader
	leader.mu.Lock()
	defer leader.mu.Unlock()
	if leader.generation == 0 {
		return overview, false
	}
	overview = rest.Group{
		Group:      w.options.Group.Group,
		Generation: leader.generation,
		Leader:     w.options.WorkerID,
		Members:    []rest.GroupMember{},
		Unplaced:   leader.unplaced,
		Plugins:    w.pinnedVersions(),
		Waits:      maps.Clone(leader.pendingVersions),
	}
	if overview.Unplaced == nil {
		overview.Unplaced = map[string]string{}
	}
	if overview.Waits == nil {
		overview.Waits = map[string]string{}
	}
	overview.Problems = append(append([]string{}, leader.groupProblems.members...), leader.unreachable...)
	if leader.blocked != "" {
		overview.Problems = append(overview.Problems, leader.blocked)
	}
	for _, m := range leader.members {
		member := rest.GroupMember{WorkerID: workerID(m.URL), URL: m.URL, Leaving: m.Leaving, Digest: m.Digest,
			Plugins: []rest.GroupPlugin{}}
		for _, p := range m.Plugins {
			member.Plugins = append(member.Plugins, rest.GroupPlugin{Name: p.Name, Version: p.Version, Hash: p.Hash})
		}
		member.Connectors, member.Tasks = countResources(leader.targets[m.ID])
		overview.Members = append(overview.Members, member)
	}
	overview.Former = leader.former.list(time.Now(), overview.Members)
	slices.SortFunc(overview.Members, func(a, b rest.GroupMember) int { return cmp.Compare(a.WorkerID, b.WorkerID) })
	return overview, true
}

func countResources(sets []ResourceSet) (connectors, tasks int) {
	for _, set := range sets {
		for index := range set.Resources.All() {
			if index == connectorIndex {
				connectors++
			} else {
				tasks++
			}
		}
	}
	return connectors, tasks
}
