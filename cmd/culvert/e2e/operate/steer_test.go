package operate

import (
	"encoding/json"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/culvert-project/culvert/host/connect"
	"github.com/culvert-project/culvert/host/rest"
	"github.com/culvert-project/culvert/internal/e2etest"
	"github.com/culvert-project/culvert/internal/odatatest"
)

// What REST changes, pauses and restarts is a line of the log each, with who asked; status says why something has
// failed; and what a worker does beyond Kafka Connect has commands.
func TestOperators(t *testing.T) {
	t.Parallel()
	p := e2etest.NewPlace(t)
	s := odatatest.New(odatatest.Options{Rows: 10})
	address := e2etest.Serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.Contains(r.URL.Path, "/Customers") {
			w.WriteHeader(http.StatusNotFound)
			return
		}
		s.ServeHTTP(w, r)
	}))
	p.File("conf/orders.properties", e2etest.Source("orders", address, "Orders")...)
	p.File("conf/bad.properties", e2etest.Source("bad", address, "Customers")...)
	f := p.Follows("conf")
	f.Awaits("extraction finished: 10 rows")
	f.Await("orders", "runs", e2etest.Runs)
	f.Await("bad", "has failed", func(s connect.Status) bool {
		return len(s.Tasks) == 1 && s.Tasks[0].State == connect.Failed
	})
	f.Steer("orders", "pause")
	f.Must(202, "PUT", "/connectors/orders/resume", "")
	f.Must(404, "PUT", "/connectors/none/pause", "")
	f.Must(200, "GET", "/connectors/orders/status", "")
	f.Must(200, "PUT", "/admin/loggers/org.init.ohja", `{"level":"DEBUG"}`)
	f.Awaits(`request="PUT /admin/loggers/org.init.ohja" by=127.0.0.1 status=200 set_to=DEBUG`)
	if said := f.Stderr.String(); strings.Contains(said, "logger=org.init.ohja") {
		t.Errorf("expected one line of a logger's level\n%s", said)
	}
	for request, want := range map[string]int{"PUT /connectors/orders/pause": 1, "PUT /connectors/orders/resume": 1,
		"PUT /connectors/none/pause": 0, "GET ": 0} {
		line := `msg="changed by REST" request="` + request
		if n := strings.Count(f.Stderr.String(), line); n != want ||
			want > 0 && !strings.Contains(f.Stderr.String(), line+`" by=127.0.0.1 status=202`) {
			t.Errorf("%s: expected %d lines, found %d\n%s", request, want, n, f.Stderr.String())
		}
	}
	command := func(want int, line string) e2etest.Result {
		t.Helper()
		return p.Run(append(strings.Fields(line), "--url", f.Url)...).Exits(want)
	}
	command(1, "status").Tells("\nbad: task 0: ", "404")
	var states []struct {
		Rows   *float64
		Errors []string
	}
	if err := json.Unmarshal([]byte(p.Run("status", "--json", "--url", f.Url).Stdout), &states); err != nil ||
		len(states) != 2 || len(states[0].Errors) != 1 || states[1].Errors != nil {
		t.Errorf("found %+v %v", states, err)
	}
	f.Await("orders", "runs", e2etest.Runs)
	command(0, "connectors snapshot orders Orders").Tells("orders reads Orders as snapshot ")
	f.Eventually("the snapshot to be read", func() bool {
		var m connect.Figures
		return e2etest.Get(t, f.Url+"/culvert/connectors/orders", &m) == 200 && m.Tasks[0].Rows == 10 &&
			m.Tasks[0].Feeds[0].LastSnapshot != nil && m.Tasks[0].Feeds[0].LastSnapshot.Begun
	})
	command(1, "connectors snapshot orders None").Tells("no such feed")
	command(0, "connectors lockouts").Prints("logons")
	command(0, "connectors lockouts resume")
	if said := f.Must(200, "GET", "/culvert/log?connector=orders&level=INFO", ""); !strings.Contains(said,
		": extraction finished: 10 rows") || strings.Contains(said, "connector=bad") {
		t.Errorf("expected the lines about orders, found %s", said)
	}
	f.Must(400, "GET", "/culvert/log?level=LOUD", "")
	command(2, "connectors tool orders peek")
	var modules []rest.Module
	e2etest.Get(t, f.Url+"/culvert/plugins", &modules)
	i := slices.IndexFunc(modules, func(m rest.Module) bool {
		return m.Plugin == "odata-source" && m.State == "active" && len(m.Hash) == 64 && len(m.Classes) > 0
	})
	if i < 0 {
		t.Fatalf("found %+v", modules)
	}
	command(0, "plugins swap odata-source "+modules[i].Hash)
	command(1, "plugins swap odata-source 0")
	command(1, "plugins rollback odata-source") // there is no version before it
	f.MustStop()
}

// A start that has nothing to read says so in a line: the topic to which nothing comes, when the set was read, and what
// would read it again.
func TestNothingToDoIsSaid(t *testing.T) {
	t.Parallel()
	p := e2etest.NewPlace(t)
	_, address := e2etest.Demo(t, odatatest.Options{Rows: 10})
	file := func(topic string) string {
		return p.File("in.properties", e2etest.Instead(e2etest.Source("in", address, "Orders"), "sap.odata#00.topic="+topic)...)
	}
	run := func(topic string) e2etest.Result {
		return p.Once(file(topic))
	}
	const line = "this start reads nothing into topic "
	run("Orders").Exits(0).Omits(line)
	run("Other").Exits(0).SaysTimes(1, line+"Other: the set was read completely at 20").
		Says("reset the connector's offsets")
	const changes, sinks = "this start reads nothing but changes into topic delta: the set was read up to 20",
		`msg="this start has nothing to write: `
	for n := range 2 { // a set in delta mode, and a sink that leaves out what it reads
		lines := append(e2etest.SinkOf("out", e2etest.Texts(t, 0, &atomic.Int32{}), "Orders", "Texts"), "errors.tolerance=all")
		r := p.Run("run", "--once", "--plugins", e2etest.Plugins(t, "odata-source", "odata-sink"), "--data", p.Data,
			p.File("out.properties", lines...),
			p.File("delta.properties", e2etest.Tracked("delta", address, odatatest.SAPPath, "Products")...))
		if r.Code != 0 || strings.Count(r.Stderr, changes) != n || strings.Count(r.Stderr, sinks) != n {
			t.Errorf("start %d: expected %d lines of each, exit %d\n%s", n, n, r.Code, r.Stderr)
		}
	}
	c := p.Start("run", "--plugins", e2etest.Plugins(t, "odata-source", "odata-sink"), "--data", p.Data,
		p.File("worker.properties", "bootstrap.servers=embedded", "listeners="), filepath.Join(p.Dir, "out.properties"))
	c.Awaits(sinks) // also where it goes on
	c.Stop().Exits(0).SaysTimes(1, sinks)
	p.Run("validate", "--plugins", e2etest.Plugins(t), file("Other")).Exits(0).PrintsNothing().Says("in.properties: ok: in")
}
