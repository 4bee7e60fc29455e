// Package tracing makes spans of what tasks do, for OpenTelemetry, and sends them to a collector by OTLP over HTTP.
// There is a span for a page, for a batch and for what is done with one as a whole, never for a row.
//
// Tracing is off where a [Tracer] is nil: then Start returns a nil [Span], all methods of a nil Span do nothing, and no
// memory is taken. Nothing here waits for the collector but [Tracer.Close].
//
// Where to look: tracing.go for tracers and spans, options.go for what may be set, export.go for what is sent,
// header.go for the trace context in records.
package tracing

import (
	"context"
	"log/slog"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/sdk/resource"
	sdk "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"

	"github.com/culvert-project/culvert/host/shown"
	"github.com/culvert-project/culvert/host/transport"
	"github.com/culvert-project/culvert/wit"
)

// scope is the name under which spans say who made them.
const scope = "github.com/culvert-project/culvert"

// defaultService is the name of the service where nobody gives one.
const defaultService = "culvert"

// maxText bounds a text in a span, in characters: an error may quote what a service answered.
const maxText = 1024

// Tracer makes spans. It owns the goroutine that sends them, until Close. All methods may be called at any time, on nil
// too, which is a tracer that is off.
type Tracer struct {
	tracer   trace.Tracer
	provider *sdk.TracerProvider
	exporter *exporter
	strike   func(string) string
}

// New makes a tracer that sends its spans as o says; instance names this worker among others of the service, version is
// the program's. Nothing is sent before the first spans have ended. The error is for options that cannot be met.
func New(ctx context.Context, o Options, instance, version string, log *slog.Logger) (*Tracer, error) {
	sampler, err := o.sampler()
	if err != nil {
		return nil, err
	}
	e, err := newExporter(o, log)
	if err != nil {
		return nil, err
	}
	own := []attribute.KeyValue{attribute.String("service.name", defaultService),
		attribute.String("service.version", version), attribute.String("service.instance.id", instance)}
	var given []attribute.KeyValue
	if o.Service != "" {
		given = append(given, attribute.String("service.name", o.Service))
	}
	// Later ones win. WithFromEnv: OTEL_RESOURCE_ATTRIBUTES. Nothing about the process: its arguments may hold secrets.
	about, err := resource.New(ctx, resource.WithTelemetrySDK(), resource.WithAttributes(own...),
		resource.WithFromEnv(), resource.WithAttributes(given...))
	if err != nil {
		log.Warn("tracing: OTEL_RESOURCE_ATTRIBUTES cannot be read, and spans go without them", "error", err)
	}
	p := sdk.NewTracerProvider(sdk.WithSpanProcessor(newQueue(e, o.Timeout)),
		sdk.WithSampler(sampler), sdk.WithResource(about))
	strike := o.Redact
	if strike == nil {
		strike = func(text string) string { return text }
	}
	return &Tracer{tracer: p.Tracer(scope, trace.WithInstrumentationVersion(version)), provider: p, exporter: e,
		strike: strike}, nil
}

// Close sends what waits still, once, and ends the tracer, when ctx ends at the latest.
func (t *Tracer) Close(ctx context.Context) {
	if t != nil {
		t.exporter.post.closing.Store(true)
		_ = t.provider.Shutdown(ctx) // what was lost by it was said
	}
}

// Sent are how many spans a collector has taken, and how many were lost since it did not, or since too many waited.
func (t *Tracer) Sent() (taken, lost int64) {
	if t == nil {
		return 0, 0
	}
	return t.exporter.taken.Load(), t.exporter.lost.Load()
}

// Kind is what a span is about, as OpenTelemetry has it.
type Kind = trace.SpanKind

const (
	// Internal is for work in the worker, Client for a request to a service, Producer and Consumer for what goes to
	// Kafka and comes from there.
	Internal = trace.SpanKindInternal
	Client   = trace.SpanKindClient
	Producer = trace.SpanKindProducer
	Consumer = trace.SpanKindConsumer
)

// Span is something that a task does with a page or a batch. nil is none. It is ended by whoever began it; children may
// begin after that.
type Span struct {
	tracer *Tracer
	span   trace.Span
	under  context.Context // with the span in it
}

// Start begins a trace.
func (t *Tracer) Start(name string, kind Kind) *Span {
	if t == nil {
		return nil
	}
	return t.start(context.Background(), name, trace.WithSpanKind(kind))
}

func (t *Tracer) start(under context.Context, name string, o ...trace.SpanStartOption) *Span {
	s := &Span{tracer: t}
	s.under, s.span = t.tracer.Start(under, name, o...)
	return s
}

// StartChild begins a part of what the span is about.
func (s *Span) StartChild(name string, kind Kind) *Span {
	if s == nil {
		return nil
	}
	return s.tracer.start(s.under, name, trace.WithSpanKind(kind))
}

// AddPastChild is a part that is over: it was at work for so long between two moments.
func (s *Span) AddPastChild(name string, from, to time.Time, work time.Duration) {
	if s == nil || from.IsZero() {
		return
	}
	_, part := s.tracer.tracer.Start(s.under, name, trace.WithTimestamp(from),
		trace.WithAttributes(attribute.Float64("culvert.work_ms", float64(work)/float64(time.Millisecond))))
	part.End(trace.WithTimestamp(to))
}

// SetTask notes whose the span is.
func (s *Span) SetTask(connector string, task int) {
	s.SetString("culvert.connector", connector)
	s.SetInt("culvert.task", int64(task))
}

// StartRequest begins the span of a request to a service. Its target stands there as in the log: without what may be
// secret.
func (s *Span) StartRequest(name string, r *wit.Request) *Span {
	if s == nil {
		return nil
	}
	part := s.StartChild(name, Client)
	part.SetRedacted("http.request.method", r.Method)
	part.SetRedacted("culvert.request.target", transport.LoggedTarget(r.Target))
	return part
}

// SetStatus notes the status of an answer; from 400 on it is an error, as OpenTelemetry has it for clients.
func (s *Span) SetStatus(status uint16) {
	if s == nil {
		return
	}
	s.SetInt("http.response.status_code", int64(status))
	if status >= 400 {
		s.span.SetStatus(codes.Error, "")
	}
}

// SetString notes a name that the connector publishes.
func (s *Span) SetString(key, value string) {
	if s != nil {
		s.span.SetAttributes(attribute.String(key, bounded(value)))
	}
}

// SetRedacted notes something about the span, without what must not be shown.
func (s *Span) SetRedacted(key, value string) {
	if s != nil {
		s.SetString(key, s.tracer.strike(value))
	}
}

// SetInt notes something about the span.
func (s *Span) SetInt(key string, value int64) {
	if s != nil {
		s.span.SetAttributes(attribute.Int64(key, value))
	}
}

// End ends the span; err is what went wrong, if something did.
func (s *Span) End(err error) {
	if s == nil {
		return
	}
	if err != nil {
		s.span.SetStatus(codes.Error, bounded(s.tracer.strike(err.Error())))
	}
	s.span.End()
}

// bounded is a text as a span has it: one line of valid UTF-8, since protobuf takes nothing else.
func bounded(text string) string { return shown.Within(text, maxText) }
