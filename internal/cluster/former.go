package cluster

import (
	"cmp"
	"maps"
	"slices"
	"time"

	"github.com/culvert-project/culvert/internal/cluster/groupview"
)

// formerMembers are members that leave, have left or were lost, by worker ID. The leader sends them with each
// assignment, so that its successor knows them.
type formerMembers map[string]groupview.FormerWorker

const (
	formerTime = time.Hour // how long a member is remembered after its tasks have moved
	maxFormer  = 50
)

// after returns the former members after a plan. previous are the members of the plan before.
func (f formerMembers) after(in Input, previous []Member, planned AssignorState) formerMembers {
	next := formerMembers{}
	add := func(m Member, isLeaving bool) {
		id := workerID(m.URL)
		if former, ok := next[id]; !ok || (isLeaving && !former.Left) { // else it keeps its time
			next[id] = groupview.FormerWorker{WorkerID: id, Name: m.Name, Since: in.Now, Left: isLeaving}
		}
	}
	maps.Copy(next, f)
	for _, m := range previous {
		add(m, false)
	}
	for _, m := range in.Members {
		if m.Leaving && !m.IsBehind {
			add(m, true)
			continue
		}
		maps.DeleteFunc(next, func(id string, former groupview.FormerWorker) bool {
			return id == workerID(m.URL) || former.Name == m.Name
		})
	}
	for id, former := range next {
		if former.Moves != nil && former.Moves.After(in.Now) { // unless its tasks still wait
			former.Moves = new(in.Now)
		}
		for _, history := range planned.members {
			if history.name == former.Name && !history.missingSince.IsZero() {
				_, former.Tasks = countResources(history.assigned)
				former.Moves = new(history.missingSince.Add(in.Delay))
			}
		}
		next[id] = former
	}
	maps.DeleteFunc(next, func(_ string, former groupview.FormerWorker) bool { return isExpired(former, in.Now) })
	ids := slices.SortedFunc(maps.Keys(next), func(a, b string) int { return next[b].Since.Compare(next[a].Since) })
	for _, id := range ids[min(len(ids), maxFormer):] {
		delete(next, id)
	}
	return next
}

func isExpired(former groupview.FormerWorker, now time.Time) bool {
	end := former.Since
	if former.Moves != nil {
		end = *former.Moves
	}
	return now.Sub(end) > formerTime
}

// list returns the former members at a time that are no members, sorted by ID, with their texts.
func (f formerMembers) list(now time.Time, members []groupview.Member) []groupview.FormerWorker {
	list := []groupview.FormerWorker{}
	for id, former := range f {
		isMember := slices.ContainsFunc(members, func(m groupview.Member) bool { return m.WorkerID == id })
		if !isMember && !isExpired(former, now) {
			former.Text = former.Describe(now)
			list = append(list, former)
		}
	}
	slices.SortFunc(list, func(a, b groupview.FormerWorker) int { return cmp.Compare(a.WorkerID, b.WorkerID) })
	return list
}
