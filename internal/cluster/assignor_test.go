package cluster

import (
	"fmt"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"
)

// group simulates members that apply the leader's plans. A member owns its target at once and releases the rest with
// settle.
type group struct {
	in          Input
	out         Output
	round       int32
	targets     map[string][]ResourceSet
	allVersions map[[2]int64]Connector // by key and version
}

func newGroup(connectors ...Connector) *group {
	g := &group{in: Input{Now: time.Unix(1e9, 0), Delay: 5 * time.Minute, Connectors: connectors},
		targets: map[string][]ResourceSet{}, allVersions: map[[2]int64]Connector{}}
	return g
}

func (g *group) join(ids ...string) {
	for _, id := range ids {
		g.in.Members = append(g.in.Members, Member{ID: id, Metadata: Metadata{Name: strings.TrimRight(id, "'")}})
	}
}

func (g *group) leave(id string) {
	g.in.Members = slices.DeleteFunc(g.in.Members, func(m Member) bool { return m.ID == id })
	delete(g.targets, id)
}

func (g *group) member(id string) *Member {
	for i := range g.in.Members {
		if g.in.Members[i].ID == id {
			return &g.in.Members[i]
		}
	}
	return nil
}

func (g *group) connector(name string) *Connector {
	for i := range g.in.Connectors {
		if g.in.Connectors[i].Name == name {
			return &g.in.Connectors[i]
		}
	}
	return nil
}

// plan runs the leader's assignment, which members receive. They still have what they must release.
func (g *group) plan() {
	for _, c := range g.in.Connectors {
		g.allVersions[[2]int64{int64(c.Key), c.Version}] = c
	}
	g.out = Assign(g.in)
	g.in.State = g.out.State
	g.round++
	for i := range g.in.Members {
		m := &g.in.Members[i]
		g.targets[m.ID] = g.out.Targets[m.ID]
		m.Generation = g.round
		m.Owned = union(m.Owned, g.targets[m.ID])
	}
}

// settle makes members release everything outside their target.
func (g *group) settle(ids ...string) {
	for _, id := range ids {
		if m := g.member(id); m != nil {
			m.Owned = g.targets[id]
		}
	}
}

func (g *group) ids() (ids []string) {
	for _, m := range g.in.Members {
		ids = append(ids, m.ID)
	}
	return ids
}

// rebalance runs a plan that all members apply at once.
func (g *group) rebalance() {
	g.plan()
	g.settle(g.ids()...)
}

// union returns the resources of both lists.
func union(a, b []ResourceSet) []ResourceSet {
	sum := slices.Clone(a)
	for i := range sum {
		sum[i].Resources = slices.Clone(sum[i].Resources)
	}
	for _, h := range b {
		i := slices.IndexFunc(sum, func(o ResourceSet) bool { return compareResourceSets(o, h) == 0 })
		if i < 0 {
			sum = append(sum, ResourceSet{Connector: h.Connector, Version: h.Version})
			i = len(sum) - 1
		}
		for u := range h.Resources.All() {
			sum[i].Resources.Add(u)
		}
	}
	return sum
}

// counts returns the connectors and tasks of each member, in rising order.
func (g *group) counts() string {
	var connectors, tasks []int
	for _, id := range g.ids() {
		c := 0
		t := 0
		for _, h := range g.targets[id] {
			for u := range h.Resources.All() {
				if u == 0 {
					c++
				} else {
					t++
				}
			}
		}
		connectors = append(connectors, c)
		tasks = append(tasks, t)
	}
	slices.Sort(connectors)
	slices.Sort(tasks)
	return fmt.Sprint(connectors, tasks)
}

// targetOf returns the target of a member as texts: a, a-0.
func (g *group) targetOf(id string) (units []string) {
	for _, h := range g.targets[id] {
		for u := range h.Resources.All() {
			name := fmt.Sprintf("%x", h.Connector)
			for _, c := range g.in.Connectors {
				if c.Key == h.Connector {
					name = c.Name
					break
				}
			}
			if u > 0 {
				name += fmt.Sprint("-", u-1)
			}
			units = append(units, name)
		}
	}
	slices.Sort(units)
	return units
}

func connector(name string, created int64, tasks int) Connector {
	return Connector{Name: name, Key: KeyOf(name), Class: "C", Created: created, Version: created + 1, Tasks: tasks}
}

// nextPlanIn returns the time until the leader plans on its own. Zero means that it does not.
func (g *group) nextPlanIn() time.Duration {
	if g.out.Next.IsZero() {
		return 0
	}
	return g.out.Next.Sub(g.in.Now)
}

// findViolation returns a violation by the members' units, or "": a unit of two members, tasks of two
// versions at two members, tasks of two connectors with one claim at two members, or more members with tasks of an
// origin, or more of their requests, than the limit allows.
func findViolation(members []Member, connectors map[[2]int64]Connector, plan Output) string {
	type versionOwner struct {
		member  string
		version int64
	}
	units := map[[2]int64]string{}
	tasks := map[Key][]versionOwner{}
	claims := map[string][]struct {
		member    string
		connector Key
	}{}
	origins := map[string]map[string]bool{}
	limits := map[string]int{}
	for _, m := range members {
		for _, h := range m.Owned {
			for u := range h.Resources.All() {
				k := [2]int64{int64(h.Connector), int64(u)}
				if other := units[k]; other != "" && other != m.ID {
					return fmt.Sprintf("unit %d of %x is at %s and %s", u, h.Connector, other, m.ID)
				}
				units[k] = m.ID
			}
			if !h.Resources.HasTasks() {
				continue
			}
			for _, other := range tasks[h.Connector] {
				if other.member != m.ID && other.version != h.Version {
					return fmt.Sprintf("tasks of %x: version %d is at %s, %d at %s", h.Connector, other.version,
						other.member, h.Version, m.ID)
				}
			}
			tasks[h.Connector] = append(tasks[h.Connector], versionOwner{m.ID, h.Version})
			c := connectors[[2]int64{int64(h.Connector), h.Version}]
			for _, claim := range c.Claims {
				for _, other := range claims[claim] {
					if other.member != m.ID && other.connector != h.Connector {
						return fmt.Sprintf("claim %s: %x is at %s, %x at %s", claim, other.connector, other.member,
							h.Connector, m.ID)
					}
				}
				claims[claim] = append(claims[claim], struct {
					member    string
					connector Key
				}{m.ID, h.Connector})
			}
			if c.Origin != "" {
				if origins[c.Origin] == nil {
					origins[c.Origin] = map[string]bool{}
				}
				origins[c.Origin][m.ID] = true
				if limits[c.Origin] == 0 || c.Requests < limits[c.Origin] {
					limits[c.Origin] = c.Requests
				}
			}
		}
	}
	for origin, ids := range origins {
		if len(ids) > limits[origin] {
			return fmt.Sprintf("origin %s: %d members with %d requests", origin, len(ids), limits[origin])
		}
	}
	for origin, ids := range origins {
		sum := 0
		for id := range ids {
			sum += 1 // in case it knows no other workers, or too many
			if divisor := plan.Origins[id][KeyOf(origin)].Workers; divisor > 0 {
				sum += max(limits[origin]/divisor, 1) - 1
			}
		}
		if sum > limits[origin] {
			return fmt.Sprintf("origin %s: %d members with %d requests together", origin, len(ids), sum)
		}
	}
	return ""
}

// findImbalance returns a unit that a member with at least two units fewer could have, or a unit without a member
// although a member could have it; "" if there is no such unit.
func findImbalance(g *group) string {
	load := map[string][2]int{} // connectors and tasks, by member
	owners := map[[2]int64]string{}
	origins := map[string]map[string]int{}
	for _, m := range g.in.Members {
		for _, h := range g.targets[m.ID] {
			for u := range h.Resources.All() {
				l := load[m.ID]
				l[min(u, 1)]++
				load[m.ID] = l
				owners[[2]int64{int64(h.Connector), int64(u)}] = m.ID
				for _, c := range g.in.Connectors {
					if u == 0 || c.Key != h.Connector {
						continue
					}
					o := c.Origin
					if origins[o] == nil {
						origins[o] = map[string]int{}
					}
					origins[o][m.ID]++
				}
			}
		}
	}
	for _, c := range g.in.Connectors {
		tasks := c.Tasks
		if c.Version == 0 {
			tasks = 0
		}
		for u := range tasks + 1 {
			owner := owners[[2]int64{int64(c.Key), int64(u)}]
			if owner == "" && g.out.Unplaced[c.Name] == "" {
				return fmt.Sprintf("unit %d of %s is nowhere", u, c.Name)
			}
			for i, m := range g.in.Members {
				if owner == "" || m.Leaving || (c.Eligible != nil && !c.Eligible[i]) || m.ID == owner {
					continue
				}
				o := origins[c.Origin]
				if u > 0 && c.Origin != "" && o[m.ID] == 0 && len(o) >= c.Requests && o[owner] > 1 {
					continue // P16
				}
				if load[owner][min(u, 1)] > load[m.ID][min(u, 1)]+1 {
					return fmt.Sprintf("unit %d of %s could move from %s, which has %d, to %s, which has %d", u, c.Name,
						owner, load[owner][min(u, 1)], m.ID, load[m.ID][min(u, 1)])
				}
			}
		}
	}
	return ""
}

// randomStates is the number of simulated random states.
const randomStates = 30_000

// In random states members join, leave, vanish, return and release units slowly, and connectors are created, deleted
// and changed. No round violates the barrier. When nothing changes any more the group soon comes to rest, balanced, and
// another plan changes nothing.
func TestAssignorRandomStates(t *testing.T) {
	t.Parallel()
	for part := range 4 {
		t.Run(fmt.Sprint(part), func(t *testing.T) {
			t.Parallel()
			for seed := part; seed < randomStates/20; seed += 4 {
				if violation := simulate(uint64(seed), nil); violation != "" {
					var steps []string
					simulate(uint64(seed), &steps)
					t.Fatalf("seed %d: %s\n%s", seed, violation, strings.Join(steps, "\n"))
				}
			}
		})
	}
}

// simulate runs through 20 states or more. It returns the violation, if any, and records its steps if steps is not nil.
func simulate(seed uint64, steps *[]string) string {
	r := rand.New(rand.NewPCG(seed, 26))
	g := newGroup()
	g.in.Delay = []time.Duration{0, 50 * time.Millisecond, 5 * time.Minute}[r.IntN(3)]
	step := func(format string, args ...any) {
		if steps != nil {
			*steps = append(*steps, fmt.Sprintf(format, args...))
		}
	}
	created := 0 // connectors
	joined := 0  // members
	offset := int64(0)
	origin := []string{"", "", "o1", "o2"}
	requests := map[string]int{"o1": 1 + r.IntN(3), "o2": 2 + r.IntN(3)}
	fits := map[string]func(id string) bool{"all": nil, "odd": func(id string) bool { return id[1]%2 == 1 }}
	classOf := map[string]string{}
	updateEligible := func() {
		for i := range g.in.Connectors {
			c := &g.in.Connectors[i]
			c.Eligible = nil
			if f := fits[classOf[c.Name]]; f != nil {
				for _, m := range g.in.Members {
					c.Eligible = append(c.Eligible, f(m.ID))
				}
			}
		}
	}
	plain := r.IntN(2) == 0 // without origins, classes, claims
	change := func() {
		switch k := r.IntN(12); {
		case k < 3 && len(g.in.Members) < 5:
			id := fmt.Sprintf("m%d", joined)
			joined++
			step("join %s", id)
			g.join(id)
		case k == 3 && len(g.in.Members) > 1:
			m := g.in.Members[r.IntN(len(g.in.Members))].ID
			step("vanish %s", m)
			g.leave(m)
		case k == 4 && len(g.in.Members) > 1:
			m := &g.in.Members[r.IntN(len(g.in.Members))]
			step("goodbye of %s", m.ID)
			m.Leaving = true
		case k == 5 && len(g.in.Members) > 0:
			m := g.in.Members[r.IntN(len(g.in.Members))]
			step("restart of %s", m.ID)
			g.leave(m.ID)
			g.join(m.ID + "'")
		case k == 6 && len(g.in.Connectors) > 0:
			i := r.IntN(len(g.in.Connectors))
			step("delete %s", g.in.Connectors[i].Name)
			g.in.Connectors = slices.Delete(g.in.Connectors, i, i+1)
		case k == 7 && len(g.in.Connectors) > 0:
			c := &g.in.Connectors[r.IntN(len(g.in.Connectors))]
			offset++
			c.Version = offset
			c.Tasks = r.IntN(5)
			if !plain {
				c.Claims = []string{fmt.Sprint(r.IntN(4))}[:r.IntN(2)]
			}
			step("change %s: %+v", c.Name, *c)
		case k == 8:
			g.in.Now = g.in.Now.Add(time.Duration(r.Int64N(int64(10 * time.Minute))))
			step("time passes")
		case k == 9 && !plain && r.IntN(4) == 0:
			step("another leader")
			g.in.State = AssignorState{}
		case len(g.in.Connectors) < 6:
			offset++
			created++
			c := connector(fmt.Sprint("c", created), offset, r.IntN(5))
			if r.IntN(8) == 0 {
				c.Version = 0
			}
			classOf[c.Name] = "all"
			if !plain {
				c.Origin = origin[r.IntN(4)]
				c.Requests = requests[c.Origin]
				c.Claims = []string{fmt.Sprint(r.IntN(4))}[:r.IntN(2)]
				if r.IntN(4) == 0 {
					classOf[c.Name] = "odd"
				}
			}
			offset++
			step("create %+v %s", c, classOf[c.Name])
			g.in.Connectors = append(g.in.Connectors, c)
		}
		updateEligible()
	}
	g.join("m0")
	joined = 1
	plans := 0
	for plans < 20 {
		for range 1 + r.IntN(3) {
			change()
		}
		for range r.IntN(3) {
			g.plan()
			plans++
			step("plan %d: %v again %v next %v %v", g.round, g, g.out.RejoinAfterRevoke, g.nextPlanIn(), g.out.Unplaced)
			if violation := findViolation(g.in.Members, g.allVersions, g.out); violation != "" {
				return violation
			}
			for _, id := range g.ids() {
				if r.IntN(3) > 0 {
					g.settle(id)
					step("%s let go", id)
				}
			}
		}
		g.in.Members = slices.DeleteFunc(g.in.Members, func(m Member) bool {
			return m.Leaving && len(m.Owned) == 0 && len(g.in.Members) > 1
		})
		updateEligible()
	}
	// From here on nothing changes.
	for i := range g.in.Members {
		g.in.Members[i].Leaving = false
	}
	for n := 0; ; n++ {
		g.rebalance()
		step("plan %d: %v again %v next %v", g.round, g, g.out.RejoinAfterRevoke, g.nextPlanIn())
		if violation := findViolation(g.in.Members, g.allVersions, g.out); violation != "" {
			return violation
		}
		if !g.out.RejoinAfterRevoke && g.out.Next.IsZero() {
			break
		}
		if !g.out.Next.IsZero() {
			g.in.Now = g.out.Next
		}
		if n > 12 {
			return "it does not come to rest"
		}
	}
	if violation := findImbalance(g); violation != "" {
		return violation
	}
	lastPlan := g.out
	r.Shuffle(len(g.in.Connectors), func(a, b int) { // the order changes nothing
		g.in.Connectors[a], g.in.Connectors[b] = g.in.Connectors[b], g.in.Connectors[a]
	})
	plan := Assign(g.in)
	if !reflect.DeepEqual(lastPlan.Targets, plan.Targets) || !reflect.DeepEqual(lastPlan.Origins, plan.Origins) ||
		plan.RejoinAfterRevoke || !plan.Next.IsZero() {
		return fmt.Sprintf("the same state results in another plan: %v %v, then %v %v %v %v", lastPlan.Targets,
			lastPlan.Origins, plan.Targets, plan.Origins, plan.RejoinAfterRevoke, plan.Next)
	}
	return ""
}

func (g *group) String() string {
	var s strings.Builder
	for _, m := range g.in.Members {
		fmt.Fprintf(&s, "%s has %v holds %v divides %v; ", m.ID, g.targetOf(m.ID), m.Owned, g.out.Origins[m.ID])
	}
	return s.String()
}
