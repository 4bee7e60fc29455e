package meter_test

import (
	"context"
	"testing"
	"time"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"

	"github.com/culvert-project/culvert/host/internal/base/require"
	"github.com/culvert-project/culvert/host/meter"
	"github.com/culvert-project/culvert/host/plugin/guesttest"
)

// BenchmarkShortestLoop is the worst case: a loop of four instructions, metered, with the engine's own switch, and
// without a fence, in turns.
func BenchmarkShortestLoop(b *testing.B) {
	loop := one(0x03, 0x40, 0x20, 0, 0x41, 1, 0x6b, 0x22, 0, 0x0d, 0, 0x0b)
	plain, metered, _ := run(b, loop, meter.Options{})
	r := wazero.NewRuntimeWithConfig(b.Context(), wazero.NewRuntimeConfig().WithCloseOnContextDone(true))
	defer r.Close(b.Context())
	switched, err := r.Instantiate(b.Context(), loop)
	require.NoError(b, err)
	var took [3]time.Duration
	for b.Loop() {
		for n, m := range []api.Module{plain, metered, switched} {
			start := time.Now()
			if _, err := m.ExportedFunction("f").Call(b.Context(), 10_000_000, 0, 0); err != nil {
				b.Fatal(err)
			}
			if d := time.Since(start); took[n] == 0 || d < took[n] {
				took[n] = d
			}
		}
	}
	b.ReportMetric(float64(took[1])/float64(took[0]), "times-metered")
	b.ReportMetric(float64(took[2])/float64(took[0]), "times-switched")
	b.ReportMetric(0, "ns/op")
}

// BenchmarkRewrite rewrites a Go guest.
func BenchmarkRewrite(b *testing.B) {
	module := guesttest.Bytes(b, "../plugin/testdata/guests/all")
	b.SetBytes(int64(len(module)))
	var report meter.Report
	for b.Loop() {
		var err error
		if _, report, err = meter.Rewrite(context.Background(), module, meter.Options{}); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(report.BytesOut)/float64(report.BytesIn), "times-size")
}
