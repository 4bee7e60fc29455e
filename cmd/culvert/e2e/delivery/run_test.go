package delivery

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/twmb/franz-go/pkg/sr/srfake"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/base/require"
	"github.com/culvert-project/culvert/internal/connect"
	"github.com/culvert-project/culvert/internal/e2etest"
	"github.com/culvert-project/culvert/internal/odatatest"
	"github.com/culvert-project/culvert/internal/porttest"
)

// A worker watches the files of a folder until it is stopped, and stores its offsets then.
func TestRunUntilStopped(t *testing.T) {
	t.Parallel()
	p, s, address := e2etest.NewPlaceWithDemo(t, odatatest.Options{Rows: 200, PageSize: 50})
	listen := porttest.Address(t)
	folder := filepath.Join(p.Dir, "etc")
	require.NoError(t, os.Mkdir(folder, 0o700))
	p.File("etc/worker.yaml", "bootstrap.servers: embedded", "listeners: http://"+listen,
		"offset.flush.interval.ms: 3600000", "topic.creation.enable: false") // so the broker creates topics
	p.File("etc/orders.properties", e2etest.Source("orders", address, "Orders")[1:]...) // named by its file
	c := p.Start("run", "--config", folder, "--plugins", e2etest.Plugins(t), "--data", p.Data, "--progress")
	var status connect.Status
	c.Eventually("RUNNING", func() bool {
		return e2etest.Get(t, "http://"+listen+"/connectors/orders/status", &status) == 200 && len(status.Tasks) == 1 &&
			status.Tasks[0].State == connect.Running
	})
	c.AwaitStderr(fmt.Sprintf("-      %d ", s.Count("Orders"))) // in the table of --progress
	p.CheckRecordCount("Orders", s.Count("Orders"))
	c.MustStop()
	assert.True(t, len(p.Records("connect-offsets")) != 0, "expected offsets to be stored at the stop")
	rows := s.Ledger().Rows
	p.MustRun("run", "--once", "--config", folder, "--plugins", e2etest.Plugins(t), "--data", p.Data)
	again := s.Ledger().Rows - rows
	assert.True(t, again == 0, "expected that nothing is read again, found %d rows", again)
}

// The main job: service → transforms → topics → service. A second run has nothing to do.
func TestBothWays(t *testing.T) {
	t.Parallel()
	p, s, address := e2etest.NewPlaceWithDemo(t, odatatest.Options{Rows: 60, PageSize: 25,
		Switches: odatatest.Switches{CSRF: true, RotateSession: "both"}})
	there := p.File("there.properties", append(e2etest.Source("there", address, "Orders", "Order_Details", "Products"),
		"transforms=system,route", "transforms.system.type=org.apache.kafka.connect.transforms.InsertField$Value",
		"transforms.system.static.field=system", "transforms.system.static.value=PRD",
		"transforms.system.predicate=orders", "transforms.system.negate=true",
		"transforms.route.type=org.apache.kafka.connect.transforms.RegexRouter", "transforms.route.regex=(.*)",
		"transforms.route.replacement=sap.$1",
		"predicates=orders", "predicates.orders.type=org.apache.kafka.connect.transforms.predicates.TopicNameMatches",
		"predicates.orders.pattern=Ord.*")...)
	sink := e2etest.Sink("back", address, "sap.Orders", "OrderCopies", "sap.Order_Details", "Order_DetailCopies")
	sink[len(sink)-1] = "topics.regex=(?!audit)sap.Order.*+" // Java has these operators, Go does not
	back := p.File("back.properties", sink...)
	for round := range 2 {
		p.MustRun("run", "--once", "--plugins", e2etest.Plugins(t, "odata-sink", "smt"), "--data", p.Data, there,
			back).WantNoStdout().WantNo("REST listens") // unless listeners is set
		for set, copies := range map[string]string{"Orders": "OrderCopies", "Order_Details": "Order_DetailCopies"} {
			diff := cmp.Diff(e2etest.Entities(s, set), e2etest.Entities(s, copies))
			assert.True(t, diff == "", "round %d: %s differ from %s (-want +got)\n%s", round, copies, set, diff)
			p.CheckRecordCount("sap."+set, s.Count(set))
		}
	}
	e2etest.CheckNoneTwice(t, s.Ledger())
	products := p.Records("sap.Products")
	assert.Equal(t, s.Count("Products"), len(products), "products")
	assert.Contains(t, e2etest.AsJSON(t, products[0]["value"]), `"system": "PRD"`)
}

// A failed connector does not disturb others, and the run reports it at its end. An address in use is reported, too.
func TestFailedConnectorLeavesOthersRunning(t *testing.T) {
	t.Parallel()
	p, s, address := e2etest.NewPlaceWithDemo(t, odatatest.Options{Rows: 10})
	good := p.File("good.properties", e2etest.Source("good", address, "Orders")...)
	bad := p.File("bad.properties", e2etest.Source("bad", porttest.Address(t), "Orders")...)
	p.RunOnce(bad, good).WantCode(1).WantLastLinePrefix("connector bad, task 0: failed: ")
	p.CheckRecordCount("Orders", s.Count("Orders"))
	worker := p.File("worker.properties", "bootstrap.servers=embedded", "listeners=http://"+address)
	p.Run("run", "--plugins", e2etest.Plugins(t), "--data", p.Data, worker, good).
		WantCode(2).WantLastLinePrefix(worker + ":2: listeners: REST cannot listen on http://" + address).
		WantStderr("culvert run --set listeners=http://127.0.0.1:8084")
}

// An entity set that is read with AvroConverter and written with it is unchanged. The registry fails the first
// requests, and another program's reader understands the records.
func TestAvro(t *testing.T) {
	t.Parallel()
	registry := srfake.New()
	t.Cleanup(registry.Close)
	var requests atomic.Int64
	registry.Intercept(func(w http.ResponseWriter, _ *http.Request) bool {
		if requests.Add(1) > 2 {
			return false
		}
		w.WriteHeader(http.StatusServiceUnavailable)
		return true
	})
	log := e2etest.CopyThroughAvro(t, registry.URL(), registry.URL())
	assert.Contains(t, log, "the schema registry does not respond", "the schema registry responds again")
}
