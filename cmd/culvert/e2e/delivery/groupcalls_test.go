package delivery

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/base/require"
	"github.com/culvert-project/culvert/internal/cluster/groupview"
	"github.com/culvert-project/culvert/internal/connect"
	"github.com/culvert-project/culvert/internal/e2etest"
	"github.com/culvert-project/culvert/internal/odatatest"
)

// Each of three workers answers requests about connectors that run on the others.
func TestCallsOfAGroup(t *testing.T) {
	// A worker that does not answer for two questions, 3 s each, stays a member.
	g := embeddedGroup(t, 3, "inter.worker.key.ttl.ms=1", "session.timeout.ms=20000")
	_, address := e2etest.StartDemo(t, odatatest.Options{Rows: 60, PageSize: 25})
	for _, w := range g.workers {
		w.AwaitChangeable()
	}
	g.checkClaims(address)
	g.checkMetrics(address)
	g.checkOffsets()
	g.checkCalls(address)
}

// checkClaims checks that only one connector may read the changes of a set, also if several workers receive the
// requests at the same moment (RATIONALE.md P14).
func (g *Group) checkClaims(address string) {
	t := g.T
	t.Helper()
	const claim = `both claim \"changes of`
	deltaSource := func(name string) string {
		return e2etest.AsJSON(t, map[string]any{"name": name, "config": e2etest.SettingsOf(e2etest.DeltaSource(name,
			address, odatatest.ODPPath, "FactsOfProducts", "sap.odata.delta.takeover=true"))})
	}
	answers := make([]string, 3)
	var posting sync.WaitGroup
	for n, w := range g.workers {
		posting.Go(func() {
			status, answer := w.Call("POST", "/connectors", deltaSource(fmt.Sprint("rival", n)))
			answers[n] = fmt.Sprint(status, " ", answer)
		})
	}
	posting.Wait()
	hasStatus := func(status, text string) func(string) bool {
		return func(a string) bool { return strings.HasPrefix(a, status) && strings.Contains(a, text) }
	}
	refused := slices.DeleteFunc(slices.Clone(answers), hasStatus("201 ", `"name"`))
	isRefusal := hasStatus("400 ", claim)
	assert.True(t, len(refused) == 2 && isRefusal(refused[0]) && isRefusal(refused[1]),
		"expected one of three rivals, found %q", answers)
	settings := e2etest.SettingsOf(e2etest.DeltaSource("late", address, odatatest.ODPPath, "FactsOfProducts"))
	for n, w := range g.workers {
		w.AwaitCall(200, "PUT", "/connector-plugins/ODataSource/config/validate", e2etest.AsJSON(t, settings), claim)
		w.MustCall(400, "PUT", "/connectors/late/config", e2etest.AsJSON(t, settings), claim)
		g.workers[n].MustCall(404, "GET", "/connectors/late", "")
	}
	winner := slices.IndexFunc(answers, hasStatus("201 ", ""))
	g.workers[0].MustCall(204, "DELETE", fmt.Sprint("/connectors/rival", winner), "")
}

// metrics returns the metrics of a connector, as one worker reports them.
func (g *Group) metrics(by int, name string) (m connect.Metrics) {
	g.T.Helper()
	e2etest.Get(g.T, g.workers[by].URL+"/culvert/connectors/"+name, &m)
	return m
}

// checkMetrics requests metrics from each of three workers, by REST and by commands, for connectors whose tasks run on
// several.
func (g *Group) checkMetrics(address string) {
	t := g.T
	t.Helper()
	for _, name := range []string{"c0", "c1"} {
		settings := groupSource(address, name) // a snapshot delivers the rows once more
		settings["sap.odata#00.exec-period"] = "86400"
		settings["sap.odata#01.exec-period"] = "86400"
		g.put(0, name, settings)
	}
	g.AwaitSpread(2, 4, 0, 1, 2)
	for _, name := range []string{"c0", "c1"} {
		g.workers[0].Eventually("one status of "+name+" at every worker, with its plugin", func() bool {
			answers := map[string]bool{}
			for _, w := range g.workers {
				answers[w.MustCall(200, "GET", "/connectors/"+name+"/status", "")] = true
			}
			return len(answers) == 1 && strings.Contains(slices.Collect(maps.Keys(answers))[0], `"plugin":"`)
		})
	}
	for by, w := range g.workers {
		var m connect.Metrics
		w.Eventually("figures of both tasks", func() bool {
			m = g.metrics(by, "c0")
			return len(m.Tasks) == 2 && m.Tasks[0].Progress != nil && m.Tasks[1].Progress != nil &&
				m.Tasks[0].Rows == 60 && m.Tasks[1].Rows == 77
		})
		if m.State.Urgency() < connect.ConditionLoading.Urgency() || m.Tasks[0].WorkerID == m.Tasks[1].WorkerID ||
			m.Tasks[1].State.Urgency() < connect.ConditionLoading.Urgency() {
			t.Errorf("expected tasks of two workers that run, found %+v", m)
		}
	}
	w := g.workers[(slices.Index(g.ids, g.overview(0).Leader)+1)%3]
	w.Eventually("all rows in culvert status", func() bool {
		out := g.Run("status", "--url", w.URL).Stdout
		return regexp.MustCompile(`(?m)^c0 +source +idle +2 +137 +[0-9.]+ +- +0 +- +[a-z,]+$`).MatchString(out) &&
			strings.Contains(out, "Group workers, generation ") &&
			strings.Contains(out, ": 3 workers, led by 127.0.0.1:")
	})
	g.Run("connectors", "show", "c0", "--url", w.URL).WantCode(0).WantStdout("\n    Orders: caught up ",
		"\n    Products: caught up ")
	g.Run("connectors", "list", "--url", w.URL).WantCode(0).WantStdout("c0 ", "c1 ")
	g.Run("offsets", "show", "c0", "--json", "--url", w.URL).WantCode(0).WantStdout(`"offsets": [`)
	for by, feed := range []string{"Orders", "Products", "Orders"} {
		ident := e2etest.Decode[map[string]string](t, g.workers[by].MustCall(202, "POST",
			"/culvert/connectors/c0/feeds/"+feed+"/snapshot", ""))["snapshot"]
		g.workers[by].Eventually("the snapshot", func() bool {
			m := g.metrics(by, "c0")
			return slices.ContainsFunc(m.Tasks, func(task connect.TaskMetrics) bool {
				if task.Progress == nil || len(task.Feeds) != 1 || task.Feeds[0].LastSnapshot == nil {
					return false
				}
				f := task.Feeds[0]
				return f.Name == feed && f.LastSnapshot.Snapshot == ident && f.LastSnapshot.Started && f.CaughtUp
			})
		})
	}
	g.workers[2].MustCall(404, "POST", "/culvert/connectors/c0/feeds/Nothing/snapshot", "")
	g.workers[2].MustCall(404, "GET", "/culvert/connectors/ghost", "")
}

// checkOffsets changes the offsets of a stopped connector while a worker that has one of its tasks is paused. The
// change waits until that worker has ended the task or has left the group. Until then the task's figures are missing,
// with the reason.
func (g *Group) checkOffsets() {
	t := g.T
	t.Helper()
	var group groupview.Group
	e2etest.Get(t, g.workers[0].URL+"/culvert/cluster", &group)
	leader := slices.Index(g.ids, group.Leader)
	other := 0
	task := slices.IndexFunc(g.metrics(0, "c0").Tasks, func(task connect.TaskMetrics) bool {
		other = slices.Index(g.ids, task.WorkerID)
		return task.WorkerID != group.Leader
	})
	g.workers[leader].MustCall(400, "DELETE", "/connectors/c0/offsets", "", "must be in the STOPPED state")
	g.workers[other].Signal(syscall.SIGSTOP)
	m := g.metrics(leader, "c0")
	assert.True(t, m.Tasks[task].Progress == nil && strings.Contains(m.Tasks[task].Error, g.ids[other]) &&
		m.Tasks[1-task].Progress != nil, "expected figures of task %d alone, found %+v", 1-task, m)
	g.workers[leader].MustCall(204, "PUT", "/connectors/c0/stop", "")
	answers := make(chan string, 1)
	go func() {
		status, answer := g.workers[leader].Call("DELETE", "/connectors/c0/offsets", "")
		answers <- fmt.Sprint(status, " ", answer)
	}()
	g.metrics(leader, "c0") // waits for the suspended worker for some seconds
	isEarly := len(answers) > 0
	g.workers[other].Signal(syscall.SIGCONT)
	assert.True(t, !isEarly, "expected the offsets to be changed when no worker has a task, found an earlier answer")
	answer := <-answers
	assert.True(t, strings.HasPrefix(answer, "200 "), "expected the offsets to be changed, found %s", answer)
	for _, w := range g.workers {
		w.AwaitCall(200, "GET", "/connectors/c0/offsets", "", `{"offsets":[]}`)
	}
	g.workers[1-leader/2].MustCall(202, "PUT", "/connectors/c0/resume", "")
	g.workers[leader].Await("c0", "runs again", e2etest.HasState(connect.Running, 2))
}

// checkCalls sends requests to a worker that does not lead: for connectors that do not exist, for connectors that start
// paused or stopped, and for a restart of tasks that failed on another worker. The next leader creates its own session
// key.
func (g *Group) checkCalls(address string) {
	t := g.T
	t.Helper()
	failing, failingAddress := e2etest.StartDemo(t, odatatest.Options{Rows: 60, PageSize: 25})
	leader := slices.Index(g.ids, g.overview(0).Leader)
	by := (leader + 1) % 3
	w := g.workers[by]
	for _, call := range []string{"PUT pause", "PUT resume", "PUT stop", "POST restart",
		"POST restart?includeTasks=true&onlyFailed=true", "POST tasks/0/restart", "DELETE offsets"} {
		var method, path string
		_, err := fmt.Sscan(call, &method, &path)
		require.NoError(t, err)
		w.MustCall(404, method, "/connectors/none/"+path, "")
	}
	w.MustCall(404, "PATCH", "/connectors/none/config", `{"tasks.max":"1"}`)

	for name, state := range map[string]string{"calm": "PAUSED", "halted": "STOPPED"} {
		w.MustCall(201, "POST", "/connectors", e2etest.AsJSON(t, map[string]any{"name": name, "initial_state": state,
			"config": groupSource(address, name)}))
	}
	w.Await("halted", "is stopped", e2etest.HasState(connect.Stopped, 0))
	w.Await("calm", "is paused", e2etest.HasState(connect.Paused, 0))
	w.MustCall(200, "PATCH", "/connectors/calm/config", `{"tasks.max":"1"}`, `"tasks.max":"1"`)
	for name, tasks := range map[string]int{"calm": 1, "halted": 2} {
		w.MustCall(202, "PUT", "/connectors/"+name+"/resume", "")
		w.Await(name, "runs", e2etest.HasState(connect.Running, tasks))
	}

	w.MustCall(404, "POST", "/connectors/calm/tasks/7/restart", "")

	half := groupSource(failingAddress, "half")
	half["task.auto.restart"] = "false"
	for _, change := range [][2]string{{"match", "/Products"}, {"status", "500"}, {"status-count", "1000000"}} {
		require.NoError(t, failing.Set(change[0], change[1]))
	}
	g.put(by, "half", half)
	haveStates := func(orders, products connect.State) func(connect.Status) bool {
		return func(s connect.Status) bool {
			return s.Connector.State == connect.Running && len(s.Tasks) == 2 && s.Tasks[0].State == orders &&
				s.Tasks[1].State == products
		}
	}
	w.Await("half", "has failed in part", haveStates(connect.Running, connect.Failed))
	// The leader answers with the states that it has read, and each worker reads the status topic by itself.
	g.workers[leader].Await("half", "has failed in part at the leader", haveStates(connect.Running, connect.Failed))
	require.NoError(t, failing.Set("status-count", "0"))
	w.MustCall(202, "POST", "/connectors/half/restart?includeTasks=true&onlyFailed=true", "", `"state":"RESTARTING"`)
	w.Await("half", "runs", haveStates(connect.Running, connect.Running))
	for n, w := range g.workers {
		assert.True(t, !strings.Contains(w.Stderr.String(), `msg="source task ended" connector=half task=0`),
			"expected the task that had not failed to go on, found its end at worker %d", n)
	}

	keys := g.countRecords("session-key")
	g.workers[leader].MustStop()
	w.AwaitCall(201, "PUT", "/connectors/late/config", e2etest.AsJSON(t, groupSource(address, "late")))
	g.AwaitSpread(6, 11, by, 3-leader-by)
	n := g.countRecords("session-key")
	assert.True(t, n > keys, "expected another session key after %d, found %d", keys, n)
}
