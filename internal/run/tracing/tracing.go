// Package tracing creates OpenTelemetry spans for pages and batches and their stages, never for single rows, and sends
// them to a collector by OTLP over HTTP.
// A nil [Tracer] is off: Start returns a nil [Span], whose methods do nothing. Only [Tracer.Close] waits for the
// collector.
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

	"github.com/culvert-project/culvert/internal/shown"
	"github.com/culvert-project/culvert/internal/transport"
	"github.com/culvert-project/culvert/wit"
)

const (
	instrumentationScope = "github.com/culvert-project/culvert"
	defaultService       = "culvert"
	maxText              = 1024 // characters of a text attribute: an error may quote a response
)

// Tracer creates spans, and owns the goroutine that sends them, until Close. It is safe for concurrent use.
type Tracer struct {
	tracer   trace.Tracer
	provider *sdk.TracerProvider
	exporter *exporter
	redact   func(string) string
}

// New returns a tracer. instance identifies this worker within the service. The error is for invalid options.
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
	// Later options take precedence. Process attributes are left out: they may contain secret arguments.
	res, err := resource.New(ctx, resource.WithTelemetrySDK(), resource.WithAttributes(defaults...),
		resource.WithFromEnv(), resource.WithAttributes(configured...))
	if err != nil {
		log.Warn("tracing: OTEL_RESOURCE_ATTRIBUTES cannot be read, and spans go without them", "error", err)
	}
	processor := boundedProcessor{sdk.NewBatchSpanProcessor(e, sdk.WithExportTimeout(o.Timeout),
		sdk.WithMaxQueueSize(maxQueued)), e}
	p := sdk.NewTracerProvider(sdk.WithSpanProcessor(processor), sdk.WithSampler(sampler), sdk.WithResource(res))
	redact := o.Redact
	if redact == nil {
		redact = func(text string) string { return text }
	}
	return &Tracer{tracer: p.Tracer(instrumentationScope, trace.WithInstrumentationVersion(version)), provider: p,
		exporter: e, redact: redact}, nil
}

// Close sends the queued spans once and ends the tracer, at the latest when ctx ends.
func (t *Tracer) Close(ctx context.Context) {
	if t != nil {
		t.exporter.transport.closing.Store(true)
		_ = t.provider.Shutdown(ctx) // losses were logged
	}
}

// Sent returns the numbers of spans that a collector has accepted, and that were lost.
func (t *Tracer) Sent() (exported, lost int64) {
	if t == nil {
		return 0, 0
	}
	return t.exporter.exported.Load(), t.exporter.lost.Load()
}

// Kind is the kind of a span in OpenTelemetry.
type Kind = trace.SpanKind

const (
	// Internal is for work in the worker, Client for requests to a service, Producer and Consumer for Kafka.
	Internal = trace.SpanKindInternal
	Client   = trace.SpanKindClient
	Producer = trace.SpanKindProducer
	Consumer = trace.SpanKindConsumer
)

// Span is an operation of a task on a page or a batch. Its methods do nothing on nil. Children may start after its end.
type Span struct {
	tracer *Tracer
	span   trace.Span
	ctx    context.Context // with the span in it
}

// Start starts a trace.
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

// StartChild starts a child span.
func (s *Span) StartChild(name string, kind Kind) *Span {
	if s == nil {
		return nil
	}
	return s.tracer.start(s.ctx, name, trace.WithSpanKind(kind))
}

// AddPastChild adds a child that has ended, unless from is zero. work is its busy time between from and to.
func (s *Span) AddPastChild(name string, from, to time.Time, work time.Duration) {
	if s == nil || from.IsZero() {
		return
	}
	_, child := s.tracer.tracer.Start(s.ctx, name, trace.WithTimestamp(from),
		trace.WithAttributes(attribute.Float64("culvert.work_ms", float64(work)/float64(time.Millisecond))))
	child.End(trace.WithTimestamp(to))
}

// SetTask sets the attributes for the connector and the task.
func (s *Span) SetTask(connector string, task int) {
	s.SetString("culvert.connector", connector)
	s.SetInt("culvert.task", int64(task))
}

// StartRequest starts the span of a request to a service, with the target as it is logged.
func (s *Span) StartRequest(name string, r *wit.Request) *Span {
	if s == nil {
		return nil
	}
	child := s.StartChild(name, Client)
	child.SetRedacted("http.request.method", r.Method)
	child.SetRedacted("culvert.request.target", transport.LoggedTarget(r.Target))
	return child
}

// SetStatus sets the status of a response. As in OpenTelemetry's conventions for clients, 400 and above are errors.
func (s *Span) SetStatus(status uint16) {
	if s == nil {
		return
	}
	s.SetInt("http.response.status_code", int64(status))
	if status >= 400 {
		s.span.SetStatus(codes.Error, "")
	}
}

// SetString sets an attribute without secrets.
func (s *Span) SetString(key, value string) {
	if s != nil {
		s.span.SetAttributes(attribute.String(key, truncate(value)))
	}
}

// SetRedacted sets an attribute and removes secrets.
func (s *Span) SetRedacted(key, value string) {
	if s != nil {
		s.SetString(key, s.tracer.redact(value))
	}
}

// SetInt sets a numeric attribute.
func (s *Span) SetInt(key string, value int64) {
	if s != nil {
		s.span.SetAttributes(attribute.Int64(key, value))
	}
}

// End ends the span. err may be nil.
func (s *Span) End(err error) {
	if s == nil {
		return
	}
	if err != nil {
		s.span.SetStatus(codes.Error, truncate(s.tracer.redact(err.Error())))
	}
	s.span.End()
}

// truncate returns one line of valid UTF-8, which protobuf requires.
func truncate(text string) string { return shown.LineUpTo(text, maxText) }
