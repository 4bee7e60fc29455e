package cluster

import (
	"cmp"
	"fmt"
	"iter"
	"maps"
	"math"
	"slices"
	"time"

	"github.com/culvert-project/culvert/internal/resolved"
	"github.com/culvert-project/culvert/internal/transport/limits"
)

// defaultRequests is the number of concurrent requests to an origin if none of its connectors sets a limit.
const defaultRequests = 4

// Input is what [Assign] plans with.
type Input struct {
	Now        time.Time     // has a monotonic reading: setting the clock must not end or extend a delay
	Delay      time.Duration // scheduled.rebalance.max.delay.ms: how long resources of a lost member wait for it
	Members    []Member
	Connectors []Connector
	// State is empty for a new leader, and for one whose last plan was not the group's last generation (as in Kafka
	// Connect).
	State AssignorState
}

// Member is a member of the group with the metadata of its join.
type Member struct {
	ID string
	Metadata
}

// Connector is a connector with what its tasks require.
type Connector struct {
	Name      string
	Key       Key    // hash of the name
	Class     string // for messages
	Missing   string // for messages: what it needs that no member has
	Created   int64  // offset of its record: of two connectors with a common claim the earlier one runs
	Version   int64  // of its task configs, see ResourceSet; 0 means that they are not planned
	Tasks     int    // number of tasks of that version; 0 if the connector is stopped
	Claims    []string
	Origin    string  // the service that its tasks send requests to; "" means that they send no requests
	Requests  int     // concurrent requests that the origin accepts; 0 means defaultRequests
	PerSecond float64 // requests per second that the origin accepts; 0 means no limit
	Eligible  []bool  // by index of Input.Members: the member has the plugins; nil means all
}

// AssignorState is passed from one plan to the next. The zero value is the state before the first plan.
type AssignorState struct {
	members  []memberHistory
	versions map[versionKey]Connector // existing versions, and versions that members owned
}

// memberHistory is a member, or a lost member, in the previous plan.
type memberHistory struct {
	id           string
	name         string
	missingSince time.Time     // when it was first missing; zero while it is a member
	assigned     []ResourceSet // its target
	deferred     []ResourceSet // what it gets once other members have released it
}

type versionKey struct {
	connector Key
	version   int64
}

// Output is a plan.
type Output struct {
	Targets           map[string][]ResourceSet           // by member ID: all that it must run
	Origins           map[string]map[Key]limits.Division // by member ID, see [Assignment.Origins]
	Unplaced          map[string]string                  // by connector: why it or its tasks are not assigned
	Next              time.Time                          // when to plan again; zero means with the next change
	RejoinAfterRevoke bool                               // see [Assignment.RejoinAfterRevoke]
	State             AssignorState                      // for the next plan
}

// Assign plans which connectors and tasks (resources) each member of the group runs. The plan depends on its input
// alone, which is not changed. Rules:
//
//   - A resource is assigned when no other member owns it, a task only when no other member owns a task of another
//     version of the connector, or of a connector with a common claim. An unknown version has all claims. So a move
//     takes two plans: the first revokes, the next assigns.
//   - Resources stay where they are. No eligible member has two connectors more than another, nor two tasks. Resources
//     that do not run move first, then resources whose connector has several tasks on the member.
//   - Of two members that own a resource, the one with the newer generation keeps it; with equal generations neither
//     does.
//   - Resources of a lost member wait for it, and nothing moves for balance in the meantime. Members are known by
//     name.
//   - The tasks of an origin are on no more members than it accepts concurrent requests, because members divide its
//     limits by their number (RATIONALE.md P16). A member that must release its last tasks counts until it has; one
//     with tasks of an unknown version counts for all origins.
func Assign(in Input) Output {
	p := newPlan(in)
	p.restorePrevious()
	p.assignUnowned()
	p.rebalance(onlyIdle)
	if !slices.ContainsFunc(p.resources, func(r placement) bool { return r.owner == delayed }) {
		p.rebalance(allResources)
	}
	p.buildOutput()
	return p.out
}

// plan is a plan in progress. assigned, tasks and the counts of origins follow from resources, so only move changes
// them.
type plan struct {
	in              *Input
	out             Output
	connectors      []Connector  // in order of creation
	index           map[Key]int  // of connectors, by hash
	resources       []placement  // in order of connectors and index
	first           []int        // by connector: its first resource; one more for the end
	assigned        [2][][]int   // resources (connectors, tasks) by member
	tasks           [][]int      // number of tasks by connector and member
	owned           [][]ownedSet // by connector
	claims          map[string][]ownedSet
	unknownVersions []int // members with tasks of a version that State does not have
	origins         []origin
	originOf        []int // by connector; -1 for none
}

// placement is a resource with its owner: a connector (index 0) or one of its tasks (task number plus 1).
type placement struct {
	connector int // index in plan.connectors
	index     int
	owner     int  // index of the member that shall run it, or unassigned, or delayed
	running   bool // the owner already runs it
}

const (
	unassigned = -1
	delayed    = -2 // waits for a lost member
)

type ownedSet struct {
	member int
	ResourceSet
}

type origin struct {
	key         Key
	maxRequests int     // concurrent requests that it accepts
	perSecond   float64 // requests; 0 means no limit
	tasks       []int   // number of tasks by member
	memberCount int     // with tasks
	isUser      []bool  // by member: it runs tasks, or will
	userCount   int     // number of users, including members with unknown tasks
}

// admit makes a member a user of the origin if the origin accepts another one. It reports whether the member is a user.
func (o *origin) admit(m int) bool {
	if !o.isUser[m] && o.userCount < o.maxRequests {
		o.isUser[m] = true
		o.userCount++
	}
	return o.isUser[m]
}

func newPlan(in Input) *plan {
	p := &plan{in: &in, index: map[Key]int{}, claims: map[string][]ownedSet{}}
	p.out = Output{Targets: map[string][]ResourceSet{}, Origins: map[string]map[Key]limits.Division{},
		Unplaced: map[string]string{}}
	p.connectors = slices.SortedFunc(slices.Values(in.Connectors), func(a, b Connector) int {
		return cmp.Or(cmp.Compare(a.Created, b.Created), cmp.Compare(a.Name, b.Name))
	})
	claimed := map[string]string{}
	for i, c := range p.connectors {
		p.first = append(p.first, len(p.resources))
		p.tasks = append(p.tasks, make([]int, len(in.Members)))
		p.originOf = append(p.originOf, p.addOrigin(&c))
		for index := range p.resourceCount(i, claimed) {
			p.resources = append(p.resources, placement{connector: i, index: index, owner: unassigned})
		}
	}
	p.first = append(p.first, len(p.resources))
	for o := range p.origins {
		p.origins[o].maxRequests = cmp.Or(p.origins[o].maxRequests, defaultRequests)
	}
	p.assigned = [2][][]int{make([][]int, len(in.Members)), make([][]int, len(in.Members))}
	p.owned = make([][]ownedSet, len(p.connectors))
	for m := range in.Members {
		for _, set := range in.Members[m].Owned {
			if i, ok := p.index[set.Connector]; ok {
				p.owned[i] = append(p.owned[i], ownedSet{m, set})
			}
		}
	}
	return p
}

// resourceCount returns the number of a connector's resources that can be assigned, and records why others cannot.
// claimed has the connector of each claim so far.
func (p *plan) resourceCount(i int, claimed map[string]string) (count int) {
	connector := &p.connectors[i]
	unplaced := func(format string, args ...any) { p.out.Unplaced[connector.Name] = fmt.Sprintf(format, args...) }
	if other, ok := p.index[connector.Key]; ok {
		unplaced("expected a name whose hash differs from that of connector %s, found %016x", p.connectors[other].Name,
			connector.Key)
		return 0
	}
	p.index[connector.Key] = i
	isEligible := false
	for m := range p.in.Members {
		isEligible = isEligible || p.isEligible(i, m)
	}
	if !isEligible {
		missing := ""
		if connector.Missing != "" { // else only leaving members have it
			missing = " (" + connector.Missing + ")"
		}
		unplaced("expected a worker with the plugins of class %s%s, found none among %d", connector.Class, missing,
			len(p.in.Members))
		return 0
	}
	if connector.Tasks > maxTask {
		unplaced("expected at most %d tasks, found %d", maxTask, connector.Tasks)
		return 1
	}
	for _, claim := range connector.Claims {
		if first := claimed[claim]; first != "" {
			unplaced("%v", resolved.ClaimConflict(claim, first, connector.Name))
			return 1
		}
	}
	for _, claim := range connector.Claims {
		claimed[claim] = connector.Name
	}
	if connector.Version == 0 {
		return 1
	}
	return 1 + connector.Tasks
}

// addOrigin returns the index of the connector's origin, which it adds if it is new, or -1 for no origin. The lowest
// limits of all connectors count.
func (p *plan) addOrigin(connector *Connector) int {
	if connector.Origin == "" {
		return -1
	}
	key := KeyOf(connector.Origin)
	n := len(p.in.Members)
	i := slices.IndexFunc(p.origins, func(o origin) bool { return o.key == key })
	if i < 0 {
		i = len(p.origins)
		p.origins = append(p.origins, origin{key: key, tasks: make([]int, n), isUser: make([]bool, n)})
	}
	o := &p.origins[i]
	o.maxRequests = limits.Least(o.maxRequests, connector.Requests)
	o.perSecond = limits.Least(o.perSecond, connector.PerSecond)
	return i
}

func (p *plan) resourcesIn(sets ...ResourceSet) iter.Seq[int] {
	return func(yield func(int) bool) {
		for _, set := range sets {
			i, ok := p.index[set.Connector]
			for index := range set.Resources.All() {
				if !ok || p.first[i]+index >= p.first[i+1] {
					break
				}
				if !yield(p.first[i] + index) {
					return
				}
			}
		}
	}
}

// kind returns the index of the resource's kind in plan.assigned: 0 for a connector, 1 for a task.
func (p *placement) kind() int { return min(p.index, 1) }

// originOfTask returns the origin of a task, nil for a connector or a task without an origin.
func (p *plan) originOfTask(resource *placement) *origin {
	if i := p.originOf[resource.connector]; i >= 0 && resource.index > 0 {
		return &p.origins[i]
	}
	return nil
}

func (p *plan) isEligible(connector, m int) bool {
	eligible := p.connectors[connector].Eligible
	return !p.in.Members[m].Leaving && (eligible == nil || eligible[m])
}

// canMove reports whether a member may get a resource: it has the plugins, and the members with tasks of the origin
// stay within the number of requests that the origin accepts.
func (p *plan) canMove(resource *placement, member int) bool {
	o := p.originOfTask(resource)
	switch {
	case !p.isEligible(resource.connector, member):
		return false
	case o == nil:
		return true
	}
	isLastOfOwner := resource.owner >= 0 && o.tasks[resource.owner] == 1
	return o.tasks[member] > 0 || o.memberCount < o.maxRequests || isLastOfOwner
}

// move changes the owner of a resource, and all counts that follow from it.
func (p *plan) move(i, newOwner int) {
	resource := &p.resources[i]
	addTasks := func(m, delta int) {
		if resource.index == 0 { // a connector
			return
		}
		p.tasks[resource.connector][m] += delta
		if o := p.originOfTask(resource); o != nil {
			hadTasks := o.tasks[m] > 0
			if o.tasks[m] += delta; hadTasks != (o.tasks[m] > 0) {
				o.memberCount += delta
			}
		}
	}
	if resource.owner >= 0 {
		assigned := &p.assigned[resource.kind()][resource.owner]
		pos := slices.Index(*assigned, i)
		*assigned = slices.Delete(*assigned, pos, pos+1)
		addTasks(resource.owner, -1)
	}
	if newOwner >= 0 {
		p.assigned[resource.kind()][newOwner] = append(p.assigned[resource.kind()][newOwner], i)
		addTasks(newOwner, 1)
	}
	resource.owner = newOwner
	resource.running = false
}

// restorePrevious gives resources to the members that own them, or that the previous plan intended.
func (p *plan) restorePrevious() {
	ids := map[string]int{}
	names := map[string]int{}
	for m, member := range p.in.Members {
		if ids[member.ID] = m; !member.Leaving && member.Name != "" {
			names[member.Name] = m
		}
	}
	intended := make([]int, len(p.resources))
	isOwned := make([]bool, len(p.resources))
	isKnown := make([]bool, len(p.in.Members))
	for i := range intended {
		intended[i] = unassigned
	}
	// Where resources were to run: by the previous plan, else by what members report, else by lost members.
	var lost []memberHistory
	for _, history := range p.in.State.members {
		m, ok := ids[history.id]
		switch {
		case !history.missingSince.IsZero():
			lost = append(lost, history)
		case !ok:
			history.missingSince = p.in.Now
			lost = append(lost, history)
		default:
			isKnown[m] = true
			for i := range p.resourcesIn(append(slices.Clone(history.assigned), history.deferred...)...) {
				intended[i] = m
			}
		}
	}
	for _, sets := range p.owned {
		for _, set := range sets {
			for i := range p.resourcesIn(set.ResourceSet) {
				if isOwned[i] = true; intended[i] == unassigned {
					intended[i] = set.member
				}
			}
		}
	}
	for _, history := range lost {
		p.delayLostMember(history, names, intended, isOwned)
	}
	for i := range p.resources { // a known member keeps only what is intended for it, others all they own
		if m := p.currentOwner(&p.resources[i]); m >= 0 && (!isKnown[m] || intended[i] == m) &&
			p.canMove(&p.resources[i], m) {
			p.move(i, m)
			p.resources[i].running = true
		}
	}
	for i, m := range intended {
		if p.resources[i].owner == unassigned && m >= 0 && p.canMove(&p.resources[i], m) {
			p.move(i, m)
		}
	}
}

// delayLostMember lets the resources of a lost member wait, unless a member with its name has joined.
func (p *plan) delayLostMember(history memberHistory, names map[string]int, intended []int, isOwned []bool) {
	returned, hasReturned := names[history.name]
	until := history.missingSince.Add(p.in.Delay)
	var delayedResources []ResourceSet
	for i := range p.resourcesIn(history.assigned...) {
		resource := &p.resources[i]
		if isOwned[i] {
			continue
		}
		isOwned[i] = true
		switch {
		case hasReturned:
			intended[i] = returned
		case p.in.Now.Before(until):
			resource.owner = delayed
			// An earlier delay remains.
			if p.out.Next.IsZero() || until.Before(p.out.Next) {
				p.out.Next = until
			}
		}
		delayedResources = appendResource(delayedResources, &p.connectors[resource.connector], resource.index)
	}
	if len(delayedResources) > 0 && p.in.Now.Before(until) {
		p.out.State.members = append(p.out.State.members,
			memberHistory{name: history.name, missingSince: history.missingSince, assigned: delayedResources})
	}
}

// appendResource adds a resource to the last set of the list if that is of the same connector, else to a new one.
func appendResource(list []ResourceSet, c *Connector, index int) []ResourceSet {
	if last := len(list) - 1; last < 0 || list[last].Connector != c.Key {
		list = append(list, ResourceSet{Connector: c.Key, Version: c.Version})
	}
	list[len(list)-1].Resources.Add(index)
	return list
}

// currentOwner returns the member that owns a resource, see [Assign], or unassigned.
func (p *plan) currentOwner(resource *placement) int {
	best := unassigned
	newest := int32(math.MinInt32)
	for _, owned := range p.owned[resource.connector] {
		generation := p.in.Members[owned.member].Generation
		isCurrent := resource.index == 0 || owned.Version == p.connectors[resource.connector].Version
		if !isCurrent || !owned.Resources.Has(resource.index) || owned.member == best {
			continue
		}
		switch {
		case generation > newest:
			best = owned.member
			newest = generation
		case generation == newest:
			best = unassigned
		}
	}
	return best
}

// assignUnowned assigns each resource without an owner to the member with the fewest connectors or tasks.
func (p *plan) assignUnowned() {
	for i := range p.resources {
		resource := &p.resources[i]
		if resource.owner != unassigned {
			continue
		}
		best := unassigned
		assigned := p.assigned[resource.kind()]
		tasks := p.tasks[resource.connector]
		for m := range assigned {
			if p.canMove(resource, m) && (best < 0 || cmp.Or(cmp.Compare(len(assigned[m]), len(assigned[best])),
				cmp.Compare(tasks[m], tasks[best])) < 0) {
				best = m
			}
		}
		p.move(i, best)
		if best < 0 {
			c := &p.connectors[resource.connector]
			p.out.Unplaced[c.Name] = fmt.Sprintf(
				"expected the plugins of class %s on one of the %d workers that may send requests to %s at a time, "+
					"found them only on others", c.Class, p.originOfTask(resource).maxRequests, c.Origin)
		}
	}
}

// movable selects which resources rebalance may move.
type movable bool

const (
	onlyIdle     movable = false // resources that do not run yet
	allResources movable = true
)

// rebalance moves resources until no move makes the numbers of connectors, or of tasks, more equal.
func (p *plan) rebalance(which movable) {
	for kind, assigned := range p.assigned {
		for moved := true; moved; {
			moved = false
			members := make([]int, len(assigned))
			for m := range members {
				members[m] = m
			}
			slices.SortStableFunc(members, func(a, b int) int {
				return cmp.Compare(len(assigned[b]), len(assigned[a]))
			})
			for _, from := range members {
				moves, target := p.pickMoves(kind, from, which)
				for _, i := range moves {
					p.move(i, target)
				}
				if moved = len(moves) > 0; moved {
					break // the members must be sorted again
				}
			}
		}
	}
}

// pickMoves returns what to move from a member, and to which: one resource, or all tasks of an origin that may have no
// further members. A resource that does not run is preferred, then one whose connector has more tasks on from than on
// target. It moves nothing.
func (p *plan) pickMoves(kind, from int, which movable) (moves []int, target int) {
	load := func(m int) int { return len(p.assigned[kind][m]) }
	var others []int
	for m := range p.in.Members {
		if load(m)+1 < load(from) {
			others = append(others, m)
		}
	}
	slices.SortStableFunc(others, func(a, b int) int { return cmp.Compare(load(a), load(b)) })
	for _, target := range others {
		best := unassigned
		least := math.MaxInt
		for _, i := range p.assigned[kind][from] {
			resource := &p.resources[i]
			cost := 0
			if kind > 0 { // a task
				cost = p.tasks[resource.connector][target] - p.tasks[resource.connector][from]
			}
			if resource.running {
				cost += 4 * maxTask // more than any difference of task numbers
			}
			if (which == allResources || !resource.running) && cost < least && p.canMove(resource, target) {
				best = i
				least = cost
			}
		}
		if best >= 0 {
			return []int{best}, target
		}
	}
	if kind == 0 { // connectors send no requests
		return nil, unassigned
	}
	for o := range p.origins {
		for _, target := range others {
			tasks := p.origins[o].tasks
			// In the first two cases single tasks were tried above; in the third the numbers would become no more
			// equal.
			if tasks[from] < 2 || tasks[target] > 0 || load(target)+tasks[from] >= load(from) {
				continue
			}
			var candidates []int
			for _, i := range p.assigned[kind][from] {
				if p.originOf[p.resources[i].connector] == o {
					candidates = append(candidates, i)
				}
			}
			if !slices.ContainsFunc(candidates, func(i int) bool {
				return (which == onlyIdle && p.resources[i].running) || !p.isEligible(p.resources[i].connector, target)
			}) {
				return candidates, target
			}
		}
	}
	return nil, unassigned
}

func (p *plan) buildOutput() {
	p.collectOwned()
	n := len(p.in.Members)
	assigned := make([][]ResourceSet, n)
	deferred := make([][]ResourceSet, n)
	for i := range p.resources {
		resource := &p.resources[i]
		lists := assigned
		switch {
		case resource.owner < 0:
			continue
		case resource.running: // it stays where it is
		case p.isBlocked(resource), p.originOfTask(resource) != nil && !p.originOfTask(resource).admit(resource.owner):
			p.out.RejoinAfterRevoke = true // the next plan assigns it
			lists = deferred
		}
		lists[resource.owner] = appendResource(lists[resource.owner], &p.connectors[resource.connector], resource.index)
	}
	for member := range p.in.Members {
		id := p.in.Members[member].ID
		origins := map[Key]limits.Division{}
		for _, o := range p.origins {
			if o.isUser[member] {
				origins[o.key] = limits.Division{Workers: o.userCount, Requests: o.maxRequests, PerSecond: o.perSecond}
				releasesLast := o.tasks[member] == 0
				p.out.RejoinAfterRevoke = p.out.RejoinAfterRevoke || releasesLast
			}
		}
		p.out.Origins[id] = origins
		slices.SortFunc(assigned[member], compareResourceSets)
		p.out.Targets[id] = assigned[member]
		p.out.State.members = append(p.out.State.members,
			memberHistory{id: id, name: p.in.Members[member].Name, assigned: assigned[member],
				deferred: deferred[member]})
	}
}

// collectOwned collects claims and origins of all tasks that members own, also of versions that are no longer current.
func (p *plan) collectOwned() {
	current := map[versionKey]Connector{}
	for _, connector := range p.connectors {
		current[versionKey{connector.Key, connector.Version}] = connector
	}
	p.out.State.versions = maps.Clone(current)
	for member := range p.in.Members {
		for _, owned := range p.in.Members[member].Owned {
			if !owned.Resources.HasTasks() {
				continue
			}
			key := versionKey{owned.Connector, owned.Version}
			connector, ok := current[key]
			if !ok {
				connector, ok = p.in.State.versions[key]
			}
			if !ok {
				p.unknownVersions = append(p.unknownVersions, member)
				for o := range p.origins { // it may send requests to any origin
					p.origins[o].userCount++
					p.out.RejoinAfterRevoke = true
				}
				continue
			}
			p.out.State.versions[key] = connector
			for _, claim := range connector.Claims {
				p.claims[claim] = append(p.claims[claim], ownedSet{member, owned})
			}
			for i := range p.origins {
				if o := &p.origins[i]; o.key == KeyOf(connector.Origin) && !o.isUser[member] {
					o.isUser[member] = true
					o.userCount++
				}
			}
		}
	}
}

// isBlocked reports whether other members must release something before the resource is assigned, see [Assign].
func (p *plan) isBlocked(resource *placement) bool {
	connector := &p.connectors[resource.connector]
	for _, owned := range p.owned[resource.connector] {
		isOtherVersion := resource.index > 0 && owned.Version != connector.Version && owned.Resources.HasTasks()
		if owned.member != resource.owner && (owned.Resources.Has(resource.index) || isOtherVersion) {
			return true
		}
	}
	if resource.index == 0 || len(connector.Claims) == 0 {
		return false
	}
	for _, claim := range connector.Claims {
		for _, owned := range p.claims[claim] {
			if owned.member != resource.owner && owned.Connector != connector.Key {
				return true
			}
		}
	}
	return slices.ContainsFunc(p.unknownVersions, func(m int) bool { return m != resource.owner })
}
