package tracing

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"sync"
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

func opened(t *testing.T, endpoint string, change func(*Options)) (*Tracer, *logtest.Journal) {
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

// sent checks the numbers of accepted and lost spans.
func sent(t *testing.T, tracer *Tracer, taken, lost int64) {
	t.Helper()
	if foundTaken, foundLost := tracer.Sent(); foundTaken != taken || foundLost != lost {
		t.Errorf("expected %d spans to be taken and %d to be lost, found %d and %d", taken, lost, foundTaken, foundLost)
	}
}

// partial returns a collector's response that rejects some spans.
func partial(refused uint64, why string) []byte {
	inner := protowire.AppendVarint(protowire.AppendTag(nil, 1, protowire.VarintType), refused)
	inner = protowire.AppendString(protowire.AppendTag(inner, 2, protowire.BytesType), why)
	return protowire.AppendBytes(protowire.AppendTag(nil, 1, protowire.BytesType), inner)
}

// The name of the service is that of the settings, else that of OTEL_RESOURCE_ATTRIBUTES, else culvert.
func TestServiceName(t *testing.T) {
	for _, c := range []struct{ given, attributes, want string }{
		{"", "", "culvert"}, {"", "service.name=orders,team=x", "orders"}, {"feeds", "service.name=orders", "feeds"},
	} {
		t.Setenv("OTEL_RESOURCE_ATTRIBUTES", c.attributes)
		r := tracetest.Start(t)
		tracer, _ := opened(t, r.URL+"/v1/traces", func(o *Options) { o.Service = c.given })
		sendPage(t, tracer)
		if spans := r.Spans("page"); len(spans) != 1 || spans[0].Service != c.want {
			t.Errorf("%+v: found %+v", c, spans)
		}
	}
}

func TestSpansArrive(t *testing.T) {
	r := tracetest.Start(t)
	tracer, log := opened(t, r.URL+"/v1/traces", func(o *Options) { o.Headers = http.Header{"X-Token": {"geheim"}} })
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
	if !slices.Equal(paths, []string{"POST /v1/traces"}) || headers[0].Get("X-Token") != "geheim" ||
		headers[0].Get("Content-Type") != "application/x-protobuf" {
		t.Errorf("found requests %q with %v", paths, headers)
	}
	of := map[string]tracetest.Span{}
	for _, s := range r.Spans("") {
		of[s.Name] = s
	}
	p := of["page"]
	if len(of) != 3 || p.Parent != "" || of["fetch"].Parent != p.ID || of["decode"].Parent != p.ID ||
		of["decode"].Trace != p.Trace || p.Service != "feeds" {
		t.Errorf("found %+v", of)
	}
	if p.Texts["culvert.connector"] != "orders" || p.Numbers["culvert.task"] != 1 || !p.Failed {
		t.Errorf("found %+v", p)
	}
	if n := len([]rune(p.Texts["culvert.feed"])); n < maxText || n > maxText+50 {
		t.Errorf("expected about %d characters of a long text, found %d", maxText, n)
	}
	f := of["fetch"]
	if f.Texts["culvert.request.target"] != "/x/Orders?$top=5&key=[hidden]" || !f.Failed ||
		f.Numbers["http.response.status_code"] != 503 {
		t.Errorf("found %+v", f)
	}
	sent(t, tracer, 3, 0)
	assert.Equal(t, 0, strings.Count(log.String(), "\n"), "lines in the log")
}

// A collector that rejects spans is logged once, and once more when it accepts spans again.
func TestUnreachableCollectorIsLoggedOnce(t *testing.T) {
	r := tracetest.Start(t)
	var away sync.Map
	away.Store("away", true)
	r.Answer = func(w http.ResponseWriter, _ *http.Request) {
		if is, _ := away.Load("away"); is == true {
			w.WriteHeader(401)
		}
	}
	tracer, log := opened(t, r.URL+"/?token=geheim", nil)
	for range 5 {
		sendPage(t, tracer)
	}
	assert.Equal(t, 1, strings.Count(log.String(), "cannot be sent"), "one line for 5 failed requests")
	away.Store("away", false)
	sendPage(t, tracer)
	sendPage(t, tracer)
	assert.Equal(t, 1, strings.Count(log.String(), "spans are sent again"), log)
	assert.Equal(t, 1, strings.Count(log.String(), "lost=5"), log)
	sent(t, tracer, 2, 5)
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
	tracer, _ := opened(t, r.URL, nil)
	sendPage(t, tracer)
	sent(t, tracer, 1, 0)
	if paths, _ := r.Requests(); len(paths) != 2 {
		t.Errorf("expected 2 requests, found %q", paths)
	}
}

// A collector that responds with success may accept only a part: partial_success.
func TestPartialSuccess(t *testing.T) {
	r := tracetest.Start(t)
	r.Answer = func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/x-protobuf")
		w.Write(partial(2, "too\nold"))
	}
	tracer, log := opened(t, r.URL, nil)
	for range 3 {
		tracer.Start("page", Internal).End(nil)
	}
	flush(t, tracer)
	sent(t, tracer, 1, 2)
	assert.Equal(t, 1, strings.Count(log.String(), "OTLP partial success: too old (2 spans rejected)"), "found")
}

// A collector's response is logged without the headers that were sent to it.
func TestCollectorResponsesAreRedacted(t *testing.T) {
	r := tracetest.Start(t)
	r.Answer = func(w http.ResponseWriter, q *http.Request) {
		w.Header().Set("Content-Type", "application/x-protobuf")
		w.Write(partial(1, "no quota for "+q.Header.Get("Authorization")))
	}
	tracer, log := opened(t, r.URL, func(o *Options) {
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
			found, err := w.Write(make([]byte, 64<<10))
			n += found
			if err != nil {
				break
			}
		}
		written <- n
	}
	tracer, _ := opened(t, r.URL, nil)
	sendPage(t, tracer)
	if n := <-written; n > 64<<20 {
		t.Errorf("expected only the bytes that fit into sockets, found %d bytes", n)
	}
	sent(t, tracer, 0, 1)
}

// If a collector accepts connections and does not respond, spans end without waiting for it; spans that find the queue
// full are lost and counted.
func TestSilentCollector(t *testing.T) {
	r := tracetest.Start(t)
	over := make(chan struct{})
	r.Answer = func(http.ResponseWriter, *http.Request) { <-over }
	tracer, _ := opened(t, r.URL, nil)
	const spans, batch = 3000, 512 // one batch may be in progress
	for range spans {
		tracer.Start("page", Internal).End(nil)
	}
	taken, lost := tracer.Sent()
	close(over)
	if taken != 0 || lost < spans-maxQueued-batch || lost > spans-maxQueued {
		t.Errorf("expected about %d lost spans and no accepted ones, found %d and %d", spans-maxQueued, lost, taken)
	}
	flush(t, tracer)
	sent(t, tracer, spans-lost, lost)
}

// A stop does not wait for a collector that accepts connections and does not respond.
func TestCloseIsBounded(t *testing.T) {
	r := tracetest.Start(t)
	asked := make(chan struct{})
	over := make(chan struct{})
	r.Answer = func(http.ResponseWriter, *http.Request) {
		asked <- struct{}{}
		<-over
	}
	defer close(over)
	tracer, _ := opened(t, r.URL, func(o *Options) { o.Timeout = time.Hour })
	tracer.Start("page", Internal).End(nil)
	ctx, cancel := context.WithCancel(t.Context())
	closed := make(chan struct{})
	go func() {
		tracer.Close(ctx)
		close(closed)
	}()
	<-asked
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
		part := s.StartRequest("fetch", request)
		part.SetStatus(200)
		part.End(failure)
		s.StartChild("transform", Internal).End(nil)
		s.AddPastChild("decode", time.Time{}, time.Time{}, 0)
		s.SetInt("n", 1)
		if h := s.Header(); h.Key != "" {
			t.Error("a header without a span")
		}
		s.End(nil)
	}); n != 0 {
		t.Errorf("expected no allocation, found %v", n)
	}
}

func TestBatchLinksToItsRecords(t *testing.T) {
	r := tracetest.Start(t)
	tracer, _ := opened(t, r.URL, nil)
	page := tracer.Start("page", Internal)
	h := page.Header()
	other := kgo.RecordHeader{Key: "traceparent",
		Value: []byte("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")}
	of := func(headers ...kgo.RecordHeader) *kgo.Record { return &kgo.Record{Headers: headers} }
	records := []*kgo.Record{of(h), of(h), of(), of(kgo.RecordHeader{Key: "traceparent", Value: []byte("00-zz")}),
		of(h, other), of(kgo.RecordHeader{Key: "traceparent", Value: bytes.Repeat([]byte("0"), 1<<20)})}
	for n := range 1000 { // hostile ones
		records = append(records, of(kgo.RecordHeader{Key: "traceparent", Value: []byte{byte(n), byte(n >> 8)}}))
	}
	tracer.StartBatch(time.Now(), slices.Values(records)).End(nil)
	page.End(nil)
	flush(t, tracer)
	want := []string{r.Spans("page")[0].ID, "b7ad6b7169203331"}
	if diff := cmp.Diff(want, r.Spans("batch")[0].Links); diff != "" {
		t.Errorf("links (-want +got):\n%s", diff)
	}
}

func TestParseHeaders(t *testing.T) {
	for _, c := range []struct {
		text string
		want http.Header
	}{
		{"", http.Header{}},
		{"Authorization=Bearer%20abc, x=1=2,", http.Header{"Authorization": {"Bearer abc"}, "X": {"1=2"}}},
		{"a b=c", nil},
		{"geheim", nil},
		{"a=geheim%0d%0ab", nil},
		{"a=geheim%", nil},
	} {
		got, err := ParseHeaders(c.text)
		if diff := cmp.Diff(c.want, got); diff != "" || (err == nil) != (c.want != nil) {
			t.Errorf("%q: %v\n%s", c.text, err, diff)
		}
		if err != nil && strings.Contains(err.Error(), "geheim") {
			t.Errorf("%q: found the value in %v", c.text, err)
		}
	}
}

func TestEndpoint(t *testing.T) {
	for base, want := range map[string]string{"http://c:4318": "http://c:4318/v1/traces",
		"https://c/otlp/?a=b": "https://c/otlp/v1/traces?a=b", "c:4317": "", "grpc://c": "", "http://": ""} {
		if got, err := TracesEndpoint(base); got != want || (err == nil) != (want != "") {
			t.Errorf("%s: expected %q, found %q, %v", base, want, got, err)
		}
	}
}

func TestSamplers(t *testing.T) {
	for _, name := range samplers {
		if err := (Options{Sampler: name, SamplerArg: "0.5"}).CheckSampler(); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	for _, o := range []Options{{Sampler: "jaeger_remote"}, {Sampler: "traceidratio", SamplerArg: "2"},
		{Sampler: "parentbased_traceidratio", SamplerArg: "NaN"}} {
		if o.CheckSampler() == nil {
			t.Errorf("%+v: expected an error", o)
		}
	}
	r := tracetest.Start(t)
	tracer, _ := opened(t, r.URL, func(o *Options) { o.Sampler = "always_off" })
	page := tracer.Start("page", Internal)
	if h := page.Header(); !strings.HasSuffix(string(h.Value), "-00") {
		t.Errorf("expected a header with an unset sampled flag, found %q", h.Value)
	}
	page.End(nil)
	flush(t, tracer)
	assert.Equal(t, 0, len(r.Spans("")), "no spans")
}
