package tracing

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"go.opentelemetry.io/otel/exporters/otlp/otlptrace"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	sdk "go.opentelemetry.io/otel/sdk/trace"

	"github.com/culvert-project/culvert/internal/base/away"
	"github.com/culvert-project/culvert/internal/secret"
	"github.com/culvert-project/culvert/internal/shown"
)

const (
	maxResponseBytes = 64 << 10
	firstRetryDelay  = time.Second
	lastRetryDelay   = 8 * time.Second
	maxQueued        = 2048 // spans
)

// endpointTransport sends requests to the configured endpoint with its user, password, query and headers.
type endpointTransport struct {
	url     *url.URL
	headers http.Header
	next    http.RoundTripper
	closing atomic.Bool // disables retries
}

func (e *endpointTransport) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	r.URL = e.url
	r.Host = ""
	if user := e.url.User; user != nil {
		password, _ := user.Password()
		r.SetBasicAuth(user.Username(), password)
	}
	for name, values := range e.headers {
		r.Header[name] = values
	}
	response, err := e.next.RoundTrip(r)
	if err != nil && !e.closing.Load() {
		err = noResponseError{err}
	}
	return response, err
}

// noResponseError wraps the error of a request that got no response.
type noResponseError struct{ error }

// Temporary makes the OTLP exporter retry.
func (noResponseError) Temporary() bool { return true }
func (n noResponseError) Unwrap() error { return n.error }

// newExporter returns an exporter for https://opentelemetry.io/docs/specs/otlp/#otlphttp, binary.
func newExporter(o Options, log *slog.Logger) (*exporter, error) {
	tlsConfig, err := o.tlsConfig()
	if err != nil {
		return nil, err
	}
	endpoint, err := url.Parse(o.Endpoint)
	if err != nil {
		return nil, errors.New("the endpoint is not a URL")
	}
	t := http.DefaultTransport.(*http.Transport).Clone()
	t.TLSClientConfig = tlsConfig
	transport := &endpointTransport{url: endpoint, headers: o.Headers, next: t}
	client := otlptracehttp.NewClient(otlptracehttp.WithEndpoint(endpoint.Host),
		otlptracehttp.WithURLPath(endpoint.Path),
		otlptracehttp.WithInsecure(), // unused: the transport has its own URL
		otlptracehttp.WithCompression(otlptracehttp.GzipCompression), otlptracehttp.WithTimeout(o.Timeout),
		otlptracehttp.WithMaxResponseSize(maxResponseBytes),
		// Overrides OTEL_EXPORTER_OTLP_HEADERS, which may be for another collector.
		otlptracehttp.WithHeaders(nil), otlptracehttp.WithEncoding(otlptracehttp.EncodingProtobuf),
		otlptracehttp.WithRetry(otlptracehttp.RetryConfig{Enabled: true, InitialInterval: firstRetryDelay,
			MaxInterval: lastRetryDelay, MaxElapsedTime: o.Timeout}),
		otlptracehttp.WithHTTPClient(&http.Client{Transport: transport, Timeout: o.Timeout,
			// Headers may be secret, and a redirect may lead to another host.
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}))
	e := &exporter{SpanExporter: otlptrace.NewUnstarted(client), transport: transport, log: log,
		endpoint: endpoint.Scheme + "://" + endpoint.Host + endpoint.Path}
	for _, values := range o.Headers {
		e.secrets.Add(values...)
	}
	if password, ok := endpoint.User.Password(); ok {
		e.secrets.Add(password)
	}
	for _, values := range endpoint.Query() {
		e.secrets.Add(values...)
	}
	return e, nil
}

// exporter counts spans. It logs once when the collector becomes unavailable, and once when it is available again.
type exporter struct {
	sdk.SpanExporter
	transport *endpointTransport
	endpoint  string          // without secrets
	secrets   secret.Redactor // of the headers and the endpoint, which a collector may repeat
	log       *slog.Logger
	exported  atomic.Int64
	lost      atomic.Int64
	queued    atomic.Int64 // spans that have ended and are not being sent yet

	mu            sync.Mutex
	collector     away.Partner
	lostWhileAway int64 // spans lost in the current outage
}

// boundedProcessor drops and counts spans while the queue is full.
type boundedProcessor struct {
	sdk.SpanProcessor
	exporter *exporter
}

func (b boundedProcessor) OnEnd(s sdk.ReadOnlySpan) {
	if !s.SpanContext().IsSampled() {
		return
	}
	if b.exporter.queued.Add(1) > maxQueued {
		b.exporter.queued.Add(-1)
		b.exporter.lost.Add(1)
		return
	}
	b.SpanProcessor.OnEnd(s)
}

// ExportSpans sends spans. It logs one line for each outage instead of returning errors.
func (e *exporter) ExportSpans(ctx context.Context, spans []sdk.ReadOnlySpan) error {
	e.queued.Add(-int64(len(spans)))
	start := time.Now()
	err := e.SpanExporter.ExportSpans(ctx, spans)
	e.mu.Lock()
	defer e.mu.Unlock()
	lost := int64(0)
	if err != nil {
		lost = max(0, min(rejectedSpans(err), int64(len(spans))))
		if lost == 0 { // a partial success that only warns
			err = nil
		}
	}
	e.lost.Add(lost)
	e.exported.Add(int64(len(spans)) - lost)
	e.lostWhileAway += lost
	if err != nil {
		e.collector.Lost(e.log, start, "", "tracing: spans cannot be sent, and those until they can be are lost",
			"endpoint", e.endpoint, "error", shown.Line(e.secrets.Redact(err.Error())))
		return nil
	}
	e.collector.Back(e.log, start, "tracing: spans are sent again", "endpoint", e.endpoint, "lost", e.lostWhileAway)
	e.lostWhileAway = 0
	return nil
}

// rejectedSpans returns how many spans an error rejects: the number in a partial success, otherwise 1<<62.
func rejectedSpans(err error) (n int64) {
	message := err.Error()
	if i := strings.LastIndexByte(message, '('); i >= 0 && strings.Contains(message, "OTLP partial success") {
		if _, err := fmt.Sscanf(message[i:], "(%d spans rejected)", &n); err == nil {
			return n
		}
	}
	return 1 << 62
}
