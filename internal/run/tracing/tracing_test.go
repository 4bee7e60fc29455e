package tracing

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/twmb/franz-go/pkg/kgo"
	"google.golang.org/protobuf/encoding/protowire"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/base/logtest"
	"github.com/culvert-project/culvert/internal/base/require"
	"github.com/culvert-project/culvert/internal/tracetest"
	"github.com/culvert-project/culvert/wit"
)

func openTracer(t *testing.T, endpoint string, change func(*Options)) (*Tracer, *logtest.Journal) {
	t.Helper()
	log := &logtest.Journal{}
	o := Options{Endpoint: endpoint, Timeout: time.Minute, Service: "feeds"}
	if change != nil {
		change(&o)
	}
	tracer, err := New(t.Context(), o, "here:1", "1.2", log.Logger(slog.LevelInfo))
	require.NoError(t, err)
	t.Cleanup(func() { tracer.Close(context.Background()) })
	return tracer, log
}

func flush(t *testing.T, tracer *Tracer) {
	t.Helper()
	require.NoError(t, tracer.provider.ForceFlush(t.Context()))
}

// sendPage ends a span and sends it to the collector.
func sendPage(t *testing.T, tracer *Tracer) {
	t.Helper()
	tracer.Start("page", Internal).End(nil)
	flush(t, tracer)
}

// checkSent checks the numbers of accepted and lost spans.
func checkSent(t *testing.T, tracer *Tracer, exported, lost int64) {
	t.Helper()
	if gotExported, gotLost := tracer.Sent(); gotExported != exported || gotLost != lost {
		t.Errorf("expected %d exported and %d lost spans, found %d and %d", exported, lost, gotExported, gotLost)
	}
}

// partialSuccess returns a collector's response that rejects some spans.
func partialSuccess(rejected uint64, message string) []byte {
	inner := protowire.AppendVarint(protowire.AppendTag(nil, 1, protowire.VarintType), rejected)
	inner = protowire.AppendString(protowire.AppendTag(inner, 2, protowire.BytesType), message)
	return protowire.AppendBytes(protowire.AppendTag(nil, 1, protowire.BytesType), inner)
}

// The service name comes from the settings, else from OTEL_RESOURCE_ATTRIBUTES, else it is culvert.
func TestServiceName(t *testing.T) {
	for _, c := range []struct {
		setting    string
		attributes string
		want       string
	}{
		{want: "culvert"},
		{attributes: "service.name=orders,team=x", want: "orders"},
		{setting: "feeds", attributes: "service.name=orders", want: "feeds"},
	} {
		t.Setenv("OTEL_RESOURCE_ATTRIBUTES", c.attributes)
		r := tracetest.Start(t)
		tracer, _ := openTracer(t, r.URL+"/v1/traces", func(o *Options) { o.Service = c.setting })
		sendPage(t, tracer)
		if spans := r.Spans("page"); len(spans) != 1 || spans[0].Service != c.want {
			t.Errorf("%+v: expected one span of this service, found %+v", c, spans)
		}
	}
}

// Spans arrive with their attributes, parents and errors; secrets are removed.
func TestSpansArrive(t *testing.T) {
	r := tracetest.Start(t)
	tracer,
		log := openTracer(t, r.URL+"/v1/traces", func(o *Options) { o.Headers = http.Header{"X-Token": {"geheim"}} })
	page := tracer.Start("page", Internal)
	page.SetTask("orders", 1)
	fetch := page.StartRequest("fetch", &wit.Request{Method: "GET", Target: "/x/Orders?$top=5&key=geheim"})
	fetch.SetStatus(503)
	fetch.End(nil)
	from := time.Now()
	page.AddPastChild("decode", from, from.Add(time.Second), 5*time.Millisecond)
	page.SetRedacted("culvert.feed", strings.Repeat("ü", 5000))
	page.End(errors.New("bro\xffken\nin two"))
	flush(t, tracer)

	paths, headers := r.Requests()
	assert.True(t, slices.Equal(paths, []string{"POST /v1/traces"}) && headers[0].Get("X-Token") == "geheim" &&
		headers[0].Get("Content-Type") == "application/x-protobuf",
		"expected one POST of protobuf to /v1/traces with the token, found %q with %v", paths, headers)
	spans := map[string]tracetest.Span{}
	for _, s := range r.Spans("") {
		spans[s.Name] = s
	}
	pageSpan := spans["page"]
	assert.True(t, len(spans) == 3 && pageSpan.Parent == "" && spans["fetch"].Parent == pageSpan.ID &&
		spans["decode"].Parent == pageSpan.ID && spans["decode"].Trace == pageSpan.Trace && pageSpan.Service == "feeds",
		"expected a page with the children fetch and decode, found %+v", spans)
	assert.True(t, pageSpan.Texts["culvert.connector"] == "orders" && pageSpan.Numbers["culvert.task"] == 1 &&
		pageSpan.Failed, "expected a failed page of task 1 of orders, found %+v", pageSpan)
	n := len([]rune(pageSpan.Texts["culvert.feed"]))
	assert.True(t, n >= maxText && n <= maxText+50, "expected about %d characters of a long text, found %d", maxText, n)
	fetchSpan := spans["fetch"]
	assert.True(t, fetchSpan.Texts["culvert.request.target"] == "/x/Orders?$top=5&key=[hidden]" && fetchSpan.Failed &&
		fetchSpan.Numbers["http.response.status_code"] == 503,
		"expected a failed fetch with status 503 and a redacted target, found %+v", fetchSpan)
	checkSent(t, tracer, 3, 0)
	assert.Equal(t, 0, strings.Count(log.String(), "\n"), "lines in the log")
}

// A collector that rejects spans is logged once, and once more when it accepts spans again.
func TestUnreachableCollectorIsLoggedOnce(t *testing.T) {
	r := tracetest.Start(t)
	var isAway atomic.Bool
	isAway.Store(true)
	r.Answer = func(w http.ResponseWriter, _ *http.Request) {
		if isAway.Load() {
			w.WriteHeader(401)
		}
	}
	tracer, log := openTracer(t, r.URL+"/?token=geheim", nil)
	for range 5 {
		sendPage(t, tracer)
	}
	assert.Equal(t, 1, strings.Count(log.String(), "cannot be sent"), "one line for 5 failed requests")
	isAway.Store(false)
	sendPage(t, tracer)
	sendPage(t, tracer)
	assert.Equal(t, 1, strings.Count(log.String(), "spans are sent again"), log)
	assert.Equal(t, 1, strings.Count(log.String(), "lost=5"), log)
	checkSent(t, tracer, 2, 5)
	assert.Equal(t, 0, strings.Count(log.String(), "geheim"), "the endpoint's secret")
}

// Spans are sent again after a transient error, after the delay that the collector requests.
func TestSpansAreResent(t *testing.T) {
	r := tracetest.Start(t)
	statuses := make(chan int, 3)
	statuses <- 503
	statuses <- 200
	r.Answer = func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Retry-After", "0")
		w.WriteHeader(<-statuses)
	}
	tracer, _ := openTracer(t, r.URL, nil)
	sendPage(t, tracer)
	checkSent(t, tracer, 1, 0)
	paths, _ := r.Requests()
	assert.Len(t, 2, paths, "requests")
}

// A collector that responds with success may accept only a part: partial_success.
func TestPartialSuccess(t *testing.T) {
	r := tracetest.Start(t)
	r.Answer = func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/x-protobuf")
		w.Write(partialSuccess(2, "too\nold"))
	}
	tracer, log := openTracer(t, r.URL, nil)
	for range 3 {
		tracer.Start("page", Internal).End(nil)
	}
	flush(t, tracer)
	checkSent(t, tracer, 1, 2)
	assert.Equal(t, 1, strings.Count(log.String(), "OTLP partial success: too old (2 spans rejected)"), "found")
}

// A collector's response is logged without the headers that were sent to it.
func TestCollectorResponsesAreRedacted(t *testing.T) {
	r := tracetest.Start(t)
	r.Answer = func(w http.ResponseWriter, q *http.Request) {
		w.Header().Set("Content-Type", "application/x-protobuf")
		w.Write(partialSuccess(1, "no quota for "+q.Header.Get("Authorization")))
	}
	tracer, log := openTracer(t, r.URL, func(o *Options) {
		o.Headers = http.Header{"Authorization": {"Api-Key gehe/im+42"}}
	})
	sendPage(t, tracer)
	assert.Equal(t, 1, strings.Count(log.String(), "no quota for [hidden]"), log)
	assert.Equal(t, 0, strings.Count(log.String(), "gehe/im"), log)
}

// An endless response of a collector is not read to its end.
func TestCollectorResponsesAreBounded(t *testing.T) {
	r := tracetest.Start(t)
	written := make(chan int, 1)
	r.Answer = func(w http.ResponseWriter, q *http.Request) {
		n := 0
		for q.Context().Err() == nil {
			count, err := w.Write(make([]byte, 64<<10))
			n += count
			if err != nil {
				break
			}
		}
		written <- n
	}
	tracer, _ := openTracer(t, r.URL, nil)
	sendPage(t, tracer)
	assert.AtMost(t, 64<<20, <-written, "only the bytes that fit into sockets: bytes")
	checkSent(t, tracer, 0, 1)
}

// If a collector accepts connections and does not respond, spans end without waiting for it; spans that find the queue
// full are lost and counted.
func TestSilentCollector(t *testing.T) {
	r := tracetest.Start(t)
	release := make(chan struct{})
	r.Answer = func(http.ResponseWriter, *http.Request) { <-release }
	tracer, _ := openTracer(t, r.URL, nil)
	const spans, batch = 3000, 512 // one batch may be in progress
	for range spans {
		tracer.Start("page", Internal).End(nil)
	}
	exported, lost := tracer.Sent()
	close(release)
	assert.True(t, exported == 0 && lost >= spans-maxQueued-batch && lost <= spans-maxQueued,
		"expected about %d lost spans and no accepted ones, found %d and %d", spans-maxQueued, lost, exported)
	flush(t, tracer)
	checkSent(t, tracer, spans-lost, lost)
}

// Close does not wait for a collector that accepts connections and does not respond.
func TestCloseIsBounded(t *testing.T) {
	r := tracetest.Start(t)
	requested := make(chan struct{})
	release := make(chan struct{})
	r.Answer = func(http.ResponseWriter, *http.Request) {
		requested <- struct{}{}
		<-release
	}
	defer close(release)
	tracer, _ := openTracer(t, r.URL, func(o *Options) { o.Timeout = time.Hour })
	tracer.Start("page", Internal).End(nil)
	ctx, cancel := context.WithCancel(t.Context())
	closed := make(chan struct{})
	go func() {
		tracer.Close(ctx)
		close(closed)
	}()
	<-requested
	cancel()
	<-closed
}

// Without tracing, nothing is done and nothing is allocated.
func TestDisabledTracingCostsNothing(t *testing.T) {
	var tracer *Tracer
	failure := errors.New("x")
	request := &wit.Request{Method: "GET", Target: "/x"}
	if n := testing.AllocsPerRun(100, func() {
		s := tracer.Start("page", Internal)
		s.SetTask("c", 1)
		child := s.StartRequest("fetch", request)
		child.SetStatus(200)
		child.End(failure)
		s.StartChild("transform", Internal).End(nil)
		s.AddPastChild("decode", time.Time{}, time.Time{}, 0)
		s.SetInt("n", 1)
		assert.Equal(t, "", s.Header().Key, "no header without a span")
		s.End(nil)
	}); n != 0 {
		t.Errorf("expected no allocation, found %v", n)
	}
}

// A batch links to the distinct valid trace contexts of its records.
func TestBatchLinksToItsRecords(t *testing.T) {
	r := tracetest.Start(t)
	tracer, _ := openTracer(t, r.URL, nil)
	page := tracer.Start("page", Internal)
	h := page.Header()
	other := kgo.RecordHeader{Key: "traceparent",
		Value: []byte("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")}
	recordWith := func(headers ...kgo.RecordHeader) *kgo.Record { return &kgo.Record{Headers: headers} }
	records := []*kgo.Record{
		recordWith(h),
		recordWith(h),
		recordWith(),
		recordWith(kgo.RecordHeader{Key: "traceparent", Value: []byte("00-zz")}),
		recordWith(h, other),
		recordWith(kgo.RecordHeader{Key: "traceparent", Value: bytes.Repeat([]byte("0"), 1<<20)}),
	}
	for n := range 1000 { // invalid headers
		records = append(records, recordWith(kgo.RecordHeader{Key: "traceparent",
			Value: []byte{byte(n), byte(n >> 8)}}))
	}
	tracer.StartBatch(time.Now(), slices.Values(records)).End(nil)
	page.End(nil)
	flush(t, tracer)
	want := []string{r.Spans("page")[0].ID, "b7ad6b7169203331"}
	assert.Equal(t, want, r.Spans("batch")[0].Links, "links")
}

// Headers are parsed and decoded; errors quote no value.
func TestParseHeaders(t *testing.T) {
	for _, c := range []struct {
		list string
		want http.Header // nil means an error
	}{
		{"", http.Header{}},
		{"Authorization=Bearer%20abc, x=1=2,", http.Header{"Authorization": {"Bearer abc"}, "X": {"1=2"}}},
		{"a b=c", nil},
		{"geheim", nil},
		{"a=geheim%0d%0ab", nil},
		{"a=geheim%", nil},
	} {
		got, err := ParseHeaders(c.list)
		if diff := cmp.Diff(c.want, got); diff != "" || (err == nil) != (c.want != nil) {
			t.Errorf("%q: error %v, headers (-want +got):\n%s", c.list, err, diff)
		}
		assert.True(t, err == nil || !strings.Contains(err.Error(), "geheim"),
			"%q: expected an error without the value, found %v", c.list, err)
	}
}

// The path v1/traces is added to the endpoint for all signals; other URLs than of HTTP are errors.
func TestEndpoint(t *testing.T) {
	for base, want := range map[string]string{
		"http://c:4318":       "http://c:4318/v1/traces",
		"https://c/otlp/?a=b": "https://c/otlp/v1/traces?a=b",
		"c:4317":              "", // an error
		"grpc://c":            "",
		"http://":             "",
	} {
		if got, err := TracesEndpoint(base); got != want || (err == nil) != (want != "") {
			t.Errorf("%s: expected %q, found %q, %v", base, want, got, err)
		}
	}
}

// All samplers are accepted, invalid ones rejected, and always_off sends no spans.
func TestSamplers(t *testing.T) {
	for _, name := range samplers {
		assert.NoError(t, (Options{Sampler: name, SamplerArg: "0.5"}).CheckSampler(), name)
	}
	for _, o := range []Options{
		{Sampler: "jaeger_remote"},
		{Sampler: "traceidratio", SamplerArg: "2"},
		{Sampler: "parentbased_traceidratio", SamplerArg: "NaN"},
	} {
		assert.True(t, o.CheckSampler() != nil, "%+v: expected an error", o)
	}
	r := tracetest.Start(t)
	tracer, _ := openTracer(t, r.URL, func(o *Options) { o.Sampler = "always_off" })
	page := tracer.Start("page", Internal)
	if h := page.Header(); !strings.HasSuffix(string(h.Value), "-00") {
		t.Errorf("expected a header with an unset sampled flag, found %q", h.Value)
	}
	page.End(nil)
	flush(t, tracer)
	assert.Equal(t, 0, len(r.Spans("")), "no spans")
}
