package sink

import (
	"net/http"
	"sync"
	"testing"

	"github.com/culvert-project/culvert/internal/e2etest"
	"github.com/culvert-project/culvert/internal/odatatest"
)

// Orders with their lines inside come from a service, and a sink splits them: each line is written once, under a
// RequestID of its own, although all lines of an order are of one record.
func TestPartsOfASplitRecordAreWrittenApart(t *testing.T) {
	t.Parallel()
	p := e2etest.NewPlace(t)
	s := odatatest.New(odatatest.Options{Rows: 20})
	e2etest.NoError(t, s.Set("repeatability", "true"))
	var mu sync.Mutex
	ids := map[string]int{}
	address := e2etest.Serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if id := r.Header.Get("RequestID"); r.Method == http.MethodPost && id != "" {
			mu.Lock()
			ids[id]++
			mu.Unlock()
		}
		s.ServeHTTP(w, r)
	}))
	p.MustOnceWith(e2etest.Plugins(t, "odata-sink", "smt"),
		p.File("there.properties", append(e2etest.Source("there", address, "Orders"), "sap.odata#00.expand=Order_Details")...),
		p.File("back.properties", append(e2etest.SinkOf("back", address, "Orders", "Order_DetailCopies"),
			"sap.odata.enable.batch=0", "sap.odata.insert.uncertain=repeatable", "transforms=lines",
			"transforms.lines.type=org.culvert.transforms.Split", "transforms.lines.field=Order_Details",
			"transforms.lines.extract=true")...))
	e2etest.NoneTwice(t, s.Ledger())
	written := len(s.Ledger().Writes)
	mu.Lock()
	defer mu.Unlock()
	if written <= 20 || len(ids) != written {
		t.Errorf("expected a RequestID for each of more than 20 lines, found %d for %d", len(ids), written)
	}
}
