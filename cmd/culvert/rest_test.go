package main

import (
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"syscall"
	"testing"

	"github.com/culvert-project/culvert/examples/demo-service/service"
	"github.com/culvert-project/culvert/host/connect"
)

// call sends a change by REST, with a body in JSON where there is one.
func (f *followed) call(method, path, body string) (status int, answer string) {
	f.place.t.Helper()
	r, err := http.NewRequest(method, f.url+path, strings.NewReader(body))
	if err != nil {
		f.place.t.Fatal(err)
	}
	if body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	a, err := http.DefaultClient.Do(r)
	if err != nil {
		f.place.t.Fatal(err)
	}
	defer a.Body.Close()
	text, err := io.ReadAll(a.Body)
	if err != nil {
		f.place.t.Fatal(err)
	}
	return a.StatusCode, string(text)
}

// must is call where a status is expected.
func (f *followed) must(want int, method, path, body string) string {
	f.place.t.Helper()
	status, answer := f.call(method, path, body)
	if status != want {
		f.place.t.Fatalf("%s %s: expected %d, found %d %s", method, path, want, status, answer)
	}
	return answer
}

func is(state connect.State, tasks int) func(connect.Status) bool {
	return func(s connect.Status) bool {
		for _, t := range s.Tasks {
			if t.State != state {
				return false
			}
		}
		return s.Connector.State == state && len(s.Tasks) == tasks
	}
}

// A connector is paused, stopped, resumed and restarted by REST; each of its rows arrives once.
func TestConnectorsAreSteered(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	_, address := demo(t, service.Options{Rows: 10})
	p.subfolder("conf")
	p.file("conf/calm.properties", source("calm", address, "Customers")...)
	f := p.follows("conf")
	f.await("calm", "runs", runs)
	f.must(202, "PUT", "/connectors/calm/pause", "")
	f.await("calm", "is paused", is(connect.Paused, 1))
	f.must(204, "POST", "/connectors/calm/restart", "") // it stays so
	f.must(202, "PUT", "/connectors/calm/resume", "")
	f.await("calm", "runs", runs)
	f.must(204, "PUT", "/connectors/calm/stop", "")
	f.await("calm", "is stopped", is(connect.Stopped, 0))
	f.must(409, "POST", "/connectors/calm/tasks/0/restart", "")
	f.must(202, "PUT", "/connectors/calm/resume", "")
	f.await("calm", "runs", runs)
	var s connect.Status
	if err := json.Unmarshal([]byte(f.must(202, "POST", "/connectors/calm/restart?includeTasks=true", "")), &s); err != nil || !is(connect.Restarting, 1)(s) {
		t.Errorf("expected connector and task to be RESTARTING, found %+v %v", s, err)
	}
	f.eventually("its fourth life", func() bool { return strings.Count(f.stderr.String(), `msg="connector started" connector=calm `) == 4 })
	f.await("calm", "runs", runs)
	f.must(204, "POST", "/connectors/calm/tasks/0/restart", "")
	f.eventually("its fifth life", func() bool { return strings.Count(f.stderr.String(), `msg="connector started" connector=calm `) == 5 })
	f.await("calm", "runs", runs)
	f.must(404, "PUT", "/connectors/ghost/pause", "")

	// A check says what is wrong, hides passwords, and changes nothing.
	var v connect.Validation
	answer := f.must(200, "PUT", "/connector-plugins/ODataSource/config/validate",
		`{"name": "new", "connector.class": "ODataSource", "tasks.max": 0, "sap.odata.user.pwd": "geheim", "sap.odata.host.adress": "x"}`)
	if err := json.Unmarshal([]byte(answer), &v); err != nil || v.Errors < 2 || !strings.Contains(answer, "Value must be at least 1") ||
		!strings.Contains(answer, "the nearest known one is sap.odata.host.address") || strings.Contains(answer, "geheim") {
		t.Errorf("found %v %s", err, answer)
	}
	f.must(500, "PUT", "/connector-plugins/ODataSink/config/validate", `{"connector.class": "ODataSource"}`)
	f.must(400, "PUT", "/connector-plugins/ODataSource/config/validate", `{"connector.class": "ODataSource", "sap.odata.user.pwd": "[hidden]"}`)
	f.must(500, "PUT", "/connector-plugins/ODataSource/config/validate", `{"topic": "x"}`)
	f.must(500, "PUT", "/connector-plugins/NotThere/config/validate", `{"connector.class": "NotThere"}`)
	f.signal(syscall.SIGTERM)
	if r := f.wait(); r.code != 0 {
		t.Fatalf("exit %d\n%s", r.code, r.stderr)
	}
	if n := len(p.records("Customers")); n != 91 {
		t.Errorf("expected each of 91 rows once, found %d records", n)
	}
}
