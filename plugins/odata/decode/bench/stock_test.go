package bench

import (
	"testing"

	"github.com/culvert-project/culvert/internal/base/require"
)

// BenchmarkStock compares the CPU times of two guests for regular pages, measured alternately: with kernels that stock
// Go has compiled, and with kernels in assembly. times-kernel is the quotient.
func BenchmarkStock(b *testing.B) {
	binary, err := buildGuest("")
	require.NoError(b, err)
	assembled := newGuest(b)
	compiled := instantiate(b, binary)
	for n, format := range Formats[:FormatJSON4] {
		for k, shape := range format.Shapes(pageRows) {
			doc := format.Page(shape, Regular)
			b.Run(format.Name+"/"+shape.Name, func(b *testing.B) {
				times := medianTimes(b, k, n, doc, assembled, compiled)
				b.ReportMetric(times[1]/times[0], "times-kernel")
				b.ReportMetric(0, "ns/op")
			})
		}
	}
}
