package cluster

import (
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/culvert-project/culvert/host/internal/base/assert"
	"github.com/culvert-project/culvert/host/internal/base/require"
	"github.com/culvert-project/culvert/host/transport/limits"
)

// expectAll is what members are to have, in their order.
func (g *group) expectAll(t *testing.T, want ...string) {
	t.Helper()
	var got []string
	for _, id := range g.ids() {
		got = append(got, strings.Join(g.has(id), " "))
	}
	assert.Equal(t, want, got)
}

// A new version of a connector's tasks begins when no other worker has tasks of the old one; the connector itself does
// not wait.
func TestTasksOfTwoVersions(t *testing.T) {
	t.Parallel()
	g := newGroup(connector("a", 1, 3))
	g.join("m1", "m2", "m3")
	g.rebalance()
	g.expectAll(t, "a a-0", "a-1", "a-2")
	g.connector("a").Version = 20
	g.plan()
	g.expectAll(t, "a", "", "")
	assert.Equal(t, true, g.out.Again)
	g.settle("m1", "m2")
	g.plan() // m3 takes its time: it alone has the old version, and may begin with the new one
	g.expectAll(t, "a", "", "a-2")
	g.settle("m3")
	g.plan()
	g.expectAll(t, "a a-0", "a-1", "a-2")
	assert.Equal(t, false, g.out.Again)

	alone := newGroup(connector("a", 1, 3))
	alone.join("m1")
	alone.rebalance()
	alone.connector("a").Version, alone.connector("a").Tasks = 20, 2
	alone.plan()
	alone.expectAll(t, "a a-0 a-1")
	assert.Equal(t, []Held{{KeyOf("a"), 20, units(0, 1, 2)}}, alone.out.Targets["m1"])
	assert.Equal(t, false, alone.out.Again)
}

// Tasks of two connectors with one claim never run at two workers, whether the other connector is a new one, a deleted
// one, or one that the leader has never known.
func TestClaimsOfTwoConnectors(t *testing.T) {
	t.Parallel()
	claim := func(c Connector, claims ...string) Connector {
		c.Claims = claims
		return c
	}
	g := newGroup(claim(connector("a", 1, 2), "q"), claim(connector("b", 3, 1), "q", "r"),
		claim(connector("c", 5, 1), "r"))
	g.join("m1", "m2")
	g.rebalance()
	g.expectAll(t, "a a-0 c c-0", "a-1 b")
	assert.Equal(t, map[string]string{"b": "connectors a and b both claim q, which only one connector of an " +
		"installation may have: b does not start"}, g.out.Unplaced)

	g.delete("a")
	for _, forgets := range []bool{false, true} {
		h := *g
		h.in.Members = slices.Clone(g.in.Members)
		if forgets {
			h.in.Before = Memory{}
		}
		h.plan()
		h.expectAll(t, "c", "b")
		assert.Equal(t, true, h.out.Again)
		h.settle("m2")
		h.plan() // m1 has a task of a still, and may be given that of b, which waits there for the end of a
		h.expectAll(t, "b-0 c", "b")
		assert.Contains(t, h.out.Unplaced["c"], "connectors b and c both claim r")
	}
}

// A worker that is slow to stop a deleted connector does not stop those from beginning that claim something else.
func TestClaimsOfDeletedConnectors(t *testing.T) {
	t.Parallel()
	g := newGroup(connector("a", 1, 2))
	g.connector("a").Claims = []string{"q"}
	g.join("m1", "m2")
	g.rebalance()
	g.delete("a")
	g.create("b", 2).Claims = []string{"r"}
	for range 2 {
		g.plan() // nobody lets go
		g.expectAll(t, "b b-0", "b-1")
		assert.Equal(t, false, g.out.Again)
	}
	g.create("c", 1).Claims = []string{"q"}
	g.plan()
	g.expectAll(t, "b b-0", "b-1 c")
	assert.Equal(t, true, g.out.Again)
}

// Of two workers with one unit that keeps it which got it in a newer generation.
func TestNewerGenerationKeepsAUnit(t *testing.T) {
	t.Parallel()
	g := newGroup(connector("a", 1, 2))
	g.join("m1", "m2")
	g.hold("m1", "a", 0, 1, 2)
	g.hold("m2", "a", 1, 2)
	g.member("m1").Generation, g.member("m2").Generation = 4, 5
	g.create("b", 2)
	g.hold("m1", "b", 0, 1, 2)
	g.rebalance()
	g.expectAll(t, "b b-0 b-1", "a-0 a-1")
}

// What a worker that says goodbye has moves at once, and is not waited for when it has gone.
func TestGoodbye(t *testing.T) {
	t.Parallel()
	g := newGroup(connector("a", 1, 2))
	g.join("m1", "m2")
	g.rebalance()
	g.expectAll(t, "a a-0", "a-1")
	g.member("m1").Leaving = true
	g.rebalance()
	g.expectAll(t, "", "a-1")
	assert.Equal(t, true, g.out.Again)
	g.leave("m1")
	g.rebalance()
	g.expectAll(t, "a a-0 a-1")
	assert.Equal(t, time.Duration(0), g.waits())

	g.member("m2").Leaving = true
	g.rebalance()
	g.expectAll(t, "")
	assert.Contains(t, g.out.Unplaced["a"], "expected a worker that has what class C needs, found none among 1")
}

// A connector goes to workers that have what its class needs; where nobody has, it says so, and what runs it stops.
func TestClassesThatNotAllHave(t *testing.T) {
	t.Parallel()
	g := newGroup(connector("a", 1, 2), connector("b", 3, 2))
	g.join("m1", "m2", "m3")
	g.connector("a").Fits = []bool{false, true, false}
	g.rebalance()
	g.expectAll(t, "b b-0", "a a-0 a-1", "b-1")
	assert.Equal(t, 0, len(g.out.Unplaced))
	g.connector("a").Fits, g.connector("a").Lacks = []bool{false, false, false}, "p 2"
	g.rebalance()
	g.expectAll(t, "b b-0", "", "b-1")
	assert.Equal(t, map[string]string{"a": "expected a worker that has what class C needs (p 2), found none " +
		"among 3"},
		g.out.Unplaced)
}

// Tasks of one connector are at as many workers as there are, also where others have more to do.
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
		assert.Contains(t, strings.Join(g.has(id), " "), "wide-")
	}
	g.leave("m4")
	g.in.Before = Memory{}
	g.rebalance()
	g.join("m4'")
	g.rebalance()
	g.rebalance()
	for _, id := range g.ids() {
		assert.Contains(t, strings.Join(g.has(id), " "), "wide-")
	}
}

// What cannot be placed says why, in a connector's own words.
func TestConnectorsThatCannotBePlaced(t *testing.T) {
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
	g.connector("a").Origin, g.connector("b").Origin = "https://sap", "https://sap"
	g.connector("a").Requests = 1
	g.connector("a").Fits, g.connector("b").Fits = []bool{true, false}, []bool{false, true}
	g.join("m1", "m2")
	g.rebalance()
	g.expectAll(t, "a a-0", "b")
	assert.Equal(t, map[string]string{"b": "expected what class C needs at one of the 1 workers that may ask " +
		"https://sap at a time, found it at others only"}, g.out.Unplaced)

	assert.Equal(t, 0, len(Place(Input{}).Targets))
}

// P16: tasks of an origin are on as many workers as it may have requests at a time, and those divide its limits.
func TestWorkersOfAnOrigin(t *testing.T) {
	t.Parallel()
	g := newGroup(connector("a", 1, 6), connector("b", 3, 2))
	for i := range g.in.Connectors {
		g.in.Connectors[i].Origin = "https://sap"
	}
	g.connector("a").Requests, g.connector("b").Requests = 3, 5
	divides := func(want ...int) {
		t.Helper()
		var got []int
		for _, id := range g.ids() {
			got = append(got, g.out.Origins[id][KeyOf("https://sap")].Workers)
		}
		assert.Equal(t, want, got)
	}
	g.join("m1")
	g.rebalance()
	divides(1)
	g.join("m2")
	g.rebalance()
	g.expect(t, "[0 1] [0 4]")
	divides(1, 0)
	assert.Equal(t, true, g.out.Again)
	g.rebalance()
	divides(2, 2)
	g.join("m3", "m4", "m5")
	for range 6 {
		g.rebalance()
		g.in.Now = g.out.Next
	}
	divides(3, 3, 3, 0, 0)
	assert.Equal(t, false, g.out.Again)

	// Of more workers than may have tasks some let go of all.
	g.connector("a").Requests = 2
	for range 4 {
		g.rebalance()
	}
	g.expect(t, "[0 0 0 1 1] [0 0 0 4 4]")

	// Who has to let go of its last tasks counts until it has, and joins again then.
	g = newGroup(connector("a", 1, 1), connector("b", 3, 1))
	g.connector("a").Origin, g.connector("b").Origin = "https://sap", "https://sap"
	g.join("m1", "m2")
	g.rebalance()
	divides(2, 2)
	g.delete("b")
	g.plan()
	divides(2, 2)
	assert.Equal(t, true, g.out.Again)
	g.settle("m1", "m2")
	g.plan()
	divides(1, 0)
	assert.Equal(t, false, g.out.Again)

	// Who waits for a worker that is to let go of tasks does not have the leader plan all the time.
	g = newGroup(connector("a", 1, 1), connector("b", 3, 1))
	for i := range g.in.Connectors {
		g.in.Connectors[i].Origin, g.in.Connectors[i].Requests = "https://sap", 1
	}
	g.join("m1", "m2")
	g.connector("b").Fits = []bool{false, true}
	g.hold("m1", "a", 1)
	g.in.Before = Place(g.in).Memory
	g.delete("a")
	g.plan()
	g.expectAll(t, "", "b")
	assert.Equal(t, true, g.out.Again)
	assert.Equal(t, true, g.out.Next.IsZero())
	g.settle("m1")
	g.plan()
	g.expectAll(t, "", "b b-0")

	// The whole of an origin moves where that makes members more equal.
	g = newGroup(connector("a", 1, 2), connector("b", 3, 2))
	for i, o := range []string{"https://one", "https://two"} {
		g.in.Connectors[i].Origin, g.in.Connectors[i].Requests = o, 1
	}
	g.join("m1")
	g.rebalance()
	g.join("m2")
	g.rebalance()
	g.rebalance()
	g.expectAll(t, "b b-0 b-1", "a a-0 a-1")
}

// P16: the strictest limits of an origin count for connectors on all workers together, which know their own alone.
func TestStrictestLimitsOfTwoWorkers(t *testing.T) {
	t.Parallel()
	own := map[string]limits.Limits{"x": {Concurrent: 2, PerSecond: 5}, "y": {Concurrent: 10}}
	g := newGroup(connector("x", 1, 1), connector("y", 3, 1))
	for i := range g.in.Connectors {
		c := &g.in.Connectors[i]
		c.Origin, c.Requests, c.PerSecond = "https://sap", own[c.Name].Concurrent, own[c.Name].PerSecond
		c.Fits = []bool{i == 0, i == 1}
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
		client := l.Join(own[name], slog.New(slog.DiscardHandler), func() {}, func(int) {})
		l.Divide(a.Origins[KeyOf("https://sap")])
		use := client.Use()
		assert.Equal(t, 1, use.Requests.Limit, name+" of 2")
		assert.Equal(t, 2.5, use.PerSecond, name+" of 5 a second")
	}
}

// Where nothing is to move, members of the last generation keep what they hold. Who was out, or leaves, gets nothing.
func TestKeep(t *testing.T) {
	t.Parallel()
	g := newGroup(connector("a", 1, 4))
	g.join("m1", "m2", "m3")
	g.hold("m1", "a", 0, 1)
	g.hold("m2", "a", 2, 3)
	g.hold("m3", "a", 4)
	g.member("m1").Generation, g.member("m2").Generation, g.member("m3").Generation = 5, 5, 4
	g.targets = keep(g.in.Members).Targets
	g.expectAll(t, "a a-0", "a-1 a-2", "")
	g.member("m2").Leaving = true
	g.targets = keep(g.in.Members).Targets
	g.expectAll(t, "a a-0", "", "")
}
