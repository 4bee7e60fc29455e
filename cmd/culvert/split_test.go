package main

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/culvert-project/culvert/examples/demo-service/service"
)

// Orders with their lines inside come from a service, and a sink splits them: each line is written once, under a
// RequestID of its own, although all lines of an order are of one record.
func TestPartsOfASplitRecordAreWrittenApart(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	s := service.New(service.Options{Rows: 20})
	if err := s.Set("repeatability", "true"); err != nil {
		t.Fatal(err)
	}
	var mu sync.Mutex
	ids := map[string]int{}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if id := r.Header.Get("RequestID"); r.Method == http.MethodPost && id != "" {
			mu.Lock()
			ids[id]++
			mu.Unlock()
		}
		s.ServeHTTP(w, r)
	}))
	t.Cleanup(server.Close)
	address := strings.TrimPrefix(server.URL, "http://")
	r := p.run("run", "--once", "--plugins", plugins(t, "odata-sink", "smt"), "--data", p.data,
		p.file("there.properties", append(source("there", address, "Orders"), "sap.odata#00.expand=Order_Details")...),
		p.file("back.properties", append(sinkOf("back", address, "Orders", "Order_DetailCopies"),
			"sap.odata.enable.batch=0", "sap.odata.insert.uncertain=repeatable", "transforms=lines",
			"transforms.lines.type=org.culvert.transforms.Split", "transforms.lines.field=Order_Details",
			"transforms.lines.extract=true")...))
	if r.code != 0 {
		t.Fatalf("expected exit 0, found %d\n%s", r.code, r.stderr)
	}
	written := 0
	for entity, n := range s.Ledger().Writes {
		if n.Created != 1 {
			t.Errorf("expected %s to be created once, found %d times", entity, n.Created)
		}
		written++
	}
	mu.Lock()
	defer mu.Unlock()
	if written <= 20 || len(ids) != written {
		t.Errorf("expected a RequestID for each of more than 20 lines, found %d for %d", len(ids), written)
	}
}
