//go:build real

package plugin_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/culvert-project/culvert/internal/base/require"
	"github.com/culvert-project/culvert/internal/meter"
)

// Guests of other compilers return the same results metered, with the usual fuel and with a tick at every charge, as
// unmetered.
func TestRealMeteredGuestsAreEqual(t *testing.T) {
	for _, g := range []struct {
		folder    string
		prefix    string
		functions int
		growth    float64
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
					t.Errorf("%d results; plain (-), metered (+) with a budget of %d:\n%.3000s", len(r.here.Answers),
						budget, diff)
				}
				if (budget == unmetered && r.ticks != 0) || (budget == 0 && r.ticks < 1000) {
					t.Errorf("%d ticks with a budget of %d", r.ticks, budget)
				}
			}
			module, err := os.ReadFile(path)
			require.NoError(t, err)
			_, report, err := meter.Rewrite(t.Context(), module, meter.Options{})
			require.NoError(t, err)
			if grown := float64(report.BytesOut) / float64(report.BytesIn); grown > g.growth ||
				report.Functions < g.functions {
				t.Errorf("grew by %.3f, expected at most %.3f; %d functions, expected at least %d", grown, g.growth,
					report.Functions, g.functions)
			}
		})
	}
}
