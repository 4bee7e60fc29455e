package cluster

import (
	"fmt"
	"log/slog"
	"strconv"
	"strings"
	"testing"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/base/require"
	"github.com/culvert-project/culvert/internal/transport/limits"
)

// expectAll expects the targets of the members, in their order.
func (g *group) expectAll(t *testing.T, want ...string) {
	t.Helper()
	var got []string
	for _, id := range g.ids() {
		got = append(got, strings.Join(g.targetOf(id), " "))
	}
	assert.Equal(t, want, got)
}

// The rules state what units wait for. [memberCount.play] describes the steps.
func TestAssignmentRules(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		connectors string // their names, numbers of tasks and claims
		steps      string
	}{
		// The connector itself does not wait. In the end m3 alone has tasks of the old version, and may start.
		"a new version begins when no other worker has tasks of the old one": {"a 3", "+m1 m2 m3; all; " +
			"is a a-0 | a-1 | a-2; version a; plan; is a |  | ; again; settle m1 m2; plan; is a |  | a-2; settle m3; " +
			"plan; is a a-0 | a-1 | a-2; calm"},
		"a worker that is alone waits for nobody": {"a 3", "+m1; all; version a; plan; is a a-0 a-1 a-2; calm"},
		"two connectors claim one thing": {"a 2 q, b 1 q r, c 1 r", "+m1 m2; all; is a a-0 c c-0 | a-1 b; " +
			"lacks b connectors a and b both claim q, which only one connector of an installation may have; " +
			"delete a; plan; is c | b; again; settle m2; plan; is b-0 c | b; " +
			"lacks c connectors b and c both claim r"},
		"a leader that does not know what a deleted connector claims": {"a 2 q, b 1 q r, c 1 r", "+m1 m2; all; " +
			"delete a; forget; plan; is c | b; again; settle m2; plan; is b-0 c | b; " +
			"lacks c connectors b and c both claim r"},
		"a deleted connector holds up those alone that claim the same": {"a 2 q", "+m1 m2; all; delete a; " +
			"claims b 2 r; plan; is b b-0 | b-1; calm; plan; is b b-0 | b-1; calm; claims c 1 q; plan; " +
			"is b b-0 | b-1 c; again"},
		"who got a unit in a newer generation keeps it": {"a 2", "+m1 m2; hold m1 a 0 1 2; hold m2 a 1 2; " +
			"since m1 4; since m2 5; create b 2; hold m1 b 0 1 2; all; is b b-0 b-1 | a-0 a-1"},
		"what a worker has that says goodbye moves at once, and nobody waits for it": {"a 2", "+m1 m2; all; " +
			"is a a-0 | a-1; leaving m1; all; is  | a-1; again; -m1; all; is a a-0 a-1; on time; leaving m2; all; " +
			"is ; lacks a expected a worker with the plugins of class C, found none among 1"},
		"where not all have what a class needs": {"a 2, b 2", "+m1 m2 m3; fits a m2; all; " +
			"is b b-0 | a a-0 a-1 | b-1; fits a; needs a p 2; all; is b b-0 |  | b-1; " +
			"lacks a expected a worker with the plugins of class C (p 2), found none among 3"},
		// If more workers have tasks than the limit allows, some give up all of them.
		"P16: workers with tasks of an origin divide its limit, and are no more than it has requests": {"a 6, b 2",
			"origin a 3; origin b 5; +m1; all; divide 1; +m2; [0 1] [0 4]; divide 1 0; again; all; divide 2 2; " +
				"+m3 m4 m5; all; all; all; divide 3 3 3 0 0; calm; origin a 2; all; all; [0 0 0 1 1] [0 0 0 4 4]"},
		"P16: who has to let go of its last tasks counts until it has, and joins again then": {"a 1, b 1",
			"origin a 0; origin b 0; +m1 m2; all; divide 2 2; delete b; plan; divide 2 2; again; settle m1 m2; plan; " +
				"divide 1 0; calm"},
		"P16: the leader does not plan all the time for who waits": {"a 1, b 1", "origin a 1; origin b 1; +m1 m2; " +
			"fits b m2; hold m1 a 1; lost plan; delete a; plan; is  | b; again; on time; settle m1; plan; is  | b b-0"},
		"P16: the whole of an origin moves where that makes members more equal": {"a 2, b 2", "origin a 1 one; " +
			"origin b 1 two; +m1; all; +m2; all; all; is b b-0 b-1 | a a-0 a-1"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			g := newGroup()
			for _, text := range strings.Split(c.connectors, ", ") {
				g.claims(t, text)
			}
			g.play(t, c.steps)
		})
	}
}

// claims creates a connector from its name, its number of tasks and its claims.
func (g *group) claims(t *testing.T, text string) {
	t.Helper()
	f := strings.Fields(text)
	tasks, err := strconv.Atoi(f[1])
	require.NoError(t, err)
	g.create(f[0], tasks).Claims = f[2:]
}

// The tasks of a connector are spread over as many workers as possible, even if other connectors are unevenly
// distributed.
func TestTasksOfAConnectorAreSpread(t *testing.T) {
	t.Parallel()
	g := newGroup()
	g.join("m1", "m2", "m3", "m4")
	for i := range 6 {
		g.create(fmt.Sprint("c", i), 1+i%3)
	}
	g.create("wide", 4)
	g.rebalance()
	for _, id := range g.ids() {
		assert.Contains(t, strings.Join(g.targetOf(id), " "), "wide-")
	}
	g.leave("m4")
	g.in.State = AssignorState{}
	g.rebalance()
	g.join("m4'")
	g.rebalance()
	g.rebalance()
	for _, id := range g.ids() {
		assert.Contains(t, strings.Join(g.targetOf(id), " "), "wide-")
	}
}

// A connector that cannot be assigned reports the reason.
func TestUnassignableConnectorReportsReason(t *testing.T) {
	t.Parallel()
	g := newGroup(connector("a", 1, 1), connector("b", 3, maxTask+1), connector("c", 5, 1), connector("d", 7, 3))
	g.connector("c").Key = KeyOf("a")
	g.connector("d").Version = 0
	g.join("m1")
	g.rebalance()
	g.expectAll(t, "a a-0 b d")
	assert.Equal(t, map[string]string{"b": "expected at most 100000 tasks, found 100001",
		"c": fmt.Sprintf("expected a name whose hash differs from that of connector a, found %016x", KeyOf("a"))},
		g.out.Unplaced)

	g = newGroup(connector("a", 1, 1), connector("b", 3, 1))
	g.connector("a").Origin = "https://sap"
	g.connector("b").Origin = "https://sap"
	g.connector("a").Requests = 1
	g.connector("a").Eligible = []bool{true, false}
	g.connector("b").Eligible = []bool{false, true}
	g.join("m1", "m2")
	g.rebalance()
	g.expectAll(t, "a a-0", "b")
	assert.Equal(t, map[string]string{"b": "expected the plugins of class C on one of the 1 workers that may send " +
		"requests to https://sap at a time, found them only on others"}, g.out.Unplaced)

	assert.Equal(t, 0, len(Assign(Input{}).Targets))
}

// P16: the strictest limits of an origin apply to the connectors of all workers together, although each worker knows
// only its own.
func TestStrictestOriginLimitsApplyToAllWorkers(t *testing.T) {
	t.Parallel()
	workerLimits := map[string]limits.Limits{"x": {Concurrent: 2, PerSecond: 5}, "y": {Concurrent: 10}}
	g := newGroup(connector("x", 1, 1), connector("y", 3, 1))
	for i := range g.in.Connectors {
		c := &g.in.Connectors[i]
		c.Origin = "https://sap"
		c.Requests = workerLimits[c.Name].Concurrent
		c.PerSecond = workerLimits[c.Name].PerSecond
		c.Eligible = []bool{i == 0, i == 1}
	}
	g.join("m1", "m2")
	g.rebalance()
	g.expectAll(t, "x x-0", "y y-0")
	for id, name := range map[string]string{"m1": "x", "m2": "y"} {
		b, err := Assignment{Origins: g.out.Origins[id]}.Encode()
		require.NoError(t, err)
		a, err := DecodeAssignment(b)
		require.NoError(t, err)
		l := limits.New("https://sap")
		client := l.Join(workerLimits[name], slog.New(slog.DiscardHandler), func() {}, func(int) {})
		l.Divide(a.Origins[KeyOf("https://sap")])
		usage := client.Usage()
		assert.Equal(t, 1, usage.Requests.Limit, name, "concurrent requests, of 2")
		assert.Equal(t, 2.5, usage.PerSecond, name, "requests per second, of 5")
	}
}

// A frozen plan moves nothing: members of the last generation keep their units, unless another member has the same unit
// or tasks of another version. A member that was not in that generation receives nothing.
func TestFrozenPlanMovesNothing(t *testing.T) {
	t.Parallel()
	g := newGroup(connector("a", 1, 4), connector("b", 3, 2), connector("c", 5, 1))
	g.join("m1", "m2", "m3")
	g.hold("m1", "a", 0, 1, 2)
	g.hold("m2", "a", 2, 3)
	g.hold("m3", "a", 3, 4)
	g.hold("m1", "b", 0, 1)
	g.member("m2").Owned = append(g.member("m2").Owned, ResourceSet{KeyOf("b"), 1, units(2)})
	g.hold("m3", "c", 0, 1)
	for i := range g.in.Members {
		g.in.Members[i].Generation = 5
	}
	g.member("m3").Generation = 4
	plan := freezePlan(g.in.Members)
	g.targets = plan.Targets
	g.expectAll(t, "a a-0 b", "a-2", "")
	g.member("m2").Leaving = true
	g.targets = freezePlan(g.in.Members).Targets
	g.expectAll(t, "a a-0 b", "", "")
}
