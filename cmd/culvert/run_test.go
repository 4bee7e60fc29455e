package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/culvert-project/culvert/examples/demo-service/service"
	"github.com/culvert-project/culvert/host/connect"
	"github.com/culvert-project/culvert/host/porttest"
)

func TestOnceMovesWhatIsThereAndNothingTwice(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	s, address := demo(t, service.Options{Rows: 300, PageSize: 100})
	file := p.file("orders.properties", source("orders", address, "Orders", "Order_Details")...)
	for round := range 2 {
		r := p.run("run", "--once", "--plugins", plugins(t), "--data", p.data, file)
		if r.code != 0 || r.stdout != "" {
			t.Fatalf("round %d: exit %d, stdout %q\n%s", round, r.code, r.stdout, r.stderr)
		}
		for _, set := range []string{"Orders", "Order_Details"} {
			if got, want := len(p.records(set)), s.Count(set); got != want {
				t.Errorf("round %d: %s has %d records, expected %d", round, set, got, want)
			}
		}
	}
	if strings.Contains(p.run("run", "--once", "--plugins", plugins(t), "--data", p.data, file).stderr,
		"REST listens") {
		t.Error("expected no REST with --once unless listeners is set")
	}
	offsets := p.records("connect-offsets")
	key, _ := json.Marshal(offsets[0]["key"])
	if !strings.HasPrefix(string(key), `["orders",{`) {
		t.Errorf("expected offsets in Kafka Connect's form, found %s", key)
	}
}

func TestRunUntilStopped(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	s, address := demo(t, service.Options{Rows: 200, PageSize: 50})
	listen := porttest.Address(t)
	folder := filepath.Join(p.dir, "etc")
	if err := os.Mkdir(folder, 0o700); err != nil {
		t.Fatal(err)
	}
	p.file("etc/worker.yaml", "bootstrap.servers: embedded", "listeners: http://"+listen,
		"offset.flush.interval.ms: 3600000")
	p.file("etc/orders.properties", source("orders", address, "Orders")[1:]...) // named by its file
	c := p.start("run", "--config", folder, "--plugins", plugins(t), "--data", p.data, "--progress")
	var status connect.Status
	c.eventually("RUNNING", func() bool {
		return get(t, "http://"+listen+"/connectors/orders/status", &status) == 200 && len(status.Tasks) == 1 &&
			status.Tasks[0].State == connect.Running
	})
	c.says(fmt.Sprintf("%10d rows", s.Count("Orders")))
	if got := len(p.records("Orders")); got != s.Count("Orders") {
		t.Errorf("expected %d records in the running broker, found %d", s.Count("Orders"), got)
	}
	c.signal(syscall.SIGTERM)
	if r := c.wait(); r.code != 0 {
		t.Fatalf("exit %d\n%s", r.code, r.stderr)
	}
	if got := p.records("connect-offsets"); len(got) == 0 {
		t.Error("expected offsets to be stored at the stop")
	}
	rows := s.Ledger().Rows
	if r := p.run("run", "--once", "--config", folder, "--plugins", plugins(t), "--data", p.data); r.code != 0 {
		t.Fatalf("exit %d\n%s", r.code, r.stderr)
	}
	if again := s.Ledger().Rows - rows; again != 0 {
		t.Errorf("expected nothing to be read again, the service gave %d rows", again)
	}
}

func TestFailedTaskLeavesOthersRunning(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	s, address := demo(t, service.Options{Rows: 100})
	good := p.file("good.properties", source("good", address, "Orders")...)
	bad := p.file("bad.properties", source("bad", porttest.Address(t), "Orders")...)
	r := p.run("run", "--once", "--plugins", plugins(t), "--data", p.data, bad, good)
	if want := "connector bad, task 0: FAILED: "; r.code != 1 || !strings.HasPrefix(r.lastLine(), want) {
		t.Errorf("expected exit 1 and a last line with %q, found %d and %q", want, r.code, r.lastLine())
	}
	if got := len(p.records("Orders")); got != s.Count("Orders") {
		t.Errorf("expected the other connector to finish, found %d records of %d", got, s.Count("Orders"))
	}

	listen := porttest.Address(t)
	c := p.start("run", "--set", "listeners=http://"+listen, "--plugins", plugins(t), "--data", p.data, bad, good)
	var status connect.Status
	c.eventually("FAILED", func() bool {
		return get(t, "http://"+listen+"/connectors/bad/status", &status) == 200 && len(status.Tasks) == 1 &&
			status.Tasks[0].State == connect.Failed
	})
	if status.Connector.State != connect.Running {
		t.Errorf("expected the connector itself RUNNING, found %s", status.Connector.State)
	}
	if trace := status.Tasks[0].Trace; !strings.HasPrefix(trace, "org.apache.kafka.") || !strings.Contains(trace,
		"\n\tat ") {
		t.Errorf("expected a trace as Java's, found %q", trace)
	}
	c.eventually("the other task RUNNING", func() bool {
		return get(t, "http://"+listen+"/connectors/good/status", &status) == 200 &&
			len(status.Tasks) == 1 && status.Tasks[0].State == connect.Running
	})
	c.signal(syscall.SIGTERM)
	if r := c.wait(); r.code != 0 {
		t.Errorf("expected exit 0 after SIGTERM, found %d\n%s", r.code, r.stderr)
	}
}

// T16: a misspelt filter key sends 0 requests.
func TestMisspeltSettingSendsNothing(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	s, address := demo(t, service.Options{Rows: 10})
	file := p.file("orders.properties", append(source("orders", address, "Orders"), "sap.odata#00.exec-perod=60")...)
	r := p.run("run", "--once", "--plugins", plugins(t), "--data", p.data, file)
	want := file + ":10: sap.odata#00.exec-perod: unknown setting; the nearest known one is sap.odata#00.exec-period"
	if r.code != 2 || !strings.Contains(r.stderr, want) {
		t.Errorf("expected exit 2 and %q, found %d and\n%s", want, r.code, r.stderr)
	}
	if got := s.Ledger().Total; got != 0 {
		t.Errorf("expected no request, the service saw %d", got)
	}
}

func TestListenersTaken(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	_, address := demo(t, service.Options{Rows: 10})
	file := p.file("orders.properties", source("orders", address, "Orders")...)
	worker := p.file("worker.properties", "bootstrap.servers=embedded", "listeners=http://"+address)
	r := p.run("run", "--plugins", plugins(t), "--data", p.data, worker, file)
	if want := worker + ":2: listeners: REST cannot listen on http://" + address; r.code != 2 ||
		!strings.HasPrefix(r.lastLine(), want) {
		t.Errorf("expected exit 2 and a last line with %q, found %d and %q", want, r.code, r.lastLine())
	}
}

// A worker that is killed loses nothing that the broker on its own has acknowledged.
func TestBrokerOutlivesTheWorker(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	s, address := demo(t, service.Options{Rows: 400, PageSize: 20})
	file := p.file("orders.properties", source("orders", address, "Orders")...)
	broker := p.start("broker", "--data", p.data, "--listen", "127.0.0.1:0")
	broker.eventually("an address", func() bool { return strings.Contains(broker.stdout.String(), "\n") })
	c := p.start("run", "--plugins", plugins(t), "--data", p.data, "--set", "listeners=", file)
	c.says("connector started")
	c.signal(syscall.SIGKILL)
	c.wait()
	if r := p.run("run", "--once", "--plugins", plugins(t), "--data", p.data, file); r.code != 0 {
		t.Fatalf("exit %d\n%s", r.code, r.stderr)
	}
	seen := map[string]bool{}
	for _, r := range p.records("Orders") {
		key, _ := json.Marshal(r["key"])
		seen[string(key)] = true
	}
	if len(seen) != s.Count("Orders") {
		t.Errorf("expected %d keys, found %d", s.Count("Orders"), len(seen))
	}
	broker.signal(syscall.SIGTERM)
	if r := broker.wait(); r.code != 0 {
		t.Errorf("broker: exit %d\n%s", r.code, r.stderr)
	}
}

func TestTransforms(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	s, address := demo(t, service.Options{Rows: 50})
	file := p.file("orders.properties", append(source("orders", address, "Orders", "Products"),
		"transforms=system,route", "transforms.system.type=org.apache.kafka.connect.transforms.InsertField$Value",
		"transforms.system.static.field=system", "transforms.system.static.value=PRD",
		"transforms.system.predicate=orders", "transforms.system.negate=true",
		"transforms.route.type=org.apache.kafka.connect.transforms.RegexRouter", "transforms.route.regex=(.*)",
		"transforms.route.replacement=sap.$1",
		"predicates=orders", "predicates.orders.type=org.apache.kafka.connect.transforms.predicates.TopicNameMatches",
		"predicates.orders.pattern=Ord.*")...)
	if r := p.run("run", "--once", "--plugins", plugins(t, "smt"), "--data", p.data, file); r.code != 0 {
		t.Fatalf("exit %d\n%s", r.code, r.stderr)
	}
	for set, inserted := range map[string]bool{"Orders": false, "Products": true} {
		records := p.records("sap." + set)
		if len(records) != s.Count(set) {
			t.Errorf("%s: expected %d records, found %d", set, s.Count(set), len(records))
		}
		value, _ := json.Marshal(records[0]["value"])
		if strings.Contains(string(value), `"system":"PRD"`) != inserted {
			t.Errorf("%s: expected the field to be inserted: %t, found %s", set, inserted, value)
		}
	}
}

// Fields move between value, key and headers of records on their way into Kafka, where a predicate on headers lets
// them.
func TestTransformsAcrossColumns(t *testing.T) {
	p := newPlace(t)
	s, address := demo(t, service.Options{Rows: 20})
	file := p.file("orders.properties", append(source("orders", address, "Products", "Categories"),
		"transforms=key,head,rest", "transforms.key.type=org.apache.kafka.connect.transforms.ValueToKey",
		"transforms.key.fields=ProductName,ProductID",
		"transforms.key.predicate=products", "transforms.head.predicate=products",
		"transforms.head.type=org.apache.kafka.connect.transforms.HeaderFrom$Value",
		"transforms.head.fields=UnitPrice,ProductName",
		"transforms.head.headers=price,name", "transforms.head.operation=move",
		"transforms.rest.type=org.apache.kafka.connect.transforms.Filter", "transforms.rest.predicate=priced",
		"transforms.rest.negate=true",
		"predicates=products,priced",
		"predicates.products.type=org.apache.kafka.connect.transforms.predicates.TopicNameMatches",
		"predicates.products.pattern=Prod.*",
		"predicates.priced.type=org.apache.kafka.connect.transforms.predicates.HasHeaderKey",
		"predicates.priced.name=price")...)
	if r := p.run("run", "--once", "--plugins", plugins(t, "smt"), "--data", p.data, file); r.code != 0 {
		t.Fatalf("exit %d\n%s", r.code, r.stderr)
	}
	if r := p.run("consume", "Categories", "--data", p.data); r.code == 0 || !strings.Contains(r.stderr,
		"unknown topic") {
		t.Errorf("expected no topic of records without the header, found exit %d\n%s%s", r.code, r.stdout, r.stderr)
	}
	records := p.records("Products")
	if len(records) != s.Count("Products") {
		t.Fatalf("expected %d records, found %d", s.Count("Products"), len(records))
	}
	for _, r := range records {
		key, _ := r["key"].(map[string]any)["payload"].(map[string]any)
		value, _ := r["value"].(map[string]any)["payload"].(map[string]any)
		headers, _ := r["headers"].([]any)
		text, _ := json.Marshal(r)
		if len(headers) != 2 || key["ProductName"] == nil || key["ProductID"] != value["ProductID"] ||
			value["UnitPrice"] != nil || value["ProductName"] != nil {
			t.Fatalf("expected two headers, a key of two fields and a value without them, found %s", text)
		}
		for i, name := range []string{"price", "name"} {
			h, _ := headers[i].(map[string]any)
			if h["key"] != name || h["value"] == "" {
				t.Fatalf("expected the header %s in place %d, found %s", name, i, text)
			}
		}
	}
}

// sinkOf is the settings of a connector that writes topics into sets of the demo service: topic, set, topic, set, …
func sinkOf(name, address string, pairs ...string) []string {
	host, port, _ := strings.Cut(address, ":")
	lines := []string{"name=" + name, "connector.class=ODataSink", "sap.odata.host.protocol=http",
		"sap.odata.host.address=" + host,
		"sap.odata.host.port=" + port, "sap.odata.max.retries=0"}
	var topics []string
	for i := 0; i < len(pairs); i += 2 {
		prefix := fmt.Sprintf("sap.odata#%02d.", i/2)
		lines = append(lines, prefix+"service="+service.SAPPath, prefix+"entityset="+pairs[i+1],
			prefix+"topic="+pairs[i])
		topics = append(topics, pairs[i])
	}
	return append(lines, "topics="+strings.Join(topics, ","))
}

// The main job: service → topics → transforms → service.
func TestBothWays(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	s, address := demo(t, service.Options{Rows: 60, PageSize: 25, Switches: service.Switches{CSRF: true,
		RotateSession: "both"}})
	there := p.file("there.properties", source("there", address, "Orders", "Order_Details")...)
	sink := sinkOf("back", address, "Orders", "OrderCopies", "Order_Details", "Order_DetailCopies")
	sink[len(sink)-1] = "topics.regex=(?!audit)Order.*+" // as Java has it, and Go does not
	back := p.file("back.properties", sink...)
	for round := range 2 {
		r := p.run("run", "--once", "--plugins", plugins(t, "odata-sink"), "--data", p.data, there, back)
		if r.code != 0 {
			t.Fatalf("round %d: exit %d\n%s", round, r.code, r.stderr)
		}
		for from, to := range map[string]string{"Orders": "OrderCopies", "Order_Details": "Order_DetailCopies"} {
			if diff := cmp.Diff(entities(s, from), entities(s, to)); diff != "" {
				t.Errorf("round %d: %s and %s differ\n%s", round, from, to, diff)
			}
		}
	}
	for entity, w := range s.Ledger().Writes {
		if w.Created != 1 {
			t.Errorf("expected %s to be created once, found %d times", entity, w.Created)
		}
	}
}

func entities(s *service.Service, set string) map[string]map[string]string {
	all := map[string]map[string]string{}
	s.Each(set, func(key string, fields map[string]string) { all[key] = fields })
	return all
}

func TestFailedSinkIsTheLastLine(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	s, address := demo(t, service.Options{Rows: 20})
	there := p.file("there.properties", source("there", address, "Orders")...)
	back := p.file("back.properties", sinkOf("back", address, "Orders", "OrderCopies")...)
	s.Set("match", "POST")
	s.Set("status", "400")
	s.Set("status-count", "1000")
	r := p.run("run", "--once", "--plugins", plugins(t, "odata-sink"), "--data", p.data, there, back)
	if want := "connector back, task 0: FAILED: "; r.code != 1 || !strings.HasPrefix(r.lastLine(), want) ||
		!strings.Contains(r.lastLine(), "Orders") {
		t.Errorf("expected exit 1 and a last line with %q that names the record, found %d and %q", want, r.code,
			r.lastLine())
	}
}
