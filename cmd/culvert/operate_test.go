package main

import (
	"encoding/json"
	"net/http"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/culvert-project/culvert/examples/demo-service/service"
	"github.com/culvert-project/culvert/host/connect"
	"github.com/culvert-project/culvert/host/plugin/guesttest"
	"github.com/culvert-project/culvert/host/porttest"
	"github.com/culvert-project/culvert/host/rest"
)

// as reads an answer.
func as[T any](t *testing.T, answer string) (v T) {
	t.Helper()
	if err := json.Unmarshal([]byte(answer), &v); err != nil {
		t.Fatalf("%v in %s", err, answer)
	}
	return v
}

// What operators do beyond Kafka Connect: they look at feeds and dead letters, have letters and refused logons tried
// once more, choose versions of plugins, and end what a source has opened.
func TestOperate(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	s, address := demo(t, service.Options{Rows: 12})
	dir := folder(t, "odata-sink")
	listen := porttest.Address(t)
	worker := p.file("worker.properties", "bootstrap.servers=embedded", "listeners=http://"+listen)
	locking, guarded := demo(t, service.Options{Rows: 10, User: "me", Password: password,
		Switches: service.Switches{LockAfter: 1}})
	lock(t, guarded)
	taker, refusing := demo(t, service.Options{Rows: 1, Switches: service.Switches{Match: "POST", Status: 400,
		StatusCount: 1_000_000}})
	// A fault of the service: its words are told, the transaction's id among them.
	s.Set("match", "Customers")
	s.Set("status", "500")
	s.Set("status-count", "1")
	orders := p.file("orders.properties", append(instead(source("orders", address, "Orders", "Customers"),
		"sap.odata.max.retries=5", "sap.odata.min.retry.backoff.ms=1", "sap.odata.max.retry.backoff.ms=2",
		"sap.odata.http.codes=503"), "sap.odata#00.exec-period=86400", "sap.odata#01.exec-period=86400")...)
	back := p.file("back.properties", append(sinkOf("back", refusing, "Orders", "OrderCopies"), "errors.tolerance=all",
		"errors.deadletterqueue.topic.name=refused", "errors.deadletterqueue.context.headers.enable=true")...)
	beside := p.file("beside.properties", instead(source("beside", guarded, "Suppliers"), "sap.odata.user.name=me",
		"sap.odata.user.pwd="+password)...)
	c := p.startFor(10*time.Minute, "run", "--plugins", dir, "--data", p.data, worker, orders, back, beside)
	f := &followed{place: p, command: c, url: "http://" + listen}
	c.eventually("REST", func() bool {
		var root rest.Root
		return get(t, f.url+"/", &root) == 200 && root.Cluster != ""
	})

	// Feeds: the last request, the last fault, when it is read again.
	var m rest.Motion
	f.eventually("its feeds", func() bool {
		return get(t, f.url+"/culvert/connectors/orders", &m) == 200 && len(m.Tasks) == 1 && m.Tasks[0].CaughtUp &&
			len(m.Tasks[0].Feeds) == 2 && m.Tasks[0].Feeds[0].NextRun != nil && m.Tasks[0].Feeds[1].NextRun != nil
	})
	for i, name := range []string{"Orders", "Customers"} {
		feed := m.Tasks[0].Feeds[i]
		if r := feed.LastRequest; feed.Name != name || r == nil || r.Status != 200 ||
			!strings.HasPrefix(r.Request, "GET "+service.NorthwindPath) || !strings.Contains(r.Request, name) {
			t.Errorf("expected the last request of %s, found %+v", name, r)
		}
		if next := *feed.NextRun; feed.AgeSeconds == nil || *feed.AgeSeconds < 0 || !next.After(*feed.LastCaughtUp) {
			t.Errorf("%s: age %v, next run %v", name, feed.AgeSeconds, next)
		}
		if e := feed.LastError; (e != nil) != (name == "Customers") || e != nil && (!strings.Contains(e.Message,
			"HTTP 500") || e.At.IsZero()) {
			t.Errorf("%s: the last fault is %+v", name, e)
		}
	}

	if r := p.run("connectors", "show", "orders", "--url", f.url); r.code != 0 ||
		!strings.Contains(r.stdout, "\n    Customers: was read to its end ") || !strings.Contains(r.stdout,
		"last fault ") ||
		!strings.Contains(r.stdout, "\n      GET "+service.NorthwindPath) {
		t.Errorf("exit %d\n%s%s", r.code, r.stdout, r.stderr)
	}

	// A snapshot of a set that is read to its end: all its rows come again.
	f.must(404, "POST", "/culvert/connectors/orders/feeds/Nothing/snapshot", "")
	f.must(404, "POST", "/culvert/connectors/ghost/feeds/Orders/snapshot", "")
	ident := as[map[string]string](t, f.must(202, "POST", "/culvert/connectors/orders/feeds/Customers/snapshot",
		""))["snapshot"]
	f.eventually("the snapshot", func() bool {
		get(t, f.url+"/culvert/connectors/orders", &m)
		last := m.Tasks[0].Feeds[1].LastSnapshot
		return last != nil && last.Begun && last.Snapshot == ident && m.Tasks[0].Feeds[1].CaughtUp
	})
	c.arrives(p, "Customers", 182)

	// Refused logons: they are told, and tried again when somebody says so, who has unlocked the user.
	f.await("beside", "fails", func(s connect.Status) bool {
		return len(s.Tasks) == 1 && s.Tasks[0].State == connect.Failed
	})
	found := as[rest.Lockouts](t, f.must(200, "GET", "/culvert/lockouts", ""))
	if len(found.Logons) != 1 || found.Others != 0 {
		t.Fatalf("expected one refused logon, found %+v", found)
	}
	if l := found.Logons[0]; l.User != "me" || l.Origin != "http://"+guarded || l.State != "refused" ||
		l.Since.IsZero() ||
		!strings.Contains(l.Message, "was refused (401)") || strings.Contains(l.Message, password) {
		t.Errorf("found %+v", l)
	}
	locking.Set("unlock-users", "")
	if n := f.must(200, "PUT", "/culvert/lockouts/resume", ""); n != `{"resumed":1}` {
		t.Errorf("found %s", n)
	}
	f.await("beside", "runs", runs)
	if found := f.must(200, "GET", "/culvert/lockouts", ""); found != `{"logons":[],"others":0}` {
		t.Errorf("found %s", found)
	}

	// What a source has opened is ended while it is stopped.
	f.must(409, "PUT", "/culvert/connectors/orders/retire", "")
	f.must(404, "PUT", "/culvert/connectors/ghost/retire", "")
	f.must(204, "PUT", "/connectors/orders/stop", "")
	f.await("orders", "is stopped", is(connect.Stopped, 0))
	var ended string
	f.eventually("the end of its tasks", func() bool {
		status, answer := f.call("PUT", "/culvert/connectors/orders/retire", "")
		ended = answer
		return status != http.StatusConflict
	})
	if ended != `{"ended":"nothing"}` {
		t.Errorf("found %s", ended)
	}
	f.must(202, "PUT", "/connectors/orders/resume", "")
	f.await("orders", "runs", runs)
	f.letters(taker)
	f.versions(dir)
	c.signal(syscall.SIGTERM)
	if r := c.wait(); r.code != 0 {
		t.Errorf("exit %d\n%s", r.code, r.stderr)
	}
}

// lock has a user of a service locked by somebody's guess.
func lock(t *testing.T, address string) {
	t.Helper()
	request, err := http.NewRequest("GET", "http://"+address+service.SAPPath, nil)
	if err != nil {
		t.Fatal(err)
	}
	request.SetBasicAuth("me", "somebody's guess")
	r, err := http.DefaultClient.Do(request)
	if err != nil || r.StatusCode != 401 {
		t.Fatal(r, err)
	}
	r.Body.Close()
}

// letters looks at the dead letters of a service that has refused all writes, and has them delivered.
func (f *followed) letters(s *service.Service) {
	t := f.place.t
	t.Helper()
	f.must(404, "GET", "/culvert/connectors/beside/deadletters", "")
	f.must(404, "POST", "/culvert/connectors/ghost/deadletters/replay", "")
	f.must(400, "GET", "/culvert/connectors/back/deadletters?last=0", "")
	f.must(400, "GET", "/culvert/connectors/back/deadletters?last=1001", "")
	var found rest.Letters
	f.eventually("dead letters", func() bool {
		found = as[rest.Letters](t, f.must(200, "GET", "/culvert/connectors/back/deadletters", ""))
		return len(found.Letters) == 12
	})
	if l := found.Letters[11]; found.Topic != "refused" || l.Connector != "back" || l.From.Topic != "Orders" ||
		l.Offset != 11 || l.Message == "" {
		t.Errorf("found %+v of %s", l, found.Topic)
	}
	if l := as[rest.Letters](t, f.must(200, "GET", "/culvert/connectors/back/deadletters?last=3",
		"")).Letters; len(l) != 3 ||
		l[0].Offset != 9 {
		t.Errorf("expected the last three, found %+v", l)
	}
	if l := as[rest.Letters](t, f.must(200, "GET", "/culvert/connectors/back/deadletters?error=no+such+text",
		"")); len(l.Letters) != 0 {
		t.Errorf("expected none, found %+v", l)
	}
	s.Set("status-count", "0")
	replay := func(body, want string) {
		t.Helper()
		if answer := f.must(200, "POST", "/culvert/connectors/back/deadletters/replay", body); answer != want {
			t.Errorf("replay %s: found %s", body, answer)
		}
	}
	replay(`{"error": "no such text"}`, `{"replayed":0,"refused":0,"left":{}}`)
	for _, hold := range []string{"pause", "stop"} {
		f.call("PUT", "/connectors/back/"+hold, "")
		if answer := f.must(409, "POST", "/culvert/connectors/back/deadletters/replay", ""); !strings.Contains(answer,
			"resume it, then replay") {
			t.Errorf("%s: found %s", hold, answer)
		}
		f.must(202, "PUT", "/connectors/back/resume", "")
	}
	replay("", `{"replayed":12,"refused":0,"left":{}}`)
	if n := s.Count("OrderCopies"); n != 12 {
		t.Errorf("expected 12 entities, found %d", n)
	}
	replay("", `{"replayed":0,"refused":0,"left":{}}`)
}

// versions has connectors get another version of their plugin, and the one before.
func (f *followed) versions(dir string) {
	t := f.place.t
	t.Helper()
	newer := guesttest.Bytes(t, "../../plugins/odata-source", "main.version=0.2.0")
	f.must(404, "PUT", "/culvert/plugins/odata-source/swap", `{"hash": "1234"}`)
	f.must(409, "PUT", "/culvert/plugins/odata-source/rollback", "")
	replace(t, dir, "odata-source.wasm", newer)
	version := func(want string) {
		t.Helper()
		f.await("orders", "has version "+want, func(s connect.Status) bool {
			return runs(s) && s.Tasks[0].Version == want
		})
	}
	version("0.2.0")
	f.must(204, "PUT", "/culvert/plugins/odata-source/rollback", "")
	version("0.1.0")
	hash := map[string]string{}
	for _, m := range as[[]rest.Module](t, f.must(200, "GET", "/culvert/plugins", "")) {
		if m.Plugin == "odata-source" {
			hash[m.Version] = m.Hash
			if m.Chosen != (m.Version == "0.1.0") || filepath.Dir(m.File) != dir {
				t.Errorf("found %+v", m)
			}
		}
	}
	f.must(204, "PUT", "/culvert/plugins/odata-source/swap", `{"hash": "`+hash["0.2.0"]+`"}`)
	version("0.2.0")
}
