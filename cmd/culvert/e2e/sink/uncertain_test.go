package sink

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/culvert-project/culvert/internal/e2etest"
	"github.com/culvert-project/culvert/internal/odatatest"
)

// writing is one connector that writes the topic Orders into OrderCopies of a service of its own, and what becomes of
// it.
type writing struct {
	name     string
	switches map[string]string
	// front sees each request before the service does; n counts the POSTs to the set, from 1.
	front    func(s *odatatest.Service, r *http.Request, n int)
	settings []string
	fails    []string
	// partly: not everything arrives.
	partly bool
	check  func(t *testing.T, l odatatest.Ledger)

	service *odatatest.Service
	lines   []string
}

const copies = "/OrderCopies"

func (w *writing) start(p *e2etest.Place) string {
	p.T.Helper()
	w.service = odatatest.New(odatatest.Options{Rows: written, User: "me", Password: e2etest.Password})
	for name, value := range w.switches {
		if err := w.service.Set(name, value); err != nil {
			p.T.Fatal(w.name, err)
		}
	}
	var posts atomic.Int32
	address := e2etest.Serve(p.T, http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		if w.front != nil {
			n := int32(0)
			if r.Method == http.MethodPost && strings.Contains(r.URL.Path, copies) {
				n = posts.Add(1)
			}
			w.front(w.service, r, int(n))
		}
		w.service.ServeHTTP(rw, r)
	}))
	lines := e2etest.AsMe(e2etest.SinkOf(w.name, address, "Orders", "OrderCopies"), "sap.odata.enable.batch=0",
		"sap.odata.max.retries=2", "sap.odata.min.retry.backoff.ms=1", "sap.odata.max.retry.backoff.ms=2")
	w.lines = e2etest.Instead(lines, w.settings...)
	return p.File(w.name+".properties", w.lines...)
}

// judge holds the run, and what the service has, against what is expected. Nothing was created twice.
func (w *writing) judge(t *testing.T, run e2etest.Result) {
	failure := ""
	for line := range strings.Lines(run.Stderr) {
		if strings.HasPrefix(line, "connector "+w.name+", task 0: FAILED: ") {
			failure = line
		}
	}
	if (failure == "") != (len(w.fails) == 0) {
		t.Errorf("expected failure: %t, found %q in\n%s", len(w.fails) > 0, failure, run.Stderr)
	}
	e2etest.Contains(t, "the failure", failure, w.fails...)
	if w.check != nil {
		w.check(t, w.service.Ledger())
	}
	e2etest.NoneTwice(t, w.service.Ledger())
	found := e2etest.Entities(w.service, "OrderCopies")
	if all := cmp.Equal(e2etest.Entities(w.service, "Orders"), found); all == w.partly {
		t.Errorf("expected all to be there: %t, found %d of %d", !w.partly, len(found), written)
	}
}

// written is how many rows there are to write.
const written = 40

// posts are the POSTs that a service saw, by status.
func posts(l odatatest.Ledger) map[int]int {
	all := map[int]int{}
	for _, r := range l.Requests {
		if r.Method == http.MethodPost {
			all[r.Status]++
		}
	}
	return all
}

// Every record is written once, whatever sessions, tokens and answers do; or the task fails and names the record.
func TestEveryRecordIsWrittenOnce(t *testing.T) {
	t.Parallel()
	p := e2etest.NewPlace(t)
	_, address := e2etest.Demo(t, odatatest.Options{Rows: written})
	csrf := func(mode string) map[string]string { return map[string]string{"csrf": "true", "rotate-session": mode} }
	post := func(status, count string) map[string]string {
		return map[string]string{"csrf": "true", "match": "POST", "status": status, "status-count": count,
			"status-body": "json", "status-message": "Not now", "status-code": "X/1"}
	}
	expire := func(times ...int) func(*odatatest.Service, *http.Request, int) {
		return func(s *odatatest.Service, _ *http.Request, n int) {
			if slices.Contains(times, n) {
				s.Set("expire-sessions", "")
			}
		}
	}
	of := func(want map[int]int) func(*testing.T, odatatest.Ledger) {
		return func(t *testing.T, l odatatest.Ledger) {
			e2etest.Equal(t, "POSTs by status", want, posts(l))
		}
	}
	// once: the status was answered one time, to a request that was not sent again.
	once := func(status int) func(*testing.T, odatatest.Ledger) {
		return func(t *testing.T, l odatatest.Ledger) {
			if n := posts(l)[status]; n != 1 {
				t.Errorf("expected one answer %d, found %d", status, n)
			}
		}
	}
	named := []string{"topic Orders, partition 0, offset ", `key "{\"OrderID\":`}
	uncertain := append([]string{"it may have been written or not, and is not sent again"}, named...)
	all := []*writing{
		{name: "rotate", switches: csrf("both")},
		// Again and again, one request at a time: of several, one may meet the end of its session each time it is sent.
		{name: "expire-again", switches: csrf("off"), front: expire(8, 16, 24, 32),
			settings: []string{"sap.odata.max.in.flight=1"}},
		{name: "503", switches: post("503", "2"), check: of(map[int]int{503: 2, 201: written})},
		{name: "503-always", switches: post("503", "1000"), fails: append(named, "HTTP 503", "Not now"), partly: true},
		{name: "500", switches: post("500", "1"), fails: append(uncertain, "HTTP 500", "Not now", "(code X/1)"),
			partly: true, check: once(500)},
		{name: "400-tolerated", switches: post("400", "1"), settings: []string{"errors.tolerance=all"}, partly: true,
			check: of(map[int]int{400: 1, 201: written - 1})},
		// of the requests under way one is answered 401 and the others are not sent: the record named is the first of
		// them all
		{name: "401", switches: post("401", "1000"), fails: append(named, "401"), partly: true,
			settings: []string{"errors.tolerance=all"},
			check: func(t *testing.T, l odatatest.Ledger) {
				if n := posts(l)[401]; n > 4 { // those that were on their way in other lanes
					t.Errorf("expected the first refusal to be the last, found %d", n)
				}
			}},
		{name: "lost", switches: map[string]string{"csrf": "true", "lose-answer": "1"},
			settings: []string{"errors.tolerance=all"}, fails: uncertain, partly: true},
	}
	args := []string{"run", "--once", "--plugins", e2etest.Plugins(t, "odata-sink"), "--data", p.Data,
		p.File("worker.properties", "bootstrap.servers=embedded", "key.converter.schemas.enable=false"),
		p.File("there.properties", e2etest.Source("there", address, "Orders")...)}
	for _, w := range all {
		args = append(args, w.start(p))
	}
	run := p.Run(args...)
	e2etest.WithoutPassword(t, run.Stdout, run.Stderr)
	run.Exits(1)
	for _, w := range all {
		t.Run(w.name, func(t *testing.T) {
			w.judge(t, run)
		})
	}
}

// A POST without an answer is not sent again by itself, by no start of the program; an operator decides about the
// record (P19).
func TestUncertainRecordsWaitForAnOperator(t *testing.T) {
	t.Parallel()
	for _, decision := range []string{"errors.uncertain.send", "errors.uncertain.skip"} {
		t.Run(decision, func(t *testing.T) {
			p := e2etest.NewPlace(t)
			_, address := e2etest.Demo(t, odatatest.Options{Rows: written})
			worker := p.File("worker.properties", "bootstrap.servers=embedded", "key.converter.schemas.enable=false")
			there := p.File("there.properties", e2etest.Source("there", address, "Orders")...)
			// The gateway says 502: to send it again, the entity must not be there.
			w := writing{name: "back", switches: map[string]string{"csrf": "true", "match": "POST",
				"status-body": "html"}, front: func(s *odatatest.Service,
				_ *http.Request, n int) {
				if n == 5 {
					s.Set("status", "502")
					s.Set("status-count", "1")
				}
			}}
			args := []string{"run", "--once", "--plugins", e2etest.Plugins(t, "odata-sink"), "--data", p.Data, worker, there,
				w.start(p)}
			first := p.Run(args...)
			var offset, id int
			if _, after, ok := strings.Cut(first.LastLine(), "FAILED: "); !ok || first.Code != 1 {
				t.Fatalf("expected exit 1, found %d\n%s", first.Code, first.Stderr)
			} else if _, err := fmt.Sscanf(after,
				`topic Orders, partition 0, offset %d, key "{\"OrderID\":%d}": it may have been written or not`,
				&offset, &id); err != nil {
				t.Fatalf("%v: %s", err, after)
			}
			at := fmt.Sprintf("Orders-0@%d", offset)
			for range 2 {
				seen := posts(w.service.Ledger())
				r := p.Run(args...)
				for _, want := range []string{fmt.Sprintf("topic Orders, partition 0, offset %d, key ", offset),
					"is not sent again", "errors.uncertain.send=" + at, "errors.uncertain.skip=" + at} {
					if r.Code != 1 || !strings.Contains(r.LastLine(), want) {
						t.Errorf("expected exit 1 and %q, found %d and %s", want, r.Code, r.LastLine())
					}
				}
				// Others may go on meanwhile; no entity is asked for twice.
				e2etest.Equal(t, "answers 502", seen[502], posts(w.service.Ledger())[502])
			}
			p.File("back.properties", append(w.lines, decision+"="+at)...)
			p.Run(args...).Exits(0)
			p.Run(args...).Exits(0)
			want := e2etest.Entities(w.service, "Orders")
			if decision == "errors.uncertain.skip" {
				delete(want, fmt.Sprintf("(%d)", id))
			}
			e2etest.Equal(t, "what arrived", want, e2etest.Entities(w.service, "OrderCopies"))
			e2etest.NoneTwice(t, w.service.Ledger())
			if all := posts(w.service.Ledger()); all[400] != 0 || all[502] != 1 {
				t.Errorf("expected one answer 502 and no other refusal, found %v", all)
			}
		})
	}
}
