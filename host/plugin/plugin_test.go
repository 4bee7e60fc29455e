package plugin_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/culvert-project/culvert/host/internal/base/require"
	"github.com/culvert-project/culvert/host/plugin"
	"github.com/culvert-project/culvert/host/plugin/guesttest"
	"github.com/culvert-project/culvert/host/record"
	"github.com/culvert-project/culvert/wit"
	"github.com/culvert-project/culvert/wit/datum"
)

// logBuffer is what was logged, safe for several goroutines.
type logBuffer struct {
	mu sync.Mutex
	b  strings.Builder
}

func (l *logBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *logBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

func (l *logBuffer) logger() *slog.Logger {
	return slog.New(slog.NewTextHandler(l, &slog.HandlerOptions{Level: plugin.LevelTrace}))
}

// put writes a module into a folder, at once as a careful operator would.
func put(t testing.TB, folder, name string, module []byte) {
	t.Helper()
	path := filepath.Join(folder, name)
	require.NoError(t, os.WriteFile(path+".part", module, 0o644))
	require.NoError(t, os.Rename(path+".part", path))
}

// cacheDir is shared by the tests of a process: each guest is compiled once.
var cacheDir = sync.OnceValue(func() string {
	dir, err := os.MkdirTemp("", "culvert-plugin-test")
	if err != nil {
		panic(err)
	}
	return dir
})

func TestMain(m *testing.M) {
	code := m.Run()
	_ = os.RemoveAll(cacheDir())
	os.Exit(code)
}

// manager starts one with the given options over a folder.
func manager(t testing.TB, o plugin.Options, folder string) *plugin.Manager {
	t.Helper()
	if o.Registry == nil {
		o.Registry = record.NewRegistry()
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.CacheDir == "" {
		o.CacheDir = cacheDir()
	}
	o.Folders = []string{folder}
	m, err := plugin.New(t.Context(), o)
	require.NoError(t, err)
	t.Cleanup(func() { _ = m.Close() })
	return m
}

// guest starts a manager with one Go guest and binds it for a connector.
func guest(t testing.TB, o plugin.Options, pkg, name string) (*plugin.Manager, *plugin.Binding) {
	t.Helper()
	folder := t.TempDir()
	put(t, folder, name+".wasm", guesttest.Bytes(t, pkg))
	m := manager(t, o, folder)
	for _, i := range m.Modules() {
		if i.Err != nil {
			t.Fatal(i.Err)
		}
	}
	b, err := m.BindPlugin("orders", name, "")
	require.NoError(t, err)
	t.Cleanup(b.Close)
	return m, b
}

const all = "./testdata/guests/all"

// with calls f with an instance of the guest all.
func with(t testing.TB, o plugin.Options, f func(context.Context, *plugin.Instance)) {
	t.Helper()
	_, b := guest(t, o, all, "all")
	use(t, b, f)
}

func use(t testing.TB, b *plugin.Binding, f func(context.Context, *plugin.Instance)) {
	t.Helper()
	i, err := b.Current().Acquire(t.Context())
	require.NoError(t, err)
	defer b.Current().Release(i)
	f(t.Context(), i)
}

// batch makes n rows, each with a text of the given size under a schema.
func batch(t testing.TB, reg *record.Registry, n, size int) *record.Batch {
	t.Helper()
	name := "value"
	s, err := reg.Intern([]wit.Node{{Kind: wit.Text, Name: &name}})
	require.NoError(t, err)
	b := &record.Batch{Registry: reg, Topics: []string{"in"}}
	for i := range n {
		start := len(b.Data)
		b.Data = datum.AppendText(b.Data, fmt.Sprintf("%06d%s", i, strings.Repeat("v", size-6)))
		b.Rows = append(b.Rows, wit.Row{Origin: uint32(1000 + i), Partition: -1, Offset: int64(i), Timestamp: 5,
			Value: wit.Datum{Form: wit.Structured, Schema: s.ID, Start: uint32(start),
				Size: uint32(len(b.Data) - start)}})
	}
	return b
}

// originsOf are the records that the rows of a batch would be without transforms.
func originsOf(b *record.Batch) record.Origins {
	o := record.Origins{Topics: b.Topics}
	for i := range b.Rows {
		r := &b.Rows[i]
		o.IDs = append(o.IDs, wit.RecordID{Topic: r.Topic, Partition: r.Partition, Offset: r.Offset})
	}
	return o
}

// texts are the values of a batch as texts, with each row's topic, partition and origin.
func texts(t testing.TB, b *record.Batch) (list []string) {
	t.Helper()
	for _, r := range b.Rows {
		if r.Value.Form != wit.Structured {
			t.Fatalf("form %d", r.Value.Form)
		}
		v, _, err := datum.Read(b.Registry.Get(r.Value.Schema).Nodes, 0, b.Bytes(r.Value))
		require.NoError(t, err)
		list = append(list, fmt.Sprintf("%s/%d %d@%d: %s", b.Topics[r.Topic], r.Partition, r.Origin, r.Offset, v))
	}
	return list
}

func TestApply(t *testing.T) {
	reg := record.NewRegistry()
	with(t, plugin.Options{Registry: reg}, func(ctx context.Context, i *plugin.Instance) {
		row := func(n int, topic string, value string) string {
			return fmt.Sprintf("%s %d@%d: %s", topic, 1000+n, n, value)
		}
		in := func(n int) string { return fmt.Sprintf("%06d", n) }
		for _, c := range []struct {
			name   string
			rows   int
			want   func(n int) []string
			faults int
		}{
			{"pass", 20, func(n int) []string { return []string{row(n, "in/-1", in(n))} }, 0},
			{"copy", 20, func(n int) []string { return []string{row(n, "in/-1", in(n))} }, 0},
			{"unchanged", 20, func(n int) []string { return []string{row(n, "in/-1", in(n))} }, 0},
			{"twice", 20, func(n int) []string { return []string{row(n, "in/-1", in(n)), row(n, "in/-1", in(n))} }, 0},
			{"few", 20, func(n int) []string { return []string{row(n, "in/-1", in(n))} }, 0},
			{"none", 20, func(n int) []string { return nil }, 0},
			{"route", 20, func(n int) []string { return []string{row(n, "routed/3", in(n))} }, 0},
			{"declare", 20, func(n int) []string { return []string{row(n, "in/-1", "declared")} }, 0},
			{"faulty", 20, func(n int) []string {
				if n%2 == 1 {
					return nil
				}
				return []string{row(n, "in/-1", in(n))}
			}, 10},
		} {
			context, err := i.Prepare(ctx, []wit.Stage{{Component: c.name}})
			require.NoError(t, err)
			for round := range 3 {
				b := batch(t, reg, c.rows, 6)
				// Rows in the middle of a batch: only what they use crosses.
				b.Rows = b.Rows[round:]
				faults, err := i.Apply(ctx, context, b)
				if err != nil {
					t.Fatalf("%s: %v", c.name, err)
				}
				var want []string
				for n := range c.rows - round {
					for _, w := range c.want(n) {
						// expectations count from the first row of the call
						want = append(want, strings.NewReplacer(fmt.Sprint(1000+n, "@", n), fmt.Sprint(1000+n+round,
							"@",
							n+round), in(n), in(n+round)).Replace(w))
					}
				}
				if d := cmp.Diff(want, texts(t, b)); d != "" {
					t.Errorf("%s: %s", c.name, d)
				}
				if got := len(faults); got != c.faults && (round == 0 || c.faults == 0) {
					t.Errorf("%s: %d faults", c.name, got)
				}
				for _, f := range faults {
					if f.Origin%2 != 1 || f.Stage != 3 || f.ErrorClass != "E" || f.Fault.Message != "odd" {
						t.Errorf("%s: %+v", c.name, f)
					}
				}
			}
		}
		var fault *wit.Fault
		b := batch(t, reg, 2, 6)
		before := texts(t, b)
		if _, err := i.Apply(ctx, []byte("gone"), b); !errors.As(err, &fault) || fault.Kind != wit.FaultStale {
			t.Errorf("unknown context: %v", err)
		}
		if d := cmp.Diff(before, texts(t, b)); d != "" {
			t.Errorf("a fault changed the batch: %s", d)
		}
	})
}
