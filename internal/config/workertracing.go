package config

import (
	"cmp"
	"strings"

	"github.com/knadh/koanf/v2"

	"github.com/culvert-project/culvert/wit"
)

// Settings of a worker's traces.
const (
	TracingEndpoint    = "tracing.otlp.endpoint"
	TracingHeaders     = "tracing.otlp.headers"
	TracingCertificate = "tracing.otlp.certificate"
	TracingTimeout     = "tracing.otlp.timeout.ms"
	TracingService     = "tracing.service.name"
	TracingSampler     = "tracing.sampler"
	TracingArgument    = "tracing.sampler.arg"
)

var tracingSettings = []wit.ConfigKey{
	declared(TracingEndpoint, wit.KindString, "",
		"OpenTelemetry collector that receives spans, by OTLP over HTTP in its binary form: http://HOST:4318; "+
			"v1/traces is added. Nothing is traced unless it is set here, or as OTEL_EXPORTER_OTLP_ENDPOINT or "+
			"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT, which is used unchanged."),
	declared(TracingHeaders, wit.KindPassword, "", "Headers of requests to it, such as a token: NAME=VALUE, several "+
		"separated by commas, %XX for other characters. Else OTEL_EXPORTER_OTLP_HEADERS."),
	declared(TracingCertificate, wit.KindString, "",
		"PEM file with the authorities that are trusted for its certificate; default: the system's. Else "+
			"OTEL_EXPORTER_OTLP_CERTIFICATE."),
	declared(TracingTimeout, wit.KindLong, "10000",
		"How long one export may take, including retries, in milliseconds; a stop waits as long for the last one, "+
			"at most 5 seconds. Else OTEL_EXPORTER_OTLP_TIMEOUT.", atLeast(1)),
	declared(TracingService, wit.KindString, "culvert", "Name of the service in the spans. Else "+
		"OTEL_SERVICE_NAME, else service.name of OTEL_RESOURCE_ATTRIBUTES."),
	declared(TracingSampler, wit.KindString, "parentbased_always_on",
		"Which traces are sent. Else OTEL_TRACES_SAMPLER.",
		allowed("always_on", "always_off", "traceidratio", "parentbased_always_on", "parentbased_always_off",
			"parentbased_traceidratio")),
	declared(TracingArgument, wit.KindString, "",
		"Ratio of traces for the samplers with a ratio, from 0 to 1; default: 1. Else "+
			"OTEL_TRACES_SAMPLER_ARG."),
}

// telemetryVariables override defaults, the worker's file overrides them; of two for one setting the first counts. See
// https://opentelemetry.io/docs/specs/otel/configuration/sdk-environment-variables/ and
// https://opentelemetry.io/docs/specs/otel/protocol/exporter/.
var telemetryVariables = []struct{ variable, setting string }{
	{tracesEndpoint, TracingEndpoint},
	{"OTEL_EXPORTER_OTLP_ENDPOINT", TracingEndpoint},
	{"OTEL_EXPORTER_OTLP_TRACES_HEADERS", TracingHeaders},
	{"OTEL_EXPORTER_OTLP_HEADERS", TracingHeaders},
	{"OTEL_EXPORTER_OTLP_TRACES_CERTIFICATE", TracingCertificate},
	{"OTEL_EXPORTER_OTLP_CERTIFICATE", TracingCertificate},
	{"OTEL_EXPORTER_OTLP_TRACES_TIMEOUT", TracingTimeout},
	{"OTEL_EXPORTER_OTLP_TIMEOUT", TracingTimeout},
	{"OTEL_SERVICE_NAME", TracingService},
	{"OTEL_TRACES_SAMPLER", TracingSampler},
	{"OTEL_TRACES_SAMPLER_ARG", TracingArgument},
}

const tracesEndpoint = "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"

// telemetryEntries returns nothing without an endpoint: the variables are meant for other programs then. An empty
// variable counts as unset, as specified, and an invalid one, too, with a warning, because some programs support more
// samplers.
func telemetryEntries(environ []string, configured []Entry) ([]Entry, Problems) {
	values := telemetryValues(environ)
	off := values.String("OTEL_TRACES_EXPORTER") == "none" ||
		strings.EqualFold(values.String("OTEL_SDK_DISABLED"), "true")
	var entries []Entry
	var problems Problems
	isSet := map[string]bool{}
	declared := workerDeclarations()
	for _, t := range telemetryVariables {
		value := values.String(t.variable)
		if value == "" || isSet[t.setting] || (off && t.setting == TracingEndpoint) {
			continue
		}
		isSet[t.setting] = true
		entry := NewEntry(t.setting, value, fromEnvironment+t.variable, 0)
		if spec, ok := declared.Find(entry.Key); ok {
			if message := CheckValue(&spec, value, true); message != "" {
				problems = append(problems, entry.Warning("%s; the default is used instead", message))
				continue
			}
		}
		entries = append(entries, entry)
	}
	for _, entry := range configured {
		isSet[entry.Key] = isSet[entry.Key] || strings.TrimSpace(entry.Value.Reveal()) != ""
	}
	if !isSet[TracingEndpoint] {
		return nil, nil
	}
	return entries, problems
}

const fromTelemetry = fromEnvironment + "OTEL_"

// IsFromTelemetry reports whether a setting's value comes from a variable of OpenTelemetry.
func (w *Worker) IsFromTelemetry(name string) bool {
	entry, _ := lastEntry(w.layers.entries, name)
	return strings.HasPrefix(entry.File, fromTelemetry)
}

// TracingURL returns the URL for traces. If exact, no path must be added. unsupportedProtocol is the configured
// protocol if it is not supported, otherwise "".
func (w *Worker) TracingURL(environ []string) (endpoint string, exact bool, unsupportedProtocol string) {
	entry, _ := lastEntry(w.layers.entries, TracingEndpoint)
	if strings.HasPrefix(entry.File, fromTelemetry) { // a value in the file means HTTP
		variables := telemetryValues(environ)
		unsupportedProtocol = cmp.Or(variables.String("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL"),
			variables.String("OTEL_EXPORTER_OTLP_PROTOCOL"))
	}
	if unsupportedProtocol == "http/protobuf" {
		unsupportedProtocol = ""
	}
	return w.Text(TracingEndpoint), entry.File == fromEnvironment+tracesEndpoint, unsupportedProtocol
}

func telemetryValues(environ []string) *koanf.Koanf {
	k := koanf.New(noDelimiter)
	trimmed := func(name, value string) (string, any) { return name, strings.TrimSpace(value) }
	_ = k.Load(variables("OTEL_", environ, trimmed), nil) // cannot fail
	return k
}
