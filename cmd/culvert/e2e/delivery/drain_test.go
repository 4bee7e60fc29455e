package delivery

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/base/require"
	"github.com/culvert-project/culvert/internal/cluster/groupview"
	"github.com/culvert-project/culvert/internal/connect"
	"github.com/culvert-project/culvert/internal/e2etest"
	"github.com/culvert-project/culvert/internal/odatatest"
	"github.com/culvert-project/culvert/internal/porttest"
)

// drain runs culvert drain for a worker.
func (g *Group) drain(n int) e2etest.Result {
	g.T.Helper()
	began := time.Now()
	defer func() { g.T.Logf("worker %d: culvert drain took %v", n, time.Since(began)) }()
	return g.Run("drain", "--url", "http://"+g.ids[n])
}

// drainAll drains the three workers one after the other. The last one finds no other worker, and keeps running.
func (g *Group) drainAll(connectors, tasks int) {
	t := g.T
	t.Helper()
	g.drain(0).WantCode(0).WantStdout("the worker is drained")
	for _, by := range []int{0, 1, 2} { // worker 0 still answers, and runs nothing
		leaving := func(m groupview.Member) bool {
			return m.WorkerID == g.ids[0] && m.Leaving && m.Connectors+m.Tasks == 0
		}
		if o := g.overview(by); len(o.Members) != 3 || !slices.ContainsFunc(o.Members, leaving) {
			t.Errorf("worker %d: expected the first of three to be drained, found %+v", by, o)
		}
	}
	g.AwaitSpread(connectors, tasks, 1, 2)
	g.drain(0).WantCode(0) // a second time
	g.workers[0].MustStop()
	g.AwaitSpread(connectors, tasks, 1, 2)
	for _, by := range []int{1, 2} {
		g.workers[by].Eventually("the worker that has left", func() bool {
			info := g.workerInfo(by, 0)
			return info.State == "left" && strings.HasPrefix(info.Error, "left ")
		})
	}
	g.drain(1).WantCode(0)
	g.AwaitSpread(connectors, tasks, 2)
	g.drain(2).WantCode(1).
		WantStderr("expected another worker of the group to take over the connectors and tasks of this " +
			"one, found none")
	g.AwaitSpread(connectors, tasks, 2)
	g.Join(0)
	g.AwaitSpread(connectors, tasks, 0, 2)
	g.workers[1].MustStop()
	statuses := make(chan int, 2)
	for _, n := range []int{0, 2} { // of two workers that are drained at once, at least one continues
		go func() {
			status := 0
			r, err := http.NewRequest("PUT", g.workers[n].URL+"/culvert/drain", nil)
			if err == nil {
				if a, err := http.DefaultClient.Do(r); err == nil {
					a.Body.Close()
					status = a.StatusCode
				}
			}
			statuses <- status
		}()
	}
	answers := []int{<-statuses, <-statuses}
	t.Logf("two workers drained at once: %v", answers)
	slices.Sort(answers)
	assert.True(t, answers[1] == 409 && (answers[0] == 204 || answers[0] == 409),
		"expected 204 or 409, and 409, found %v", answers)
	g.workers[0].Eventually("all runs", func() bool {
		_, isComplete := g.owners(0, connectors+tasks)
		return isComplete
	})
}

// owners returns the workers that run the connectors and tasks, as one worker reports. isComplete reports whether all
// of them run.
func (g *Group) owners(by, units int) (owners map[string]string, isComplete bool) {
	g.T.Helper()
	connectors, _ := g.statuses(by)
	owners = map[string]string{}
	isComplete = true
	for name, s := range connectors {
		owners[name] = s.Connector.WorkerID
		isComplete = isComplete && s.Connector.State == connect.Running
		for _, task := range s.Tasks {
			owners[fmt.Sprintf("%s-%d", name, task.ID)] = task.WorkerID
			isComplete = isComplete && task.State == connect.Running
		}
	}
	return owners, isComplete && len(owners) == units
}

func TestStaticWorkersOfAGroup(t *testing.T) { onEmbedded(t, StaticWorkersOfAGroup) }

// StaticWorkersOfAGroup restarts workers that have a group.instance.id: no task moves, unless a worker was drained
// before or does not return within its session.
func StaticWorkersOfAGroup(t *testing.T, p *e2etest.Place, servers string) {
	const connectors, tasks = 4, 8
	_, address := e2etest.StartDemo(t, odatatest.Options{Rows: 60, PageSize: 25})
	g := NewGroup(t, p, servers, 3, "group.instance.id=pod-%d", "session.timeout.ms=120000")
	g.createConnectors(address, connectors)
	g.AwaitSpread(connectors, tasks, 0, 1, 2)
	earlier, _ := g.owners(0, connectors+tasks)
	starts := func(n int) int { return strings.Count(g.workers[n].Stderr.String(), "connector started") }
	for n := range g.workers { // also the leader
		began := time.Now()
		by := (n + 1) % 3
		other := (n + 2) % 3
		startsBefore := starts(by) + starts(other)
		oldID := g.ids[n]
		g.workers[n].MustStop()
		t.Logf("worker %d: stopped after %v", n, time.Since(began))
		if n == 1 { // it returns at another address
			g.ids[n] = porttest.Address(t)
		}
		if n < 2 {
			g.Join(n)
		} else {
			g.Join(n, "--set", "session.timeout.ms=10000")
		}
		t.Logf("worker %d: started again after %v", n, time.Since(began))
		var current map[string]string
		g.workers[by].Eventually("everything runs on the same workers", func() (isComplete bool) {
			current, isComplete = g.owners(by, connectors+tasks)
			for unit, id := range earlier {
				require.True(t, (id == oldID || current[unit] == id) &&
					(id != oldID || current[unit] == oldID || current[unit] == g.ids[n]),
					"%s: expected it to stay at %s, found it at %s", unit, id, current[unit])
				isComplete = isComplete && (id != oldID || current[unit] == g.ids[n])
			}
			return isComplete
		})
		t.Logf("worker %d: all runs after %v", n, time.Since(began))
		if total := starts(by) + starts(other); total != startsBefore || startsBefore == 0 {
			t.Errorf("worker %d: expected no more than %d starts on the others, found %d", n, startsBefore, total)
		}
		earlier = current
		isKnown := func(m groupview.Member) bool { return m.URL == "http://"+g.ids[n] && len(m.Plugins) > 0 }
		g.workers[n].Eventually("the leader knows its address", func() bool {
			o := g.overview(n)
			return len(o.Members) == 3 && slices.ContainsFunc(o.Members, isKnown)
		})
	}
	g.drain(1).WantCode(0)
	g.AwaitSpread(connectors, tasks, 0, 2)
	g.workers[1].MustStop()
	g.workers[0].Eventually("the group has two members", func() bool { return len(g.overview(0).Members) == 2 })
	began := time.Now()
	g.workers[2].MustStop()
	g.AwaitSpread(connectors, tasks, 0)
	if elapsed := time.Since(began); elapsed < 5*time.Second {
		t.Errorf("expected the others to wait for its session of 10 s, found %v", elapsed)
	} else {
		t.Logf("a worker that did not come back: all runs elsewhere after %v", elapsed)
	}
}
