package operate

import (
	"encoding/json"
	"fmt"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/base/require"
	"github.com/culvert-project/culvert/internal/connect"
	"github.com/culvert-project/culvert/internal/e2etest"
	"github.com/culvert-project/culvert/internal/odatatest"
	"github.com/culvert-project/culvert/internal/rest"
	"github.com/culvert-project/culvert/internal/tracetest"
)

// REST and the command report how long tasks of a source and a sink spent in each stage, without a collector of traces.
func TestFlow(t *testing.T) {
	t.Parallel()
	p, s, address := e2etest.NewPlaceWithDemo(t, odatatest.Options{Rows: 2000, PageSize: 100})
	p.File("conf/in.properties", e2etest.Source("in", address, "Orders")...)
	p.File("conf/out.properties", e2etest.Sink("out", address, "Orders", "OrderCopies")...)
	f := p.StartWorkerWith(e2etest.Plugins(t, "odata-sink"), "conf")
	f.Eventually("all rows", func() bool { return s.Count("OrderCopies") >= s.Count("Orders") })
	for name, stages := range map[string]string{"in": "fetch decode transform produce",
		"out": "consume convert encode send settle"} {
		var flow rest.Flow
		err := json.Unmarshal([]byte(f.MustCall(200, "GET", "/culvert/connectors/"+name+"/flow", "")), &flow)
		require.NoError(t, err)
		hasWorked := map[string]bool{}
		for _, s := range flow.Stages {
			hasWorked[s.Stage] = s.Calls > 0 && s.BusySeconds > 0 && s.Share > 0 && s.Share <= 1
		}
		for stage := range strings.FieldsSeq(stages) {
			assert.True(t, hasWorked[stage], "%s: expected work of stage %s, found %+v", name, stage, flow)
		}
		assert.True(t, flow.Rows > 0 && flow.Bytes > 0 && flow.Seconds > 0 && flow.Seconds <= 60 && flow.Tasks == 1,
			"%s: expected rows, bytes, a time up to 60 s and one task, found %+v", name, flow)
	}
	f.MustCall(404, "GET", "/culvert/connectors/none/flow", "")
}

// `culvert status`, `connectors list` and REST's listing agree: on a service that is unreachable, as soon as its client
// knows, and on the number of rejected records. The exit code is 0 only if all connectors are healthy.
func TestStatusIsGreenOnlyWhereAllIsWell(t *testing.T) {
	t.Parallel()
	p := e2etest.NewPlace(t)
	servers := p.StartBroker()
	demo := odatatest.New(odatatest.Options{Rows: 5})
	sold := httptest.NewServer(demo)
	defer sold.Close()
	kept := e2etest.Serve(t, demo)
	e2etest.CreateTopics(t, e2etest.NewClient(t, servers), "orders")
	p.File("conf/sold.properties", append(e2etest.Source("sold", strings.TrimPrefix(sold.URL, "http://"), "Orders"),
		"sap.odata#00.exec-period=1", "sap.odata.max.retries=1000000")...)
	p.File("conf/kept.properties", append(e2etest.Sink("kept", kept, "orders", "OrderCopies"), "errors.tolerance=all",
		"errors.deadletterqueue.topic.name=dead", "errors.deadletterqueue.context.headers.enable=true",
		"errors.deadletterqueue.topic.replication.factor=1")...)
	f := p.StartWorkerWith(e2etest.Plugins(t, "odata-sink"), "conf")
	f.Await("kept", "runs", e2etest.IsRunning)
	f.AwaitStderr("extraction finished: 5 rows")
	rows := func(args ...string) map[string][]string {
		byName := map[string][]string{}
		for line := range strings.Lines(p.Run(append(args, "--url", f.URL)...).Stdout) {
			if cells := strings.Fields(line); len(cells) > 2 {
				byName[cells[0]] = cells
			}
		}
		return byName
	}
	awaitExit := func(code int) (states []map[string]any) {
		t.Helper()
		f.Eventually(fmt.Sprint("exit code ", code), func() bool {
			return p.Run("status", "--url", f.URL).Code == code
		})
		r := p.Run("status", "--json", "--url", f.URL)
		require.NoError(t, json.Unmarshal([]byte(r.Stdout), &states))
		return states
	}
	awaitExit(0)
	refused := func(cells []string) string { return strings.Join(cells[len(cells)-3:len(cells)-1], " ") }
	f.Eventually("the letters to be counted", func() bool { return refused(rows("status")["kept"]) == "0 0" })
	if got := rows("status"); refused(got["NAME"]) != "REFUSED LETTERS" || refused(got["sold"]) != "0 -" {
		t.Errorf("expected no refused record, found %v", got)
	}

	// Rejected records are a failure wherever they are stored. The topic keeps them longer than the task counts them.
	bad := &kgo.Record{Topic: "orders", Value: []byte(`{"not": "an order"}`)}
	e2etest.Produce(t, servers, bad, &kgo.Record{Topic: "orders", Value: bad.Value})
	f.Eventually("refused records", func() bool { return refused(rows("status")["kept"]) == "2 2" })
	if states := awaitExit(1); states[0]["refused"] != 2.0 || states[0]["letters_open"] != 2.0 {
		t.Errorf("expected two refused records and open letters, found %v", states)
	}
	p.Run("status", "--url", f.URL).WantCode(1).WantStderr("refusing: kept")
	p.Run("connectors", "restart", "kept", "--url", f.URL).WantCode(0)
	f.Eventually("a new task", func() bool { return refused(rows("status")["kept"]) == "0 2" })
	awaitExit(0)

	// An unreachable service is reported everywhere at once.
	sold.Config.SetKeepAlivesEnabled(false)
	sold.CloseClientConnections()
	sold.Close()
	f.Eventually("the service to be away", func() bool {
		return rows("status")["sold"][2] == "away"
	})
	assert.Equal(t, "away", rows("connectors", "list")["sold"][2], "connectors list")
	p.Run("connectors", "show", "sold", "--url", f.URL).WantCode(0).WantStdout("away")
	states := awaitExit(1)
	assert.True(t, states[1]["state"] == "away" && strings.Contains(fmt.Sprint(states[1]["errors"]), "does not answer"),
		"expected that sold is away, found %v", states)
	p.Run("status", "--url", f.URL).WantCode(1).WantStderr("away: sold")
	var s connect.Status // Kafka Connect's own routes keep its states
	e2etest.Get(t, f.URL+"/connectors/sold/status", &s)
	assert.True(t, s.Connector.State == connect.Running && s.Tasks[0].State == connect.Running,
		"expected Kafka Connect's states, found %+v", s)
	f.Stop()
}

// The spans of a source and a sink are linked: a page with its stages, its records, and the batch that writes them
// back.
func TestTracesOfBothWays(t *testing.T) {
	t.Parallel()
	p, s, address := e2etest.NewPlaceWithDemo(t, odatatest.Options{Rows: 120, PageSize: 50, User: "me",
		Password: "geheim-4711"})
	r := tracetest.Start(t)
	logon := []string{"sap.odata.user.name=me", "sap.odata.user.pwd=geheim-4711"}
	transform := []string{"transforms=t", "transforms.t.type=org.apache.kafka.connect.transforms.InsertField$Value",
		"transforms.t.static.field=Region2", "transforms.t.static.value=x"}
	in := p.File("in.properties", slices.Concat(e2etest.Source("in", address, "Orders"), logon, transform,
		[]string{"tracing.headers.enable=true"})...)
	out := p.File("out.properties", slices.Concat(e2etest.Sink("out", address, "Orders", "OrderCopies"), logon,
		[]string{"transforms=t", "transforms.t.type=org.apache.kafka.connect.transforms.ReplaceField$Value",
			"transforms.t.exclude=Region2"})...)
	p.Environ = []string{"OTEL_EXPORTER_OTLP_ENDPOINT=" + r.URL, "OTEL_EXPORTER_OTLP_HEADERS=x-token=geheim-4712",
		"OTEL_SERVICE_NAME=feeds"}
	p.MustRun("run", "--once", "--plugins", e2etest.Plugins(t, "odata-sink", "smt"), "--data", p.Data, in, out)
	p.Environ = nil

	paths, headers := r.Requests()
	assert.True(t, len(paths) != 0 && paths[0] == "POST /v1/traces" && headers[0].Get("X-Token") == "geheim-4712",
		"expected a POST with the header X-Token, found %q with %v", paths, headers)
	pages := checkTraces(t, r, s.Count("Orders"))
	checkRecordsHaveTraceContext(t, p.Records("Orders"), pages)
}

// checkTraces checks the spans of pages of so many rows, and of the batches with links to them. It returns the pages by
// id.
func checkTraces(t *testing.T, r *tracetest.Receiver, want int) (pages map[string]tracetest.Span) {
	t.Helper()
	pages = map[string]tracetest.Span{}
	rows := 0
	for _, page := range r.Spans("page") {
		pages[page.ID] = page
		rows += int(page.Numbers["culvert.rows"])
		assert.True(t, page.Service == "feeds" && page.Texts["culvert.connector"] == "in" && page.Parent == "",
			"expected a page of connector in without a parent, found %+v", page)
	}
	assert.True(t, rows == want, "expected pages with %d rows, found %d", want, rows)
	parts := map[string]map[string]int{} // names, by the page's or batch's id
	for _, span := range r.Spans("") {
		if parts[span.Parent] == nil {
			parts[span.Parent] = map[string]int{}
		}
		parts[span.Parent][span.Name]++
		assert.True(t, !span.Failed && !strings.Contains(fmt.Sprint(span), "geheim"),
			"expected no failure and no secret, found %+v", span)
	}
	for id, page := range pages {
		if page.Numbers["culvert.rows"] == 0 {
			continue
		}
		for _, name := range []string{"fetch", "decode", "transform", "produce"} {
			assert.True(t, parts[id][name] != 0, "expected a part %s of page %s, found %v", name, id, parts[id])
		}
	}
	linked := map[string]bool{}
	batches := r.Spans("batch")
	for _, b := range batches {
		for _, name := range []string{"consume", "convert", "transform", "encode", "deliver", "settle"} {
			assert.True(t, parts[b.ID][name] != 0, "expected a part %s of batch %s, found %v", name, b.ID, parts[b.ID])
		}
		for _, id := range b.Links {
			linked[id] = true
			_, ok := pages[id]
			assert.True(t, ok, "batch %s: expected links to pages, found %s", b.ID, id)
		}
	}
	assert.True(t, len(batches) != 0 && len(linked) != 0, "expected batches with links to pages, found %+v", batches)
	return pages
}

// checkRecordsHaveTraceContext checks that each record has the trace context of a page in its headers.
func checkRecordsHaveTraceContext(t *testing.T, records []map[string]any, pages map[string]tracetest.Span) {
	t.Helper()
	for _, record := range records {
		headers := fmt.Sprint(record["headers"])
		_, after, ok := strings.Cut(headers, "00-")
		if id := strings.Split(after, "-"); !ok || len(id) < 3 || pages[id[1]].Trace != id[0] {
			t.Fatalf("expected the trace context of a page in %s", headers)
		}
	}
}
