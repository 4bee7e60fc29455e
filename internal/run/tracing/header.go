package tracing

import (
	"context"
	"iter"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"
)

// Header names of https://www.w3.org/TR/trace-context/.
const (
	parentHeader = "traceparent"
	stateHeader  = "tracestate"
)

const maxState = 4096 // bounds the tracestate in bytes, of which the specification requires at least 512

const maxLinks = 128 // of a batch

type headerCarrier struct{ parent, state string }

func (c *headerCarrier) Get(key string) string {
	switch key {
	case parentHeader:
		return c.parent
	case stateHeader:
		return c.state
	}
	return ""
}

// Set implements [propagation.TextMapCarrier]. It ignores other headers.
func (c *headerCarrier) Set(key, value string) {
	switch key {
	case parentHeader:
		c.parent = value
	case stateHeader:
		c.state = value
	}
}

func (c *headerCarrier) Keys() []string { return []string{parentHeader, stateHeader} }

// Header returns the trace context header for records of the span; its Key is empty if s is nil. A span that is not
// sampled has a header too, so that consumers create no spans. The worker starts its own traces, without a tracestate.
func (s *Span) Header() kgo.RecordHeader {
	if s == nil {
		return kgo.RecordHeader{}
	}
	var c headerCarrier
	propagation.TraceContext{}.Inject(s.ctx, &c)
	return kgo.RecordHeader{Key: parentHeader, Value: []byte(c.parent)}
}

// IsTraceHeader reports whether a record header is a trace context.
func IsTraceHeader(name string) bool { return name == parentHeader }

// links collects the distinct trace contexts of records, in order, and ignores invalid ones.
type links struct {
	list []trace.Link
	seen map[string]bool // header values
}

func (l *links) add(r *kgo.Record) {
	var c headerCarrier
	for i := range r.Headers { // the last one counts, as in Kafka's clients
		switch h := &r.Headers[i]; {
		case h.Key == parentHeader && len(h.Value) < maxState:
			c.parent = string(h.Value)
		case h.Key == stateHeader && len(h.Value) < maxState:
			c.state = string(h.Value)
		}
	}
	if c.parent == "" || l.seen[c.parent] || len(l.seen) >= maxLinks {
		return
	}
	if l.seen == nil {
		l.seen = map[string]bool{}
	}
	l.seen[c.parent] = true
	spanContext := trace.SpanContextFromContext(propagation.TraceContext{}.Extract(context.Background(), &c))
	if spanContext.IsValid() {
		l.list = append(l.list, trace.Link{SpanContext: spanContext})
	}
}

// StartBatch starts the span of a batch whose first record arrived at since.
func (t *Tracer) StartBatch(since time.Time, records iter.Seq[*kgo.Record]) *Span {
	if t == nil {
		return nil
	}
	var l links
	for r := range records {
		l.add(r)
	}
	return t.start(context.Background(), "batch", trace.WithSpanKind(Consumer), trace.WithTimestamp(since),
		trace.WithLinks(l.list...))
}
