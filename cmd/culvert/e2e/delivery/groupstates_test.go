package delivery

import (
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/connect"
	"github.com/culvert-project/culvert/internal/e2etest"
	"github.com/culvert-project/culvert/internal/odatatest"
	"github.com/culvert-project/culvert/internal/rest"
)

// listConnectors returns the connectors as one worker lists them, empty if it cannot.
func (g *Group) listConnectors(by int) (list rest.ConnectorList) {
	g.T.Helper()
	_, answer := g.workers[by].Call("GET", "/culvert/connectors", "")
	_ = json.Unmarshal([]byte(answer), &list) // an error has no connectors
	return list
}

// Of two workers one is killed, first the follower, then the leader. The states of its connectors and tasks are unknown
// before its session of 6 seconds ends, also to a worker that still regards it as the leader. They run again when the
// worker is back.
func TestStatesOfAKilledWorker(t *testing.T) {
	g := embeddedGroup(t, 2, "scheduled.rebalance.max.delay.ms=20000")
	_, address := e2etest.StartDemo(t, odatatest.Options{Rows: 60, PageSize: 25})
	for _, w := range g.workers {
		w.AwaitChangeable()
	}
	for _, name := range []string{"c0", "c1"} {
		g.put(0, name, groupSource(address, name))
	}
	single := groupSource(address, "single") // the connector and its task are on different workers
	single["tasks.max"] = "1"
	g.put(0, "single", single)
	states := func(by int) (counts map[connect.Condition]int) { return g.listConnectors(by).Counts }
	for round := range 2 {
		g.AwaitSpread(3, 5, 0, 1)
		g.workers[0].Eventually("calm connectors", func() bool { return states(0)[connect.ConditionIdle] == 3 })
		leader := slices.Index(g.ids, g.overview(0).Leader)
		killed := []int{1 - leader, leader}[round]
		by := 1 - killed
		g.workers[killed].Kill()
		died := time.Now()
		g.workers[by].Eventually("unknown states", func() bool { return states(by)[connect.ConditionUnknown] > 0 })
		t.Logf("round %d: unknown after %v", round, time.Since(died))
		if r := g.Run("status", "--url", g.workers[by].URL); r.Code != 1 {
			t.Errorf("round %d: expected exit 1 of culvert status, found %d\n%s%s", round, r.Code, r.Stdout, r.Stderr)
		}
		var workers []rest.WorkerInfo
		e2etest.Get(t, g.workers[by].URL+"/culvert/workers", &workers)
		hasAnswered := func(w rest.WorkerInfo) bool { return w.Worker == g.ids[by] && w.Error == "" }
		if !slices.ContainsFunc(workers, hasAnswered) {
			t.Errorf("round %d: expected the answer of worker %s, found %+v", round, g.ids[by], workers)
		}
		g.workers[by].Eventually("that no worker runs what it ran, or that this one does", func() bool {
			counts := states(by)
			return counts[connect.ConditionUnknown] == 0
		})
		t.Logf("round %d: found %s", round, fmt.Sprint(states(by)))
		g.checkLostWorker(by, killed, killed != leader) // a new leader has moved the tasks
		g.Join(killed)
		g.workers[by].Eventually("no lost worker", func() bool { return g.workerInfo(by, killed).State == "answers" })
	}
}

// workerInfo returns what a worker tells of another one, the zero value if it does not list it.
func (g *Group) workerInfo(by, other int) rest.WorkerInfo {
	g.T.Helper()
	var workers []rest.WorkerInfo
	e2etest.Get(g.T, g.workers[by].URL+"/culvert/workers", &workers)
	for _, w := range workers {
		if w.Worker == g.ids[other] {
			return w
		}
	}
	return rest.WorkerInfo{}
}

// checkLostWorker checks that a worker names the lost one everywhere, with the time at which its tasks move if they
// wait for it.
func (g *Group) checkLostWorker(by, lost int, waits bool) {
	t := g.T
	t.Helper()
	want := `lost \d+ s ago`
	if waits {
		want += `, its (\d tasks move|task moves) in 0:\d\d`
	}
	g.workers[by].Eventually("the lost worker", func() bool { return g.workerInfo(by, lost).State == "lost" })
	info := g.workerInfo(by, lost)
	assert.True(t, regexp.MustCompile("^"+want+"$").MatchString(info.Error), "expected %s, found %+v", want, info)
	if former := g.overview(by).Former; len(former) != 1 || former[0].WorkerID != g.ids[lost] {
		t.Errorf("expected the lost worker in the overview of the group, found %+v", former)
	}
	if r := g.Run("status", "--url", g.workers[by].URL); !regexp.MustCompile(
		`(?m)^Worker ` + g.ids[lost] + `: ` + want + `$`).MatchString(r.Stdout) {
		t.Errorf("expected %s in culvert status, found\n%s", want, r.Stdout)
	}
	if _, page := g.workers[by].Call("GET", "/console/", ""); !strings.Contains(page, g.ids[lost]+"</a>: lost ") {
		t.Errorf("expected the lost worker on the console's overview, found\n%s", page)
	}
	isCause := func(c rest.ConnectorSummary) bool {
		return strings.HasPrefix(c.Cause, "worker "+g.ids[lost]+": lost ")
	}
	list := g.listConnectors(by)
	assert.True(t, slices.ContainsFunc(list.Connectors, isCause) == waits,
		"expected the lost worker as a cause: %t, found %+v", waits, list.Connectors)
}
