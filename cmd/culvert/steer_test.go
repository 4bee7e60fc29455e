package main

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/culvert-project/culvert/examples/demo-service/service"
	"github.com/culvert-project/culvert/host/connect"
	"github.com/culvert-project/culvert/host/rest"
)

// What REST changes, pauses and restarts is a line of the log each, with who asked; status says why something has
// failed; and what a worker does beyond Kafka Connect has commands.
func TestOperators(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	s := service.New(service.Options{Rows: 10})
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.Contains(r.URL.Path, "/Customers") {
			w.WriteHeader(http.StatusNotFound)
			return
		}
		s.ServeHTTP(w, r)
	}))
	defer server.Close()
	address := server.Listener.Addr().String()
	p.subfolder("conf")
	p.file("conf/orders.properties", source("orders", address, "Orders")...)
	p.file("conf/bad.properties", source("bad", address, "Customers")...)
	f := p.follows("conf")
	f.says("extraction finished: 10 rows")
	f.await("orders", "runs", runs)
	f.await("bad", "has failed", func(s connect.Status) bool {
		return len(s.Tasks) == 1 && s.Tasks[0].State == connect.Failed
	})
	f.must(202, "PUT", "/connectors/orders/pause", "")
	f.must(202, "PUT", "/connectors/orders/resume", "")
	f.must(404, "PUT", "/connectors/none/pause", "")
	f.must(200, "GET", "/connectors/orders/status", "")
	f.must(200, "PUT", "/admin/loggers/org.init.ohja", `{"level":"DEBUG"}`)
	f.says(`request="PUT /admin/loggers/org.init.ohja" by=127.0.0.1 status=200 set_to=DEBUG`)
	if said := f.stderr.String(); strings.Contains(said, "logger=org.init.ohja") {
		t.Errorf("expected one line of a logger's level\n%s", said)
	}
	for request, want := range map[string]int{"PUT /connectors/orders/pause": 1, "PUT /connectors/orders/resume": 1,
		"PUT /connectors/none/pause": 0, "GET ": 0} {
		line := `msg="changed by REST" request="` + request
		if n := strings.Count(f.stderr.String(), line); n != want ||
			want > 0 && !strings.Contains(f.stderr.String(), line+`" by=127.0.0.1 status=202`) {
			t.Errorf("%s: expected %d lines, found %d\n%s", request, want, n, f.stderr.String())
		}
	}
	command := func(want int, args ...string) string {
		t.Helper()
		r := p.run(append(args, "--url", f.url)...)
		if r.code != want {
			t.Errorf("%q: exit %d\n%s%s", args, r.code, r.stdout, r.stderr)
		}
		return r.stdout + r.stderr
	}
	if said := command(1, "status"); !strings.Contains(said, "\nbad: task 0: ") || !strings.Contains(said, "404") {
		t.Errorf("expected why it has failed, found %s", said)
	}
	var states []state
	if err := json.Unmarshal([]byte(p.run("status", "--json", "--url", f.url).stdout), &states); err != nil ||
		len(states) != 2 || len(states[0].Errors) != 1 || states[1].Errors != nil {
		t.Errorf("found %+v %v", states, err)
	}
	f.await("orders", "runs", runs)
	if said := command(0, "connectors", "snapshot", "orders", "Orders"); !strings.Contains(said,
		"orders is to read Orders") {
		t.Errorf("found %s", said)
	}
	f.eventually("the snapshot to be read", func() bool {
		var m rest.Motion
		return get(t, f.url+"/culvert/connectors/orders", &m) == 200 && m.Tasks[0].Rows == 10 &&
			m.Tasks[0].Feeds[0].LastSnapshot != nil && m.Tasks[0].Feeds[0].LastSnapshot.Begun
	})
	if said := command(1, "connectors", "snapshot", "orders", "None"); !strings.Contains(said, "no such feed") {
		t.Errorf("found %s", said)
	}
	if said := command(0, "lockouts"); !strings.HasPrefix(said, "ORIGIN") {
		t.Errorf("found %s", said)
	}
	command(0, "lockouts", "resume")
	var modules []rest.Module
	get(t, f.url+"/culvert/plugins", &modules)
	for _, m := range modules {
		if m.Plugin == "odata-source" {
			command(0, "plugins", "swap", m.Plugin, m.Hash)
		}
	}
	if len(modules) == 0 {
		t.Error("expected plugins")
	}
	command(1, "plugins", "swap", "odata-source", "0")
	command(1, "plugins", "rollback", "odata-source") // there is no version before it
	f.signal(syscall.SIGTERM)
	if r := f.wait(); r.code != 0 {
		t.Errorf("exit %d\n%s", r.code, r.stderr)
	}
}

// A start that has nothing to read says so in a line: the topic to which nothing comes, when the set was read, and what
// would read it again. A check says what a connector would do.
func TestNothingToDoIsSaid(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	_, address := demo(t, service.Options{Rows: 10})
	file := func(topic string) string {
		return p.file("in.properties", instead(source("in", address, "Orders"), "sap.odata#00.topic="+topic)...)
	}
	run := func(topic string) result {
		return p.run("run", "--once", "--plugins", plugins(t), "--data", p.data, file(topic))
	}
	const line = "this start reads nothing into topic "
	if r := run("Orders"); r.code != 0 || strings.Contains(r.stderr, line) {
		t.Errorf("exit %d\n%s", r.code, r.stderr)
	}
	if r := run("Other"); r.code != 0 || strings.Count(r.stderr, line+"Other: the set was read completely at 20") != 1 ||
		!strings.Contains(r.stderr, "reset the connector's offsets") {
		t.Errorf("exit %d\n%s", r.code, r.stderr)
	}
	const changes, sinks = "this start reads nothing but changes into topic delta: the set was read up to 20",
		`msg="this start has nothing to write: `
	for n := range 2 { // a set in delta mode, and a sink that leaves out what it reads
		lines := append(sinkOf("out", texts(t, 0, &atomic.Int32{}), "Orders", "Texts"), "errors.tolerance=all")
		r := p.run("run", "--once", "--plugins", plugins(t, "odata-source", "odata-sink"), "--data", p.data,
			p.file("out.properties", lines...),
			p.file("delta.properties", tracked("delta", address, service.SAPPath, "Products")...))
		if r.code != 0 || strings.Count(r.stderr, changes) != n || strings.Count(r.stderr, sinks) != n {
			t.Errorf("start %d: expected %d lines of each, exit %d\n%s", n, n, r.code, r.stderr)
		}
	}
	c := p.start("run", "--plugins", plugins(t, "odata-source", "odata-sink"), "--data", p.data,
		p.file("worker.properties", "bootstrap.servers=embedded", "listeners="), filepath.Join(p.dir, "out.properties"))
	c.says(sinks) // also where it goes on
	c.signal(syscall.SIGTERM)
	if r := c.wait(); r.code != 0 || strings.Count(r.stderr, sinks) != 1 {
		t.Errorf("exit %d\n%s", r.code, r.stderr)
	}
	r := p.run("validate", "--plugins", plugins(t), file("Other"))
	if r.code != 0 || r.stdout != "" || !strings.Contains(r.stderr,
		"in.properties: ok: in, a source that would read into topics Other, by at most 1 tasks") {
		t.Errorf("exit %d %s%s", r.code, r.stdout, r.stderr)
	}
}
