package operate

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/culvert-project/culvert/host/tracetest"
	"github.com/culvert-project/culvert/internal/e2etest"
	"github.com/culvert-project/culvert/internal/odatatest"
)

// Spans of both ways, and how they hang together: a page with its parts, its records, the batch that goes back to it.
func TestTracesOfBothWays(t *testing.T) {
	t.Parallel()
	p := e2etest.NewPlace(t)
	s, address := e2etest.Demo(t, odatatest.Options{Rows: 120, PageSize: 50, User: "me", Password: "geheim-4711"})
	r := tracetest.Start(t)
	logon := []string{"sap.odata.user.name=me", "sap.odata.user.pwd=geheim-4711"}
	transform := []string{"transforms=t", "transforms.t.type=org.apache.kafka.connect.transforms.InsertField$Value",
		"transforms.t.static.field=Region2", "transforms.t.static.value=x"}
	in := p.File("in.properties", slices.Concat(e2etest.Source("in", address, "Orders"), logon, transform,
		[]string{"tracing.headers.enable=true"})...)
	out := p.File("out.properties", slices.Concat(e2etest.SinkOf("out", address, "Orders", "OrderCopies"), logon,
		[]string{"transforms=t", "transforms.t.type=org.apache.kafka.connect.transforms.ReplaceField$Value",
			"transforms.t.exclude=Region2"})...)
	p.Environ = []string{"OTEL_EXPORTER_OTLP_ENDPOINT=" + r.URL, "OTEL_EXPORTER_OTLP_HEADERS=x-token=geheim-4712",
		"OTEL_SERVICE_NAME=feeds"}
	p.MustRun("run", "--once", "--plugins", e2etest.Plugins(t, "odata-sink", "smt"), "--data", p.Data, in, out)
	p.Environ = nil

	paths, headers := r.Requests()
	if len(paths) == 0 || paths[0] != "POST /v1/traces" || headers[0].Get("X-Token") != "geheim-4712" {
		t.Errorf("found requests %q with %v", paths, headers)
	}
	pages := map[string]tracetest.Span{} // by id
	rows := 0
	for _, page := range r.Spans("page") {
		pages[page.ID] = page
		rows += int(page.Numbers["culvert.rows"])
		if page.Service != "feeds" || page.Texts["culvert.connector"] != "in" || page.Parent != "" {
			t.Errorf("found a page %+v", page)
		}
	}
	if rows != s.Count("Orders") {
		t.Errorf("expected pages with %d rows, found %d", s.Count("Orders"), rows)
	}
	parts := map[string]map[string]int{} // names, by the page's or batch's id
	for _, one := range r.Spans("") {
		if parts[one.Parent] == nil {
			parts[one.Parent] = map[string]int{}
		}
		parts[one.Parent][one.Name]++
		if one.Failed || strings.Contains(fmt.Sprint(one), "geheim") {
			t.Errorf("found a span that failed or tells a secret: %+v", one)
		}
	}
	for id, page := range pages {
		if page.Numbers["culvert.rows"] == 0 {
			continue
		}
		for _, name := range []string{"fetch", "decode", "transform", "produce"} {
			if parts[id][name] == 0 {
				t.Errorf("expected a part %s of page %s, found %v", name, id, parts[id])
			}
		}
	}
	linked := map[string]bool{}
	batches := r.Spans("batch")
	for _, b := range batches {
		for _, name := range []string{"consume", "convert", "transform", "encode", "deliver", "settle"} {
			if parts[b.ID][name] == 0 {
				t.Errorf("expected a part %s of batch %s, found %v", name, b.ID, parts[b.ID])
			}
		}
		for _, to := range b.Links {
			linked[to] = true
			if _, is := pages[to]; !is {
				t.Errorf("batch %s goes back to %s, which is no page", b.ID, to)
			}
		}
	}
	if len(batches) == 0 || len(linked) == 0 {
		t.Errorf("expected batches that go back to pages, found %+v", batches)
	}
	// By hand: what stands in the records.
	for _, record := range p.Records("Orders") {
		text := fmt.Sprint(record["headers"])
		_, after, found := strings.Cut(text, "00-")
		if id := strings.Split(after, "-"); !found || len(id) < 3 || pages[id[1]].Trace != id[0] {
			t.Fatalf("expected the trace context of a page in %s", text)
		}
	}
}
