package cluster

import (
	"cmp"
	"fmt"
	"iter"
	"maps"
	"math"
	"slices"
	"time"

	"github.com/culvert-project/culvert/host/check"
	"github.com/culvert-project/culvert/host/transport/limits"
)

// defaultRequests is how many requests an origin may have at a time where no connector says it.
const defaultRequests = 4

// Input is what a leader plans with: everything that Place looks at.
type Input struct {
	Now        time.Time     // with its monotonic reading, so that nobody who sets the clock ends or lengthens a delay
	Delay      time.Duration // scheduled.rebalance.max.delay.ms: how long units of a member that vanished wait for it
	Members    []Member
	Connectors []Connector
	// State is the memory of the last plan. It is empty for a new leader, and for one whose last plan was of another
	// generation than the group's last (Kafka Connect's assignor forgets it then, too).
	State AssignorState
}

// Member is a member of the group, with what it said when it joined.
type Member struct {
	ID string
	Metadata
}

// Connector is a connector of the config topic.
type Connector struct {
	Name    string
	Key     Key    // of the name
	Class   string // for texts
	Missing string // for texts: what it needs that no member has
	Created int64  // offset of its first record: of two with one claim the earlier one runs
	Version int64  // see Held
	Tasks   int    // of that version; 0 where it is stopped
	Claims  []string
	Origin  string // what its tasks ask, "" if nothing
	// Requests is how many requests the origin may have at a time, PerSecond how many in a second; 0: it does not say.
	// Of several connectors of an origin the smallest holds.
	Requests  int
	PerSecond float64
	Eligible  []bool // by Input.Members: who has what the class needs; nil: everybody
}

// AssignorState is what a leader keeps from one plan to the next. The zero value knows nothing.
type AssignorState struct {
	members  []remembered
	versions map[versionKey]Connector // the living ones, and those that members held
}

// remembered is a member with what the last plan had for it. One that vanished stays until its units are held again,
// or dealt out.
type remembered struct {
	id, name     string
	since        time.Time     // when it was missed first; zero: it was there
	given, waits []ResourceSet // its target; and what it could not be given, as others held it
}

// versionKey names a version of a connector. Members may hold one that the config topic has no more.
type versionKey struct {
	connector Key
	version   int64
}

// Output is a plan.
type Output struct {
	Targets  map[string][]ResourceSet           // by member id: all that it is to run
	Origins  map[string]map[Key]limits.Division // by member id, see [Assignment.Origins]
	Unplaced map[string]string                  // by connector: why it, or each of its tasks, is given to nobody
	// Next is when the leader must plan again although nobody joins, as lost units are dealt out. Zero means never.
	Next time.Time
	// RejoinAfterRevoke says that units, or larger parts of an origin's limits, wait until members have let go of some:
	// these are to join again when they have. It belongs into their assignments.
	RejoinAfterRevoke bool
	State             AssignorState
}

// Assign works out what each member is to run. It is a function of its input alone: equal inputs give equal plans. What
// is handed in is not changed. Its rules, of which P16 is the repository's:
//
//   - A unit is given to a member when no other member holds it, and a task only when no other member holds a task of
//     another version of the connector, or of a connector that shares a claim with it. A version that the memory does
//     not know shares them all. So what moves takes two plans: the first takes it away, the next gives it.
//   - Units stay where they are. Members that fit a unit have as many connectors as the member that runs it, or one
//     more or less; the same for tasks. Of units that may move those go first that run nowhere, then those whose
//     connector has several tasks there.
//   - Of two members that hold a unit the one keeps it that was given it in the newer generation; in the same one
//     neither does.
//   - Units of a member that vanished without notice wait for it, and nothing moves for balance meanwhile. It is known
//     again by its name.
//   - P16: the tasks of an origin are on no more members than it may have requests at a time, since members divide its
//     limits by their number. One that has to let go of its last tasks counts until it has; one with a version that the
//     memory does not know counts for all origins.
func Assign(in Input) Output {
	p := newPlan(in)
	p.recall()
	p.fill()
	p.level(false)
	p.balance()
	p.give()
	return p.out
}

// plan is a placement while it is made. owned, tasks and what origins count follow from the owners of units; only move
// changes them.
type plan struct {
	in         *Input
	out        Output
	connectors []Connector // in the order of their creation
	index      map[Key]int // of connectors
	units      []unit      // of connectors in their order, rising
	first      []int       // of a connector: its first unit; one more for the end
	owned      [2][][]int  // units: connectors and tasks, by member
	tasks      [][]int     // by connector and member
	holds      [][]holding // by connector
	claims     map[string][]holding
	unknown    []int // members that hold tasks of a version that the memory does not know
	origins    []origin
	originOf   []int // by connector; -1: none
}

// unit is a connector or a task of one.
type unit struct {
	connector, bit int
	owner          int  // the member that is to have it, or nobody, or vanished
	runs           bool // the owner holds it and was not asked to let go
}

const (
	nobody   = -1
	vanished = -2 // a member that is waited for
)

// holding is what a member holds of a connector.
type holding struct {
	member int
	ResourceSet
}

// origin is what tasks ask; its lists are by member.
type origin struct {
	key       Key
	requests  int     // that it may have at a time
	perSecond float64 // requests; 0: as many as members like
	tasks     []int   // that the member is to have
	members   int     // that are to have any
	asks      []bool  // the member holds tasks, or is given some
	asking    int     // members that do, or may
}

// admit counts a member among those that ask the origin, and reports false if these would be more than requests.
func (o *origin) admit(m int) bool {
	if !o.asks[m] && o.asking < o.requests {
		o.asks[m] = true
		o.asking++
	}
	return o.asks[m]
}

func newPlan(in Input) *plan {
	p := &plan{in: &in, index: map[Key]int{}, claims: map[string][]holding{}}
	p.out = Output{Targets: map[string][]ResourceSet{}, Origins: map[string]map[Key]limits.Division{},
		Unplaced: map[string]string{}}
	p.connectors = slices.SortedFunc(slices.Values(in.Connectors), func(a, b Connector) int {
		return cmp.Or(cmp.Compare(a.Created, b.Created), cmp.Compare(a.Name, b.Name))
	})
	claimed := map[string]string{}
	for i, c := range p.connectors {
		p.first = append(p.first, len(p.units))
		p.tasks = append(p.tasks, make([]int, len(in.Members)))
		p.originOf = append(p.originOf, p.addOrigin(&c))
		for bit := range p.unitsOf(i, claimed) {
			p.units = append(p.units, unit{connector: i, bit: bit, owner: nobody})
		}
	}
	p.first = append(p.first, len(p.units))
	for o := range p.origins {
		p.origins[o].requests = cmp.Or(p.origins[o].requests, defaultRequests)
	}
	p.owned = [2][][]int{make([][]int, len(in.Members)), make([][]int, len(in.Members))}
	p.holds = make([][]holding, len(p.connectors))
	for m := range in.Members {
		for _, h := range in.Members[m].Holds {
			if i, known := p.index[h.Connector]; known {
				p.holds[i] = append(p.holds[i], holding{m, h})
			}
		}
	}
	return p
}

// unitsOf is how many units of a connector are to run; where not all are, it says why.
func (p *plan) unitsOf(i int, claimed map[string]string) (units int) {
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
		if p.fits(i, m) {
			fit++
		}
	}
	if fit == 0 {
		lacks := ""
		if c.Missing != "" { // else those who have it are about to leave
			lacks = " (" + c.Missing + ")"
		}
		unplaced("expected a worker that has what class %s needs%s, found none among %d", c.Class, lacks,
			len(p.in.Members))
		return 0
	}
	if c.Tasks > maxTask {
		unplaced("expected at most %d tasks, found %d", maxTask, c.Tasks)
		return 1
	}
	for _, claim := range c.Claims {
		if first := claimed[claim]; first != "" {
			unplaced("%v", check.ClaimedTwice(claim, first, c.Name))
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
		p.origins = append(p.origins, origin{key: key, tasks: make([]int, n), asks: make([]bool, n)})
	}
	o := &p.origins[i]
	o.requests = limits.Least(o.requests, c.Requests)
	o.perSecond = limits.Least(o.perSecond, c.PerSecond)
	return i
}

// unitsIn are the units that are to run, of those in a list.
func (p *plan) unitsIn(held ...ResourceSet) iter.Seq[int] {
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

func (u *unit) kind() int { return min(u.bit, 1) }

// origin is that of a task, or nil.
func (p *plan) origin(u *unit) *origin {
	if i := p.originOf[u.connector]; i >= 0 && u.bit > 0 {
		return &p.origins[i]
	}
	return nil
}

// fits says if a member may have units of a connector at all.
func (p *plan) fits(connector, m int) bool {
	fits := p.connectors[connector].Eligible
	return !p.in.Members[m].Leaving && (fits == nil || fits[m])
}

// allowed says if a member may have a unit instead of its owner.
func (p *plan) allowed(u *unit, m int) bool {
	o := p.origin(u)
	return p.fits(u.connector, m) && (o == nil || o.tasks[m] > 0 || o.members < o.requests ||
		u.owner >= 0 && o.tasks[u.owner] == 1)
}

// move gives a unit to a member, or to nobody.
func (p *plan) move(i, to int) {
	u := &p.units[i]
	count := func(m, by int) {
		p.tasks[u.connector][m] += by * u.kind()
		if o := p.origin(u); o != nil {
			if o.tasks[m] += by; o.tasks[m] == max(by, 0) {
				o.members += by
			}
		}
	}
	if u.owner >= 0 {
		owned := &p.owned[u.kind()][u.owner]
		at := slices.Index(*owned, i)
		*owned = slices.Delete(*owned, at, at+1)
		count(u.owner, -1)
	}
	if to >= 0 {
		p.owned[u.kind()][to] = append(p.owned[u.kind()][to], i)
		count(to, 1)
	}
	u.owner, u.runs = to, false
}

// recall gives units to the members that run them, or else to those that had them, or were to have them. Units of
// members that vanished wait.
func (p *plan) recall() {
	ids, names := map[string]int{}, map[string]int{}
	for m, member := range p.in.Members {
		if ids[member.ID] = m; !member.Leaving && member.Name != "" {
			names[member.Name] = m
		}
	}
	meant, held, known := make([]int, len(p.units)), make([]bool, len(p.units)), make([]bool, len(p.in.Members))
	for i := range meant {
		meant[i] = nobody
	}
	var gone []remembered
	for _, r := range p.in.State.members {
		m, there := ids[r.id]
		switch {
		case !r.since.IsZero():
			gone = append(gone, r)
		case !there:
			r.since = p.in.Now
			gone = append(gone, r)
		default:
			known[m] = true
			for i := range p.unitsIn(append(slices.Clone(r.given), r.waits...)...) {
				meant[i] = m
			}
		}
	}
	for _, holds := range p.holds {
		for _, h := range holds {
			for i := range p.unitsIn(h.ResourceSet) {
				if held[i] = true; meant[i] == nobody {
					meant[i] = h.member
				}
			}
		}
	}
	for _, r := range gone {
		p.miss(r, names, meant, held)
	}
	for i := range p.units {
		if m := p.keeper(&p.units[i]); m >= 0 && (!known[m] || meant[i] == m) && p.allowed(&p.units[i], m) {
			p.move(i, m)
			p.units[i].runs = true
		}
	}
	for i, m := range meant {
		if p.units[i].owner == nobody && m >= 0 && p.allowed(&p.units[i], m) {
			p.move(i, m)
		}
	}
}

// miss has units of a member that vanished, which nobody holds, wait for it, or gives them to it where it is back. It
// marks them as held, since of two members that vanished with a unit the one counts that did so first.
func (p *plan) miss(r remembered, names map[string]int, meant []int, held []bool) {
	back, returned := names[r.name]
	until := r.since.Add(p.in.Delay)
	var left []ResourceSet
	for i := range p.unitsIn(r.given...) {
		u := &p.units[i]
		if held[i] {
			continue
		}
		held[i] = true
		switch {
		case returned:
			meant[i] = back
		case p.in.Now.Before(until):
			u.owner = vanished
			p.next(until)
		}
		left = add(left, &p.connectors[u.connector], u.bit)
	}
	if len(left) > 0 && p.in.Now.Before(until) {
		p.out.State.members = append(p.out.State.members, remembered{name: r.name, since: r.since, given: left})
	}
}

// add puts a unit into a list, after those of connectors that were put in before.
func add(list []ResourceSet, c *Connector, bit int) []ResourceSet {
	if last := len(list) - 1; last < 0 || list[last].Connector != c.Key {
		list = append(list, ResourceSet{Connector: c.Key, Version: c.Version})
	}
	list[len(list)-1].Resources.Add(bit)
	return list
}

// keeper is the member that keeps a unit, of those that hold it in the version that is to run.
func (p *plan) keeper(u *unit) int {
	best, newest := nobody, int32(math.MinInt32)
	for _, h := range p.holds[u.connector] {
		g := p.in.Members[h.member].Generation
		switch {
		case !h.Resources.Has(u.bit) || u.bit > 0 && h.Version != p.connectors[u.connector].Version || h.member == best:
		case g > newest:
			best, newest = h.member, g
		case g == newest:
			best = nobody
		}
	}
	return best
}

// tasksOf are the tasks of an origin that a member is to have.
func (p *plan) tasksOf(origin, m int) (units []int) {
	for _, i := range p.owned[1][m] {
		if p.originOf[p.units[i].connector] == origin {
			units = append(units, i)
		}
	}
	return units
}

// fill gives units that nobody has to members with fewest, of these to one with fewest tasks of the connector.
func (p *plan) fill() {
	for i := range p.units {
		u := &p.units[i]
		if u.owner != nobody {
			continue
		}
		best, owned, tasks := nobody, p.owned[u.kind()], p.tasks[u.connector]
		for m := range owned {
			if p.allowed(u, m) && (best < 0 || cmp.Or(cmp.Compare(len(owned[m]), len(owned[best])),
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

// next has the leader plan again at a time, if not earlier.
func (p *plan) next(at time.Time) {
	if p.out.Next.IsZero() || at.Before(p.out.Next) {
		p.out.Next = at
	}
}

// level moves units from members that have more to members that have at least two fewer, until there are none. Unless
// running ones may move too, only those do that run nowhere.
func (p *plan) level(running bool) {
	for kind, owned := range p.owned {
		for moved := true; moved; {
			moved = false
			members := make([]int, len(owned))
			for m := range members {
				members[m] = m
			}
			slices.SortStableFunc(members, func(a, b int) int { return cmp.Compare(len(owned[b]), len(owned[a])) })
			for _, from := range members {
				units, to := p.relief(kind, from, running)
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

// relief is what moves from a member next, and where: one unit, or all tasks of an origin, where no more members may
// have any of them. A unit that runs nowhere moves first, then one whose connector has more tasks here than there.
func (p *plan) relief(kind, from int, running bool) (units []int, to int) {
	owned := func(m int) int { return len(p.owned[kind][m]) }
	var others []int
	for m := range p.in.Members {
		if owned(m)+1 < owned(from) {
			others = append(others, m)
		}
	}
	slices.SortStableFunc(others, func(a, b int) int { return cmp.Compare(owned(a), owned(b)) })
	for _, to := range others {
		best, least := nobody, math.MaxInt
		for _, i := range p.owned[kind][from] {
			u := &p.units[i]
			cost := kind * (p.tasks[u.connector][to] - p.tasks[u.connector][from])
			if u.runs {
				cost += 4 * maxTask
			}
			if (running || !u.runs) && cost < least && p.allowed(u, to) {
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
			if all := p.tasksOf(o, from); !slices.ContainsFunc(all, func(i int) bool {
				return !running && p.units[i].runs || !p.fits(p.units[i].connector, to)
			}) {
				return all, to
			}
		}
	}
	return nil, nobody
}

// balance moves units that run, too, unless lost units are waited for.
func (p *plan) balance() {
	if !slices.ContainsFunc(p.units, func(u unit) bool { return u.owner == vanished }) {
		p.level(true)
	}
}

// give hands units to their owners, as far as no other member holds what they may not run next to.
func (p *plan) give() {
	p.seeHoldings()
	n := len(p.in.Members)
	given, waits := make([][]ResourceSet, n), make([][]ResourceSet, n)
	for i := range p.units {
		u, lists := &p.units[i], given
		switch {
		case u.owner < 0:
			continue
		case u.runs:
		case p.blocked(u), p.origin(u) != nil && !p.origin(u).admit(u.owner):
			p.out.RejoinAfterRevoke, lists = true, waits
		}
		lists[u.owner] = add(lists[u.owner], &p.connectors[u.connector], u.bit)
	}
	for m := range p.in.Members {
		id, origins := p.in.Members[m].ID, map[Key]limits.Division{}
		for _, o := range p.origins {
			if o.asks[m] {
				origins[o.key] = limits.Division{Workers: o.asking, Requests: o.requests, PerSecond: o.perSecond}
				p.out.RejoinAfterRevoke = p.out.RejoinAfterRevoke || o.tasks[m] == 0
			}
		}
		p.out.Origins[id] = origins
		slices.SortFunc(given[m], compareHeld)
		p.out.Targets[id] = given[m]
		p.out.State.members = append(p.out.State.members,
			remembered{id: id, name: p.in.Members[m].Name, given: given[m], waits: waits[m]})
	}
}

// seeHoldings works out who holds what may not run next to other tasks, and who asks which origin.
func (p *plan) seeHoldings() {
	living := map[versionKey]Connector{}
	for _, c := range p.connectors {
		living[versionKey{c.Key, c.Version}] = c
	}
	p.out.State.versions = maps.Clone(living)
	for m := range p.in.Members {
		for _, h := range p.in.Members[m].Holds {
			if !h.Resources.HasTasks() {
				continue
			}
			key := versionKey{h.Connector, h.Version}
			c, known := living[key]
			if !known {
				c, known = p.in.State.versions[key]
			}
			if !known {
				p.unknown = append(p.unknown, m)
				for o := range p.origins { // it may ask any
					p.origins[o].asking++
					p.out.RejoinAfterRevoke = true
				}
				continue
			}
			p.out.State.versions[key] = c
			for _, claim := range c.Claims {
				p.claims[claim] = append(p.claims[claim], holding{m, h})
			}
			for o := range p.origins {
				if o := &p.origins[o]; o.key == KeyOf(c.Origin) && !o.asks[m] {
					o.asks[m] = true
					o.asking++
				}
			}
		}
	}
}

// blocked says if another member has to let go of something before the unit's owner may have it.
func (p *plan) blocked(u *unit) bool {
	c := &p.connectors[u.connector]
	for _, h := range p.holds[u.connector] {
		if h.member != u.owner && (h.Resources.Has(u.bit) || u.bit > 0 && h.Version != c.Version &&
			h.Resources.HasTasks()) {
			return true
		}
	}
	if u.bit == 0 || len(c.Claims) == 0 {
		return false
	}
	for _, claim := range c.Claims {
		for _, h := range p.claims[claim] {
			if h.member != u.owner && h.Connector != c.Key {
				return true
			}
		}
	}
	return slices.ContainsFunc(p.unknown, func(m int) bool { return m != u.owner })
}
