package cluster

import (
	"cmp"
	"maps"
	"slices"

	"github.com/culvert-project/culvert/internal/rest"
)

// Overview implements rest.Cluster.
func (w *Worker) Overview() (o rest.Group, ok bool) {
	l := w.leader
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.generation == 0 {
		return o, false
	}
	o = rest.Group{Group: w.options.Group.Group, Generation: l.generation, Leader: w.options.WorkerID,
		Members:  []rest.GroupMember{},
		Unplaced: l.unplaced, Plugins: w.pinnedVersions(), Waits: maps.Clone(l.pendingVersions)}
	if o.Unplaced == nil {
		o.Unplaced = map[string]string{}
	}
	if o.Waits == nil {
		o.Waits = map[string]string{}
	}
	if o.Problems = append(append([]string{}, l.groupProblems.members...), l.unreachable...); l.blocked != "" {
		o.Problems = append(o.Problems, l.blocked)
	}
	for _, m := range l.members {
		one := rest.GroupMember{WorkerID: workerID(m.URL), URL: m.URL, Leaving: m.Leaving, Digest: m.Digest,
			Plugins: []rest.GroupPlugin{}}
		for _, p := range m.Plugins {
			one.Plugins = append(one.Plugins, rest.GroupPlugin{Name: p.Name, Version: p.Version, Hash: p.Hash})
		}
		for _, t := range l.targets[m.ID] {
			for unit := range t.Resources.All() {
				if unit == 0 {
					one.Connectors++
				} else {
					one.Tasks++
				}
			}
		}
		o.Members = append(o.Members, one)
	}
	slices.SortFunc(o.Members, func(a, b rest.GroupMember) int { return cmp.Compare(a.WorkerID, b.WorkerID) })
	return o, true
}
