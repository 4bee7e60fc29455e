package sink

import (
	"net/http"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/base/require"
	"github.com/culvert-project/culvert/internal/e2etest"
	"github.com/culvert-project/culvert/internal/odatatest"
)

// uncertainRows is the number of rows to write.
const uncertainRows = 40

// uncertainSink is a connector that writes the topic Orders to OrderCopies of its own service.
type uncertainSink struct {
	name     string
	status   string   // the service answers POSTs with it; "" means that it ends sessions instead
	count    string   // the number of such answers
	settings []string // more settings
	fails    []string // parts of the expected error; nil means that the task succeeds
	service  *odatatest.Service
}

// start starts the service and writes the connector's file.
func (s *uncertainSink) start(t *testing.T, p *e2etest.Place) (file string) {
	s.service = odatatest.New(odatatest.Options{Rows: uncertainRows, User: "me", Password: e2etest.Password,
		Switches: odatatest.Switches{CSRF: true}})
	if s.status != "" {
		for name, value := range map[string]string{"match": "POST", "status": s.status, "status-count": s.count,
			"status-body": "json", "status-message": "Not now", "status-code": "X/1"} {
			require.NoError(t, s.service.Set(name, value))
		}
	}
	var posts atomic.Int32
	address := e2etest.Serve(t, http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPost && strings.Contains(r.URL.Path, "/OrderCopies") && s.status == "" &&
			posts.Add(1)%8 == 0 {
			s.service.Set("expire-sessions", "")
		}
		s.service.ServeHTTP(rw, r)
	}))
	lines := e2etest.WithLogon(e2etest.Sink(s.name, address, "Orders", "OrderCopies"), "sap.odata.enable.batch=0",
		"sap.odata.max.retries=2", "sap.odata.min.retry.backoff.ms=1", "sap.odata.max.retry.backoff.ms=2")
	return p.File(s.name+".properties", e2etest.WithSettings(lines, s.settings...)...)
}

// Every record is written once, whatever happens to sessions, tokens and responses, or the task fails and names the
// record.
func TestEveryRecordIsWrittenOnce(t *testing.T) {
	t.Parallel()
	p, _, address := e2etest.NewPlaceWithDemo(t, odatatest.Options{Rows: uncertainRows})
	recordName := []string{"topic Orders, partition 0, offset ", `key "{\"OrderID\":`}
	sinks := []*uncertainSink{
		// One request at a time: with several, one of them may meet an expired session at each attempt.
		{name: "expire-again", settings: []string{"sap.odata.max.in.flight=1"}},
		{name: "503", status: "503", count: "2"},
		{name: "500", status: "500", count: "1", fails: append(recordName, "HTTP 500", "Not now", "(code X/1)",
			"it may have been written or not, and is not sent again")},
		// One request gets 401 and the others in flight are not sent: the message names the first record of all.
		{name: "401", status: "401", count: "1000", fails: append(recordName, "401"),
			settings: []string{"errors.tolerance=all"}},
	}
	args := []string{p.File("worker.properties", "bootstrap.servers=embedded", "key.converter.schemas.enable=false"),
		p.File("there.properties", e2etest.Source("there", address, "Orders")...)}
	for _, w := range sinks {
		args = append(args, w.start(t, p))
	}
	run := p.RunOnceWith(e2etest.Plugins(t, "odata-sink"), args...).WantCode(1)
	e2etest.CheckNoPassword(t, run.Stdout, run.Stderr)
	for _, w := range sinks {
		t.Run(w.name, func(t *testing.T) {
			failure := ""
			for line := range strings.Lines(run.Stderr) {
				if strings.HasPrefix(line, "connector "+w.name+", task 0: failed: ") {
					failure = line
				}
			}
			assert.Contains(t, failure, w.fails...)
			e2etest.CheckNoneTwice(t, w.service.Ledger())
			isComplete := cmp.Equal(e2etest.Entities(w.service, "Orders"), e2etest.Entities(w.service, "OrderCopies"))
			assert.True(t, isComplete == (len(w.fails) == 0) && isComplete == (failure == ""),
				"expected all rows or a failure; all rows: %t, failure %q", isComplete, failure)
			refused := 0
			for _, r := range w.service.Ledger().Requests {
				if r.Method == http.MethodPost && r.Status >= 400 && r.Status != http.StatusForbidden {
					refused++
				}
			}
			// Requests in flight on other connections may get 401, too.
			want := map[string]int{"503": 2, "500": 1, "401": 4}[w.name]
			assert.True(t, w.status == "" || refused == want || (w.name == "401" && refused <= want),
				"expected %d refusals, found %d", want, refused)
		})
	}
}
