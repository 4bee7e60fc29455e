package tracing

import (
	"context"
	"iter"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"
)

// Names of the headers with a trace context, as https://www.w3.org/TR/trace-context/ has them.
const (
	parentHeader = "traceparent"
	stateHeader  = "tracestate"
)

// maxState is how many bytes of tracestate are read: the specification asks for at least 512.
const maxState = 4096

// maxLinks is how many spans the span of a batch goes back to at most, as the SDK has it by default.
const maxLinks = 128

// carried is what a [propagation.TraceContext] reads and writes.
type carried struct{ parent, state string }

func (c *carried) Get(key string) string {
	switch key {
	case parentHeader:
		return c.parent
	case stateHeader:
		return c.state
	}
	return ""
}

func (c *carried) Set(key, value string) {
	switch key {
	case parentHeader:
		c.parent = value
	case stateHeader:
		c.state = value
	}
}

func (c *carried) Keys() []string { return []string{parentHeader, stateHeader} }

// Header is the header by which records say that they come of the span; with Key "" of none. One that was not sampled
// is carried, too: whoever goes on from it makes no spans either. There is no tracestate, since the worker begins its
// traces itself.
func (s *Span) Header() kgo.RecordHeader {
	if s == nil {
		return kgo.RecordHeader{}
	}
	var c carried
	propagation.TraceContext{}.Inject(s.under, &c)
	return kgo.RecordHeader{Key: parentHeader, Value: []byte(c.parent)}
}

// IsTraceHeader tells whether a record's header is a trace context.
func IsTraceHeader(name string) bool { return name == parentHeader }

// links are the spans that records come of, each once, in their order. Headers that are no trace context are passed
// over.
type links struct {
	links []trace.Link
	seen  map[string]bool // values of the header, as far as they are looked at
}

// of notes what a record comes of.
func (l *links) of(r *kgo.Record) {
	var c carried
	for i := range r.Headers { // of several the last one counts, as in Kafka's own clients
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
	from := trace.SpanContextFromContext(propagation.TraceContext{}.Extract(context.Background(), &c))
	if from.IsValid() {
		l.links = append(l.links, trace.Link{SpanContext: from})
	}
}

// StartBatch begins the span of a batch of records, the first of which came at a time.
func (t *Tracer) StartBatch(since time.Time, records iter.Seq[*kgo.Record]) *Span {
	if t == nil {
		return nil
	}
	var l links
	for r := range records {
		l.of(r)
	}
	return t.start(context.Background(), "batch", trace.WithSpanKind(Consumer), trace.WithTimestamp(since),
		trace.WithLinks(l.links...))
}
