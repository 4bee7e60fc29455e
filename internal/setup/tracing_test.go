package setup

import (
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/culvert-project/culvert/internal/base/require"
	"github.com/culvert-project/culvert/internal/config"
)

// An error in a tracing setting names the setting and quotes no secrets. OpenTelemetry's variables may be meant for
// other programs: an error in them is a warning, and the worker runs without traces.
func TestTracingSettings(t *testing.T) {
	const lines, here = "bootstrap.servers=embedded\n", "OTEL_EXPORTER_OTLP_ENDPOINT=http://127.0.0.1:1"
	const endpoint = "tracing.otlp.endpoint=http://127.0.0.1:1\n"
	for _, test := range []struct {
		environ, lines, want string
		warns                bool
	}{
		{"", "tracing.otlp.endpoint=collector:4317", ":2: tracing.otlp.endpoint: expected http://HOST:PORT", false},
		{"", endpoint + "tracing.otlp.headers=geheim", ":3: tracing.otlp.headers: expected NAME=VALUE", false},
		{"", endpoint + "tracing.otlp.certificate=none.pem", ":3: tracing.otlp.certificate: ", false},
		{"", endpoint + "tracing.sampler=traceidratio\ntracing.sampler.arg=7", "tracing.sampler.arg: expected a ratio",
			false},
		{"", endpoint + "tracing.sampler=xray", ":3: tracing.sampler: ", false},
		{here + " CULVERT_TRACING_SAMPLER=xray", "", "environment CULVERT_TRACING_SAMPLER", false},
		{here + " OTEL_EXPORTER_OTLP_PROTOCOL=grpc", "", "OTEL_EXPORTER_OTLP_PROTOCOL=http/protobuf", true},
		{"OTEL_EXPORTER_OTLP_ENDPOINT=collector:4317", "", "environment OTEL_EXPORTER_OTLP_ENDPOINT: " +
			"tracing.otlp.endpoint: warning: expected http://HOST:PORT", true},
		{here + " OTEL_TRACES_SAMPLER=xray", "", "environment OTEL_TRACES_SAMPLER: tracing.sampler: ", true},
		{here + " OTEL_TRACES_SAMPLER=parentbased_jaeger_remote OTEL_TRACES_SAMPLER_ARG=endpoint=http://localhost:1",
			"",
			"parentbased_jaeger_remote", true},
		{here + " OTEL_TRACES_SAMPLER=traceidratio OTEL_TRACES_SAMPLER_ARG=7", "", "expected a ratio", true},
		{here + " OTEL_EXPORTER_OTLP_TIMEOUT=soon", "", "environment OTEL_EXPORTER_OTLP_TIMEOUT", true},
		{here + " OTEL_EXPORTER_OTLP_CERTIFICATE=none.pem", "", "none.pem", true},
		{here + " OTEL_EXPORTER_OTLP_HEADERS=geheim", "", "expected NAME=VALUE", true},
		{"OTEL_TRACES_SAMPLER=xray OTEL_EXPORTER_OTLP_TIMEOUT=soon", "", "", true},
		{here + " OTEL_EXPORTER_OTLP_PROTOCOL=grpc OTEL_SDK_DISABLED=true", "", "", true},
	} {
		worker := filepath.Join(t.TempDir(), "worker.properties")
		require.NoError(t, os.WriteFile(worker, []byte(lines+test.lines), 0o600))
		environ := strings.Fields(test.environ)
		in, found, err := Open(t.Context(), Config{Files: config.Files{Worker: worker}, Data: t.TempDir(),
			Logger:  slog.New(slog.DiscardHandler),
			Environ: environ})
		require.NoError(t, err)
		require.NoError(t, in.Close())
		var problem string
		for _, p := range found {
			problem += p.String() + "\n"
		}
		if failed := found.Err(); (failed == nil) != test.warns || !strings.Contains(problem, test.want) ||
			test.warns && (len(found) > 0) != (test.want != "") || strings.Contains(problem, "geheim") {
			t.Errorf("%s %s: expected %q, found %v: %s", test.environ, test.lines, test.want, failed, problem)
		}
	}
	environ := []string{here, "OTEL_EXPORTER_OTLP_PROTOCOL=grpc"}
	w, _, err := config.LoadWorker("", environ, nil)
	require.NoError(t, err)
	if options, err := tracingOptions(w, environ); options.Endpoint != "" || err == nil {
		t.Errorf("expected no traces by gRPC, found them sent to %s (%v)", options.Endpoint, err)
	}
}
