// Package tracetest is a collector for tests: it takes traces by OTLP over HTTP, as binary protobuf.
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
)

// Span is one that was received.
type Span struct {
	Service string
	Name    string
	Trace   string
	ID      string
	Parent  string
	Kind    tracepb.Span_SpanKind
	Failed  bool
	Message string // of the status
	Texts   map[string]string
	Numbers map[string]int64
	// Links are ids of spans.
	Links []string
}

// Receiver is a collector.
type Receiver struct {
	URL string
	// Answer is what requests are answered in the place of success, nil: nothing is. It is set before anything comes.
	Answer http.HandlerFunc

	mu      sync.Mutex
	headers []http.Header
	paths   []string
	spans   []Span
}

// Start starts one that ends with the test.
func Start(t *testing.T) *Receiver {
	r := &Receiver{}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		if err := r.take(q); err != nil {
			t.Errorf("%s %s: %v", q.Method, q.URL, err)
		}
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

func (r *Receiver) take(q *http.Request) error {
	z, err := gzip.NewReader(q.Body)
	if err != nil {
		return err
	}
	data, err := io.ReadAll(z)
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
	for _, of := range traces.ResourceSpans {
		service := ""
		for _, a := range of.Resource.Attributes {
			if a.Key == "service.name" {
				service = a.Value.GetStringValue()
			}
		}
		for _, scope := range of.ScopeSpans {
			for _, s := range scope.Spans {
				r.spans = append(r.spans, read(service, s))
			}
		}
	}
	return nil
}

func read(service string, s *tracepb.Span) Span {
	span := Span{Service: service, Name: s.Name, Trace: hex.EncodeToString(s.TraceId), ID: hex.EncodeToString(s.SpanId),
		Parent: hex.EncodeToString(s.ParentSpanId), Kind: s.Kind,
		Failed:  s.Status.GetCode() == tracepb.Status_STATUS_CODE_ERROR,
		Message: s.Status.GetMessage(), Texts: map[string]string{}, Numbers: map[string]int64{}}
	for _, a := range s.Attributes {
		if s := a.Value.GetStringValue(); s != "" {
			span.Texts[a.Key] = s
		} else {
			span.Numbers[a.Key] = a.Value.GetIntValue()
		}
	}
	for _, l := range s.Links {
		span.Links = append(span.Links, hex.EncodeToString(l.SpanId))
	}
	return span
}

// Spans are those that came with a name, all for "".
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

// Requests are methods, paths and headers of what came.
func (r *Receiver) Requests() (paths []string, headers []http.Header) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.paths), slices.Clone(r.headers)
}
