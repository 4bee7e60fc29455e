package sink

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/connect"
	"github.com/culvert-project/culvert/internal/e2etest"
	"github.com/culvert-project/culvert/internal/odatatest"
)

// restartingService is an application whose router answers in its place with 404 for a number of requests.
type restartingService struct {
	*odatatest.Service
	requests     atomic.Int64
	awayRequests atomic.Int64               // number of further requests that the router answers
	isRouted     func(r *http.Request) bool // selects the requests that the router may answer
	isRedirect   bool                       // the router redirects the requests to a page of another server
}

func (rs *restartingService) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	rs.requests.Add(1)
	if rs.isRouted(r) && rs.awayRequests.Add(-1) >= 0 {
		io.Copy(io.Discard, r.Body)
		if rs.isRedirect {
			http.Redirect(w, r, "http://sorry.example/page?id=1", http.StatusFound)
			return
		}
		w.WriteHeader(http.StatusNotFound)
		fmt.Fprint(w, "404 Not Found: Requested route ('erp.example') does not exist.")
		return
	}
	rs.Service.ServeHTTP(w, r)
}

func isBatch(r *http.Request) bool { return strings.HasSuffix(r.URL.Path, "/$batch") }

// orderRecords returns records of orders, one for each key.
func orderRecords(rows int) []*kgo.Record {
	records := make([]*kgo.Record, rows)
	for i := range records {
		records[i] = &kgo.Record{Topic: "Orders", Key: fmt.Appendf(nil, `{"OrderID":%d}`, i+1),
			Value: fmt.Appendf(nil, `{"OrderID":%d,"ShipName":"x","ShipCity":"Ulm"}`, i+1)}
	}
	return records
}

// hasFailed reports whether a task has failed.
func hasFailed(s connect.Status) bool { return len(s.Tasks) > 0 && s.Tasks[0].State == connect.Failed }

// An application restarts while records are written: its router answers all requests with 404, or 302. The task
// continues with few requests, writes each record once, and sends batches again afterwards. If the router answers only
// batches, no batches are sent after the second one, and one line is logged.
func TestRestartingServiceGetsEachRecordOnce(t *testing.T) {
	t.Parallel()
	everyRequest := func(*http.Request) bool { return true }
	for _, c := range []struct {
		name         string
		mode         string
		rows         int
		isRouted     func(r *http.Request) bool
		awayRequests int64
		isRedirect   bool
		maxRequests  int64 // from the restart on
		lines        int   // log lines that no batches are sent any more
	}{
		{name: "redirect", mode: "insert", rows: 1_500, isRouted: everyRequest, awayRequests: 20, isRedirect: true,
			maxRequests: 400},
		{name: "insert", mode: "insert", rows: 1_500, isRouted: everyRequest, awayRequests: 20, maxRequests: 400},
		{name: "upsert", mode: "upsert", rows: 1_500, isRouted: everyRequest, awayRequests: 20, maxRequests: 800},
		{name: "no batches", mode: "insert", rows: 600, isRouted: isBatch, awayRequests: 1 << 40, maxRequests: 600,
			lines: 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			p := e2etest.NewPlace(t)
			service := &restartingService{Service: odatatest.New(odatatest.Options{Rows: 1,
				Switches: odatatest.Switches{CSRF: true}}), isRouted: c.isRouted, isRedirect: c.isRedirect}
			servers := p.StartBroker()
			e2etest.Produce(t, servers, orderRecords(c.rows)...)
			p.File("conf/back.properties", e2etest.WithSettings(e2etest.Sink("back", e2etest.Serve(t, service),
				"Orders", "OrderCopies"), "sap.odata.operation.mode="+c.mode, "sap.odata.enable.batch=1", "sap.odata.max.batch.size=20",
				"sap.odata.max.retries=10", "sap.odata.min.retry.backoff.ms=20",
				"sap.odata.max.retry.backoff.ms=100")...)
			f := p.StartWorkerWith(e2etest.Plugins(t, "odata-sink"), "conf", "bootstrap.servers="+servers,
				"key.converter.schemas.enable=false", "value.converter.schemas.enable=false")
			f.Eventually("a third of the rows", func() bool { return service.Count("OrderCopies") > c.rows/3 })
			earlier := service.requests.Load()
			service.awayRequests.Store(c.awayRequests)
			failed := false
			f.Await("back", "has written all rows", func(s connect.Status) bool {
				failed = failed || hasFailed(s)
				return failed || service.Count("OrderCopies") == c.rows
			})
			f.Await("back", "runs", e2etest.IsRunning)
			r := f.MustStop()
			assert.True(t, !failed && !strings.Contains(r.Stderr, "task failed"),
				"expected the task to continue, found: %s", r.Stderr)
			e2etest.CheckCreatedOnce(t, service.Ledger(), c.rows)
			assert.AtMost(t, c.maxRequests, service.requests.Load()-earlier, "requests")
			r.WantStderrTimes(c.lines, "the service has no $batch")
		})
	}
}
