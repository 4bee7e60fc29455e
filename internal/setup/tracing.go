package setup

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/culvert-project/culvert/internal/buildinfo"
	"github.com/culvert-project/culvert/internal/config"
	"github.com/culvert-project/culvert/internal/run/tracing"
)

// tracingOptions returns the options of traces, with Endpoint "" for none. The error is a [config.Problem] of the
// setting; for an OpenTelemetry variable, which may be meant for other programs, it is a warning.
func tracingOptions(w *config.Worker, environ []string) (tracing.Options, error) {
	options, err := parseTracing(w, environ)
	var problem config.Problem
	if !errors.As(err, &problem) || !w.IsFromTelemetry(problem.Setting) {
		return options, err
	}
	problem.Warning = true
	if problem.Setting == config.TracingArgument {
		problem.Text += "; all traces are sent"
		options.SamplerArg = ""
		return options, problem
	}
	problem.Text += "; nothing is traced"
	return tracing.Options{}, problem
}

// parseTracing reports an error of the sampler's argument only if everything else is valid.
func parseTracing(w *config.Worker, environ []string) (options tracing.Options, err error) {
	endpoint, isExact, unsupportedProtocol := w.TracingURL(environ)
	if endpoint == "" {
		return options, nil
	}
	if unsupportedProtocol != "" {
		return options, w.Problem(config.TracingEndpoint,
			fmt.Sprintf("expected OTEL_EXPORTER_OTLP_PROTOCOL=http/protobuf, "+
				"found %q: traces are sent only by HTTP, mostly to port 4318", unsupportedProtocol))
	}
	parseEndpoint := tracing.TracesEndpoint
	if isExact {
		parseEndpoint = tracing.CheckEndpoint
	}
	options = tracing.Options{
		Redact:      w.Redact,
		Certificate: w.Text(config.TracingCertificate),
		Timeout:     w.Duration(config.TracingTimeout),
		Sampler:     w.Text(config.TracingSampler),
		SamplerArg:  w.Text(config.TracingArgument),
	}
	if w.IsSet(config.TracingService) {
		options.Service = w.Text(config.TracingService)
	}
	if options.Endpoint, err = parseEndpoint(endpoint); err != nil {
		return options, w.Problem(config.TracingEndpoint, err.Error())
	}
	if options.Headers, err = tracing.ParseHeaders(w.Text(config.TracingHeaders)); err != nil {
		return options, w.Problem(config.TracingHeaders, err.Error())
	}
	if err := options.CheckCertificate(); err != nil {
		return options, w.Problem(config.TracingCertificate, err.Error())
	}
	if err := options.CheckSampler(); err != nil {
		return options, w.Problem(config.TracingArgument, err.Error())
	}
	return options, nil
}

const lastSpansTimeout = 5 * time.Second

// OpenTracer opens the configured tracer, nil for none. cleanup closes it after everything that creates spans.
func (in *Installation) OpenTracer(ctx context.Context, workerID string, cleanup *Cleanup) (*tracing.Tracer, error) {
	options, err := tracingOptions(in.Worker, in.Config.Environ)
	if p := (config.Problem{}); errors.As(err, &p) && p.Warning {
		err = nil // reported with the other problems of the settings
	}
	if err != nil || options.Endpoint == "" {
		return nil, err
	}
	t, err := tracing.New(ctx, options, workerID, buildinfo.REST(), in.Log)
	if err != nil {
		return nil, err
	}
	cleanup.Add(func() {
		ctx, cancel := context.WithTimeout(context.Background(), min(options.Timeout, lastSpansTimeout))
		defer cancel()
		t.Close(ctx)
	})
	return t, nil
}
