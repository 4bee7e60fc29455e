package delivery

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/culvert-project/culvert/internal/connect"
	"github.com/culvert-project/culvert/internal/e2etest"
	"github.com/culvert-project/culvert/internal/odatatest"
)

// views reads answers of a worker, and collects those without a change that the worker had confirmed before.
type views struct {
	*e2etest.Worker
	reads int      // answers that were read
	stale []string // answers without the change
}

// change sends a change and expects a status.
func (v *views) change(want int, method, path, body string) {
	v.Place.T.Helper()
	v.MustCall(want, method, path, body)
}

// read expects an answer with a status and with texts.
func (v *views) read(want int, path string, texts ...string) {
	v.Place.T.Helper()
	status, answer := v.Call("GET", path, "")
	v.reads++
	isMissing := func(text string) bool { return !strings.Contains(answer, text) }
	if status != want || slices.ContainsFunc(texts, isMissing) {
		v.stale = append(v.stale, fmt.Sprintf("GET %s: %d %.200s", path, status, answer))
	}
}

// A change that a worker has answered is in its next answers, also if another worker has made it.
func TestChangesAreInTheNextAnswers(t *testing.T) {
	g := embeddedGroup(t, 3)
	_, address := e2etest.StartDemo(t, odatatest.Options{Rows: 60, PageSize: 25})
	for _, w := range g.workers {
		w.AwaitChangeable()
	}
	leader := slices.Index(g.ids, g.overview(0).Leader)
	v := &views{Worker: g.workers[(leader+1)%3]}

	v.change(201, "POST", "/connectors", e2etest.AsJSON(t, map[string]any{"name": "c",
		"config": groupSource(address, "c")}))
	v.Await("c", "runs", e2etest.HasState(connect.Running, 2))
	v.AwaitCall(200, "GET", "/connectors/c/topics", "", "cOrders", "cProducts")
	for range 3 {
		v.change(204, "PUT", "/connectors/c/stop", "")
		v.read(200, "/connectors/c", `"tasks":[]`)
		v.read(200, "/connectors/c/tasks", `[]`)
		v.Await("c", "is stopped", e2etest.HasState(connect.Stopped, 0))
		v.change(202, "PUT", "/connectors/c/topics/reset", "")
		v.read(200, "/connectors/c/topics", `"topics":[]`)
		v.change(200, "DELETE", "/connectors/c/offsets", "")
		v.read(200, "/connectors/c/offsets", `{"offsets":[]}`)
		v.change(202, "PUT", "/connectors/c/resume", "")
		v.Await("c", "runs", e2etest.HasState(connect.Running, 2))
		v.change(202, "PUT", "/connectors/c/pause", "")
		v.change(202, "PUT", "/connectors/c/resume", "")
		v.change(202, "POST", "/connectors/c/restart?includeTasks=true", "")
		v.AwaitCall(200, "GET", "/connectors/c/topics", "", "cOrders", "cProducts")
	}
	for n := range 8 {
		name := fmt.Sprint("idle", n)
		path := "/connectors/" + name
		settings := groupSource(address, name)
		v.change(201, "POST", "/connectors", e2etest.AsJSON(t, map[string]any{"name": name,
			"initial_state": "STOPPED", "config": settings}))
		v.read(200, path, `"tasks.max":"2"`)
		v.read(200, path+"/status")
		v.change(200, "PATCH", path+"/config", `{"tasks.max":"1"}`)
		v.read(200, path+"/config", `"tasks.max":"1"`)
		settings["tasks.max"] = "3"
		v.change(200, "PUT", path+"/config", e2etest.AsJSON(t, settings))
		v.read(200, path, `"tasks.max":"3"`)
		v.change(204, "DELETE", path, "")
		v.read(404, path)
		v.read(404, path+"/status")
	}
	if len(v.stale) > 0 {
		t.Errorf("expected every change in %d answers, found it missing in %d:\n%s", v.reads, len(v.stale),
			strings.Join(v.stale[:min(len(v.stale), 10)], "\n"))
	}
}
