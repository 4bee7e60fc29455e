// Package checktest creates workers, plugins and connectors for tests of checks and of running connectors. One of its
// plugins logs all of its input.
package checktest

import (
	"context"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/culvert-project/culvert/internal/base/logtest"
	"github.com/culvert-project/culvert/internal/base/require"
	"github.com/culvert-project/culvert/internal/check"
	"github.com/culvert-project/culvert/internal/config"
	"github.com/culvert-project/culvert/internal/kafka"
	"github.com/culvert-project/culvert/internal/plugin"
	"github.com/culvert-project/culvert/internal/plugin/guesttest"
	"github.com/culvert-project/culvert/internal/record"
	"github.com/culvert-project/culvert/internal/resolved"
)

// Spy returns the module of a source, test.SpySource, that logs all of its input. variables set string variables of its
// package main, such as `main.version=2.0.0`.
func Spy(t testing.TB, variables ...string) []byte {
	t.Helper()
	return guesttest.Bytes(t, "github.com/culvert-project/culvert/internal/check/checktest/testdata/spy", variables...)
}

// Bench has a worker without connectors and without a broker, its plugins and a checker for them.
type Bench struct {
	Checker check.Checker
	Log     logtest.Journal // the log of the plugins
	Logger  *slog.Logger    // writes Log
}

// New creates a bench with these plugin modules, keyed by name.
func New(t testing.TB, modules map[string][]byte) *Bench {
	t.Helper()
	b := &Bench{}
	b.Logger = b.Log.Logger(slog.LevelInfo)
	dir := t.TempDir()
	for name, module := range modules {
		require.NoError(t, os.WriteFile(filepath.Join(dir, name+".wasm"), module, 0o600))
	}
	registry := record.NewRegistry()
	manager, err := plugin.New(context.Background(), plugin.Options{Folders: []string{dir}, Registry: registry,
		Logger: b.Logger, CacheDir: guesttest.Code(t)})
	require.NoError(t, err)
	t.Cleanup(func() { manager.Close() })
	worker, problems := config.NewWorker("", nil, nil, nil)
	require.True(t, len(problems) == 0, "%v", problems)
	b.Checker = check.Checker{Worker: worker, Plugins: manager, Kafka: kafka.Defaults(), Embedded: true,
		Registry: registry}
	return b
}

// WithSpy creates a bench with the plugin [Spy].
func WithSpy(t testing.TB) *Bench {
	t.Helper()
	return New(t, map[string][]byte{"spy": Spy(t)})
}

// Connector returns the connector of a file c.properties with these lines.
func (b *Bench) Connector(t testing.TB, lines ...string) *resolved.Connector {
	t.Helper()
	entries, problems := config.Read("c.properties", []byte(strings.Join(lines, "\n")))
	c, connectorProblems := config.NewConnector("c.properties", entries, b.Checker.Worker.Providers)
	allProblems := append(problems, connectorProblems...)
	require.True(t, len(allProblems) == 0, "%v", allProblems)
	return b.Checker.Resolver().Resolve(c)
}
