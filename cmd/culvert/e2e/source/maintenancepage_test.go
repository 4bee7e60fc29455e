package source

import (
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/base/require"
	"github.com/culvert-project/culvert/internal/connect"
	"github.com/culvert-project/culvert/internal/e2etest"
	"github.com/culvert-project/culvert/internal/odatatest"
	"github.com/culvert-project/culvert/internal/porttest"
)

// A service is unreachable for a source and a sink with default settings: both are FAILED, report when they continue,
// and do so. The outage is one warning, and one line when it is over.
func TestServiceAway(t *testing.T) {
	t.Parallel()
	p := e2etest.NewPlace(t)
	folder := e2etest.Plugins(t, "odata-sink")
	s := odatatest.New(odatatest.Options{Rows: 2000, PageSize: 40,
		Switches: odatatest.Switches{SlowFirstByte: 20 * time.Millisecond}})
	address := porttest.Address(t)
	serve := func() *http.Server {
		l, err := net.Listen("tcp", address)
		require.NoError(t, err)
		server := &http.Server{Handler: s}
		go server.Serve(l)
		t.Cleanup(func() { server.Close() })
		return server
	}
	server := serve()
	retrySettings := []string{"sap.odata.max.retries=2", "sap.odata.min.retry.backoff.ms=10",
		"sap.odata.max.retry.backoff.ms=20"}
	p.File("conf/there.properties", e2etest.WithSettings(e2etest.Source("there", address, "Orders"),
		retrySettings...)...)
	p.File("conf/back.properties", e2etest.WithSettings(e2etest.Sink("back", address, "Orders", "OrderCopies"),
		retrySettings...)...)
	f := p.StartWorkerWith(folder, "conf")
	f.Eventually("rows on their way", func() bool { return s.Count("OrderCopies") > 100 })
	n := s.Count("OrderCopies")
	require.True(t, n < s.Count("Orders"), "expected rows that have not arrived before the outage, found all %d", n)
	// The sink is paused without an insert in flight: an insert that the outage cuts off would be in doubt, which
	// fails the task.
	f.MustCall(202, "PUT", "/connectors/back/pause", "")
	f.Await("back", "is paused", e2etest.HasState(connect.Paused, 1))
	size := len(f.Stderr.String())
	server.Close()
	f.MustCall(202, "PUT", "/connectors/back/resume", "")
	for _, name := range []string{"there", "back"} {
		f.Await(name, "to go on later", func(s connect.Status) bool {
			if len(s.Tasks) != 1 || s.Tasks[0].State != connect.Failed {
				return false
			}
			_, err := time.Parse(time.RFC3339, s.Tasks[0].Restarts)
			return err == nil
		})
	}
	serve()
	f.Eventually("all rows back", func() bool { return s.Count("OrderCopies") == s.Count("Orders") })
	f.Await("there", "runs", e2etest.IsRunning)
	f.Await("back", "runs", e2etest.IsRunning)
	r := f.MustStop()
	assert.Equal(t, s.Count("Orders"), s.Count("OrderCopies"), "rows")
	counts := map[string]int{}
	for line := range strings.Lines(r.Stderr[size:]) {
		_, message, _ := strings.Cut(line, " level=")
		if level, _, _ := strings.Cut(message, " "); level == "WARN" || level == "ERROR" || strings.Contains(line,
			"the service responds again") {
			_, message, _ = strings.Cut(message, `msg="`)
			message, _, _ = strings.Cut(message, `"`)
			counts[level+" "+message]++
		}
	}
	want := map[string]int{
		"WARN the service does not respond; retrying until it does": 1,
		"INFO the service responds again":                           1,
		"WARN task failed":                                          2,
	}
	assert.Equal(t, want, counts, r.Stderr[size:])
}
