//go:build real

package plugin_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/base/require"
	"github.com/culvert-project/culvert/internal/meter"
)

// Guests of other compilers return the same results metered, with the usual fuel and with a tick at every charge, as
// unmetered.
func TestRealMeteredGuestsAreEqual(t *testing.T) {
	for _, g := range []struct {
		folder    string
		prefix    string
		functions int     // at least
		growth    float64 // of the file, at most
	}{
		{folder: "rust-transform", prefix: "rust.", functions: 100, growth: 1.15},
		{folder: "c-transform", prefix: "c.", functions: 50, growth: 1.15},
		{folder: "js-transform", prefix: "js.", functions: 12_676, growth: 1.1},
	} {
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
				if diff := cmp.Diff(plain.own, r.own); diff != "" || len(r.own.Answers) < 18 {
					t.Errorf("%d results; plain (-), metered (+) with a budget of %d:\n%.3000s", len(r.own.Answers),
						budget, diff)
				}
				if (budget == unmetered && r.ticks != 0) || (budget == 0 && r.ticks < 1000) {
					t.Errorf("budget %d: expected no ticks unmetered, and at least 1000 with 0, found %d", budget,
						r.ticks)
				}
			}
			module, err := os.ReadFile(path)
			require.NoError(t, err)
			_, report, err := meter.Rewrite(t.Context(), module, meter.Options{})
			require.NoError(t, err)
			growth := float64(report.BytesOut) / float64(report.BytesIn)
			assert.True(t, growth <= g.growth && report.Functions >= g.functions,
				"grew by %.3f, expected at most %.3f; %d functions, expected at least %d", growth, g.growth,
				report.Functions, g.functions)
		})
	}
}
