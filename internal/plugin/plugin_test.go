package plugin_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/base/require"
	"github.com/culvert-project/culvert/internal/plugin"
	"github.com/culvert-project/culvert/internal/plugin/guesttest"
	"github.com/culvert-project/culvert/internal/record"
	"github.com/culvert-project/culvert/wit"
	"github.com/culvert-project/culvert/wit/connectdata"
)

// put writes a module into a folder and renames it.
func put(t testing.TB, folder, name string, module []byte) {
	t.Helper()
	file := filepath.Join(folder, name)
	require.NoError(t, os.WriteFile(file+".part", module, 0o644))
	require.NoError(t, os.Rename(file+".part", file))
}

// folderWith returns a new folder with a module.
func folderWith(t testing.TB, name string, module []byte) string {
	t.Helper()
	folder := t.TempDir()
	put(t, folder, name, module)
	return folder
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

// manager starts a manager with a folder of plugins.
func manager(t testing.TB, options plugin.Options, folder string) *plugin.Manager {
	t.Helper()
	if options.Registry == nil {
		options.Registry = record.NewRegistry()
	}
	if options.Logger == nil {
		options.Logger = slog.New(slog.DiscardHandler)
	}
	if options.CacheDir == "" {
		options.CacheDir = cacheDir()
	}
	options.Folders = []string{folder}
	m, err := plugin.New(t.Context(), options)
	require.NoError(t, err)
	t.Cleanup(func() { _ = m.Close() })
	return m
}

// checkRejected checks that a module is not loaded, and that the reason contains each of the texts.
func checkRejected(t testing.TB, options plugin.Options, module []byte, wants ...string) *plugin.Manager {
	t.Helper()
	m := manager(t, options, folderWith(t, "x.wasm", module))
	infos := m.Modules()
	require.True(t, len(infos) == 1 && infos[0].Err != nil, "expected one rejected file, found %+v", infos)
	assert.Contains(t, infos[0].Err.Error(), wants...)
	return m
}

// guest starts a manager with one Go guest and binds it for a connector.
func guest(t testing.TB, options plugin.Options, pkg string) (*plugin.Manager, *plugin.Binding) {
	t.Helper()
	m := manager(t, options, folderWith(t, path.Base(pkg)+".wasm", guesttest.Bytes(t, pkg)))
	for _, i := range m.Modules() {
		require.NoError(t, i.Err)
	}
	return m, bind(t, m, "orders", path.Base(pkg))
}

// bind binds a plugin for a connector until the test ends.
func bind(t testing.TB, m *plugin.Manager, connector, name string) *plugin.Binding {
	t.Helper()
	binding, err := m.BindPlugin(connector, name, "")
	require.NoError(t, err)
	t.Cleanup(binding.Close)
	return binding
}

// boundTo binds the plugin of a class until the test ends.
func boundTo(t testing.TB, m *plugin.Manager, connector string, kind wit.ComponentKind, class string) *plugin.Binding {
	t.Helper()
	binding, err := m.Bind(connector, kind, class, "")
	require.NoError(t, err)
	t.Cleanup(binding.Close)
	return binding
}

const allGuest = "./testdata/guests/all"

// withInstance calls f with an instance of the guest all, and the registry of its schemas.
func withInstance(t testing.TB, options plugin.Options, f func(context.Context, *plugin.Instance, *record.Registry)) {
	t.Helper()
	options.Registry = record.NewRegistry()
	_, binding := guest(t, options, allGuest)
	useInstance(t, binding, func(ctx context.Context, i *plugin.Instance) { f(ctx, i, options.Registry) })
}

func useInstance(t testing.TB, binding *plugin.Binding, f func(context.Context, *plugin.Instance)) {
	t.Helper()
	i, err := binding.Current().Acquire(t.Context())
	require.NoError(t, err)
	defer binding.Current().Release(i)
	f(t.Context(), i)
}

// batch returns n rows, each with a text of the given size.
func batch(t testing.TB, reg *record.Registry, n, size int) *record.Batch {
	t.Helper()
	name := "value"
	s, err := reg.Intern([]wit.SchemaNode{{Kind: wit.String, Name: &name}})
	require.NoError(t, err)
	b := &record.Batch{Registry: reg, Topics: []string{"in"}}
	for i := range n {
		start := len(b.Data)
		b.Data = connectdata.AppendString(b.Data, fmt.Sprintf("%06d%s", i, strings.Repeat("v", size-6)))
		b.Rows = append(b.Rows, wit.Row{RowIndex: uint32(1000 + i), Partition: -1, Offset: int64(i), Timestamp: 5,
			Value: wit.ValueSlice{Encoding: wit.WithSchema, Schema: s.ID, Start: uint32(start),
				Size: uint32(len(b.Data) - start)}})
	}
	return b
}

// originsOf returns the record IDs of a batch without transforms.
func originsOf(b *record.Batch) record.RecordIDs {
	o := record.RecordIDs{Topics: b.Topics}
	for i := range b.Rows {
		row := &b.Rows[i]
		o.IDs = append(o.IDs, wit.RecordID{Topic: row.Topic, Partition: row.Partition, Offset: row.Offset})
	}
	return o
}

// texts returns the values of a batch with each row's topic, partition and row index.
func texts(t testing.TB, b *record.Batch) (list []string) {
	t.Helper()
	for _, r := range b.Rows {
		require.True(t, r.Value.Encoding == wit.WithSchema, "form %d", r.Value.Encoding)
		v, _, err := connectdata.Read(b.Registry.Get(r.Value.Schema).Nodes, 0, b.Bytes(r.Value))
		require.NoError(t, err)
		list = append(list, fmt.Sprintf("%s/%d %d@%d: %s", b.Topics[r.Topic], r.Partition, r.RowIndex, r.Offset, v))
	}
	return list
}

func TestApply(t *testing.T) {
	withInstance(t, plugin.Options{}, func(ctx context.Context, i *plugin.Instance, reg *record.Registry) {
		first := 0 // index of the first row of the part
		row := func(n int, topic string, value string) string {
			return fmt.Sprintf("%s %d@%d: %s", topic, 1000+first+n, first+n, value)
		}
		in := func(n int) string { return fmt.Sprintf("%06d", first+n) }
		for _, c := range []struct {
			name   string
			rows   int
			want   func(n int) []string
			faults int
		}{
			{name: "pass", rows: 20, want: func(n int) []string { return []string{row(n, "in/-1", in(n))} }},
			{name: "copy", rows: 20, want: func(n int) []string { return []string{row(n, "in/-1", in(n))} }},
			{name: "unchanged", rows: 20, want: func(n int) []string { return []string{row(n, "in/-1", in(n))} }},
			{
				name: "twice",
				rows: 20,
				want: func(n int) []string { return []string{row(n, "in/-1", in(n)), row(n, "in/-1", in(n))} },
			},
			{name: "few", rows: 20, want: func(n int) []string { return []string{row(n, "in/-1", in(n))} }},
			{name: "none", rows: 20, want: func(n int) []string { return nil }},
			{name: "route", rows: 20, want: func(n int) []string { return []string{row(n, "routed/3", in(n))} }},
			{name: "declare", rows: 20, want: func(n int) []string { return []string{row(n, "in/-1", "declared")} }},
			{
				name: "faulty",
				rows: 20,
				want: func(n int) []string {
					if n%2 == 1 {
						return nil
					}
					return []string{row(n, "in/-1", in(n))}
				},
				faults: 10,
			},
		} {
			context, err := i.Prepare(ctx, []wit.Stage{{Component: c.name}})
			require.NoError(t, err)
			for round := range 3 {
				b := batch(t, reg, c.rows, 6)
				// Only the data of the rows of a part is copied to the guest.
				b.Rows = b.Rows[round:]
				first = round
				rowErrors, err := i.Apply(ctx, context, b)
				require.NoError(t, err, c.name)
				var want []string
				for n := range c.rows - round {
					want = append(want, c.want(n)...)
				}
				assert.Equal(t, want, texts(t, b), c.name)
				got := len(rowErrors)
				assert.True(t, got == c.faults || (round != 0 && c.faults != 0), "%s: %d faults", c.name, got)
				for _, f := range rowErrors {
					assert.True(t, f.RowIndex%2 == 1 && f.Stage == 3 && f.ErrorClass == "E" && f.Error.Message == "odd",
						"%s: %+v", c.name, f)
				}
			}
		}
		var failure *wit.Error
		b := batch(t, reg, 2, 6)
		textsBefore := texts(t, b)
		_, err := i.Apply(ctx, []byte("gone"), b)
		assert.True(t, errors.As(err, &failure) && failure.Kind == wit.ErrorStale, "unknown context: %v", err)
		assert.Equal(t, textsBefore, texts(t, b), "a fault changed the batch")
	})
}
