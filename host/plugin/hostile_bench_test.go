//go:build linux

package plugin_test

import (
	"context"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/culvert-project/culvert/host/plugin"
	"github.com/culvert-project/culvert/host/record"
)

// threadTime is the CPU time of the calling thread.
func threadTime() time.Duration {
	const ofThread = 1
	var r syscall.Rusage
	_ = syscall.Getrusage(ofThread, &r)
	return time.Duration(r.Utime.Nano() + r.Stime.Nano())
}

// neighbour is a connector that does its work next to a hostile one.
type neighbour struct {
	b       *testing.B
	binding *plugin.Binding
	in      *record.Batch
}

// pace is batches by the second, by the clock and by the neighbour's own CPU time. The latter leaves out what else the
// machine does, and shows what is lost to caches and to waiting with a processor.
type pace struct{ clock, cpu float64 }

// during is the neighbour's pace while f runs.
func (n *neighbour) during(f func()) (p pace) {
	var wait sync.WaitGroup
	var stop atomic.Bool
	rows, size, batches := n.in.Rows, len(n.in.Data), 0
	start := time.Now()
	wait.Go(func() {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		before := threadTime()
		use(n.b, n.binding, func(ctx context.Context, i *plugin.Instance) {
			for !stop.Load() {
				n.in.Rows, n.in.Data = append(n.in.Rows[:0:0], rows...), n.in.Data[:size]
				if _, err := i.Apply(ctx, []byte("copy"), n.in); err != nil {
					n.b.Error(err)
					return
				}
				batches++
			}
		})
		p.cpu = float64(batches) / (threadTime() - before).Seconds()
	})
	f()
	stop.Store(true)
	wait.Wait()
	p.clock = float64(batches) / time.Since(start).Seconds()
	return p
}

// BenchmarkHostile is what each hostile guest does to others while it runs into its deadline of 50 ms: how far past it
// the call ends, the longest collection of garbage, and what is left of another connector's rate, next to what an empty
// loop in Go leaves of it. Rates are medians of rounds in which all are measured in turn.
func BenchmarkHostile(b *testing.B) {
	reg := record.NewRegistry()
	_, good := guest(b, plugin.Options{Registry: reg}, all)
	for name, c := range hostileCases() {
		if c.want != timeIsUp && c.want != tooDeep {
			continue
		}
		b.Run(name, func(b *testing.B) {
			n := &neighbour{b, good, batch(b, reg, 500, 100)}
			call := prepared(b, c.module)
			var past, collect time.Duration
			var alone, native, hostile []pace
			for b.Loop() {
				alone = append(alone, n.during(func() { <-time.After(50 * time.Millisecond) }))
				native = append(native, n.during(func() {
					for start := time.Now(); time.Since(start) < 50*time.Millisecond; {
					}
				}))
				hostile = append(hostile, n.during(func() { past = max(past, call()-50*time.Millisecond) }))
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
			b.ReportMetric(100*medianPace(hostile).clock/medianPace(alone).clock, "%-of-other's-rate")
			b.ReportMetric(100*medianPace(native).clock/medianPace(alone).clock, "%-next-to-a-loop-in-Go")
			b.ReportMetric(100*medianPace(hostile).cpu/medianPace(alone).cpu, "%-by-its-own-CPU")
			b.ReportMetric(0, "ns/op")
		})
	}
}

// medianPace is the medians of both paces.
func medianPace(all []pace) pace {
	median := func(of func(pace) float64) float64 {
		var v []float64
		for _, p := range all {
			v = append(v, of(p))
		}
		slices.Sort(v)
		return v[len(v)/2]
	}
	return pace{median(func(p pace) float64 { return p.clock }), median(func(p pace) float64 { return p.cpu })}
}
