package plugin_test

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/base/logtest"
	"github.com/culvert-project/culvert/internal/base/require"
	"github.com/culvert-project/culvert/internal/plugin"
	"github.com/culvert-project/culvert/internal/record"
	"github.com/culvert-project/culvert/wit"
	"github.com/culvert-project/culvert/wit/connectdata"
)

// Batches do not allocate, whatever their number of rows, once the buffers are large enough.
func TestApplyAllocatesNothing(t *testing.T) {
	withInstance(t, plugin.Options{}, func(ctx context.Context, i *plugin.Instance, reg *record.Registry) {
		for _, component := range []string{"pass", "copy", "unchanged"} {
			prepared, err := i.Prepare(ctx, []wit.Stage{{Component: component}})
			require.NoError(t, err)
			b := batch(t, reg, 500, 1000)
			rows := append([]wit.Row(nil), b.Rows...)
			size := len(b.Data)
			apply := func() {
				b.Rows = append(b.Rows[:0], rows...)
				b.Data = b.Data[:size]
				_, err := i.Apply(ctx, prepared, b)
				require.NoError(t, err)
			}
			for range 5 {
				apply()
			}
			n := testing.AllocsPerRun(50, apply)
			assert.True(t, n <= 0, "%s: %v allocations for 500 rows", component, n)
		}
	})
}

// Schema IDs inside schemaless values and headers are translated like the IDs of rows.
func TestNestedSchemaIDsAreTranslated(t *testing.T) {
	reg := record.NewRegistry()
	_, binding := guest(t, plugin.Options{Registry: reg}, allGuest)
	b := batch(t, reg, 2, 6)
	useInstance(t, binding, func(ctx context.Context, i *plugin.Instance) {
		_, err := i.Apply(ctx, []byte("mention"), b)
		require.NoError(t, err)
	})
	check := func() {
		t.Helper()
		for _, r := range b.Rows {
			v, n, err := connectdata.ReadSchemaless(b.Bytes(r.Value))
			require.True(t, err == nil && n == int(r.Value.Size), "%v %v", err, n)
			headers, err := connectdata.Headers(nil, b.Bytes(r.Headers))
			require.True(t, err == nil && len(headers) == 3, "%v %v", err, headers)
			if s := reg.Get(headers[0].Schema); s == nil || *s.Root().Name != "other" {
				t.Errorf("header of schema %d", headers[0].Schema)
			}
			for _, x := range append(v.(connectdata.List), mustDynamic(t, headers[1].Value)) {
				s := x.(connectdata.Nested)
				assert.True(t, reg.Get(s.Schema) != nil && *reg.Get(s.Schema).Root().Name == "mine" &&
					string(s.Bytes) == "\x04in", "struct of schema %d: %q", s.Schema, s.Bytes)
			}
		}
	}
	check()
	// A fresh instance receives the schema that it needs to read them, and may refer to it.
	useInstance(t, binding, func(ctx context.Context, i *plugin.Instance) {
		other, err := binding.Current().Acquire(ctx)
		require.NoError(t, err)
		defer binding.Current().Release(other)
		for _, context := range []string{"copy", "unchanged", "copy"} {
			_, err := other.Apply(ctx, []byte(context), b)
			require.NoError(t, err)
		}
	})
	check()
	b.Rows[0].Value.Encoding = wit.Schemaless
	b.Rows[0].Value.Size = b.Rows[0].Value.Size - 1
	useInstance(t, binding, func(ctx context.Context, i *plugin.Instance) {
		_, err := i.Apply(ctx, []byte("copy"), b)
		assert.Error(t, err, "a schemaless value of")
		_, err = i.Describe(ctx)
		assert.NoError(t, err, "the host's invalid argument closed the instance")
	})
}

func mustDynamic(t *testing.T, b []byte) any {
	t.Helper()
	v, _, err := connectdata.ReadSchemaless(b)
	require.NoError(t, err)
	return v
}

// Invalid arguments from the host are rejected before the guest is called, and the instance stays usable.
func TestInvalidHostArguments(t *testing.T) {
	withInstance(t, plugin.Options{}, func(ctx context.Context, i *plugin.Instance, reg *record.Registry) {
		for want, change := range map[string]func(*record.Batch){
			"topic 1 of 1":          func(b *record.Batch) { b.Rows[1].Topic = 1 },
			"refers to schema 4711": func(b *record.Batch) { b.Rows[1].Value.Schema = 4711 },
			"refers to schema 0":    func(b *record.Batch) { b.Rows[0].Value.Schema = 0 },
			"with 99 bytes at":      func(b *record.Batch) { b.Rows[1].Value.Size = 99 },
			"encoding 1": func(b *record.Batch) {
				b.Rows[1].Key = wit.ValueSlice{Encoding: wit.Unchanged}
			},
			`the topic name "\xff" is not UTF-8`: func(b *record.Batch) { b.Topics[0] = "\xff" },
			"a block of headers of 7 bytes": func(b *record.Batch) {
				b.Rows[1].Headers = b.Rows[1].Value
				b.Rows[1].Headers.Encoding = wit.Raw
			},
			"which is not registered": func(b *record.Batch) { b.Rows[1].Value.Schema = wit.GuestSchemas },
		} {
			b := batch(t, reg, 2, 6)
			change(b)
			_, err := i.Apply(ctx, []byte("copy"), b)
			assert.Error(t, err, want)
		}
		// A schema that was pending when a call failed is sent again, and a record may have any timestamp.
		b := batch(t, reg, 2, 6)
		b.Rows[1].Timestamp = -7
		_, err := i.Apply(ctx, []byte("copy"), b)
		require.NoError(t, err)
		assert.Equal(t, int64(-7), b.Rows[1].Timestamp)
	})
}

// A guest sees only its own settings; its log lines and output contain its name.
func TestOutput(t *testing.T) {
	var log logtest.Journal
	options := plugin.Options{Logger: log.Logger(plugin.LevelTrace)}
	withInstance(t, options, func(ctx context.Context, i *plugin.Instance, reg *record.Registry) {
		_, err := i.Apply(ctx, []byte("print"), batch(t, reg, 1, 6))
		require.NoError(t, err)
	})
	assert.Contains(t, log.String(), "level=WARN msg=logged plugin=all version=1.0.0 connector=orders",
		"level=INFO msg=printed plugin=all version=1.0.0 connector=orders")
}

func TestPoolIsBounded(t *testing.T) {
	_, binding := guest(t, plugin.Options{Limits: plugin.Limits{Instances: 2}}, allGuest)
	pool := binding.Current()
	first, err := pool.Acquire(t.Context())
	require.NoError(t, err)
	second, err := pool.Acquire(t.Context())
	require.True(t, err == nil && first != second, "%v", err)
	short, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	_, err = pool.Acquire(short)
	assert.Error(t, err, "waiting for an instance of plugin all (all 2 are in use)")
	got := make(chan *plugin.Instance)
	go func() {
		i, _ := pool.Acquire(t.Context())
		got <- i
	}()
	pool.Release(second)
	assert.True(t, <-got == second, "expected the released instance")
	pool.Release(first)
	pool.Release(second)
	assertInstances(t, pool, 2, "released")
	binding.Close()
	assertInstances(t, pool, 0, "after closing")
}

func TestPoolUnderConcurrency(t *testing.T) {
	reg := record.NewRegistry()
	m, first := guest(t, plugin.Options{Registry: reg, Limits: plugin.Limits{Instances: 3, Calls: 20}}, allGuest)
	second := bind(t, m, "other", "all")
	var wait sync.WaitGroup
	for worker := range 12 {
		wait.Go(func() {
			binding := []*plugin.Binding{first, second}[worker%2]
			for round := range 15 {
				b := batch(t, reg, 20+worker, 10+round)
				want := texts(t, b)
				err := binding.Current().Do(t.Context(), func(i *plugin.Instance) error {
					_, err := i.Apply(t.Context(), []byte([]string{"pass", "copy", "few", "unchanged"}[round%4]), b)
					return err
				})
				if err != nil {
					t.Error(err)
				} else if d := cmp.Diff(want, texts(t, b)); d != "" {
					t.Error(d)
				}
			}
		})
	}
	wait.Wait()
	got := first.Current().Module().Metrics
	assert.True(t, got.Instances <= 6 && got.Recycled != 0 && got.Traps == 0 && got.Calls == 12*15+extraCalls(12, 15),
		"expected at most 6 instances, some replaced, and no trap, found %+v", got)
}

// extraCalls returns the calls that the component "few" needs because it returns early.
func extraCalls(workers, rounds int) (n int64) {
	for w := range workers {
		for r := range rounds {
			if r%4 == 2 {
				n += int64((20+w+6)/7 - 1)
			}
		}
	}
	return n
}

// A guest whose calls create garbage needs constant memory on one instance, 6.5 MiB here.
func TestGuestCollectsGarbage(t *testing.T) {
	withInstance(t, plugin.Options{}, func(ctx context.Context, i *plugin.Instance, reg *record.Registry) {
		in := batch(t, reg, 500, 100)
		for n := range 150 { // each creates more than 100 KB of garbage
			_, err := i.Encode(ctx, nil, in, originsOf(in), nil)
			require.True(t, err == nil, "%v %v", n, err)
			got := i.Module().Metrics.MemoryBytes
			require.True(t, got <= 12<<20, "call %d: memory has grown to %d bytes", n, got)
		}
	})
}
