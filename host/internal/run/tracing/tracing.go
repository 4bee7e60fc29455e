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

// instrumentationScope is the name under which spans say who made them.
const instrumentationScope = "github.com/culvert-project/culvert"

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
	redact   func(string) string
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
	defaults := []attribute.KeyValue{attribute.String("service.name", defaultService),
		attribute.String("service.version", version), attribute.String("service.instance.id", instance)}
	var configured []attribute.KeyValue
	if o.Service != "" {
		configured = append(configured, attribute.String("service.name", o.Service))
	}
	// Later ones win. WithFromEnv: OTEL_RESOURCE_ATTRIBUTES. Nothing about the process: its arguments may hold secrets.
	res, err := resource.New(ctx, resource.WithTelemetrySDK(), resource.WithAttributes(defaults...),
		resource.WithFromEnv(), resource.WithAttributes(configured...))
	if err != nil {
		log.Warn("tracing: OTEL_RESOURCE_ATTRIBUTES cannot be read, and spans go without them", "error", err)
	}
	p := sdk.NewTracerProvider(sdk.WithSpanProcessor(newBoundedProcessor(e, o.Timeout)),
		sdk.WithSampler(sampler), sdk.WithResource(res))
	redact := o.Strike
	if redact == nil {
		redact = func(text string) string { return text }
	}
	return &Tracer{tracer: p.Tracer(instrumentationScope, trace.WithInstrumentationVersion(version)), provider: p, exporter: e,
		redact: redact}, nil
}

// Close sends what waits still, once, and ends the tracer, when ctx ends at the latest.
func (t *Tracer) Close(ctx context.Context) {
	if t != nil {
		t.exporter.transport.closing.Store(true)
		_ = t.provider.Shutdown(ctx) // what was lost by it was said
	}
}

// Sent are how many spans a collector has taken, and how many were lost since it did not, or since too many waited.
func (t *Tracer) Sent() (exported, lost int64) {
	if t == nil {
		return 0, 0
	}
	return t.exporter.exported.Load(), t.exporter.lost.Load()
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
	ctx    context.Context // with the span in it
}

// Start begins a trace.
func (t *Tracer) Start(name string, kind Kind) *Span {
	if t == nil {
		return nil
	}
	return t.start(context.Background(), name, trace.WithSpanKind(kind))
}

func (t *Tracer) start(ctx context.Context, name string, o ...trace.SpanStartOption) *Span {
	s := &Span{tracer: t}
	s.ctx, s.span = t.tracer.Start(ctx, name, o...)
	return s
}

// Child begins a part of what the span is about.
func (s *Span) Child(name string, kind Kind) *Span {
	if s == nil {
		return nil
	}
	return s.tracer.start(s.ctx, name, trace.WithSpanKind(kind))
}

// Past is a part that is over: it was at work for so long between two moments.
func (s *Span) Past(name string, from, to time.Time, work time.Duration) {
	if s == nil || from.IsZero() {
		return
	}
	_, part := s.tracer.tracer.Start(s.ctx, name, trace.WithTimestamp(from),
		trace.WithAttributes(attribute.Float64("culvert.work_ms", float64(work)/float64(time.Millisecond))))
	part.End(trace.WithTimestamp(to))
}

// Task notes whose the span is.
func (s *Span) Task(connector string, task int) {
	s.Name("culvert.connector", connector)
	s.Number("culvert.task", int64(task))
}

// Request begins the span of a request to a service. Its target stands there as in the log: without what may be secret.
func (s *Span) Request(name string, r *wit.Request) *Span {
	if s == nil {
		return nil
	}
	part := s.Child(name, Client)
	part.Text("http.request.method", r.Method)
	part.Text("culvert.request.target", transport.LoggedTarget(r.Target))
	return part
}

// Answered notes the status of an answer; from 400 on it is an error, as OpenTelemetry has it for clients.
func (s *Span) Answered(status uint16) {
	if s == nil {
		return
	}
	s.Number("http.response.status_code", int64(status))
	if status >= 400 {
		s.span.SetStatus(codes.Error, "")
	}
}

// Name notes a name that the connector publishes.
func (s *Span) Name(key, value string) {
	if s != nil {
		s.span.SetAttributes(attribute.String(key, truncate(value)))
	}
}

// Text notes something about the span, without what must not be shown.
func (s *Span) Text(key, value string) {
	if s != nil {
		s.Name(key, s.tracer.redact(value))
	}
}

// Number notes something about the span.
func (s *Span) Number(key string, value int64) {
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
		s.span.SetStatus(codes.Error, truncate(s.tracer.redact(err.Error())))
	}
	s.span.End()
}

// truncate is a text as a span has it: one line of valid UTF-8, since protobuf takes nothing else.
func truncate(text string) string { return shown.Within(text, maxText) }
