package bench

import (
	"testing"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/base/require"
	"github.com/culvert-project/culvert/plugins/odata/decode"
)

// BenchmarkJSON4 alternately measures the CPU time per row of the guest for the shape Orders in JSON of v2 and of v4.
// Without exact numbers the decoder also looks for those that the service rounded.
func BenchmarkJSON4(b *testing.B) {
	g := newGuest(b)
	for _, v := range []Variant{Regular, Omitted, Shuffled} {
		b.Run(v.String(), func(b *testing.B) {
			v2 := Shapes(pageRows)[0].JSON(v)
			schema, v4 := Orders4(pageRows, v)
			decoder := decode.NewJSON4(schema, decode.JSON4Options{Exact: true})
			require.Len(b, pageRows, mustDecode(b, decoder, v4, pageRows).Rows, "rows without errors")
			times := [3][]float64{}
			measure := func(n int, format uint64, doc []byte) {
				times[n] = append(times[n], measureCPU(func() { g.decode(b, 0, format, doc, pieceSize, nil) }))
			}
			for b.Loop() {
				measure(0, 0, v2)
				measure(1, 2, v4)
				measure(2, 3, v4)
			}
			b.ReportMetric(median(times[0])/pageRows, "v2-ns/row")
			b.ReportMetric(median(times[1])/pageRows, "v4-ns/row")
			b.ReportMetric(median(times[1])/median(times[0]), "v4/v2")
			b.ReportMetric(median(times[2])/median(times[0]), "inexact/v2")
			b.ReportMetric(0, "ns/op")
		})
	}
}

// Regular rows of v4 cause no allocations in a warm guest.
func TestRowsOfJSON4AllocateNothing(t *testing.T) {
	g := newGuest(t)
	const exact = 2
	count := func(rows int) int64 {
		_, doc := Orders4(rows, Regular)
		for range 3 {
			g.decode(t, 0, exact, doc, pieceSize, nil)
		}
		before := g.call(t, g.allocs)
		g.decode(t, 0, exact, doc, pieceSize, nil)
		return int64(g.call(t, g.allocs) - before)
	}
	of100 := count(100)
	of1000 := count(1000)
	assert.True(t, of1000-of100 <= 20 && of1000 <= 100, "found %d objects for 100 rows, %d for 1,000", of100, of1000)
}
