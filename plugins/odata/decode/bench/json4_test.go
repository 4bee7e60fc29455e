package bench

import (
	"testing"

	"github.com/culvert-project/culvert/internal/base/require"
	"github.com/culvert-project/culvert/plugins/odata/decode"
)

// BenchmarkJSON4 alternately measures the CPU time per row of the guest for the shape Orders in JSON of v2 and of v4.
// With exact=false the decoder also looks for numbers that the service rounded.
func BenchmarkJSON4(b *testing.B) {
	g := newGuest(b)
	v2 := Shapes(pageRows)[0].JSON(Regular)
	schema, v4 := Orders4(pageRows)
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
}
