package cluster

import (
	"cmp"
	"fmt"
	"iter"
	"maps"
	"math"
	"slices"
	"time"

	"github.com/culvert-project/culvert/internal/components"
	"github.com/culvert-project/culvert/internal/transport/limits"
)

const defaultRequests = 4

// Input is everything that [Assign] decides by.
type Input struct {
	Now        time.Time     // with its monotonic reading, so that nobody who sets the clock ends or lengthens a delay
	Delay      time.Duration // scheduled.rebalance.max.delay.ms: how long units of a member that vanished wait for it
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

// Connector is a connector of the config topic.
type Connector struct {
	Name      string
	Key       Key    // of the name
	Class     string // for texts
	Missing   string // for texts: what it needs that no member has
	Created   int64  // offset of its first record: of two with one claim the earlier one runs
	Version   int64  // see Held
	Tasks     int    // of that version; 0 where it is stopped
	Claims    []string
	Origin    string // what its tasks ask, "" if nothing
	Requests  int
	PerSecond float64
	Eligible  []bool // by Input.Members: who has what the class needs; nil: everybody
}

// AssignorState is what a leader keeps from one plan to the next.
type AssignorState struct {
	members  []memberHistory
	versions map[versionKey]Connector // the living ones, and those that members held
}

type memberHistory struct {
	id, name           string
	missingSince       time.Time     // when it was missed first; zero: it was there
	assigned, deferred []ResourceSet // its target; and what it could not be given, as others held it
}

type versionKey struct {
	connector Key
	version   int64
}

// Output is a plan.
type Output struct {
	Targets           map[string][]ResourceSet           // by member id: all that it is to run
	Origins           map[string]map[Key]limits.Division // by member id, see [Assignment.Origins]
	Unplaced          map[string]string                  // reasons by connector: why it, or its tasks, are not assigned
	Next              time.Time
	RejoinAfterRevoke bool
	State             AssignorState
}

// Assign plans what each member runs. It depends on its input alone and changes none of it. Its rules, of which P16 is
// the repository's:
//
//   - A resource is assigned when no other member owns it, a task only when no other member owns a task of another
//     version of the connector, or of a connector with a common claim. An unknown version has all claims. So a move
//     takes two plans: the first revokes, the next assigns.
//   - Resources stay where they are. Of the eligible members none has two connectors more than another, nor two tasks.
//     Resources that do not run move first, then those whose connector has several tasks on the member.
//   - Of two members that own a resource, the one with the newer generation keeps it; with equal generations neither
//     does.
//   - Resources of a lost member wait for it, and nothing moves for balance in the meantime. Members are known by
//     name.
//   - P16: the tasks of an origin are on no more members than it accepts concurrent requests, because members divide
//     its limits by their number. One that must release its last tasks counts until it has; one with an unknown
//     version counts for all origins.
func Assign(in Input) Output {
	p := newPlan(in)
	p.restorePrevious()
	p.assignUnowned()
	p.rebalance(false)
	p.rebalanceRunning()
	p.emit()
	return p.out
}

// plan is a plan in progress. assigned, tasks and the counts of origins follow from resources; only move changes them.
type plan struct {
	in              *Input
	out             Output
	connectors      []Connector  // in the order of their creation
	index           map[Key]int  // of connectors
	resources       []resource   // of connectors in their order, rising
	first           []int        // of a connector: its first unit; one more for the end
	assigned        [2][][]int   // units: connectors and tasks, by member
	tasks           [][]int      // by connector and member
	owned           [][]ownedSet // by connector
	claims          map[string][]ownedSet
	unknownVersions []int // members that hold tasks of a version that the memory does not know
	origins         []origin
	originOf        []int // by connector; -1: none
}

type resource struct {
	connector, index int
	owner            int  // the member that is to have it, or nobody, or vanished
	running          bool // the owner holds it and was not asked to let go
}

const (
	unassigned = -1
	delayed    = -2 // a member that is waited for
)

type ownedSet struct {
	member int
	ResourceSet
}

type origin struct {
	key       Key
	requests  int     // that it may have at a time
	perSecond float64 // requests; 0: as many as members like
	tasks     []int   // that the member is to have
	members   int     // that are to have any
	users     []bool  // the member holds tasks, or is given some
	userCount int     // members that do, or may
}

func (o *origin) admit(m int) bool {
	if !o.users[m] && o.userCount < o.requests {
		o.users[m] = true
		o.userCount++
	}
	return o.users[m]
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
		for bit := range p.resourceCount(i, claimed) {
			p.resources = append(p.resources, resource{connector: i, index: bit, owner: unassigned})
		}
	}
	p.first = append(p.first, len(p.resources))
	for o := range p.origins {
		p.origins[o].requests = cmp.Or(p.origins[o].requests, defaultRequests)
	}
	p.assigned = [2][][]int{make([][]int, len(in.Members)), make([][]int, len(in.Members))}
	p.owned = make([][]ownedSet, len(p.connectors))
	for m := range in.Members {
		for _, h := range in.Members[m].Owned {
			if i, known := p.index[h.Connector]; known {
				p.owned[i] = append(p.owned[i], ownedSet{m, h})
			}
		}
	}
	return p
}

func (p *plan) resourceCount(i int, claimed map[string]string) (units int) {
	c := &p.connectors[i]
	unplaced := func(format string, args ...any) { p.out.Unplaced[c.Name] = fmt.Sprintf(format, args...) }
	if other, twice := p.index[c.Key]; twice {
		unplaced("expected a name whose hash differs from that of connector %s, found %016x", p.connectors[other].Name,
			c.Key)
		return 0
	}
	p.index[c.Key] = i
	fit := 0
	for m := range p.in.Members {
		if p.isEligible(i, m) {
			fit++
		}
	}
	if fit == 0 {
		unmet := ""
		if c.Missing != "" { // else those who have it are about to leave
			unmet = " (" + c.Missing + ")"
		}
		unplaced("expected a worker that has what class %s needs%s, found none among %d", c.Class, unmet,
			len(p.in.Members))
		return 0
	}
	if c.Tasks > maxTask {
		unplaced("expected at most %d tasks, found %d", maxTask, c.Tasks)
		return 1
	}
	for _, claim := range c.Claims {
		if first := claimed[claim]; first != "" {
			unplaced("%v", components.ClaimConflict(claim, first, c.Name))
			return 1
		}
	}
	for _, claim := range c.Claims {
		claimed[claim] = c.Name
	}
	if c.Version == 0 {
		return 1
	}
	return 1 + c.Tasks
}

func (p *plan) addOrigin(c *Connector) int {
	if c.Origin == "" {
		return -1
	}
	key, n := KeyOf(c.Origin), len(p.in.Members)
	i := slices.IndexFunc(p.origins, func(o origin) bool { return o.key == key })
	if i < 0 {
		i = len(p.origins)
		p.origins = append(p.origins, origin{key: key, tasks: make([]int, n), users: make([]bool, n)})
	}
	o := &p.origins[i]
	o.requests = limits.Least(o.requests, c.Requests)
	o.perSecond = limits.Least(o.perSecond, c.PerSecond)
	return i
}

func (p *plan) resourcesIn(held ...ResourceSet) iter.Seq[int] {
	return func(yield func(int) bool) {
		for _, h := range held {
			i, known := p.index[h.Connector]
			for bit := range h.Resources.All() {
				if !known || p.first[i]+bit >= p.first[i+1] {
					break
				}
				if !yield(p.first[i] + bit) {
					return
				}
			}
		}
	}
}

func (u *resource) kind() int { return min(u.index, 1) }

func (p *plan) origin(u *resource) *origin {
	if i := p.originOf[u.connector]; i >= 0 && u.index > 0 {
		return &p.origins[i]
	}
	return nil
}

func (p *plan) isEligible(connector, m int) bool {
	fits := p.connectors[connector].Eligible
	return !p.in.Members[m].Leaving && (fits == nil || fits[m])
}

func (p *plan) canMove(u *resource, m int) bool {
	o := p.origin(u)
	return p.isEligible(u.connector, m) && (o == nil || o.tasks[m] > 0 || o.members < o.requests ||
		u.owner >= 0 && o.tasks[u.owner] == 1)
}

func (p *plan) move(i, to int) {
	u := &p.resources[i]
	count := func(m, by int) {
		p.tasks[u.connector][m] += by * u.kind()
		if o := p.origin(u); o != nil {
			if o.tasks[m] += by; o.tasks[m] == max(by, 0) {
				o.members += by
			}
		}
	}
	if u.owner >= 0 {
		owned := &p.assigned[u.kind()][u.owner]
		at := slices.Index(*owned, i)
		*owned = slices.Delete(*owned, at, at+1)
		count(u.owner, -1)
	}
	if to >= 0 {
		p.assigned[u.kind()][to] = append(p.assigned[u.kind()][to], i)
		count(to, 1)
	}
	u.owner, u.running = to, false
}

func (p *plan) restorePrevious() {
	ids, names := map[string]int{}, map[string]int{}
	for m, member := range p.in.Members {
		if ids[member.ID] = m; !member.Leaving && member.Name != "" {
			names[member.Name] = m
		}
	}
	meant, held, known := make([]int, len(p.resources)), make([]bool, len(p.resources)), make([]bool, len(p.in.Members))
	for i := range meant {
		meant[i] = unassigned
	}
	var lost []memberHistory
	for _, r := range p.in.State.members {
		m, there := ids[r.id]
		switch {
		case !r.missingSince.IsZero():
			lost = append(lost, r)
		case !there:
			r.missingSince = p.in.Now
			lost = append(lost, r)
		default:
			known[m] = true
			for i := range p.resourcesIn(append(slices.Clone(r.assigned), r.deferred...)...) {
				meant[i] = m
			}
		}
	}
	for _, holds := range p.owned {
		for _, h := range holds {
			for i := range p.resourcesIn(h.ResourceSet) {
				if held[i] = true; meant[i] == unassigned {
					meant[i] = h.member
				}
			}
		}
	}
	for _, r := range lost {
		p.delayLost(r, names, meant, held)
	}
	for i := range p.resources {
		if m := p.keepingMember(&p.resources[i]); m >= 0 && (!known[m] || meant[i] == m) && p.canMove(&p.resources[i],
			m) {
			p.move(i, m)
			p.resources[i].running = true
		}
	}
	for i, m := range meant {
		if p.resources[i].owner == unassigned && m >= 0 && p.canMove(&p.resources[i], m) {
			p.move(i, m)
		}
	}
}

func (p *plan) delayLost(r memberHistory, names map[string]int, meant []int, held []bool) {
	back, returned := names[r.name]
	until := r.missingSince.Add(p.in.Delay)
	var left []ResourceSet
	for i := range p.resourcesIn(r.assigned...) {
		u := &p.resources[i]
		if held[i] {
			continue
		}
		held[i] = true
		switch {
		case returned:
			meant[i] = back
		case p.in.Now.Before(until):
			u.owner = delayed
			p.planAgainAt(until)
		}
		left = appendResource(left, &p.connectors[u.connector], u.index)
	}
	if len(left) > 0 && p.in.Now.Before(until) {
		p.out.State.members = append(p.out.State.members, memberHistory{name: r.name, missingSince: r.missingSince,
			assigned: left})
	}
}

func appendResource(list []ResourceSet, c *Connector, bit int) []ResourceSet {
	if last := len(list) - 1; last < 0 || list[last].Connector != c.Key {
		list = append(list, ResourceSet{Connector: c.Key, Version: c.Version})
	}
	list[len(list)-1].Resources.Add(bit)
	return list
}

func (p *plan) keepingMember(u *resource) int {
	best, newest := unassigned, int32(math.MinInt32)
	for _, h := range p.owned[u.connector] {
		g := p.in.Members[h.member].Generation
		switch {
		case !h.Resources.Has(u.index) || u.index > 0 && h.Version != p.connectors[u.connector].Version ||
			h.member == best:
		case g > newest:
			best, newest = h.member, g
		case g == newest:
			best = unassigned
		}
	}
	return best
}

func (p *plan) originTasks(origin, m int) (units []int) {
	for _, i := range p.assigned[1][m] {
		if p.originOf[p.resources[i].connector] == origin {
			units = append(units, i)
		}
	}
	return units
}

func (p *plan) assignUnowned() {
	for i := range p.resources {
		u := &p.resources[i]
		if u.owner != unassigned {
			continue
		}
		best, owned, tasks := unassigned, p.assigned[u.kind()], p.tasks[u.connector]
		for m := range owned {
			if p.canMove(u, m) && (best < 0 || cmp.Or(cmp.Compare(len(owned[m]), len(owned[best])),
				cmp.Compare(tasks[m], tasks[best])) < 0) {
				best = m
			}
		}
		if p.move(i, best); best < 0 {
			c := &p.connectors[u.connector]
			p.out.Unplaced[c.Name] = fmt.Sprintf("expected what class %s needs at one of the %d workers that may ask "+
				"%s at a time, found it at others only", c.Class, p.origin(u).requests, c.Origin)
		}
	}
}

func (p *plan) planAgainAt(at time.Time) {
	if p.out.Next.IsZero() || at.Before(p.out.Next) {
		p.out.Next = at
	}
}

func (p *plan) rebalance(running bool) {
	for kind, owned := range p.assigned {
		for moved := true; moved; {
			moved = false
			members := make([]int, len(owned))
			for m := range members {
				members[m] = m
			}
			slices.SortStableFunc(members, func(a, b int) int { return cmp.Compare(len(owned[b]), len(owned[a])) })
			for _, from := range members {
				units, to := p.pickMoves(kind, from, running)
				for _, i := range units {
					p.move(i, to)
				}
				if moved = len(units) > 0; moved {
					break
				}
			}
		}
	}
}

// pickMoves returns one resource, or all tasks of an origin that may have no further members. A resource that does not
// run moves first, then one whose connector has more tasks here than there.
func (p *plan) pickMoves(kind, from int, running bool) (units []int, to int) {
	owned := func(m int) int { return len(p.assigned[kind][m]) }
	var others []int
	for m := range p.in.Members {
		if owned(m)+1 < owned(from) {
			others = append(others, m)
		}
	}
	slices.SortStableFunc(others, func(a, b int) int { return cmp.Compare(owned(a), owned(b)) })
	for _, to := range others {
		best, least := unassigned, math.MaxInt
		for _, i := range p.assigned[kind][from] {
			u := &p.resources[i]
			cost := kind * (p.tasks[u.connector][to] - p.tasks[u.connector][from])
			if u.running {
				cost += 4 * maxTask
			}
			if (running || !u.running) && cost < least && p.canMove(u, to) {
				best, least = i, cost
			}
		}
		if best >= 0 {
			return []int{best}, to
		}
	}
	for o := range p.origins[:kind*len(p.origins)] {
		for _, to := range others {
			tasks := p.origins[o].tasks
			if tasks[from] < 2 || tasks[to] > 0 || owned(to)+tasks[from] >= owned(from) {
				continue
			}
			if all := p.originTasks(o, from); !slices.ContainsFunc(all, func(i int) bool {
				return !running && p.resources[i].running || !p.isEligible(p.resources[i].connector, to)
			}) {
				return all, to
			}
		}
	}
	return nil, unassigned
}

func (p *plan) rebalanceRunning() {
	if !slices.ContainsFunc(p.resources, func(u resource) bool { return u.owner == delayed }) {
		p.rebalance(true)
	}
}

func (p *plan) emit() {
	p.collectOwned()
	n := len(p.in.Members)
	given, waits := make([][]ResourceSet, n), make([][]ResourceSet, n)
	for i := range p.resources {
		u, lists := &p.resources[i], given
		switch {
		case u.owner < 0:
			continue
		case u.running:
		case p.isBlocked(u), p.origin(u) != nil && !p.origin(u).admit(u.owner):
			p.out.RejoinAfterRevoke, lists = true, waits
		}
		lists[u.owner] = appendResource(lists[u.owner], &p.connectors[u.connector], u.index)
	}
	for m := range p.in.Members {
		id, origins := p.in.Members[m].ID, map[Key]limits.Division{}
		for _, o := range p.origins {
			if o.users[m] {
				origins[o.key] = limits.Division{Workers: o.userCount, Requests: o.requests, PerSecond: o.perSecond}
				p.out.RejoinAfterRevoke = p.out.RejoinAfterRevoke || o.tasks[m] == 0
			}
		}
		p.out.Origins[id] = origins
		slices.SortFunc(given[m], compareHeld)
		p.out.Targets[id] = given[m]
		p.out.State.members = append(p.out.State.members,
			memberHistory{id: id, name: p.in.Members[m].Name, assigned: given[m], deferred: waits[m]})
	}
}

func (p *plan) collectOwned() {
	living := map[versionKey]Connector{}
	for _, c := range p.connectors {
		living[versionKey{c.Key, c.Version}] = c
	}
	p.out.State.versions = maps.Clone(living)
	for m := range p.in.Members {
		for _, h := range p.in.Members[m].Owned {
			if !h.Resources.HasTasks() {
				continue
			}
			key := versionKey{h.Connector, h.Version}
			c, known := living[key]
			if !known {
				c, known = p.in.State.versions[key]
			}
			if !known {
				p.unknownVersions = append(p.unknownVersions, m)
				for o := range p.origins { // it may ask any
					p.origins[o].userCount++
					p.out.RejoinAfterRevoke = true
				}
				continue
			}
			p.out.State.versions[key] = c
			for _, claim := range c.Claims {
				p.claims[claim] = append(p.claims[claim], ownedSet{m, h})
			}
			for o := range p.origins {
				if o := &p.origins[o]; o.key == KeyOf(c.Origin) && !o.users[m] {
					o.users[m] = true
					o.userCount++
				}
			}
		}
	}
}

func (p *plan) isBlocked(u *resource) bool {
	c := &p.connectors[u.connector]
	for _, h := range p.owned[u.connector] {
		if h.member != u.owner && (h.Resources.Has(u.index) || u.index > 0 && h.Version != c.Version &&
			h.Resources.HasTasks()) {
			return true
		}
	}
	if u.index == 0 || len(c.Claims) == 0 {
		return false
	}
	for _, claim := range c.Claims {
		for _, h := range p.claims[claim] {
			if h.member != u.owner && h.Connector != c.Key {
				return true
			}
		}
	}
	return slices.ContainsFunc(p.unknownVersions, func(m int) bool { return m != u.owner })
}
