package source

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/culvert-project/culvert/internal/e2etest"
	"github.com/culvert-project/culvert/internal/odatatest"
)

// failOnce answers one request whose query has an option with 500 and an error document that quotes the request's URL.
func failOnce(s http.Handler, option string, armed *atomic.Bool) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		query, _ := url.QueryUnescape(r.URL.RawQuery)
		if strings.Contains(query, option) && armed.CompareAndSwap(true, false) {
			w.Header().Set("Content-Type", "application/json")
			w.WriteHeader(http.StatusInternalServerError)
			fmt.Fprintf(w, `{"error":{"code":"SY/530","message":{"lang":"en","value":"Work process ended during GET %s"}}}`,
				r.URL.RequestURI())
			return
		}
		s.ServeHTTP(w, r)
	})
}

// A passing 500 whose message quotes the request's URL says nothing of the token in it: changes go on from their delta
// link, so that the pending delete is reported.
func TestErrorQuotesDeltaToken(t *testing.T) {
	t.Parallel()
	p := e2etest.NewPlace(t)
	s := odatatest.New(odatatest.Options{Rows: 60})
	var armed atomic.Bool
	address := e2etest.Serve(t, failOnce(s, "deltatoken", &armed))
	p.Broker()
	worker := p.Plain("embedded", "offset.flush.interval.ms=20")
	file := p.File("quoted.properties", e2etest.Tracked("quoted", address, odatatest.SAPPath, "Products",
		"sap.odata#00.delta.lost=reload")...)
	start := func() *e2etest.Command {
		return p.Start("run", "--data", p.Data, "--plugins", e2etest.Plugins(t), worker, file)
	}
	c := start()
	c.Eventually("changes that were asked for", func() bool { return s.Ledger().Deltas > 1 })
	armed.Store(true)
	write := e2etest.Writer{S: s}
	if !write.Send("DELETE", "Products(4)", nil) {
		t.Fatal("the service refused the delete")
	}
	c.Eventually("the failed request", func() bool { return !armed.Load() })
	c.MustStop()
	c = start()
	if !write.Send("MERGE", "Products(3)", map[string]any{"ProductName": "Changed"}) {
		t.Fatal("the service refused the change")
	}
	c.Eventually("the change", func() bool { return e2etest.Folded(p, "quoted")["3"] == "Changed" })
	if _, there := e2etest.Folded(p, "quoted")["4"]; there {
		t.Errorf("expected that Products(4) is reported as deleted, it is not\n%s", c.Stderr.String())
	}
	if n := len(p.Records("quoted")); n != s.Count("Products")+3 {
		t.Errorf("expected %d records, found %d", s.Count("Products")+3, n)
	}
	c.MustStop()
}

// A passing 500 whose message quotes the request's URL begins no load by links anew: each row comes once.
func TestErrorQuotesSkipToken(t *testing.T) {
	t.Parallel()
	p := e2etest.NewPlace(t)
	s := odatatest.New(odatatest.Options{Rows: 50, PageSize: 20})
	var armed atomic.Bool
	armed.Store(true)
	address := e2etest.Serve(t, failOnce(s, "skiptoken", &armed))
	p.Broker()
	worker := p.Plain("embedded", "offset.flush.interval.ms=20")
	file := p.File("quoted.properties", append(e2etest.Source("quoted", address, "Orders"), "sap.odata.paging=links")...)
	for range 2 { // the first one ends at the 500, or tries again
		if p.OnceWith(e2etest.Plugins(t), worker, file).Code == 0 {
			break
		}
	}
	if n := len(p.Records("Orders")); n != 50 || armed.Load() {
		t.Errorf("expected 50 records of 50 rows, found %d", n)
	}
}
