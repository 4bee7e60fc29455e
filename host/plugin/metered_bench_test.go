//go:build unix

package plugin_test

import (
	"context"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"
	"github.com/tetratelabs/wazero/imports/wasi_snapshot_preview1"

	"github.com/culvert-project/culvert/host/internal/base/require"
	"github.com/culvert-project/culvert/host/meter"
	"github.com/culvert-project/culvert/host/plugin/guesttest"
	"github.com/culvert-project/culvert/host/plugin/internal/abi"
	"github.com/culvert-project/culvert/wit"
	"github.com/culvert-project/culvert/wit/canon"
	"github.com/culvert-project/culvert/wit/datum"
)

// fence is a way of ending a guest's call in time.
type fence int

const (
	noFence fence = iota
	// metered is ours, switched that of the engine.
	metered
	switched
)

// fencedRuntime is an engine with that fence, and what guests import.
func fencedRuntime(t testing.TB, f fence) wazero.Runtime {
	t.Helper()
	ctx := context.Background()
	r := wazero.NewRuntimeWithConfig(ctx, wazero.NewRuntimeConfig().WithCloseOnContextDone(f == switched))
	t.Cleanup(func() { r.Close(ctx) })
	wasi_snapshot_preview1.MustInstantiate(ctx, r)
	i32 := api.ValueTypeI32
	provide(t, r, meter.Module, meter.Name, nil, []api.ValueType{api.ValueTypeI64},
		func(_ context.Context, _ api.Module, stack []uint64) { stack[0] = meter.DefaultBudget })
	provide(t, r, wit.ImportModule(wit.InterfaceHost), "log", []api.ValueType{i32, i32, i32}, nil,
		func(context.Context, api.Module, []uint64) {})
	return r
}

// provide gives guests of an engine a function to import.
func provide(t testing.TB, r wazero.Runtime, module, name string, params, results []api.ValueType, f api.GoModuleFunc) {
	t.Helper()
	_, err := r.NewHostModuleBuilder(module).NewFunctionBuilder().WithGoModuleFunction(f, params, results).Export(name).
		Instantiate(t.Context())
	require.NoError(t, err)
}

// fencedGuest is an instance of a module within that fence.
func fencedGuest(t testing.TB, module []byte, f fence) *abi.Guest {
	t.Helper()
	if f == metered {
		var err error
		module, _, err = meter.Rewrite(context.Background(), module, meter.Options{})
		require.NoError(t, err)
	}
	m, err := fencedRuntime(t, f).InstantiateWithConfig(context.Background(), module,
		wazero.NewModuleConfig().WithStartFunctions("_initialize"))
	require.NoError(t, err)
	g, err := abi.NewGuest(m, 0)
	require.NoError(t, err)
	return g
}

// compareFences runs work in turns on guests that differ by their fence, and reports the medians of processor time as
// ratios.
func compareFences(b *testing.B, module []byte, work func(g *abi.Guest) error) {
	b.Helper()
	var guests []*abi.Guest
	for _, f := range []fence{noFence, metered, switched} {
		g := fencedGuest(b, module, f)
		for range 20 {
			require.NoError(b, work(g))
		}
		guests = append(guests, g)
	}
	var times [3][]float64
	for b.Loop() {
		for n, g := range guests {
			start := cpu()
			for range 5 {
				require.NoError(b, work(g))
			}
			times[n] = append(times[n], float64(cpu()-start))
		}
	}
	b.ReportMetric(middle(times[metered])/middle(times[noFence]), "times-metered")
	b.ReportMetric(middle(times[switched])/middle(times[noFence]), "times-switched")
	b.ReportMetric(0, "ns/op")
}

func middle(all []float64) float64 {
	slices.Sort(all)
	return all[len(all)/2]
}

// BenchmarkFenceOfTransforms is what the fence of time costs three transforms on 500 records of ten fields, structured
// and as maps.
func BenchmarkFenceOfTransforms(b *testing.B) {
	module := guesttest.Bytes(b, "../../plugins/smt")
	const classes = "org.apache.kafka.connect.transforms."
	chain := []wit.Stage{
		{Component: classes + "InsertField$Value", Settings: []wit.Setting{{Name: "static.field", Value: "system"},
			{Name: "static.value", Value: "SAP-PRD-100"}}},
		{Component: classes + "ReplaceField$Value", Settings: []wit.Setting{{Name: "renames", Value: "f0:id,f3:name"},
			{Name: "exclude", Value: "f7"}}},
		{Component: classes + "RegexRouter", Settings: []wit.Setting{{Name: "regex", Value: "(.*)"},
			{Name: "replacement", Value: "sap.$1"}}},
	}
	for _, form := range []wit.Form{wit.Structured, wit.Dynamic} {
		b.Run([]string{wit.Structured: "structured", wit.Dynamic: "dynamic"}[form], func(b *testing.B) {
			schemas, rows, data := tenFields(b, form)
			given := map[*abi.Guest][]byte{}
			compareFences(b, module, func(g *abi.Guest) error {
				context, ready := given[g]
				if !ready {
					if err := call(g, wit.InterfaceTransform, "Prepare", &context, chain); err != nil {
						return err
					}
					given[g] = context
					var out wit.Applied
					return call(g, wit.InterfaceTransform, "Apply", &out, context, schemas, []string{"orders"}, rows,
						data)
				}
				return applyRows(g, context, rows, data)
			})
		})
	}
}

// call calls a function by reflection.
func call(g *abi.Guest, iface, method string, dst any, args ...any) error {
	fn := canon.Function(iface, method)
	fault, err := g.Invoke(context.Background(), g.Func(fn.Export()), fn, dst, args...)
	if err == nil && fault != nil {
		err = fault
	}
	return err
}

// applyRows calls apply with a batch, as a plugin's instance does.
func applyRows(g *abi.Guest, prepared []byte, rows []wit.Row, data []byte) error {
	ctx := context.Background()
	fn := canon.Function(wit.InterfaceTransform, "Apply")
	f := g.Func(fn.Export())
	g.Start()
	c, r, d := g.Add(len(prepared), 1), g.Add(len(rows)*abi.RowBytes, 8), g.Add(len(data), 1)
	if err := g.Place(ctx); err != nil {
		return err
	}
	g.PassList(c, len(prepared))
	if err := g.PassEmpty(ctx, 4); err != nil {
		return err
	}
	if err := g.PassLowered(ctx, []string{"orders"}, 1); err != nil {
		return err
	}
	g.PassList(r, len(rows))
	g.PassList(d, len(data))
	copy(g.At(c), prepared)
	abi.PutRows(g.At(r), rows)
	copy(g.At(d), data)
	result, err := g.Call(ctx, f)
	if err != nil {
		return err
	}
	return g.Done(ctx, f, result)
}

// tenFields are 500 records of about 1 KB.
func tenFields(b *testing.B, form wit.Form) (schemas []wit.Schema, rows []wit.Row, data []byte) {
	schema := wit.Schema{ID: 1, Nodes: []wit.Node{{Kind: wit.Structure}, {Kind: wit.Int32},
		{Kind: wit.Int64, Optional: true}, {Kind: wit.Boolean, Optional: true}, {Kind: wit.Text, Optional: true}}}
	tree, asMap := datum.Record{}, datum.Map{}
	for i, node := range []uint32{1, 2, 3, 4, 4, 4, 2, 4, 4, 4} {
		name, value := "f"+string(rune('0'+i)), []any{nil, int32(100_000), int64(1_709_184_496_789), true,
			strings.Repeat("x", 160)}[node]
		schema.Nodes[0].Members = append(schema.Nodes[0].Members, wit.Member{Name: name, Node: node})
		tree, asMap = append(tree, value), append(asMap, datum.Entry{Key: name, Value: value})
	}
	for i := range 500 {
		start := uint32(len(data))
		row := wit.Row{Origin: uint32(i), Partition: -1, Offset: -1, Timestamp: 1, Value: wit.Datum{Form: form,
			Start: start}}
		var err error
		if form == wit.Structured {
			row.Value.Schema = schema.ID
			data, err = datum.Append(data, schema.Nodes, 0, tree)
		} else {
			data, err = datum.AppendDynamic(data, asMap)
		}
		require.NoError(b, err)
		row.Value.Size = uint32(len(data)) - start
		rows = append(rows, row)
	}
	if form == wit.Structured {
		schemas = []wit.Schema{schema}
	}
	return schemas, rows, data
}

// BenchmarkFenceOfDescribe is what it costs the longest rare call of ours, which is Go's reflection in the guest.
func BenchmarkFenceOfDescribe(b *testing.B) {
	compareFences(b, guesttest.Bytes(b, "../../plugins/odata-source"), func(g *abi.Guest) error {
		var d wit.Description
		return call(g, wit.InterfacePlugin, "Describe", &d)
	})
}

// BenchmarkFenceOfLoading is how much longer it takes to load a module of ours without a cache: to rewrite it, and to
// compile more.
func BenchmarkFenceOfLoading(b *testing.B) {
	for _, name := range []string{"smt", "odata-source"} {
		b.Run(name, func(b *testing.B) {
			module := guesttest.Bytes(b, "../../plugins/"+name)
			var report meter.Report
			load := func(f fence) float64 {
				r := fencedRuntime(b, f)
				defer r.Close(b.Context())
				start := cpu()
				code := module
				if f == metered {
					var err error
					if code, report, err = meter.Rewrite(context.Background(), module, meter.Options{}); err != nil {
						b.Fatal(err)
					}
				}
				_, err := r.CompileModule(b.Context(), code)
				require.NoError(b, err)
				return float64(cpu() - start)
			}
			var plain, more []float64
			for b.Loop() {
				plain, more = append(plain, load(noFence)), append(more, load(metered))
			}
			b.ReportMetric(middle(more)/middle(plain), "times-load")
			b.ReportMetric(middle(more)/float64(time.Millisecond), "cpu-ms/load")
			b.ReportMetric(float64(report.BytesOut)/float64(report.BytesIn), "times-size")
			b.ReportMetric(0, "ns/op")
		})
	}
}
