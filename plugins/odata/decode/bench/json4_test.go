package bench

import (
	"testing"

	"github.com/culvert-project/culvert/internal/base/require"
)

// BenchmarkJSON4 alternately measures the CPU time per row of the guest for JSON of v2, of v4, and of v4 with numbers.
func BenchmarkJSON4(b *testing.B) {
	g := newGuest(b)
	for k, shape := range Shapes(0) {
		for _, v := range []Variant{Regular, Omitted, Shuffled} {
			if v != Regular && shape.Name != "Orders" {
				continue
			}
			b.Run(shape.Name+"/"+v.String(), func(b *testing.B) {
				times := map[int][]float64{}
				docs := map[int][]byte{}
				formats := []int{FormatJSON, FormatJSON4, FormatNumbers4}
				for _, n := range formats {
					shape := Formats[n].Shapes(pageRows)[k]
					docs[n] = Formats[n].Page(shape, v)
					rows := mustDecode(b, Formats[n].NewDecoder(shape.Schema), docs[n], pageRows).Rows
					require.Equal(b, len(rows), g.decode(b, k, n, docs[n], pieceSize, nil), "rows")
				}
				for b.Loop() {
					for _, n := range formats {
						times[n] = append(times[n], measureCPU(func() { g.decode(b, k, n, docs[n], pieceSize, nil) }))
					}
				}
				v2 := median(times[FormatJSON])
				b.ReportMetric(v2/pageRows, "v2-ns/row")
				b.ReportMetric(median(times[FormatJSON4])/pageRows, "v4-ns/row")
				b.ReportMetric(median(times[FormatJSON4])/v2, "v4/v2")
				b.ReportMetric(median(times[FormatNumbers4])/v2, "numbers/v2")
				b.ReportMetric(0, "ns/op")
			})
		}
	}
}
