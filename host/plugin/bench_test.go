//go:build unix

package plugin_test

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/culvert-project/culvert/host/internal/base/require"
	"github.com/culvert-project/culvert/host/plugin"
	"github.com/culvert-project/culvert/host/plugin/guesttest"
	"github.com/culvert-project/culvert/host/record"
	"github.com/culvert-project/culvert/wit"
)

// cpu is what the process has used. Machines that run tests do other things too, so benchmarks here report it next to
// the time.
func cpu() time.Duration {
	var u syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &u)
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// measured runs f as often as the benchmark wants and reports CPU time for each of n things that it does.
func measured(b *testing.B, n int, unit string, f func() error) {
	b.Helper()
	b.ReportAllocs()
	for range 20 {
		require.NoError(b, f())
	}
	b.ResetTimer()
	start := cpu()
	for range b.N {
		require.NoError(b, f())
	}
	b.ReportMetric(float64(cpu()-start)/float64(b.N)/float64(n), "cpu-ns/"+unit)
}

func BenchmarkApply(b *testing.B) {
	with(b, plugin.Options{}, func(ctx context.Context, i *plugin.Instance, reg *record.Registry) {
		for _, component := range []string{"pass", "copy", "unchanged"} {
			for _, n := range []int{1, 500} {
				in := batch(b, reg, n, 1000)
				rows, size := append([]wit.Row(nil), in.Rows...), len(in.Data)
				b.Run(fmt.Sprintf("%s/%d", component, n), func(b *testing.B) {
					measured(b, n, "record", func() error {
						in.Rows, in.Data = append(in.Rows[:0], rows...), in.Data[:size]
						_, err := i.Apply(ctx, []byte(component), in)
						return err
					})
				})
			}
		}
		b.Run("abandon", func(b *testing.B) { measured(b, 1, "call", func() error { return i.Abandon(ctx, 0) }) })
	})
}

// BenchmarkEncode makes a delivery of each row.
func BenchmarkEncode(b *testing.B) {
	with(b, plugin.Options{}, func(ctx context.Context, i *plugin.Instance, reg *record.Registry) {
		in := batch(b, reg, 500, 1000)
		measured(b, 500, "record", func() error { _, err := i.Encode(ctx, nil, in, originsOf(in), nil); return err })
	})
}

// BenchmarkSettle settles a delivery of one row.
func BenchmarkSettle(b *testing.B) {
	with(b, plugin.Options{}, func(ctx context.Context, i *plugin.Instance, _ *record.Registry) {
		response := wit.Response{Status: 201, Headers: []wit.Header{{Name: "content-type", Value: "application/json"},
			{Name: "location", Value: "/x(1)"}},
			Body: make([]byte, 500)}
		measured(b, 1, "delivery", func() error {
			_, err := i.Settle(ctx, nil, []byte("memo"), []uint32{7}, response)
			return err
		})
	})
}

// BenchmarkDecode hands in pieces of 64 KiB; each line of 100 bytes becomes a row.
func BenchmarkDecode(b *testing.B) {
	with(b, plugin.Options{}, func(ctx context.Context, i *plugin.Instance, reg *record.Registry) {
		page, err := i.Begin(ctx, nil, 0, nil, wit.Response{Status: 200})
		require.NoError(b, err)
		piece := []byte(strings.Repeat(strings.Repeat("x", 99)+"\n", 640))
		into := &record.Batch{Registry: reg, Topics: []string{"lines"}}
		b.SetBytes(int64(len(piece)))
		measured(b, 640, "record", func() error {
			into.Rows, into.Data = into.Rows[:0], into.Data[:0]
			_, err := i.Decode(ctx, page, "", 200, piece, false, into)
			return err
		})
	})
}

// BenchmarkLoad is the start of a worker with one Go guest whose code is in the disk cache.
func BenchmarkLoad(b *testing.B) {
	folder := holding(b, "all.wasm", guesttest.Bytes(b, all))
	measured(b, 1, "plugin", func() error {
		m, err := plugin.New(b.Context(), plugin.Options{Folders: []string{folder}, CacheDir: cacheDir(),
			Registry: record.NewRegistry(), Logger: slog.New(slog.DiscardHandler)})
		if err == nil {
			err = m.Close()
		}
		return err
	})
}

// BenchmarkInstance is what a fresh instance costs.
func BenchmarkInstance(b *testing.B) {
	_, binding := guest(b, plugin.Options{Limits: plugin.Limits{Calls: 1}}, all)
	measured(b, 1, "instance", func() error {
		return binding.Current().Do(b.Context(), func(i *plugin.Instance) error { return i.Abandon(b.Context(), 0) })
	})
}
