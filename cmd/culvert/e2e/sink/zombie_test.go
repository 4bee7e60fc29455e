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

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/base/require"
	"github.com/culvert-project/culvert/internal/e2etest"
	"github.com/culvert-project/culvert/internal/odatatest"
	"github.com/culvert-project/culvert/internal/porttest"
)

// writeHolder is a proxy in front of a service that holds the responses to writes until the test closes release.
type writeHolder struct {
	writes  atomic.Int32
	release chan struct{}
}

// start starts the proxy and returns its address.
func (h *writeHolder) start(t *testing.T, s *odatatest.Service) (address string) {
	t.Helper()
	h.release = make(chan struct{})
	return e2etest.Serve(t, delayResponses(s, func(r *http.Request, _ int) {
		if r.Method == http.MethodGet || r.Method == http.MethodHead {
			return
		}
		h.writes.Add(1)
		select {
		case <-h.release:
		case <-r.Context().Done(): // the worker has closed the connection
		}
	}))
}

// acceptedRecords names the metric of records that a connector's service has accepted.
func acceptedRecords(connector string) string {
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
	brokerPlace := e2etest.NewPlace(t)
	brokerProcess, broker := brokerPlace.StartBrokerCommand()
	listen := porttest.Address(t)
	client := e2etest.NewClient(t, broker)
	admin := kadm.NewClient(client)
	_, err := admin.CreateTopics(t.Context(), 1, 1, nil, "Names", "New")
	require.NoError(t, err)
	const rows = 3
	for n := range rows {
		e2etest.Produce(t, broker,
			&kgo.Record{Topic: "Names", Key: []byte(`{"ProductID":1}`),
				Value: fmt.Appendf(nil, `{"ProductID":1,"ProductName":"name %d"}`, n)},
			&kgo.Record{Topic: "New", Key: fmt.Appendf(nil, `{"OrderID":%d}`, n),
				Value: fmt.Appendf(nil, `{"OrderID":%d,"ShipName":"ship %d"}`, n, n)})
	}
	groups := map[string]string{"connect-merges": "Names", "connect-creates": "New"}
	areCommitted := func() bool {
		for group, topic := range groups {
			offsets, err := admin.FetchOffsets(t.Context(), group)
			if offset, ok := offsets.Lookup(topic, 0); err != nil || !ok || offset.At != rows {
				return false
			}
		}
		return true
	}
	haveTwoMembers := func() bool {
		for group := range groups {
			described, err := admin.DescribeGroups(t.Context(), group)
			if err != nil || len(described[group].Members) != 2 || described[group].State != "Stable" {
				return false
			}
		}
		return true
	}
	productName := func() string { return e2etest.Entities(s, "Products")["(1)"]["ProductName"] }

	var merges, creates writeHolder
	paused := startTwoSinks(t, broker, "http://"+listen, merges.start(t, s), creates.start(t, s))
	paused.Eventually("a write of each", func() bool { return merges.writes.Load() > 0 && creates.writes.Load() > 0 })
	paused.Signal(syscall.SIGSTOP)
	if productName() != "name 0" || len(e2etest.Entities(s, "OrderCopies")) != 1 {
		t.Fatalf("expected the first row of each to be written, found %s and %v", productName(),
			e2etest.Entities(s, "OrderCopies"))
	}
	other := startTwoSinks(t, broker, "", direct, direct)
	other.Eventually("all that was to be written", areCommitted)
	mergesBefore := merges.writes.Load()
	createsBefore := creates.writes.Load()
	brokerProcess.Signal(syscall.SIGSTOP)
	close(merges.release)
	close(creates.release)
	paused.Signal(syscall.SIGCONT)
	paused.Eventually("an answer for each", func() bool {
		figures := e2etest.Scrape(t, listen)
		return figures[acceptedRecords("merges")] > 0 && figures[acceptedRecords("creates")] > 0
	})
	brokerProcess.Signal(syscall.SIGCONT)
	paused.Eventually("two members of the group again", haveTwoMembers)
	for _, c := range []*e2etest.Command{paused, other} {
		c.MustStop()
	}
	moreMerges := merges.writes.Load() - mergesBefore
	moreCreates := creates.writes.Load() - createsBefore
	assert.True(t, moreMerges == 0 && moreCreates == 0,
		"expected no writes of the paused worker, found %d merges and %d POSTs\n%s", moreMerges, moreCreates,
		paused.Stderr.String())
	if want := fmt.Sprintf("name %d", rows-1); !areCommitted() || productName() != want {
		t.Errorf("expected the committed offsets and the product %q, found %t and %q\n%s", want, areCommitted(),
			productName(), paused.Stderr.String())
	}
	assert.Equal(t, map[int]int{http.StatusCreated: rows}, postStatuses(s, "OrderCopies"), "POSTs by status")
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
