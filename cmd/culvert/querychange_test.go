package main

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/culvert-project/culvert/examples/demo-service/service"
	"github.com/culvert-project/culvert/host/connect"
)

// namesOf tells whether what differs is one part, of this name, now.
func namesOf(said, name string) bool {
	differs, _, _ := strings.Cut(said, ")")
	_, now, ok := strings.Cut(differs, ", now ")
	now = strings.TrimLeft(now, `\"`)
	return ok && strings.HasPrefix(now, name) && !strings.Contains(now, " ")
}

// TestChangedQuery: a stored delta link is not gone on from with another filter, client, host or user, and the message
// names which; query.change = reload reads the set anew, and the topic equals the service again (T10).
func TestChangedQuery(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	s, address := demo(t, service.Options{Rows: 20, Switches: service.Switches{Delta: "links"}})
	run := func(changed ...string) result {
		lines := append(source("changes", address, "Products"), "sap.odata.sap.client=100", "sap.odata.user.name=one",
			"sap.odata.user.pwd=secret",
			"sap.odata#00.track-changes=1", "sap.odata#00.exec-period=60")
		for _, line := range changed {
			name, _, _ := strings.Cut(line, "=")
			lines = slices.DeleteFunc(lines, func(old string) bool { return strings.HasPrefix(old, name+"=") })
			lines = append(lines, line)
		}
		return p.run("run", "--once", "--plugins", plugins(t), "--data", p.data, p.file("changes.properties", lines...))
	}
	if r := run(); r.code != 0 {
		t.Fatal(r.stderr)
	}
	rows := len(p.records("Products"))
	for what, changed := range map[string][]string{
		"filter=": {"sap.odata#00.filter#00.property=UnitPrice", "sap.odata#00.filter#00.option=ge",
			"sap.odata#00.filter#00.low=0"},
		"client=": {"sap.odata.sap.client=200"},
		"origin=": {"sap.odata.host.address=localhost"},
		"user=":   {"sap.odata.user.name=two"},
	} {
		r := run(changed...)
		if _, said, found := strings.Cut(r.stderr, "the stored offset belongs to something else ("); r.code == 0 ||
			!found || !namesOf(said, what) {
			t.Errorf("%s changed: exit %d\n%s", what, r.code, r.stderr)
		}
	}
	if n := len(p.records("Products")); n != rows {
		t.Errorf("expected that nothing is read under a changed query, found %d records more", n-rows)
	}
	newAuthor(t, address).change(1)
	if r := run("sap.odata.sap.client=200", "sap.odata#00.query.change=reload"); r.code != 0 {
		t.Fatal(r.stderr)
	}
	if n := len(p.records("Products")); n != 2*rows {
		t.Errorf("expected that the set is read whole, a row more and one less, found %d records behind %d", n, rows)
	}
	found := map[string]string{}
	for _, record := range p.records("Products")[rows:] {
		product := record["value"].(map[string]any)["payload"].(map[string]any)
		found[fmt.Sprintf("%.0f", product["ProductID"])], _ = product["ProductName"].(string)
	}
	s.Each("Products", func(_ string, fields map[string]string) {
		if name, there := found[fields["ProductID"]]; !there || name != fields["ProductName"] {
			t.Errorf("%s: expected %q, found %q", fields["ProductID"], fields["ProductName"], name)
		}
	})
}

// TestChangedTopic: a load that was begun into a topic is not gone on with into another: each would have a part of the
// set. query.change = reload has the whole set in the new one; behind a complete load the topic may be changed.
func TestChangedTopic(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	inner, answered := service.New(service.Options{PageSize: 20}), atomic.Int64{}
	products := 0
	inner.Each("Products", func(string, map[string]string) { products++ })
	breaks := atomic.Bool{}
	breaks.Store(true)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasSuffix(r.URL.Path, "/Products") && answered.Add(1) > 2 && breaks.Load() {
			w.WriteHeader(http.StatusInternalServerError)
			return
		}
		inner.ServeHTTP(w, r)
	}))
	t.Cleanup(server.Close)
	run := func(topic string, more ...string) result {
		lines := append(source("load", strings.TrimPrefix(server.URL, "http://")),
			"sap.odata#00.service="+service.NorthwindPath, "sap.odata#00.entityset=Products", "sap.odata#00.topic="+topic)
		return p.run("run", "--once", "--plugins", plugins(t), "--data", p.data,
			p.file("load.properties", append(lines, more...)...))
	}
	r := run("Products")
	begun := len(p.records("Products"))
	if r.code == 0 || begun == 0 || begun >= products {
		t.Fatalf("expected a load that breaks off, found exit %d and %d records\n%s", r.code, begun, r.stderr)
	}
	breaks.Store(false)
	if r := run("Other"); r.code == 0 || !strings.Contains(r.stderr, `topic=Products`) || !strings.Contains(r.stderr,
		`topic=Other`) {
		t.Errorf("expected that both topics are named, found exit %d\n%s", r.code, r.stderr)
	}
	if r := run("Other", "sap.odata#00.query.change=reload"); r.code != 0 {
		t.Fatal(r.stderr)
	}
	if n, old := len(p.records("Other")), len(p.records("Products")); n != products || old != begun {
		t.Errorf("expected the whole set in the new topic and %d records in the old one, found %d and %d",
			begun, n, old)
	}
	if r := run("Third"); r.code != 0 {
		t.Errorf("behind a load: exit %d\n%s", r.code, r.stderr)
	}
}

// A service that is to be read elsewhere (8000 → 44300), or in another SAP client: the PUT is refused while the offsets
// belong to the other port, and names the setting that has the connector go on from them; nothing is stopped. So is a
// file.
func TestMovedServiceIsRefusedByPut(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	s, address := demo(t, service.Options{Rows: 20})
	second, err := s.Start("127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { second.Close() })
	moved := strings.TrimPrefix(second.URL, "http://")
	settings := func(address string, more ...string) []string {
		return append(append(source("moves", address, "Products"), "sap.odata#00.exec-period=1"), more...)
	}
	p.subfolder("conf")
	p.file("conf/moves.properties", settings(address)...)
	f := p.follows("conf")
	f.says("extraction finished")
	f.await("moves", "runs", runs)
	put := func(want int, lines ...string) string {
		return f.must(want, "PUT", "/connectors/moves/config", asJSON(t, configuration(lines)))
	}
	f.eventually("that the offset is stored", func() bool {
		status, answer := f.call("GET", "/connectors/moves/offsets", "")
		return status == 200 && strings.Contains(answer, "fingerprint")
	})
	for _, wanted := range []string{"sap.odata#00.query.change=keep", address, moved} {
		if answer := put(400, settings(moved)...); !strings.Contains(answer, wanted) {
			t.Errorf("expected %q in the refusal, found %s", wanted, answer)
		}
	}
	for _, wanted := range []string{"sap.odata#00.query.change=keep", "client 200"} { // is another set of data
		if answer := put(400, settings(address, "sap.odata.sap.client=200")...); !strings.Contains(answer, wanted) {
			t.Errorf("expected %q in the refusal, found %s", wanted, answer)
		}
	}
	f.replaced("conf/moves.properties", settings(moved)...)
	f.await("moves", "runs on with a refused file", func(s connect.Status) bool {
		return s.Connector.State == connect.Running && len(s.Tasks) == 1 && s.Tasks[0].State == connect.Running &&
			strings.Contains(s.Connector.ConfigError, "sap.odata#00.query.change=keep")
	})
	if n := strings.Count(f.stderr.String(), `msg="connector started" connector=moves `); n != 1 {
		t.Errorf("expected that nothing was stopped, found %d starts", n)
	}
	put(200, settings(moved, "sap.odata#00.query.change=keep")...)
	f.says("the stored offset belongs to something else, and is gone on from")
	f.await("moves", "runs", runs)
	f.signal(syscall.SIGTERM)
	if r := f.wait(); r.code != 0 || strings.Contains(r.stderr, "FAILED") {
		t.Errorf("exit %d\n%s", r.code, r.stderr)
	}
}
