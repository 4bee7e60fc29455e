package meter_test

import (
	"context"
	"testing"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"
	"github.com/tetratelabs/wazero/imports/wasi_snapshot_preview1"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/base/require"
	"github.com/culvert-project/culvert/internal/meter"
	"github.com/culvert-project/culvert/internal/plugin/guesttest"
)

// A Go guest that uses the whole runtime returns the same results metered, even with a tick at every charge.
func TestMeteredGoGuestIsEqual(t *testing.T) {
	module := guesttest.Bytes(t, "./testdata/guests/selftest")
	ctx := context.Background()
	r := wazero.NewRuntime(ctx)
	defer r.Close(ctx)
	wasi_snapshot_preview1.MustInstantiate(ctx, r)
	budget := int64(0)
	ticks := 0
	addTick(t, r, &ticks, &budget)
	compile := func(code []byte, err error) wazero.CompiledModule {
		require.NoError(t, err)
		c, err := r.CompileModule(ctx, code)
		require.NoError(t, err)
		return c
	}
	metered, _, err := meter.Rewrite(context.Background(), module, meter.Options{})
	plain := compile(module, nil)
	rewritten := compile(metered, err)
	runSeeds := func(c wazero.CompiledModule) (results []uint64, errs []string) {
		var m api.Module
		for seed := range uint64(16) {
			if m == nil {
				m, err = r.InstantiateModule(ctx, c,
					wazero.NewModuleConfig().WithName("").WithStartFunctions("_initialize"))
				require.NoError(t, err)
			}
			got, err := m.ExportedFunction("run").Call(ctx, seed)
			if err != nil {
				// The next seed gets a fresh instance.
				m = nil
				got = []uint64{0}
			}
			results = append(results, got[0])
			errs = append(errs, firstLine(err))
		}
		return results, errs
	}
	want, wantErrors := runSeeds(plain)
	for _, budget = range []int64{meter.DefaultBudget, 0} {
		got, gotErrors := runSeeds(rewritten)
		for seed := range want {
			assert.True(t, got[seed] == want[seed] && gotErrors[seed] == wantErrors[seed] &&
				(wantErrors[seed] != "") == (seed%7 == 0), "seed %d: plain: %#x %s, metered: %#x %s", seed, want[seed],
				wantErrors[seed], got[seed], gotErrors[seed])
		}
	}
	assert.AtLeast(t, 10_000, ticks, "ticks")
}
