//go:build unix

package plugin_test

import (
	"context"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/culvert-project/culvert/host/plugin"
	"github.com/culvert-project/culvert/host/record"
)

// BenchmarkHostile is what each hostile guest does to others while it runs into its deadline of 50 ms: how far past it the call
// ends, the longest collection of garbage, and what is left of another connector's rate.
func BenchmarkHostile(b *testing.B) {
	reg := record.NewRegistry()
	_, good := guest(b, plugin.Options{Registry: reg}, all, "all")
	// rate is the batches that the other connector does while f runs, by the second.
	rate := func(f func()) float64 {
		var wait sync.WaitGroup
		stop, n := make(chan struct{}), 0
		in := batch(b, reg, 500, 100)
		rows, size := in.Rows, len(in.Data)
		start := time.Now()
		wait.Go(func() {
			use(b, good, func(ctx context.Context, i *plugin.Instance) {
				for {
					select {
					case <-stop:
						return
					default:
					}
					in.Rows, in.Data = append(in.Rows[:0:0], rows...), in.Data[:size]
					if _, err := i.Apply(ctx, []byte("copy"), in); err != nil {
						b.Error(err)
						return
					}
					n++
				}
			})
		})
		f()
		close(stop)
		wait.Wait()
		return float64(n) / time.Since(start).Seconds()
	}
	for name, c := range hostileCases() {
		if c.want != timeIsUp && c.want != tooDeep {
			continue
		}
		b.Run(name, func(b *testing.B) {
			call := prepared(b, c.module)
			var past, collect time.Duration
			var left float64
			for b.Loop() {
				alone := rate(func() { <-time.After(50 * time.Millisecond) })
				left += rate(func() { past = max(past, call()-50*time.Millisecond) }) / alone
				done := make(chan struct{})
				go func() { call(); close(done) }()
				for running := true; running; {
					start := time.Now()
					runtime.GC()
					collect = max(collect, time.Since(start))
					select {
					case <-done:
						running = false
					default:
					}
				}
			}
			b.ReportMetric(float64(past.Microseconds())/1000, "ms-past-deadline")
			b.ReportMetric(float64(collect.Microseconds())/1000, "ms-longest-GC")
			b.ReportMetric(left/float64(b.N)*100, "%-of-other's-rate")
			b.ReportMetric(0, "ns/op")
		})
	}
}
