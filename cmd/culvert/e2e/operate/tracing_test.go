package operate

import (
	"fmt"
	"net/http"
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

// A collector that does not answer causes one line in the log: all rows arrive, and the worker stops.
func TestCollectorAway(t *testing.T) {
	t.Parallel()
	collector, over := tracetest.Start(t), make(chan struct{})
	collector.Answer = func(http.ResponseWriter, *http.Request) { <-over }
	t.Cleanup(func() { close(over) })
	p := e2etest.NewPlace(t)
	s, address := e2etest.Demo(t, odatatest.Options{Rows: 500, PageSize: 10})
	p.File("conf/in.properties", e2etest.Source("in", address, "Orders")...)
	f := p.Follows("conf", "tracing.otlp.endpoint="+collector.URL, "tracing.otlp.timeout.ms=1000")
	f.Eventually("all rows", func() bool { return f.Rows("in") == s.Count("Orders") })
	f.Eventually("lost spans", func() bool {
		return figureOf(f, `culvert_tracing_spans_total{outcome="lost"}`) > 0
	})
	f.Stop().Exits(0).SaysTimes(1, "tracing:")
}

// What is wrong in settings is refused by name, and secrets are not quoted. Variables of OpenTelemetry that are meant
// for others do no harm.
func TestTracingSettings(t *testing.T) {
	t.Parallel()
	p := e2etest.NewPlace(t)
	_, address := e2etest.Demo(t, odatatest.Options{Rows: 10})
	in := p.File("in.properties", e2etest.Source("in", address, "Orders")...)
	const here = "OTEL_EXPORTER_OTLP_ENDPOINT=http://127.0.0.1:1"
	for _, c := range []struct {
		environ, lines []string
		want           string
		warns          bool // and the worker runs
	}{
		{nil, []string{"tracing.otlp.endpoint=collector:4317"},
			"worker.properties:2: tracing.otlp.endpoint: expected http://HOST:PORT", false},
		{nil, []string{"tracing.otlp.endpoint=http://127.0.0.1:1", "tracing.otlp.headers=geheim"},
			"worker.properties:3: tracing.otlp.headers: expected NAME=VALUE", false},
		{nil, []string{"tracing.otlp.endpoint=http://127.0.0.1:1", "tracing.otlp.certificate=none.pem"},
			"worker.properties:3: tracing.otlp.certificate: ", false},
		{nil, []string{"tracing.otlp.endpoint=http://127.0.0.1:1", "tracing.sampler=traceidratio",
			"tracing.sampler.arg=7"}, "tracing.sampler.arg: expected a ratio", false},
		{nil, []string{"tracing.otlp.endpoint=http://127.0.0.1:1", "tracing.sampler=xray"},
			"worker.properties:3: tracing.sampler: ", false},
		{[]string{here, "CULVERT_TRACING_SAMPLER=xray"}, nil, "environment CULVERT_TRACING_SAMPLER", false},
		{[]string{here, "OTEL_EXPORTER_OTLP_PROTOCOL=grpc"}, nil,
			"OTEL_EXPORTER_OTLP_PROTOCOL=http/protobuf", true},
		{[]string{"OTEL_EXPORTER_OTLP_ENDPOINT=collector:4317"}, nil,
			"environment OTEL_EXPORTER_OTLP_ENDPOINT: tracing.otlp.endpoint: warning: expected http://HOST:PORT", true},
		{[]string{here, "OTEL_TRACES_SAMPLER=xray"}, nil, "environment OTEL_TRACES_SAMPLER: tracing.sampler: ", true},
		{[]string{here, "OTEL_TRACES_SAMPLER=parentbased_jaeger_remote",
			"OTEL_TRACES_SAMPLER_ARG=endpoint=http://localhost:14250"}, nil, "parentbased_jaeger_remote", true},
		{[]string{here, "OTEL_TRACES_SAMPLER=traceidratio", "OTEL_TRACES_SAMPLER_ARG=7"}, nil,
			"expected a ratio", true},
		{[]string{here, "OTEL_EXPORTER_OTLP_TIMEOUT=soon"}, nil, "environment OTEL_EXPORTER_OTLP_TIMEOUT", true},
		{[]string{here, "OTEL_EXPORTER_OTLP_CERTIFICATE=none.pem"}, nil, "none.pem", true},
		{[]string{here, "OTEL_EXPORTER_OTLP_HEADERS=geheim"}, nil, "expected NAME=VALUE", true},
		{[]string{"OTEL_TRACES_SAMPLER=xray", "OTEL_EXPORTER_OTLP_TIMEOUT=soon"}, nil, "", true},
		{[]string{here, "OTEL_EXPORTER_OTLP_PROTOCOL=grpc", "OTEL_SDK_DISABLED=true"}, nil, "", true},
	} {
		p.Environ = c.environ
		worker := p.File("worker.properties", append([]string{"bootstrap.servers=embedded"}, c.lines...)...)
		r := p.Run("validate", "--plugins", e2etest.Plugins(t), worker, in)
		told := r.Stdout + r.Stderr
		warned := strings.Contains(strings.ToLower(told), "warn")
		if (r.Code == 0) != c.warns || !strings.Contains(told, c.want) || c.warns && warned != (c.want != "") ||
			strings.Contains(told, "geheim") {
			t.Errorf("%q %q: expected %q, found exit %d\n%s", c.environ, c.lines, c.want, r.Code, told)
		}
	}

	// A worker whose environment asks for gRPC runs, says so, and sends nothing.
	collector := tracetest.Start(t)
	p.Environ = []string{"OTEL_EXPORTER_OTLP_ENDPOINT=" + collector.URL, "OTEL_EXPORTER_OTLP_PROTOCOL=grpc"}
	r := p.Once(in)
	paths, _ := collector.Requests()
	if r.Code != 0 || !strings.Contains(r.Stderr, "OTEL_EXPORTER_OTLP_PROTOCOL") || len(paths) != 0 {
		t.Errorf("found exit %d, requests %q\n%s", r.Code, paths, r.Stderr)
	}
}
