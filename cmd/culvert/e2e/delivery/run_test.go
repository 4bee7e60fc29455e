package delivery

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/culvert-project/culvert/host/connect"
	"github.com/culvert-project/culvert/host/porttest"
	"github.com/culvert-project/culvert/internal/e2etest"
	"github.com/culvert-project/culvert/internal/odatatest"
)

func TestOnceMovesWhatIsThereAndNothingTwice(t *testing.T) {
	t.Parallel()
	p := e2etest.NewPlace(t)
	s, address := e2etest.Demo(t, odatatest.Options{Rows: 300, PageSize: 100})
	file := p.File("orders.properties", e2etest.Source("orders", address, "Orders", "Order_Details")...)
	for range 2 {
		p.MustOnce(file).PrintsNothing()
		p.Holds("Orders", s.Count("Orders"))
		p.Holds("Order_Details", s.Count("Order_Details"))
	}
	p.Once(file).Omits("REST listens") // unless listeners is set
	offsets := p.Records("connect-offsets")
	key, _ := json.Marshal(offsets[0]["key"])
	if !strings.HasPrefix(string(key), `["orders",{`) {
		t.Errorf("expected offsets in Kafka Connect's form, found %s", key)
	}
}

func TestRunUntilStopped(t *testing.T) {
	t.Parallel()
	p := e2etest.NewPlace(t)
	s, address := e2etest.Demo(t, odatatest.Options{Rows: 200, PageSize: 50})
	listen := porttest.Address(t)
	folder := filepath.Join(p.Dir, "etc")
	e2etest.NoError(t, os.Mkdir(folder, 0o700))
	p.File("etc/worker.yaml", "bootstrap.servers: embedded", "listeners: http://"+listen,
		"offset.flush.interval.ms: 3600000")
	p.File("etc/orders.properties", e2etest.Source("orders", address, "Orders")[1:]...) // named by its file
	c := p.Start("run", "--config", folder, "--plugins", e2etest.Plugins(t), "--data", p.Data, "--progress")
	var status connect.Status
	c.Eventually("RUNNING", func() bool {
		return e2etest.Get(t, "http://"+listen+"/connectors/orders/status", &status) == 200 && len(status.Tasks) == 1 &&
			status.Tasks[0].State == connect.Running
	})
	c.Awaits(fmt.Sprintf("-      %d ", s.Count("Orders"))) // in the table of --progress
	p.Holds("Orders", s.Count("Orders"))
	c.MustStop()
	if got := p.Records("connect-offsets"); len(got) == 0 {
		t.Error("expected offsets to be stored at the stop")
	}
	rows := s.Ledger().Rows
	p.MustRun("run", "--once", "--config", folder, "--plugins", e2etest.Plugins(t), "--data", p.Data)
	if again := s.Ledger().Rows - rows; again != 0 {
		t.Errorf("expected nothing to be read again, the service gave %d rows", again)
	}
}

func TestFailedTaskLeavesOthersRunning(t *testing.T) {
	t.Parallel()
	p := e2etest.NewPlace(t)
	s, address := e2etest.Demo(t, odatatest.Options{Rows: 100})
	good := p.File("good.properties", e2etest.Source("good", address, "Orders")...)
	bad := p.File("bad.properties", e2etest.Source("bad", porttest.Address(t), "Orders")...)
	p.Once(bad, good).Exits(1).LastLineBegins("connector bad, task 0: FAILED: ")
	p.Holds("Orders", s.Count("Orders"))

	listen := porttest.Address(t)
	c := p.Start("run", "--set", "listeners=http://"+listen, "--plugins", e2etest.Plugins(t), "--data", p.Data, bad, good)
	var status connect.Status
	c.Eventually("FAILED", func() bool {
		return e2etest.Get(t, "http://"+listen+"/connectors/bad/status", &status) == 200 && len(status.Tasks) == 1 &&
			status.Tasks[0].State == connect.Failed
	})
	if status.Connector.State != connect.Running {
		t.Errorf("expected the connector itself RUNNING, found %s", status.Connector.State)
	}
	if trace := status.Tasks[0].Trace; !strings.HasPrefix(trace, "org.apache.kafka.") || !strings.Contains(trace,
		"\n\tat ") {
		t.Errorf("expected a trace as Java's, found %q", trace)
	}
	c.Eventually("the other task RUNNING", func() bool {
		return e2etest.Get(t, "http://"+listen+"/connectors/good/status", &status) == 200 &&
			len(status.Tasks) == 1 && status.Tasks[0].State == connect.Running
	})
	c.MustStop()
}

func TestListenersTaken(t *testing.T) {
	t.Parallel()
	p := e2etest.NewPlace(t)
	_, address := e2etest.Demo(t, odatatest.Options{Rows: 10})
	file := p.File("orders.properties", e2etest.Source("orders", address, "Orders")...)
	worker := p.File("worker.properties", "bootstrap.servers=embedded", "listeners=http://"+address)
	p.Run("run", "--plugins", e2etest.Plugins(t), "--data", p.Data, worker, file).
		Exits(2).LastLineBegins(worker + ":2: listeners: REST cannot listen on http://" + address)
}

func TestTransforms(t *testing.T) {
	t.Parallel()
	p := e2etest.NewPlace(t)
	s, address := e2etest.Demo(t, odatatest.Options{Rows: 50})
	file := p.File("orders.properties", append(e2etest.Source("orders", address, "Orders", "Products"),
		"transforms=system,route", "transforms.system.type=org.apache.kafka.connect.transforms.InsertField$Value",
		"transforms.system.static.field=system", "transforms.system.static.value=PRD",
		"transforms.system.predicate=orders", "transforms.system.negate=true",
		"transforms.route.type=org.apache.kafka.connect.transforms.RegexRouter", "transforms.route.regex=(.*)",
		"transforms.route.replacement=sap.$1",
		"predicates=orders", "predicates.orders.type=org.apache.kafka.connect.transforms.predicates.TopicNameMatches",
		"predicates.orders.pattern=Ord.*")...)
	p.MustRun("run", "--once", "--plugins", e2etest.Plugins(t, "smt"), "--data", p.Data, file)
	for set, inserted := range map[string]bool{"Orders": false, "Products": true} {
		records := p.Records("sap." + set)
		if len(records) != s.Count(set) {
			t.Errorf("%s: expected %d records, found %d", set, s.Count(set), len(records))
		}
		value, _ := json.Marshal(records[0]["value"])
		if strings.Contains(string(value), `"system":"PRD"`) != inserted {
			t.Errorf("%s: expected the field to be inserted: %t, found %s", set, inserted, value)
		}
	}
}

// The main job: service → topics → transforms → service.
func TestBothWays(t *testing.T) {
	t.Parallel()
	p := e2etest.NewPlace(t)
	s, address := e2etest.Demo(t, odatatest.Options{Rows: 60, PageSize: 25, Switches: odatatest.Switches{CSRF: true,
		RotateSession: "both"}})
	there := p.File("there.properties", e2etest.Source("there", address, "Orders", "Order_Details")...)
	sink := e2etest.SinkOf("back", address, "Orders", "OrderCopies", "Order_Details", "Order_DetailCopies")
	sink[len(sink)-1] = "topics.regex=(?!audit)Order.*+" // as Java has it, and Go does not
	back := p.File("back.properties", sink...)
	for round := range 2 {
		p.MustRun("run", "--once", "--plugins", e2etest.Plugins(t, "odata-sink"), "--data", p.Data, there, back)
		for from, to := range map[string]string{"Orders": "OrderCopies", "Order_Details": "Order_DetailCopies"} {
			if diff := cmp.Diff(e2etest.Entities(s, from), e2etest.Entities(s, to)); diff != "" {
				t.Errorf("round %d: %s and %s differ\n%s", round, from, to, diff)
			}
		}
	}
	e2etest.NoneTwice(t, s.Ledger())
}
