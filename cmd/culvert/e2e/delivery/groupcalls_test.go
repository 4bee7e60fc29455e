package delivery

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/culvert-project/culvert/host/connect"
	"github.com/culvert-project/culvert/internal/odatatest"

	"github.com/culvert-project/culvert/internal/e2etest"
)

// CallsOfAGroup asks a worker that does not lead: for what is not there, for connectors that begin paused or stopped,
// and for what has failed at another worker to be restarted. The next leader makes a session key of its own.
func CallsOfAGroup(t *testing.T, p *e2etest.Place, servers string) {
	_, address := e2etest.Demo(t, odatatest.Options{Rows: 60, PageSize: 25})
	failing, at := e2etest.Demo(t, odatatest.Options{Rows: 60, PageSize: 25})
	g := NewGroup(t, p, servers, 3, "inter.worker.key.ttl.ms=1")
	for _, w := range g.workers {
		w.Changes()
	}
	led := slices.Index(g.ids, g.overview(0).Leader)
	by := (led + 1) % 3
	w := g.workers[by]
	for _, call := range []string{"PUT pause", "PUT resume", "PUT stop", "POST restart",
		"POST restart?includeTasks=true&onlyFailed=true", "POST tasks/0/restart", "DELETE offsets"} {
		var method, path string
		_, err := fmt.Sscan(call, &method, &path)
		e2etest.NoError(t, err)
		w.Must(404, method, "/connectors/none/"+path, "")
	}
	w.Must(404, "PATCH", "/connectors/none/config", `{"tasks.max":"1"}`)

	for name, state := range map[string]string{"calm": "PAUSED", "halted": "STOPPED"} {
		w.Must(201, "POST", "/connectors", e2etest.AsJSON(t, map[string]any{"name": name, "initial_state": state,
			"config": groupSource(address, name)}))
	}
	w.Await("halted", "is stopped", e2etest.Is(connect.Stopped, 0))
	w.Await("calm", "is paused", e2etest.Is(connect.Paused, 0))
	w.Must(200, "PATCH", "/connectors/calm/config", `{"tasks.max":"1"}`, `"tasks.max":"1"`)
	for name, tasks := range map[string]int{"calm": 1, "halted": 2} {
		w.Must(202, "PUT", "/connectors/"+name+"/resume", "")
		w.Await(name, "runs", e2etest.Is(connect.Running, tasks))
	}

	w.Must(404, "POST", "/connectors/calm/tasks/7/restart", "")

	half := groupSource(at, "half")
	half["task.auto.restart"] = "false"
	for _, change := range [][2]string{{"match", "/Products"}, {"status", "500"}, {"status-count", "1000000"}} {
		e2etest.NoError(t, failing.Set(change[0], change[1]))
	}
	g.put(by, "half", half)
	states := func(orders, products connect.State) (is func(connect.Status) bool) {
		return func(s connect.Status) bool {
			return s.Connector.State == connect.Running && len(s.Tasks) == 2 && s.Tasks[0].State == orders &&
				s.Tasks[1].State == products
		}
	}
	w.Await("half", "has failed in part", states(connect.Running, connect.Failed))
	e2etest.NoError(t, failing.Set("status-count", "0"))
	w.Must(202, "POST", "/connectors/half/restart?includeTasks=true&onlyFailed=true", "", `"state":"RESTARTING"`)
	w.Await("half", "runs", states(connect.Running, connect.Running))
	for n, w := range g.workers {
		if strings.Contains(w.Stderr.String(), `msg="source task ended" connector=half task=0`) {
			t.Errorf("expected the task that had not failed to go on, found its end at worker %d", n)
		}
	}

	keys := g.keyed("session-key")
	g.workers[led].MustStop()
	w.Until(201, "PUT", "/connectors/late/config", e2etest.AsJSON(t, groupSource(address, "late")))
	g.Spreads(4, 7, by, 3-led-by)
	if n := g.keyed("session-key"); n <= keys {
		t.Errorf("expected another session key after %d, found %d", keys, n)
	}
}
