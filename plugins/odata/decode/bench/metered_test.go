package bench

import (
	"context"
	"os"
	"testing"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"
	"github.com/tetratelabs/wazero/imports/wasi_snapshot_preview1"

	"github.com/culvert-project/culvert/host/meter"
)

// fenced is a guest as a host with a fence of time runs it: metered, or with the engine's own switch.
func fenced(t testing.TB, metered bool) (*guest, *int) {
	t.Helper()
	binary, err := build()
	if err != nil {
		t.Fatal(err)
	}
	ctx, ticks := context.Background(), new(int)
	r := wazero.NewRuntimeWithConfig(ctx, wazero.NewRuntimeConfig().WithCloseOnContextDone(!metered))
	t.Cleanup(func() { r.Close(ctx) })
	wasi_snapshot_preview1.MustInstantiate(ctx, r)
	if metered {
		if binary, _, err = meter.Rewrite(ctx, binary, meter.Options{}); err != nil {
			t.Fatal(err)
		}
		tick := func(_ context.Context, _ api.Module, stack []uint64) {
			*ticks++
			stack[0] = meter.DefaultBudget
		}
		if _, err := r.NewHostModuleBuilder(meter.Module).NewFunctionBuilder().WithGoModuleFunction(
			api.GoModuleFunc(tick), nil,
			[]api.ValueType{api.ValueTypeI64}).Export(meter.Name).Instantiate(ctx); err != nil {
			t.Fatal(err)
		}
	}
	m, err := r.InstantiateWithConfig(ctx, binary,
		wazero.NewModuleConfig().WithStartFunctions("_initialize").WithStderr(os.Stderr))
	if err != nil {
		t.Fatal(err)
	}
	g := &guest{m: m}
	for name, f := range map[string]*api.Function{"room": &g.room, "page": &g.page, "piece": &g.piece, "data": &g.data,
		"dataSize": &g.dataSize, "rows": &g.rows, "allocated": &g.allocs} {
		*f = m.ExportedFunction(name)
	}
	return g, ticks
}

// BenchmarkMetered is what a fence of time costs, in turns with the guest as it is: processor time as a ratio, the
// meter's and that of the engine's own switch.
func BenchmarkMetered(b *testing.B) {
	plain := newGuest(b)
	metered, ticks := fenced(b, true)
	switched, _ := fenced(b, false)
	for atom, format := range []string{"JSON", "Atom"} {
		for k, shape := range Shapes(pageRows) {
			doc := shape.JSON(Regular)
			if atom == 1 {
				doc = shape.Atom(Regular)
			}
			b.Run(format+"/"+shape.Name, func(b *testing.B) {
				var times [3][]float64
				guests := []*guest{plain, metered, switched}
				*ticks = 0
				rounds := 0
				for b.Loop() {
					rounds++
					for n, g := range guests {
						times[n] = append(times[n], timed(func() { g.decode(b, k, uint64(atom), doc, pieceSize, nil) }))
					}
				}
				b.ReportMetric(median(times[1])/median(times[0]), "times-metered")
				b.ReportMetric(median(times[2])/median(times[0]), "times-switched")
				b.ReportMetric(median(times[1])/1000*float64(rounds)/float64(max(1, *ticks)), "us/tick")
				b.ReportMetric(0, "ns/op")
			})
		}
	}
}
