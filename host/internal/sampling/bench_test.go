package sampling

import (
	"context"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/culvert-project/culvert/host/internal/base/require"
	"github.com/culvert-project/culvert/host/internal/run/task"
	"github.com/culvert-project/culvert/host/internal/run/transform"
	"github.com/culvert-project/culvert/host/rest"
	"github.com/culvert-project/culvert/wit/datum"
)

// BenchmarkSampling is what it costs tasks that their rows can be looked at, and are: batches through a chain with no
// tap, with one that nobody looks by, and with a sample of 20 rows that is asked for, taken and shown, in turns.
func BenchmarkSampling(b *testing.B) {
	w := newWorld(b, nil)
	c := w.chain(b, map[string]string{"transforms": "insert,replace,route",
		"transforms.insert.type":         transforms + "InsertField$Value",
		"transforms.insert.static.field": "source", "transforms.insert.static.value": "x",
		"transforms.replace.type": transforms + "ReplaceField$Value", "transforms.replace.renames": "id:number",
		"transforms.route.type": transforms + "RegexRouter", "transforms.route.regex": "(.*)",
		"transforms.route.replacement": "sap.$1"})
	require.NoError(b, c.Broken)
	chain, err := transform.New(b.Context(), transform.Options{Manager: c.Plugins, Connector: "orders",
		Stages: c.Stages})
	require.NoError(b, err)
	defer chain.Close()
	var values []any
	for n := range 500 {
		values = append(values, append(order(n, "new"), datum.Entry{Key: "text", Value: strings.Repeat("x", 1000)}))
	}
	whole := batch(b, w.reg, values...)
	rows, data := slices.Clone(whole.Rows), len(whole.Data)
	work := func(tap *task.Tap) float64 {
		began := cpu(b)
		whole.Rows, whole.Data, whole.Topics = append(whole.Rows[:0], rows...), whole.Data[:data], whole.Topics[:1]
		tap.Before(0, "Orders", whole)
		_, err := chain.Apply(context.Background(), whole)
		require.NoError(b, err)
		return cpu(b) - began
	}
	taps := []*task.Tap{nil, w.Tap("orders")}
	var took [2][]float64 // without a tap, and with one
	var task, aside []float64
	for b.Loop() {
		for range 10 {
			slices.Reverse(taps)
			for _, tap := range taps {
				n := 0
				if tap != nil {
					n = 1
				}
				took[n] = append(took[n], work(tap))
			}
		}
		began := cpu(b)
		k, err := w.Ask("orders", rest.SampleAsked{Show: "full"})
		require.NoError(b, err)
		worked := work(w.Tap("orders"))
		k, err = w.Get(b.Context(), "orders", k.ID, c)
		require.NoError(b, err)
		task, aside = append(task, worked), append(aside, cpu(b)-began-worked)
		if k.State != done || len(k.Rows) != usualRows || k.Rows[0].Problem != "" {
			b.Fatalf("expected %d rows, found %+v", usualRows, k)
		}
	}
	batch := middle(took[0])
	b.ReportMetric(batch, "ms/batch")
	b.ReportMetric(middle(took[1])/batch, "times-off")
	ofTask := middle(task) - batch
	b.ReportMetric(ofTask, "task-ms/sample")
	b.ReportMetric(ofTask+middle(aside), "ms/sample")
	b.ReportMetric(0, "ns/op")
}

func middle(v []float64) float64 {
	slices.Sort(v)
	return v[len(v)/2]
}

// cpu is the processor time that the process has taken, in ms.
func cpu(b *testing.B) float64 {
	var u syscall.Rusage
	require.NoError(b, syscall.Getrusage(syscall.RUSAGE_SELF, &u))
	return float64(u.Utime.Nano()+u.Stime.Nano()) / 1e6
}
