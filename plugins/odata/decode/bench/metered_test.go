package bench

import (
	"context"
	"testing"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"

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
	return instantiateIn(t, r, binary), ticks
}

// BenchmarkMetered is what a fence of time costs, in turns with the guest as it is: processor time as a ratio, the
// meter's and that of the engine's own switch.
func BenchmarkMetered(b *testing.B) {
	plain := newGuest(b)
	metered, ticks := fenced(b, true)
	switched, _ := fenced(b, false)
	for atom, format := range []string{"JSON", "Atom"} {
		for k, shape := range Shapes(pageRows) {
			doc, _ := pageOf(shape, atom, Regular)
			b.Run(format+"/"+shape.Name, func(b *testing.B) {
				*ticks = 0
				times := inTurns(b, k, uint64(atom), doc, plain, metered, switched)
				b.ReportMetric(times[1]/times[0], "times-metered")
				b.ReportMetric(times[2]/times[0], "times-switched")
				b.ReportMetric(times[1]/1000*float64(b.N)/float64(max(1, *ticks)), "us/tick")
				b.ReportMetric(0, "ns/op")
			})
		}
	}
}
