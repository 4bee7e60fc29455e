package operate

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/culvert-project/culvert/host/connect"
	"github.com/culvert-project/culvert/host/porttest"
	"github.com/culvert-project/culvert/host/rest"
	"github.com/culvert-project/culvert/internal/e2etest"
	"github.com/culvert-project/culvert/internal/odatatest"
)

// What operators do beyond Kafka Connect: they look at feeds and dead letters, have letters and refused logons tried
// once more, and end what a source has opened.
func TestOperate(t *testing.T) {
	t.Parallel()
	p := e2etest.NewPlace(t)
	s, address := e2etest.Demo(t, odatatest.Options{Rows: 12})
	dir := e2etest.Folder(t, "odata-sink")
	listen := porttest.Address(t)
	worker := p.File("worker.properties", "bootstrap.servers=embedded", "listeners=http://"+listen)
	locking, guarded := e2etest.Demo(t, odatatest.Options{Rows: 10, User: "me", Password: e2etest.Password,
		Switches: odatatest.Switches{LockAfter: 1}})
	lock(t, guarded)
	taker, refusing := e2etest.Demo(t, odatatest.Options{Rows: 1, Switches: odatatest.Switches{Match: "POST", Status: 400,
		StatusCount: 1_000_000}})
	// A fault of the service: its words are shown, the transaction's id among them.
	s.Set("match", "Customers")
	s.Set("status", "500")
	s.Set("status-count", "1")
	orders := p.File("orders.properties", append(e2etest.Instead(e2etest.Source("orders", address, "Orders", "Customers"),
		"sap.odata.max.retries=5", "sap.odata.min.retry.backoff.ms=1", "sap.odata.max.retry.backoff.ms=2",
		"sap.odata.http.codes=503"), "sap.odata#00.exec-period=86400", "sap.odata#01.exec-period=86400")...)
	back := p.File("back.properties", append(e2etest.SinkOf("back", refusing, "Orders", "OrderCopies"), "errors.tolerance=all",
		"errors.deadletterqueue.topic.name=refused", "errors.deadletterqueue.context.headers.enable=true")...)
	beside := p.File("beside.properties", e2etest.Instead(e2etest.Source("beside", guarded, "Suppliers"), "sap.odata.user.name=me",
		"sap.odata.user.pwd="+e2etest.Password)...)
	c := p.StartFor(10*time.Minute, "run", "--plugins", dir, "--data", p.Data, worker, orders, back, beside)
	f := &e2etest.Followed{Place: p, Command: c, Url: "http://" + listen}
	c.Eventually("REST", func() bool {
		var root rest.Root
		return e2etest.Get(t, f.Url+"/", &root) == 200 && root.Cluster != ""
	})

	// Feeds: the last request, the last fault, when it is read again.
	var m connect.Figures
	f.Eventually("its feeds", func() bool {
		return e2etest.Get(t, f.Url+"/culvert/connectors/orders", &m) == 200 && len(m.Tasks) == 1 && m.Tasks[0].CaughtUp &&
			len(m.Tasks[0].Feeds) == 2 && m.Tasks[0].Feeds[0].NextRun != nil && m.Tasks[0].Feeds[1].NextRun != nil
	})
	for i, name := range []string{"Orders", "Customers"} {
		feed := m.Tasks[0].Feeds[i]
		if r := feed.LastRequest; feed.Name != name || r == nil || r.Status != 200 ||
			!strings.HasPrefix(r.Request, "GET "+odatatest.NorthwindPath) || !strings.Contains(r.Request, name) {
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

	p.Run("connectors", "show", "orders", "--url", f.Url).
		Exits(0).Prints("\n    Customers: was read to its end ", "last fault ", "\n      GET "+odatatest.NorthwindPath)

	// A snapshot of a set that is read to its end: all its rows come again.
	f.Must(404, "POST", "/culvert/connectors/orders/feeds/Nothing/snapshot", "")
	f.Must(404, "POST", "/culvert/connectors/ghost/feeds/Orders/snapshot", "")
	ident := e2etest.As[map[string]string](t, f.Must(202, "POST", "/culvert/connectors/orders/feeds/Customers/snapshot",
		""))["snapshot"]
	f.Eventually("the snapshot", func() bool {
		e2etest.Get(t, f.Url+"/culvert/connectors/orders", &m)
		last := m.Tasks[0].Feeds[1].LastSnapshot
		return last != nil && last.Begun && last.Snapshot == ident && m.Tasks[0].Feeds[1].CaughtUp
	})
	c.Arrives(p, "Customers", 182)

	// Refused logons: they are shown, and tried again when somebody says so, who has unlocked the user.
	f.Await("beside", "fails", func(s connect.Status) bool {
		return len(s.Tasks) == 1 && s.Tasks[0].State == connect.Failed
	})
	found := e2etest.As[rest.Lockouts](t, f.Must(200, "GET", "/culvert/lockouts", ""))
	if len(found.Logons) != 1 || found.Others != 0 {
		t.Fatalf("expected one refused logon, found %+v", found)
	}
	if l := found.Logons[0]; l.User != "me" || l.Origin != "http://"+guarded || l.State != "refused" ||
		l.Since.IsZero() ||
		!strings.Contains(l.Message, "was refused (401)") || strings.Contains(l.Message, e2etest.Password) {
		t.Errorf("found %+v", l)
	}
	locking.Set("unlock-users", "")
	f.Answers(200, "PUT", "/culvert/lockouts/resume", "", `{"resumed":1}`)
	f.Await("beside", "runs", e2etest.Runs)
	f.Answers(200, "GET", "/culvert/lockouts", "", `{"logons":[],"others":0}`)

	// What a source has opened is ended while it is stopped.
	f.Must(409, "PUT", "/culvert/connectors/orders/retire", "")
	f.Must(404, "PUT", "/culvert/connectors/ghost/retire", "")
	f.Steer("orders", "stop")
	var ended string
	f.Eventually("the end of its tasks", func() bool {
		status, answer := f.Call("PUT", "/culvert/connectors/orders/retire", "")
		ended = answer
		return status != http.StatusConflict
	})
	if ended != `{"ended":"nothing"}` {
		t.Errorf("found %s", ended)
	}
	f.Steer("orders", "resume")
	letters(f, taker)
	c.MustStop()
}

// lock has a user of a service locked by somebody's guess.
func lock(t *testing.T, address string) {
	t.Helper()
	request, err := http.NewRequest("GET", "http://"+address+odatatest.SAPPath, nil)
	e2etest.NoError(t, err)
	request.SetBasicAuth("me", "somebody's guess")
	r, err := http.DefaultClient.Do(request)
	if err != nil || r.StatusCode != 401 {
		t.Fatal(r, err)
	}
	r.Body.Close()
}

// letters looks at the dead letters of a service that has refused all writes, and has them delivered.
func letters(f *e2etest.Followed, s *odatatest.Service) {
	t := f.Place.T
	t.Helper()
	f.Must(404, "GET", "/culvert/connectors/beside/deadletters", "")
	f.Must(404, "POST", "/culvert/connectors/ghost/deadletters/replay", "")
	f.Must(400, "GET", "/culvert/connectors/back/deadletters?last=0", "")
	f.Must(400, "GET", "/culvert/connectors/back/deadletters?last=1001", "")
	var found rest.Letters
	f.Eventually("dead letters", func() bool {
		found = e2etest.As[rest.Letters](t, f.Must(200, "GET", "/culvert/connectors/back/deadletters", ""))
		return len(found.Letters) == 12
	})
	if l := found.Letters[11]; found.Topic != "refused" || l.Connector != "back" || l.From.Topic != "Orders" ||
		l.Offset != 11 || l.Message == "" {
		t.Errorf("found %+v of %s", l, found.Topic)
	}
	some := func(query string) []rest.Letter {
		return e2etest.As[rest.Letters](t, f.Must(200, "GET", "/culvert/connectors/back/deadletters"+query, "")).Letters
	}
	if l := some("?last=3"); len(l) != 3 || l[0].Offset != 9 {
		t.Errorf("expected the last three, found %+v", l)
	}
	if l := some("?error=no+such+text"); len(l) != 0 {
		t.Errorf("expected none, found %+v", l)
	}
	if c := found.Causes; len(c) != 1 || c[0].Count != 12 || c[0].Class != found.Letters[0].Class ||
		c[0].First != found.Letters[0].Failed || c[0].Last != found.Letters[11].Failed {
		t.Errorf("expected one cause, found %+v", c)
	}
	replay := func(body, want string) {
		t.Helper()
		f.Answers(200, "POST", "/culvert/connectors/back/deadletters/replay", body, want)
	}
	replay(`{"dry": true}`, `{"replayed":0,"refused":0,"left":{},"dry":true,"passes":12}`) // nothing is sent
	s.Set("status-count", "0")
	replay(`{"error": "no such text"}`, `{"replayed":0,"refused":0,"left":{}}`)
	for _, hold := range []string{"pause", "stop"} {
		f.Call("PUT", "/connectors/back/"+hold, "")
		f.Must(409, "POST", "/culvert/connectors/back/deadletters/replay", "", "resume it, then replay")
		f.Must(202, "PUT", "/connectors/back/resume", "")
	}
	replay("", `{"replayed":12,"refused":0,"left":{}}`)
	if n := s.Count("OrderCopies"); n != 12 {
		t.Errorf("expected 12 entities, found %d", n)
	}
	replay("", `{"replayed":0,"refused":0,"left":{}}`)
}
