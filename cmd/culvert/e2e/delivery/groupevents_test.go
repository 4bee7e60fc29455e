package delivery

import (
	"slices"
	"strings"
	"testing"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/connect"
	"github.com/culvert-project/culvert/internal/e2etest"
	"github.com/culvert-project/culvert/internal/odatatest"
)

// The events of a connector come from all workers, each once, with the sender of the request to the worker where it
// arrived. They are kept after the connector was deleted.
func TestEventsOfAConnectorInAGroup(t *testing.T) {
	g := embeddedGroup(t, 2)
	_, address := e2etest.StartDemo(t, odatatest.Options{Rows: 60, PageSize: 25})
	for _, w := range g.workers {
		w.AwaitChangeable()
	}
	leader := slices.Index(g.ids, g.overview(0).Leader)
	follower := 1 - leader
	w := g.workers[follower]
	w.MustCall(201, "POST", "/connectors", e2etest.AsJSON(t, map[string]any{"name": "c",
		"config": groupSource(address, "c")}))
	w.Await("c", "runs", e2etest.HasState(connect.Running, 2))
	w.MustCall(200, "PATCH", "/connectors/c/config", `{"tasks.max":"1"}`)
	w.Await("c", "runs", e2etest.HasState(connect.Running, 1))
	w.MustCall(202, "PUT", "/connectors/c/pause", "")
	w.MustCall(202, "PUT", "/connectors/c/resume", "")
	w.MustCall(204, "DELETE", "/connectors/c", "")
	for _, w := range g.workers {
		var changes []string
		assigned := map[string]bool{}
		for _, line := range w.Events("c") {
			if what, ok := strings.CutPrefix(line, "assigned "); ok {
				assigned[what] = true
			} else {
				changes = append(changes, line)
			}
		}
		assert.Equal(t, []string{"created by 127.0.0.1", "changed tasks.max by 127.0.0.1",
			"paused by 127.0.0.1", "resumed by 127.0.0.1", "deleted by 127.0.0.1"}, changes, "changes")
		assert.Equal(t, map[string]bool{"the connector by": true, "task 0 by": true, "task 1 by": true}, assigned,
			"assigned")
	}
}
