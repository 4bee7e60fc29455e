package host

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/config"
	"github.com/culvert-project/culvert/internal/configcheck"
)

// Each setting of the worker in turn gets a secret from a config provider. Errors and warnings of the check and of the
// start, the log and all responses do not contain it.
func TestWorkerSecretsAreNotShown(t *testing.T) {
	const canary = "c4n4ry.s3cret-x0x"
	t.Chdir(t.TempDir()) // settings may name folders, which a worker creates
	secrets := write(t, "some.properties", "key="+canary)
	settings := []string{"producer.linger.ms", "consumer.max.poll.records", "admin.client.id", "ssl.keystore.location",
		"ssl.truststore.type", "sasl.jaas.config", "sasl.mechanism", "security.protocol",
		"listeners.https.ssl.protocol", "value.converter.schemas.enable", "key.converter.schema.registry.url",
		"plugin.smt.limits.call.ms", "config.providers.x.class", "nobody.knows"}
	for _, spec := range config.WorkerSettings() {
		settings = append(settings, spec.Name)
	}
	started := 0
	for _, name := range settings {
		var log, output bytes.Buffer
		var mu sync.Mutex
		c := Config{Data: t.TempDir(), Logger: slog.New(slog.NewTextHandler(lockedWriter{&mu, &log}, nil)),
			Files: config.Files{Worker: write(t, "worker.properties", strings.Join([]string{
				"bootstrap.servers=embedded", "listeners=http://127.0.0.1:0",
				name + "=${file:" + filepath.ToSlash(secrets) + ":key}"}, "\n"))}}
		problems, err := configcheck.Check(t.Context(), c)
		fmt.Fprintln(&output, problems, err)
		h, err := New(t.Context(), c)
		fmt.Fprintln(&output, err)
		if err == nil {
			started++
			fmt.Fprintln(&output, collectResponses(t, h))
			h.Close()
		}
		mu.Lock()
		output.Write(log.Bytes())
		mu.Unlock()
		for line := range strings.Lines(output.String()) {
			assert.True(t, !strings.Contains(strings.ToLower(line), "c4n4ry") && !strings.Contains(line, "s3cret-x0x"),
				"with %s: expected no secret, found %.600s", name, line)
		}
	}
	assert.AtLeast(t, 20, started, "a worker with many of", len(settings), "settings")
}

// collectResponses runs a worker until it is healthy or has ended. It returns all responses and the error of Run.
func collectResponses(t *testing.T, h *Host) string {
	t.Helper()
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	ended := make(chan error, 1)
	go func() { ended <- h.Run(ctx) }()
	var output strings.Builder
	get := func(path string) (status int) {
		for _, address := range h.addresses() {
			r, err := http.Get("http://" + address + path)
			if err != nil {
				continue // the listener has ended or expects TLS
			}
			status = r.StatusCode
			_, _ = io.Copy(&output, r.Body)
			r.Body.Close()
		}
		return status
	}
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.After(5 * time.Minute); len(h.addresses()) > 0 && get("/health") != http.StatusOK; {
		select {
		case err := <-ended:
			return output.String() + fmt.Sprint(err)
		case <-deadline:
			t.Fatal("expected a healthy worker")
		case <-tick.C:
		}
	}
	for _, path := range []string{"/", "/metrics", "/connectors", "/connector-plugins", "/culvert/plugins",
		"/culvert/reload", "/culvert/lockouts"} {
		get(path)
	}
	stop()
	return output.String() + fmt.Sprint(<-ended)
}

// lockedWriter is a writer for concurrent use.
type lockedWriter struct {
	mu *sync.Mutex
	to io.Writer
}

func (l lockedWriter) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.to.Write(p)
}
