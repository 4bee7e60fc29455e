//go:build real

package plugin_test

import (
	"bytes"
	"context"
	"encoding/hex"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/base/logtest"
	"github.com/culvert-project/culvert/internal/base/require"
	"github.com/culvert-project/culvert/internal/plugin"
	"github.com/culvert-project/culvert/internal/record"
	"github.com/culvert-project/culvert/wit"
	"github.com/culvert-project/culvert/wit/connectdata"
)

// foreignGuests lists the guests in other languages.
var foreignGuests = []struct {
	folder string // under testdata/guests
	prefix string // of the components' names
}{
	{folder: "rust-transform", prefix: "rust."},
	{folder: "c-transform", prefix: "c."},
}

// foreignGuest builds and binds a guest.
func foreignGuest(t *testing.T, folder, prefix string, registry *record.Registry, log *logtest.Journal) *plugin.Pool {
	t.Helper()
	plugins := t.TempDir()
	build := exec.Command("../../testdata/guests/"+folder+"/build.sh", filepath.Join(plugins, "guest.wasm"))
	build.Stderr = os.Stderr
	require.NoError(t, build.Run(), "building the guest", folder)
	m := manager(t, plugin.Options{Registry: registry, Logger: log.Logger(plugin.LevelTrace)}, plugins)
	binding, err := m.Bind("test", wit.ComponentTransformation, prefix+"Append", "")
	if err != nil {
		t.Fatalf("%v: %v", err, m.Modules()[0].Err)
	}
	t.Cleanup(binding.Close)
	return binding.Current()
}

// eachForeign runs a test with each guest.
func eachForeign(t *testing.T, f func(t *testing.T, prefix string, pool *plugin.Pool, registry *record.Registry,
	log *logtest.Journal)) {
	for _, g := range foreignGuests {
		t.Run(g.folder, func(t *testing.T) {
			log := new(logtest.Journal)
			registry := record.NewRegistry()
			f(t, g.prefix, foreignGuest(t, g.folder, g.prefix, registry, log), registry, log)
		})
	}
}

func do(t *testing.T, pool *plugin.Pool, f func(context.Context, *plugin.Instance) error) error {
	t.Helper()
	return pool.Do(context.Background(), func(i *plugin.Instance) error { return f(context.Background(), i) })
}

// Each guest writes every example of wit/encoding.md without a library of Culvert's.
func TestRealForeignGuestsWriteEncodingExamples(t *testing.T) { eachForeign(t, writeExamples) }

func writeExamples(t *testing.T, prefix string, pool *plugin.Pool, registry *record.Registry, _ *logtest.Journal) {
	var want [][]byte
	examples := regexp.MustCompile("(?m)^\\| .+ \\| `([0-9a-f ]+)` \\|$|schemaless\\s+null:\\s+`([0-9a-f ]+)`")
	for _, m := range examples.FindAllStringSubmatch(encodingPage(t), -1) {
		b, err := hex.DecodeString(strings.ReplaceAll(m[1]+m[2], " ", ""))
		require.NoError(t, err)
		want = append(want, b)
	}
	err := do(t, pool, func(ctx context.Context, i *plugin.Instance) error {
		context, err := i.Prepare(ctx, []wit.Stage{{Component: prefix + "Examples"}})
		require.NoError(t, err)
		b := &record.Batch{Registry: registry, Topics: []string{"t"}, Rows: make([]wit.Row, len(want))}
		_, err = i.Apply(ctx, context, b)
		require.NoError(t, err)
		for n, row := range b.Rows {
			v, _, err := connectdata.Read(registry.Get(row.Value.Schema).Nodes, 0, b.Bytes(row.Value))
			assert.True(t, err == nil && bytes.Equal(v.([]byte), want[n]),
				"example %d: the guest wrote % x, expected % x (%v)", n+1, v, want[n], err)
		}
		return nil
	})
	require.True(t, err == nil && len(want) == 28, "%d examples, %v", len(want), err)
}

func encodingPage(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile("../../wit/encoding.md")
	require.NoError(t, err)
	return string(text)
}

// A panic in Rust is logged with its message, and its stack trace contains function names.
func TestRealRustPanicIsLogged(t *testing.T) {
	log := new(logtest.Journal)
	registry := record.NewRegistry()
	pool := foreignGuest(t, "rust-transform", "rust.", registry, log)
	err := do(t, pool, func(ctx context.Context, i *plugin.Instance) error {
		context, err := i.Prepare(ctx, []wit.Stage{{Component: "rust.Append", Settings: []wit.Setting{{Name: "field",
			Value: "Name"}, {Name: "text", Value: "panic!"}}}})
		require.NoError(t, err)
		b := &record.Batch{Registry: registry, Topics: []string{"a"}, Rows: []wit.Row{{Partition: -1, Timestamp: -1}}}
		_, err = i.Apply(ctx, context, b)
		return err
	})
	assert.Error(t, err, "rust_transform")
	assert.True(t, strings.Contains(log.String(), "asked to panic in a batch of 1 rows") &&
		strings.Contains(log.String(), "src/lib.rs:"),
		"expected the panic and its place in the log, found %s", log.String())
}
