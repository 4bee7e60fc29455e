package source

import (
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/base/require"
	"github.com/culvert-project/culvert/internal/connect"
	"github.com/culvert-project/culvert/internal/e2etest"
	"github.com/culvert-project/culvert/internal/odatatest"
)

// An application restarts while 50 pages are read: its router answers 404 to some requests. The task continues with
// few requests, also when the next load begins, and delivers each row of each load once.
func TestRestartingServiceIsReadToTheEnd(t *testing.T) {
	t.Parallel()
	const rows, page, perLoad = 500, 10, 50 // perLoad is the number of pages of a load
	for _, c := range []struct {
		name     string
		path     string
		settings []string
		loads    int // the rows arrive so many times
	}{
		{name: "full", path: odatatest.NorthwindPath, settings: []string{"sap.odata#00.exec-period=1"}, loads: 2},
		{
			name: "changes",
			path: odatatest.SAPPath,
			settings: []string{"sap.odata#00.track-changes=1", "sap.odata#00.exec-period=1",
				"sap.odata#00.format=json"},
			loads: 1,
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			p := e2etest.NewPlace(t)
			s := odatatest.New(odatatest.Options{Rows: rows, Switches: odatatest.Switches{PageSize: page}})
			var away atomic.Int64 // number of further requests that the router answers
			var routed, pages atomic.Int64
			address := e2etest.Serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if away.Add(-1) >= 0 {
					routed.Add(1)
					w.WriteHeader(http.StatusNotFound)
					fmt.Fprint(w, "404 Not Found: Requested route ('erp.example') does not exist.")
					return
				}
				if strings.HasSuffix(r.URL.Path, "/Orders") && pages.Add(1) == 10 {
					away.Store(7)
				}
				s.ServeHTTP(w, r)
			}))
			p.File("conf/there.properties", e2etest.WithSettings(e2etest.Source("there", address, "Orders"),
				append([]string{"sap.odata#00.service=" + c.path, fmt.Sprint("sap.odata#00.page.size=", page),
					"sap.odata.max.retries=10", "sap.odata.min.retry.backoff.ms=10",
					"sap.odata.max.retry.backoff.ms=50"}, c.settings...)...)...)
			f := p.StartWorkerWith(e2etest.Plugins(t), "conf")
			hasFailed := false
			// await also ends if the task fails.
			await := func(counter *atomic.Int64, n int64) {
				require.Until(t, func() bool {
					var status connect.Status
					e2etest.Get(t, f.URL+"/connectors/there/status", &status)
					hasFailed = hasFailed || (len(status.Tasks) > 0 && status.Tasks[0].State == connect.Failed)
					return hasFailed || counter.Load() >= n
				}, func() string {
					return fmt.Sprintf("expected %d, found %d: %d pages, %d answers of the router; stderr:\n%s", n,
						counter.Load(), pages.Load(), routed.Load(), f.Stderr.String())
				})
			}
			await(&routed, 7)
			await(&pages, perLoad)
			count := pages.Load()
			away.Store(7)
			await(&routed, 14)
			await(&pages, count+1+int64((perLoad+1)*(c.loads-1)))
			f.Await("there", "runs", e2etest.IsRunning)
			r := f.MustStop()
			assert.True(t, !hasFailed && !strings.Contains(r.Stderr, "task failed"),
				"expected the task to continue, found: %s", r.Stderr)
			received := map[string]int{}
			for _, record := range p.Records("Orders") {
				received[fmt.Sprint(record["key"])]++
			}
			for key, n := range received {
				require.True(t, n >= c.loads && n <= c.loads+1 && (c.loads != 1 || n <= 1),
					"expected key %s in each of %d loads, found it %d times", key, c.loads, n)
			}
			assert.Equal(t, rows, len(received), "keys")
		})
	}
}
