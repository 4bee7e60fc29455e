package host

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/culvert-project/culvert/host/config"
	"github.com/culvert-project/culvert/host/internal/run/tracing"
)

// tracingOptions are what the worker's settings say about traces, with Endpoint "" where there are to be none. The
// error is a [config.Problem] of the setting. It is a warning where a variable of OpenTelemetry asks for what cannot be
// done: those stand in the environment for all programs, and are no reason to keep a worker from moving data.
func tracingOptions(w *config.Worker, environ []string) (tracing.Options, error) {
	o, err := tracingAsked(w, environ)
	var p config.Problem
	if !errors.As(err, &p) || !w.IsFromTelemetry(p.Setting) {
		return o, err
	}
	p.Warning = true
	if p.Setting == config.TracingArgument {
		p.Text += "; all traces are sent"
		o.SamplerArg = ""
		return o, p
	}
	p.Text += "; nothing is traced"
	return tracing.Options{}, p
}

// tracingAsked is what is asked for; with an error of its sampler's argument all the rest is right.
func tracingAsked(w *config.Worker, environ []string) (o tracing.Options, err error) {
	endpoint, exact, unspoken := w.TracingURL(environ)
	if endpoint == "" {
		return o, nil
	}
	if unspoken != "" {
		return o, w.Problem(config.TracingEndpoint, fmt.Sprintf("expected OTEL_EXPORTER_OTLP_PROTOCOL=http/protobuf, "+
			"found %q: traces are sent by HTTP alone, mostly to port 4318", unspoken))
	}
	to := tracing.TracesEndpoint
	if exact {
		to = tracing.CheckEndpoint
	}
	o = tracing.Options{Redact: w.Redact,
		Certificate: w.Text(config.TracingCertificate), Timeout: w.Duration(config.TracingTimeout),
		Sampler: w.Text(config.TracingSampler), SamplerArg: w.Text(config.TracingArgument)}
	if w.IsSet(config.TracingService) {
		o.Service = w.Text(config.TracingService)
	}
	if o.Endpoint, err = to(endpoint); err != nil {
		return o, w.Problem(config.TracingEndpoint, err.Error())
	}
	if o.Headers, err = tracing.ParseHeaders(w.Text(config.TracingHeaders)); err != nil {
		return o, w.Problem(config.TracingHeaders, err.Error())
	}
	if err := o.CheckCertificate(); err != nil {
		return o, w.Problem(config.TracingCertificate, err.Error())
	}
	if err := o.CheckSampler(); err != nil {
		return o, w.Problem(config.TracingArgument, err.Error())
	}
	return o, nil
}

// lastSpans is how long a stop waits for the last spans to be taken, at most.
const lastSpans = 5 * time.Second

// openTracer makes the tracer where the settings want one, and has it closed after all that makes spans.
func (h *Host) openTracer(ctx context.Context, closing *closers) error {
	o, err := tracingOptions(h.in.Worker, h.config.Environ)
	if p := (config.Problem{}); errors.As(err, &p) && p.Warning {
		err = nil // said with the other problems of the settings
	}
	if err != nil || o.Endpoint == "" {
		return err
	}
	t, err := tracing.New(ctx, o, h.workerID(), restVersion(), h.log)
	if err != nil {
		return err
	}
	h.opened(func(r *running) { r.tracer = t })
	closing.add(func() {
		last, cancel := context.WithTimeout(context.Background(), min(o.Timeout, lastSpans))
		defer cancel()
		t.Close(last)
	})
	return nil
}
