package host

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/base/require"
	"github.com/culvert-project/culvert/internal/config"
	"github.com/culvert-project/culvert/internal/configcheck"
	"github.com/culvert-project/culvert/internal/setup"
)

// discardLogger returns a logger that discards everything.
func discardLogger() *slog.Logger { return slog.New(slog.DiscardHandler) }

// write writes a file to a new folder and returns its path.
func write(t *testing.T, name, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
	return path
}

// runWorker runs a worker and returns when it is healthy. stop stops it.
func runWorker(t *testing.T, h *Host) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- h.Run(ctx) }()
	untilHealthy(t, h, ended)
	return func() {
		cancel()
		assert.NoError(t, <-ended)
	}
}

var startingHealthCases = map[string]int{
	"GET /metrics":                  200,
	"GET /connectors":               200,
	"GET /connectors/none":          404,
	"GET /connectors/none/status":   404,
	"GET /connector-plugins":        200,
	"DELETE /connectors/none":       404,
	"PUT /connectors/none/pause":    404,
	"POST /connectors/none/restart": 404,
	"GET /culvert/plugins":          200,
	"GET /admin/loggers":            200,
}

// While the worker starts, /health and the console report that, / has its version, and all other requests wait: here
// until its folders were scanned, after all plugins are loaded.
func TestHealthWhileStartingWorker(t *testing.T) {
	worker := write(t, "worker.properties", "bootstrap.servers=embedded\nlisteners=http://127.0.0.1:0\n")
	h, err := New(t.Context(), Config{Files: config.Files{Worker: worker}, Data: t.TempDir(), Logger: discardLogger()})
	require.NoError(t, err)
	defer h.Close()
	call := func(method, path, body string) (int, string) {
		t.Helper()
		r, err := http.NewRequestWithContext(t.Context(), method, "http://"+h.addresses()[0]+path,
			strings.NewReader(body))
		require.NoError(t, err)
		r.Header.Set("Content-Type", "application/json")
		answer, err := http.DefaultClient.Do(r)
		require.NoError(t, err)
		defer answer.Body.Close()
		content, err := io.ReadAll(answer.Body)
		require.NoError(t, err)
		return answer.StatusCode, string(content)
	}
	until := func(condition string, isMet func() bool) {
		t.Helper()
		for deadline := time.Now().Add(5 * time.Minute); !isMet(); time.Sleep(10 * time.Millisecond) {
			require.True(t, !time.Now().After(deadline), "%s: expected it within 5 minutes", condition)
		}
	}
	expectStarting := func(stage, reason string) {
		t.Helper()
		for _, path := range []string{"/health", "/console/"} {
			status, answer := call("GET", path, "")
			assert.True(t, status == 503 && strings.Contains(answer, "starting") && strings.Contains(answer, reason),
				"%s: %s: expected 503 and %q, found %d %s", stage, path, reason, status, answer)
		}
		status, answer := call("GET", "/", "")
		assert.True(t, status == 200 && strings.Contains(answer, `"version":"4.3.1-culvert-`),
			"%s: expected the version, found %d %s", stage, status, answer)
	}
	// A read does not get an empty result before the worker knows its connectors, and a change is not rejected.
	var waiting sync.WaitGroup
	var started atomic.Bool
	for request, want := range startingHealthCases {
		waiting.Go(func() {
			method, path, _ := strings.Cut(request, " ")
			status, answer := call(method, path, "")
			assert.True(t, status == want && started.Load(),
				"%s: expected %d after the start (%t), found %d %s", request, want, started.Load(), status, answer)
		})
	}
	expectStarting("Kafka was not reached", "Kafka is being contacted")
	cleanup, err := h.start(t.Context())
	defer cleanup.Run()
	require.NoError(t, err)
	ctx, stop := context.WithCancel(t.Context())
	var running sync.WaitGroup
	defer running.Wait()
	defer stop()
	herder := h.parts.Get().Herder
	running.Go(func() { herder.Run(ctx) })
	until("connectors are started", func() bool { return herder.WaitIdle(t.Context()) == nil })
	expectStarting("connectors run", "Plugins that no connector needs")
	r, _, watch := h.group.Follow(h.reloadOptions())
	h.parts.Set(func(o *setup.Opened) { o.Reloader = r })
	expectStarting("no connector was checked", "Connectors are being checked")
	started.Store(true)
	running.Go(func() { watch(ctx) })
	waiting.Wait()
	until("health", func() bool {
		status, _ := call("GET", "/health", "")
		return status == 200
	})
	status, answer := call("DELETE", "/connectors/none", "")
	assert.Equal(t, 404, status, answer)
}

// A REST API that is reachable for others without access checks is logged once. Host is checked on loopback listeners
// only, unless allowed names are configured.
func TestUnprotectedRESTIsLogged(t *testing.T) {
	for _, c := range []struct {
		settings string
		warnings int
		status   int // status of a request by a page whose name resolves to this machine
	}{
		{settings: "listeners=http://127.0.0.1:0", status: 403},
		{settings: "listeners=http://localhost:0\nrest.allowed.hosts=rebound.example", status: 200},
		{settings: "listeners=http://:0", warnings: 1, status: 200},
		{settings: "listeners=http://0.0.0.0:0,http://127.0.0.1:0", warnings: 1, status: 200},
		{settings: "listeners=http://:0\nrest.allowed.hosts=connect.example", status: 403},
	} {
		var log strings.Builder
		worker := write(t, "worker.properties", "bootstrap.servers=embedded\n"+c.settings+"\n")
		h, err := New(t.Context(), Config{Files: config.Files{Worker: worker}, Data: t.TempDir(),
			Logger: slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelWarn}))})
		require.NoError(t, err)
		stop := runWorker(t, h)
		r, err := http.NewRequest("GET", "http://"+setup.LocalAddress(h.addresses()[0])+"/", nil)
		require.NoError(t, err)
		r.Host = "rebound.example:8083"
		answer, err := http.DefaultClient.Do(r)
		require.NoError(t, err)
		answer.Body.Close()
		stop()
		h.Close()
		if n := strings.Count(log.String(), "nothing guards REST"); n != c.warnings || answer.StatusCode != c.status {
			t.Errorf("%s: expected %d warnings and status %d, found %d and %d\n%s", c.settings, c.warnings, c.status, n,
				answer.StatusCode, &log)
		}
	}
}

// The worker of the Kubernetes manifest is reachable by all names of its Service, and Prometheus reads its metrics by
// the pod's address, as the annotations specify. Pages on other names get nothing.
func TestKubernetesNamesAreAllowedHosts(t *testing.T) {
	manifest, err := os.ReadFile("../examples/kubernetes/culvert.yaml")
	require.NoError(t, err)
	var m struct {
		Metadata struct{ Name string }
		Data     map[string]string
	}
	require.NoError(t, yaml.NewDecoder(bytes.NewReader(manifest)).Decode(&m))
	settings := strings.NewReplacer("kafka-bootstrap:9092", "embedded", "http://:8083", "http://:0").
		Replace(m.Data["worker.properties"])
	h, err := New(t.Context(), Config{Files: config.Files{Worker: write(t, "worker.properties", settings)},
		Data: t.TempDir(), Logger: discardLogger()})
	require.NoError(t, err)
	defer h.Close()
	stop := runWorker(t, h)
	defer stop()
	name := m.Metadata.Name
	for _, c := range []struct {
		path    string
		host    string
		allowed bool
	}{
		{path: "/connectors", host: name, allowed: true},
		{path: "/connectors", host: name + ".default", allowed: true},
		{path: "/", host: name + ".default.svc:8083", allowed: true},
		{path: "/metrics", host: name + ".default.svc.cluster.local:8083", allowed: true},
		{path: "/health", host: "10.1.2.3:8083", allowed: true},
		{path: "/metrics", host: "10.1.2.3:8083", allowed: true},
		{path: "/metrics", host: "[fd00::7]:8083", allowed: true},
		{path: "/", host: "10.1.2.3:8083"},
		{path: "/metrics", host: "evil.example:8083"},
	} {
		r, err := http.NewRequest("GET", "http://"+setup.LocalAddress(h.addresses()[0])+c.path, nil)
		require.NoError(t, err)
		r.Host = c.host
		answer, err := http.DefaultClient.Do(r)
		require.NoError(t, err)
		answer.Body.Close()
		assert.True(t, (answer.StatusCode != 403) == c.allowed,
			"%s of %s: expected it to be let through: %t, found %d", c.path, c.host, c.allowed, answer.StatusCode)
	}
}

// untilHealthy waits until a worker is healthy. ended receives the error of Run.
func untilHealthy(t *testing.T, h *Host, ended <-chan error) {
	t.Helper()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.After(5 * time.Minute); ; {
		select {
		case err := <-ended:
			t.Fatalf("ended early: %v", err)
		case <-deadline:
			t.Fatal("expected a healthy worker")
		case <-tick.C:
		}
		addresses := h.addresses()
		if len(addresses) == 0 {
			continue
		}
		r, err := http.Get("http://" + setup.LocalAddress(addresses[0]) + "/health")
		if err != nil {
			continue
		}
		r.Body.Close()
		if r.StatusCode == http.StatusOK {
			return
		}
	}
}

// Problems of Kafka settings contain the line of the setting.
func TestKafkaSettingsAreReportedWithTheirLine(t *testing.T) {
	worker := write(t, "worker.properties",
		"bootstrap.servers=embedded\nproducer.linger.ms=soon\noffset.storage.partitions=0\n"+
			"plugin.path=/nowhere/java\nplugin.smt.limits.calls=5\n")
	problems, err := configcheck.Check(context.Background(), Config{Files: config.Files{Worker: worker},
		Data: t.TempDir(), Logger: discardLogger()})
	require.NoError(t, err)
	assert.Contains(t, problems.Error(), worker+":2: producer.linger.ms: Invalid value ", worker+
		":3: offset.storage.partitions: Invalid value ")
	var lines []string
	for _, p := range problems.Problems {
		lines = append(lines, p.String())
	}
	want := worker + ":4: plugin.path: warning: expected folders, found none at /nowhere/java"
	assert.Equal(t, want, lines[len(lines)-1], "last")
	_, err = New(t.Context(), Config{Files: config.Files{Worker: worker}, Data: t.TempDir(), Logger: discardLogger()})
	var setupError *SetupError
	assert.True(t, errors.As(err, &setupError), "expected a SetupError, found %v", err)
}

// A problem that the declarations find is reported once, and does not hide other problems.
func TestWorkerProblemsAreReportedOnce(t *testing.T) {
	worker := write(t, "worker.properties", "bootstrap.servers=a:b:c\nsecurity.protocol=FOO\nsasl.mechanism=PLAIN\n"+
		"offset.flush.interval.ms=soon\noffset.flush.timeout.ms=0\noffset.storage.partitions=0\n"+
		"offset.storage.topic=a b\n")
	problems, err := configcheck.Check(context.Background(), Config{Files: config.Files{Worker: worker},
		Data: t.TempDir(), Logger: discardLogger()})
	require.NoError(t, err)
	counts := map[string]int{}
	for _, p := range problems.Problems {
		assert.True(t, p.File == worker, "expected %s, found %s", worker, p)
		counts[fmt.Sprintf("%d: %s", p.Line, p.Setting)]++
	}
	want := map[string]int{"1: bootstrap.servers": 1, "2: security.protocol": 1, "4: offset.flush.interval.ms": 1,
		"5: offset.flush.timeout.ms": 1, "6: offset.storage.partitions": 1, "7: offset.storage.topic": 1}
	assert.True(t, maps.Equal(counts, want), "expected %v, found %v in\n%s", want, counts, problems.Error())
}

// addresses returns host:port of the REST listeners, once Run has opened them.
func (h *Host) addresses() []string {
	if server := h.parts.Get().REST; server != nil {
		return server.Addresses()
	}
	return nil
}
