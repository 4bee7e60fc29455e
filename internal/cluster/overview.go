package cluster

import (
	"cmp"
	"maps"
	"slices"
	"time"

	"github.com/culvert-project/culvert/internal/cluster/groupview"
)

// Overview returns the leader's view of the group. ok is false if this worker is not the leader.
func (w *Worker) Overview() (group groupview.Group, ok bool) {
	l := w.leader
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.generation == 0 {
		return group, false
	}
	group = groupview.Group{
		Group:      w.options.Group.Group,
		Generation: l.generation,
		Leader:     w.options.WorkerID,
		Members:    []groupview.Member{},
		Unplaced:   l.unplaced,
		Plugins:    w.pinnedVersions(),
		Waits:      maps.Clone(l.pendingVersions),
	}
	if group.Unplaced == nil {
		group.Unplaced = map[string]string{}
	}
	if group.Waits == nil {
		group.Waits = map[string]string{}
	}
	group.Problems = append(append([]string{}, l.groupProblems.members...), l.unreachable...)
	if l.blocked != "" {
		group.Problems = append(group.Problems, l.blocked)
	}
	for _, m := range l.members {
		member := groupview.Member{WorkerID: workerID(m.URL), URL: m.URL, Leaving: m.Leaving, Digest: m.Digest,
			Plugins: []groupview.Plugin{}}
		for _, p := range m.Plugins {
			member.Plugins = append(member.Plugins, groupview.Plugin{Name: p.Name, Version: p.Version, Hash: p.Hash})
		}
		member.Connectors, member.Tasks = countResources(l.targets[m.ID])
		group.Members = append(group.Members, member)
	}
	group.Former = l.former.list(time.Now(), group.Members)
	slices.SortFunc(group.Members, func(a, b groupview.Member) int { return cmp.Compare(a.WorkerID, b.WorkerID) })
	return group, true
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
