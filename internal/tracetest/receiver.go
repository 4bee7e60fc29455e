// Package tracetest has a collector for tests. It receives traces by OTLP over HTTP, as binary protobuf.
package tracetest

import (
	"compress/gzip"
	"encoding/hex"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"sync"
	"testing"

	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"

	"github.com/culvert-project/culvert/internal/base/assert"
)

// Span is a received span. IDs are in hexadecimal.
type Span struct {
	Service string // the resource's service.name
	Name    string
	Trace   string // the trace ID
	ID      string
	Parent  string // the parent's span ID; "" means none
	Kind    tracepb.Span_SpanKind
	Failed  bool   // the status is an error
	Message string // of the status
	// Texts are the attributes with non-empty strings. Numbers are all others; attributes other than integers are 0.
	Texts   map[string]string
	Numbers map[string]int64
	Links   []string // span IDs
}

// Receiver is a collector. It records requests and their spans.
type Receiver struct {
	URL string
	// Answer, if not nil, writes the response after the request was recorded. Nil means that all requests succeed. Set
	// it before the first request.
	Answer http.HandlerFunc

	mu      sync.Mutex
	headers []http.Header
	paths   []string
	spans   []Span
}

// Start starts a collector that ends with the test. A request that it cannot decode fails the test.
func Start(t *testing.T) *Receiver {
	r := &Receiver{}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		assert.NoError(t, r.record(q), q.Method, q.URL)
		if r.Answer != nil {
			r.Answer(w, q)
			return
		}
		w.Header().Set("Content-Type", "application/x-protobuf")
	}))
	t.Cleanup(server.Close)
	r.URL = server.URL
	return r
}

// record decodes the body of a request and appends the request and its spans.
func (r *Receiver) record(q *http.Request) error {
	body, err := gzip.NewReader(q.Body)
	if err != nil {
		return err
	}
	data, err := io.ReadAll(body)
	if err != nil {
		return err
	}
	var traces tracepb.TracesData
	if err := proto.Unmarshal(data, &traces); err != nil {
		return err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.headers = append(r.headers, q.Header)
	r.paths = append(r.paths, q.Method+" "+q.URL.Path)
	for _, resourceSpans := range traces.ResourceSpans {
		service := ""
		for _, attribute := range resourceSpans.Resource.Attributes {
			if attribute.Key == "service.name" {
				service = attribute.Value.GetStringValue()
			}
		}
		for _, scope := range resourceSpans.ScopeSpans {
			for _, s := range scope.Spans {
				r.spans = append(r.spans, newSpan(service, s))
			}
		}
	}
	return nil
}

// newSpan returns a received span of a service.
func newSpan(service string, s *tracepb.Span) Span {
	span := Span{
		Service: service,
		Name:    s.Name,
		Trace:   hex.EncodeToString(s.TraceId),
		ID:      hex.EncodeToString(s.SpanId),
		Parent:  hex.EncodeToString(s.ParentSpanId),
		Kind:    s.Kind,
		Failed:  s.Status.GetCode() == tracepb.Status_STATUS_CODE_ERROR,
		Message: s.Status.GetMessage(),
		Texts:   map[string]string{},
		Numbers: map[string]int64{},
	}
	for _, attribute := range s.Attributes {
		if text := attribute.Value.GetStringValue(); text != "" {
			span.Texts[attribute.Key] = text
		} else {
			span.Numbers[attribute.Key] = attribute.Value.GetIntValue()
		}
	}
	for _, link := range s.Links {
		span.Links = append(span.Links, hex.EncodeToString(link.SpanId))
	}
	return span
}

// Spans returns the received spans with a name; "" means all spans.
func (r *Receiver) Spans(name string) (spans []Span) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, s := range r.spans {
		if name == "" || s.Name == name {
			spans = append(spans, s)
		}
	}
	return spans
}

// Requests returns the received requests: methods with paths, and headers.
func (r *Receiver) Requests() (paths []string, headers []http.Header) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.paths), slices.Clone(r.headers)
}
