package sink

import (
	"fmt"
	"net/http"
	"path"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/culvert-project/culvert/internal/e2etest"
	"github.com/culvert-project/culvert/internal/odatatest"
	"github.com/culvert-project/culvert/internal/porttest"
)

// unanswered is a proxy in front of a service that delays the responses to writes.
type unanswered struct {
	writes  atomic.Int32
	answers chan struct{} // to be closed by the test
}

// start returns the address.
func (u *unanswered) start(t *testing.T, s *odatatest.Service) string {
	t.Helper()
	u.answers = make(chan struct{})
	return e2etest.Serve(t, late(s, func(r *http.Request, _ int) {
		if r.Method == http.MethodGet || r.Method == http.MethodHead {
			return
		}
		u.writes.Add(1)
		select {
		case <-u.answers:
		case <-r.Context().Done(): // the worker is gone
		}
	}))
}

// taken names the metric of records that a connector's service has accepted.
func taken(connector string) string {
	return fmt.Sprintf(`kafka_connect_sink_task_sink_record_send_total{connector=%q,task="0"}`, connector)
}

// A worker that was paused within a sink's request for longer than its session writes nothing more: another one has
// taken over its partitions from the commit, and has looked up the row of the POST without response and the rows
// announced with it (rows with more than their key, since a missing number proves nothing). The offsets stay as the
// other one committed them. The broker is paused for a moment, too, so that the first worker gets its responses before
// the news of its group.
func TestPausedSinkWritesNothingMore(t *testing.T) {
	t.Parallel()
	s, direct := e2etest.StartDemo(t, odatatest.Options{Rows: 5})
	b := e2etest.NewPlace(t)
	cluster, broker := b.StartBrokerCommand()
	listen := porttest.Address(t)
	client := e2etest.NewClient(t, broker)
	admin := kadm.NewClient(client)
	if _, err := admin.CreateTopics(t.Context(), 1, 1, nil, "Names", "New"); err != nil {
		t.Fatal(err)
	}
	const rows = 3
	for n := range rows {
		e2etest.Produce(t, broker,
			&kgo.Record{Topic: "Names", Key: []byte(`{"ProductID":1}`),
				Value: fmt.Appendf(nil, `{"ProductID":1,"ProductName":"name %d"}`, n)},
			&kgo.Record{Topic: "New", Key: fmt.Appendf(nil, `{"OrderID":%d}`, n),
				Value: fmt.Appendf(nil, `{"OrderID":%d,"ShipName":"ship %d"}`, n, n)})
	}
	groups := map[string]string{"connect-merges": "Names", "connect-creates": "New"}
	committed := func() bool {
		for group, topic := range groups {
			offsets, err := admin.FetchOffsets(t.Context(), group)
			if offset, ok := offsets.Lookup(topic, 0); err != nil || !ok || offset.At != rows {
				return false
			}
		}
		return true
	}
	both := func() bool {
		for group := range groups {
			described, err := admin.DescribeGroups(t.Context(), group)
			if err != nil || len(described[group].Members) != 2 || described[group].State != "Stable" {
				return false
			}
		}
		return true
	}
	name := func() string { return e2etest.Entities(s, "Products")["(1)"]["ProductName"] }

	var merges, creates unanswered
	paused := startTwoSinks(t, broker, "http://"+listen, merges.start(t, s), creates.start(t, s))
	paused.Eventually("a write of each", func() bool { return merges.writes.Load() > 0 && creates.writes.Load() > 0 })
	paused.Signal(syscall.SIGSTOP)
	if name() != "name 0" || len(e2etest.Entities(s, "OrderCopies")) != 1 {
		t.Fatalf("expected the first row of each to be written, found %s and %v", name(),
			e2etest.Entities(s, "OrderCopies"))
	}
	other := startTwoSinks(t, broker, "", direct, direct)
	other.Eventually("all that was to be written", committed)
	merged := merges.writes.Load()
	created := creates.writes.Load()
	cluster.Signal(syscall.SIGSTOP)
	close(merges.answers)
	close(creates.answers)
	paused.Signal(syscall.SIGCONT)
	paused.Eventually("an answer for each", func() bool {
		figures := e2etest.Scrape(t, listen)
		return figures[taken("merges")] > 0 && figures[taken("creates")] > 0
	})
	cluster.Signal(syscall.SIGCONT)
	paused.Eventually("memberships that begin anew", both)
	for _, c := range []*e2etest.Command{paused, other} {
		c.MustStop()
	}
	if m, c := merges.writes.Load()-merged, creates.writes.Load()-created; m != 0 || c != 0 {
		t.Errorf("the worker that was paused went on to write %d merges and %d POSTs\n%s", m, c, paused.Stderr.String())
	}
	if !committed() || name() != fmt.Sprintf("name %d", rows-1) {
		t.Errorf("the offsets or the product did not stay as they were: it is %s\n%s", name(), paused.Stderr.String())
	}
	e2etest.Equal(t, "POSTs by status", map[int]int{http.StatusCreated: rows}, postStatuses(s, "OrderCopies"))
}

// postStatuses returns how often the service has answered the POSTs of a set with each status.
func postStatuses(s *odatatest.Service, set string) map[int]int {
	statuses := map[int]int{}
	for _, r := range s.Ledger().Requests {
		if r.Method == http.MethodPost && path.Base(r.Path) == set {
			statuses[r.Status]++
		}
	}
	return statuses
}

// startTwoSinks starts a worker on a machine of its own, with connectors that write to services at two addresses: one
// merges products, one creates orders.
func startTwoSinks(t *testing.T, broker, listeners, merges, creates string) *e2etest.Command {
	t.Helper()
	p := e2etest.NewPlace(t)
	sink := func(name string, lines []string, more ...string) string {
		lines = append(lines, "sap.odata.enable.batch=0", "sap.odata.max.in.flight=1", e2etest.NoReadTimeout)
		return p.File(name, append(lines, more...)...)
	}
	return p.Start("run", "--plugins", e2etest.Plugins(t, "odata-sink"), "--data", p.Data,
		p.File("worker.properties", "bootstrap.servers="+broker, "listeners="+listeners,
			"key.converter.schemas.enable=false", "value.converter.schemas.enable=false",
			"consumer.session.timeout.ms=6000", "consumer.heartbeat.interval.ms=1000"),
		sink("merges.properties", e2etest.Sink("merges", merges, "Names", "Products"),
			"sap.odata.operation.mode=merge"),
		sink("creates.properties", e2etest.Sink("creates", creates, "New", "OrderCopies"),
			"sap.odata.insert.uncertain=check"))
}
