package setup

import (
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/base/require"
	"github.com/culvert-project/culvert/internal/config"
)

// The settings that enable traces, in the file and in the environment.
const (
	tracingEndpoint  = "tracing.otlp.endpoint=http://127.0.0.1:1\n"
	endpointVariable = "OTEL_EXPORTER_OTLP_ENDPOINT=http://127.0.0.1:1"
)

var tracingCases = []struct {
	environ   string // variables, separated by spaces
	lines     string // of the worker's file
	want      string // in the problem; "" means no problem
	isWarning bool
}{
	{lines: "tracing.otlp.endpoint=collector:4317", want: ":2: tracing.otlp.endpoint: expected http://HOST:PORT"},
	{lines: tracingEndpoint + "tracing.otlp.headers=geheim", want: ":3: tracing.otlp.headers: expected NAME=VALUE"},
	{lines: tracingEndpoint + "tracing.otlp.certificate=none.pem", want: ":3: tracing.otlp.certificate: "},
	{
		lines: tracingEndpoint + "tracing.sampler=traceidratio\ntracing.sampler.arg=7",
		want:  "tracing.sampler.arg: expected a ratio",
	},
	{lines: tracingEndpoint + "tracing.sampler=xray", want: ":3: tracing.sampler: "},
	{environ: endpointVariable + " CULVERT_TRACING_SAMPLER=xray", want: "environment CULVERT_TRACING_SAMPLER"},
	{
		environ:   endpointVariable + " OTEL_EXPORTER_OTLP_PROTOCOL=grpc",
		want:      "OTEL_EXPORTER_OTLP_PROTOCOL=http/protobuf",
		isWarning: true,
	},
	{
		environ:   "OTEL_EXPORTER_OTLP_ENDPOINT=collector:4317",
		isWarning: true,
		want: "environment OTEL_EXPORTER_OTLP_ENDPOINT: tracing.otlp.endpoint: " +
			"warning: expected http://HOST:PORT",
	},
	{
		environ:   endpointVariable + " OTEL_TRACES_SAMPLER=xray",
		want:      "environment OTEL_TRACES_SAMPLER: tracing.sampler: ",
		isWarning: true,
	},
	{
		environ: endpointVariable + " OTEL_TRACES_SAMPLER=parentbased_jaeger_remote " +
			"OTEL_TRACES_SAMPLER_ARG=endpoint=http://localhost:1",
		want:      "parentbased_jaeger_remote",
		isWarning: true,
	},
	{
		environ:   endpointVariable + " OTEL_TRACES_SAMPLER=traceidratio OTEL_TRACES_SAMPLER_ARG=7",
		want:      "expected a ratio",
		isWarning: true,
	},
	{
		environ:   endpointVariable + " OTEL_EXPORTER_OTLP_TIMEOUT=soon",
		want:      "environment OTEL_EXPORTER_OTLP_TIMEOUT",
		isWarning: true,
	},
	{environ: endpointVariable + " OTEL_EXPORTER_OTLP_CERTIFICATE=none.pem", want: "none.pem", isWarning: true},
	{environ: endpointVariable + " OTEL_EXPORTER_OTLP_HEADERS=geheim", want: "expected NAME=VALUE", isWarning: true},
	{environ: "OTEL_TRACES_SAMPLER=xray OTEL_EXPORTER_OTLP_TIMEOUT=soon", isWarning: true},
	{environ: endpointVariable + " OTEL_EXPORTER_OTLP_PROTOCOL=grpc OTEL_SDK_DISABLED=true", isWarning: true},
}

// An error in a tracing setting names the setting and quotes no secrets. OpenTelemetry's variables may be meant for
// other programs: an error in them is a warning, and the worker runs without traces.
func TestTracingSettings(t *testing.T) {
	for _, test := range tracingCases {
		worker := filepath.Join(t.TempDir(), "worker.properties")
		require.NoError(t, os.WriteFile(worker, []byte("bootstrap.servers=embedded\n"+test.lines), 0o600))
		environ := strings.Fields(test.environ)
		in, problems, err := Open(t.Context(), Config{
			Files:   config.Files{Worker: worker},
			Data:    t.TempDir(),
			Logger:  slog.New(slog.DiscardHandler),
			Environ: environ,
		})
		require.NoError(t, err)
		require.NoError(t, in.Close())
		var problem string
		for _, p := range problems {
			problem += p.String() + "\n"
		}
		problemsErr := problems.Err()
		isWrongCount := test.isWarning && (len(problems) > 0) != (test.want != "")
		assert.True(t, (problemsErr == nil) == test.isWarning && strings.Contains(problem, test.want) &&
			!isWrongCount && !strings.Contains(problem, "geheim"),
			"%s %s: expected %q, found %v: %s", test.environ, test.lines, test.want, problemsErr, problem)
	}
	environ := []string{endpointVariable, "OTEL_EXPORTER_OTLP_PROTOCOL=grpc"}
	w, _, err := config.LoadWorker("", environ, nil)
	require.NoError(t, err)
	if options, err := tracingOptions(w, environ); options.Endpoint != "" || err == nil {
		t.Errorf("expected no traces by gRPC, found them sent to %s (%v)", options.Endpoint, err)
	}
}
