package sink

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"regexp"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/culvert-project/culvert/internal/e2etest"
	"github.com/culvert-project/culvert/internal/odatatest"
)

// In batches, and in every operation, each record is written once, whatever becomes of requests and answers; or the
// task fails and names what is uncertain.
func TestBatchesWriteEveryRecordOnce(t *testing.T) {
	t.Parallel()
	p := e2etest.NewPlace(t)
	_, address := e2etest.Demo(t, odatatest.Options{Rows: written})
	on := func(settings ...string) []string { return append([]string{"sap.odata.enable.batch=1"}, settings...) }
	batches := func(most int) func(*testing.T, odatatest.Ledger) {
		return func(t *testing.T, l odatatest.Ledger) {
			if l.Batches == 0 || l.Batches > most {
				t.Errorf("expected at most %d batches, found %d", most, l.Batches)
			}
		}
	}
	switches := func(pairs ...string) map[string]string {
		m := map[string]string{"csrf": "true"}
		for i := 0; i < len(pairs); i += 2 {
			m[pairs[i]] = pairs[i+1]
		}
		return m
	}
	const match, inside, batch = "match", "POST " + odatatest.SAPPath + "OrderCopies", "$batch"
	uncertain := []string{"it may have been written or not, and is not sent again",
		"topic Orders, partition 0, offset "}
	all := []*writing{
		{name: "default", switches: switches("rotate-session", "both"), settings: on(), check: batches(8)},
		{name: "taken-apart", switches: switches(match, inside, "status", "400", "status-count", "1"),
			settings: on("sap.odata.changesets=all"), check: batches(12)},
		{name: "one-refused", switches: switches(match, inside, "status", "400", "status-count", "1"),
			settings: on("errors.tolerance=all"), partly: true},
		{name: "not-for-too-long", switches: switches(match, inside, "status", "503", "status-count", "5"),
			settings: on("sap.odata.max.retries=0", "sap.odata.changesets=all"), partly: true,
			fails: []string{"topic Orders, partition 0, offset ", "tried 1 times", "HTTP 503"}},
		{name: "lost-checked", switches: switches("lose-answer", "2"),
			settings: on("sap.odata.insert.uncertain=check")},
		{name: "logon-page", switches: switches(match, batch, "logon-page", "1"), settings: on(), fails: uncertain,
			partly: true},
		{name: "repeatable", switches: switches("repeatability", "true", "lose-answer", "1"),
			settings: on("sap.odata.insert.uncertain=repeatable")},
		{name: "upsert-lost", switches: switches("lose-answer", "3"), settings: on("sap.odata.operation.mode=upsert",
			"sap.odata.upsert.first=insert")},
		{name: "dynamic", switches: switches(), settings: on("sap.odata.operation.mode=dynamic",
			"sap.odata.operation.mode.property=MODE", "transforms=m",
			"transforms.m.type=org.apache.kafka.connect.transforms.InsertField$Value",
			"transforms.m.static.field=MODE", "transforms.m.static.value=i"), check: batches(8)},
		{name: "update-of-nothing", switches: switches(), settings: on("sap.odata.operation.mode=update"), partly: true,
			fails: []string{"topic Orders, partition 0, offset ", "HTTP 404"}},
	}
	args := []string{"run", "--once", "--plugins", e2etest.Plugins(t, "odata-sink", "smt"), "--data", p.Data,
		p.File("worker.properties", "bootstrap.servers=embedded", "key.converter.schemas.enable=false")}
	// All rows are there before they are written: how many batches they make depends on nobody's pace.
	p.MustRun(append(args, p.File("there.properties", e2etest.Source("there", address, "Orders")...))...)
	for _, w := range all {
		args = append(args, w.start(p))
	}
	run := p.Run(args...)
	run.Exits(1)
	e2etest.WithoutPassword(t, run.Stdout, run.Stderr)
	for _, w := range all {
		t.Run(w.name, func(t *testing.T) {
			w.judge(t, run)
			if strings.Contains(w.name, "checked") && w.service.Ledger().Statuses[200] == 0 {
				t.Error("expected the records in doubt to be looked up")
			}
		})
	}
}

// A worker that is killed between a request and its answer: the next one looks what arrived, and writes nothing twice.
func TestKilledSinkLooksWhatArrived(t *testing.T) {
	t.Parallel()
	for name, settings := range map[string][]string{
		"batches":   nil,
		"one a row": {"sap.odata.enable.batch=0"},
		"together":  {"sap.odata.changesets=all", "sap.odata.max.in.flight=1"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := e2etest.NewPlace(t)
			s := odatatest.New(odatatest.Options{Rows: written})
			address, done, _ := holdsFirst(t, s, posted)
			args := []string{p.File("there.properties", e2etest.Source("there", address, "Orders")...),
				p.File("back.properties", append(append(e2etest.SinkOf("back", address, "Orders", "OrderCopies"),
					"sap.odata.insert.uncertain=check"), settings...)...)}
			c := p.StartOnce(e2etest.Plugins(t, "odata-sink"), args...)
			c.Eventually("a request", done)
			c.Kill()
			p.MustOnceWith(e2etest.Plugins(t, "odata-sink"), args...)
			e2etest.NoneTwice(t, s.Ledger())
			e2etest.Copied(t, s)
		})
	}
}

// A service that gives what is inserted other keys than the records say, and has not shown it when the worker is killed
// with the first insert on its way: the settings' filter finds what arrived.
func TestKilledSinkOfAServiceThatNumbers(t *testing.T) {
	t.Parallel()
	p := e2etest.NewPlace(t)
	s := odatatest.New(odatatest.Options{Rows: written})
	var posts atomic.Int32
	orderID := regexp.MustCompile(`"OrderID":\d+`)
	address, done, _ := holdsFirst(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPost {
			body, err := io.ReadAll(r.Body)
			if err != nil {
				t.Error(err)
			}
			body = orderID.ReplaceAll(body, fmt.Appendf(nil, `"OrderID":%d`, 900_000+posts.Add(1)))
			r.Body, r.ContentLength = io.NopCloser(bytes.NewReader(body)), int64(len(body))
		}
		s.ServeHTTP(w, r)
	}), posted)
	lines := append(e2etest.SinkOf("back", address, "Orders", "OrderCopies"), "sap.odata.insert.uncertain=check",
		"sap.odata.enable.batch=0", "sap.odata.max.in.flight=1",
		"sap.odata.check.filter=Freight eq {Freight} and OrderDate eq {OrderDate}")
	args := []string{p.File("there.properties", e2etest.Source("there", address, "Orders")...),
		p.File("back.properties", lines...)}
	c := p.StartOnce(e2etest.Plugins(t, "odata-sink"), args...)
	c.Eventually("a request", done)
	c.Kill()
	p.OnceWith(e2etest.Plugins(t, "odata-sink"), args...).Exits(0)
	if found := e2etest.Entities(s, "OrderCopies"); len(found) != written || int(posts.Load()) != written {
		t.Errorf("expected %d entities of as many inserts, found %d of %d", written, len(found), posts.Load())
	}
}
