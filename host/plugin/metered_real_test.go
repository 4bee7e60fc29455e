//go:build real

package plugin_test

import (
	"context"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/tetratelabs/wazero"

	"github.com/culvert-project/culvert/host/internal/base/require"
	"github.com/culvert-project/culvert/host/meter"
)

// Guests of other compilers give the same answers metered, with the usual fuel and where every charge ticks, as they
// are without.
func TestRealGuestsAnswerTheSameMetered(t *testing.T) {
	for _, g := range []struct {
		folder, prefix string
		functions      int
		growth         float64
	}{{"rust-transform", "rust.", 100, 1.15}, {"c-transform", "c.", 50, 1.15}, {"js-transform", "js.", 12_676, 1.1}} {
		t.Run(g.folder, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "guest.wasm")
			output(t, "../../testdata/guests/"+g.folder+"/build.sh", path)
			var plain *recorder
			for _, budget := range []int64{unmetered, meter.DefaultBudget, 0} {
				r := newRecorder(t, g.folder, path, budget)
				r.describe(t)
				foreignExamples(t, r, g.prefix)
				if plain == nil {
					plain = r
				}
				if diff := cmp.Diff(plain.here, r.here); diff != "" || len(r.here.Answers) < 18 {
					t.Errorf("%d answers; plain (-), metered (+) with a budget of %d:\n%.3000s", len(r.here.Answers),
						budget, diff)
				}
				if budget == unmetered && r.ticks != 0 || budget == 0 && r.ticks < 1000 {
					t.Errorf("%d ticks with a budget of %d", r.ticks, budget)
				}
			}
			module, err := os.ReadFile(path)
			require.NoError(t, err)
			loadBoth(t, module, g.functions, g.growth)
		})
	}
}

// loadBoth says how much a module grows and how much longer it takes to load.
func loadBoth(t *testing.T, module []byte, functions int, growth float64) {
	t.Helper()
	var seen meter.Report
	load := func(metered bool) time.Duration {
		ctx := context.Background()
		r := wazero.NewRuntime(ctx)
		defer r.Close(ctx)
		start := time.Now()
		code := module
		if metered {
			var report meter.Report
			var err error
			if code, report, err = meter.Rewrite(context.Background(), module, meter.Options{}); err != nil {
				t.Fatal(err)
			}
			if grown := float64(report.BytesOut) / float64(report.BytesIn); grown > growth ||
				report.Functions < functions {
				t.Errorf("grew by %.3f, expected at most %.3f; %d functions, expected at least %d", grown, growth,
					report.Functions, functions)
			}
			seen = report
		}
		_, err := r.CompileModule(ctx, code)
		require.NoError(t, err)
		return time.Since(start)
	}
	plain, metered := load(false), load(true)
	for range 4 {
		if plain < time.Second { // large ones are steady, and slow
			plain, metered = min(plain, load(false)), min(metered, load(true))
		}
	}
	t.Logf("%+v: loaded in %v, metered in %v (%.2f times)", seen, plain.Round(time.Millisecond),
		metered.Round(time.Millisecond), float64(metered)/float64(plain))
}
