package bench

import (
	"testing"

	"github.com/culvert-project/culvert/plugins/odata/decode"
)

// BenchmarkNative is the decoder without Wasm, for profiles.
func BenchmarkNative(b *testing.B) {
	for atom, format := range []string{"JSON", "Atom"} {
		for _, shape := range Shapes(pageRows) {
			doc, d := pageOf(shape, atom, Regular)
			b.Run(format+"/"+shape.Name, func(b *testing.B) {
				var out decode.Output
				b.ReportAllocs()
				for b.Loop() {
					d.Reset()
					for rest := doc; len(rest) > 0; {
						n := min(pieceSize, len(rest))
						out.Reset()
						if err := d.Write(rest[:n], n == len(rest), &out); err != nil {
							b.Fatal(err)
						}
						rest = rest[n:]
					}
				}
				b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/pageRows, "ns/row")
			})
		}
	}
}
