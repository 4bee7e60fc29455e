package delivery

import (
	"fmt"
	"net/http"
	"path/filepath"
	"testing"

	"github.com/culvert-project/culvert/host/connect"
	"github.com/culvert-project/culvert/host/plugin/guesttest"
	"github.com/culvert-project/culvert/internal/odatatest"

	"github.com/culvert-project/culvert/internal/e2etest"
)

// ChangesWhileAGroupStarts asks the only worker of a group for changes of connectors, one of which is STOPPED, while it
// starts and compiles a plugin that it has not seen before: it answers when it knows them.
func ChangesWhileAGroupStarts(t *testing.T, p *e2etest.Place, servers string) {
	_, address := e2etest.Demo(t, odatatest.Options{Rows: 60, PageSize: 25})
	plugins := p.Subfolder("plugins")
	e2etest.Put(t, plugins, "odata-source.wasm", guesttest.Bytes(t, filepath.Join(e2etest.Bench.Root, "plugins", "odata-source")))
	g := &Group{Place: p, servers: servers, plugins: []string{plugins}}
	g.start(1)
	g.posted(address, 2)
	g.Spreads(2, 4, 0)
	g.workers[0].Steer("c0", "stop")
	g.workers[0].MustStop()

	e2etest.Put(t, plugins, "newer.wasm", guesttest.Bytes(t, filepath.Join(e2etest.Bench.Root, "plugins", "odata-source"),
		"main.version=9.9.9"))
	w := &e2etest.Followed{Place: p, Command: p.Start(append([]string{"run"}, g.arguments(0)...)...), Url: "http://" + g.ids[0]}
	w.Eventually("REST", func() bool {
		r, err := http.Get(w.Url + "/health")
		if err != nil {
			return false
		}
		defer r.Body.Close()
		if r.StatusCode != 503 {
			t.Errorf("expected 503 while the worker starts, found %d", r.StatusCode)
		}
		return true
	})
	changed := groupSource(address, "c0")
	changed["tasks.max"] = "1"
	answers := make(chan string)
	ask := func(method, path string, body any) {
		status, answer := w.Call(method, path, e2etest.AsJSON(t, body))
		answers <- fmt.Sprint(method, " ", status, " ", answer)
	}
	go ask("PUT", "/connectors/c0/config", changed)
	go ask("POST", "/connectors", map[string]any{"name": "c1", "config": groupSource(address, "c1")})
	w.Must(200, "GET", "/connectors", "", `"c0"`, `"c1"`)
	for range 2 {
		answer := <-answers
		e2etest.Contains(t, "a change while the worker starts", answer, map[byte]string{'U': `PUT 200 {`,
			'O': `POST 409 {"error_code":409,"message":"Connector c1 already exists"}`}[answer[1]])
	}
	w.Must(200, "GET", "/health", "")
	w.Await("c1", "runs", e2etest.Runs)
	w.Must(200, "GET", "/connectors/c0/config", "", `"tasks.max":"1"`)
	w.Await("c0", "is stopped still", e2etest.Is(connect.Stopped, 0))
	w.MustStop()
}
