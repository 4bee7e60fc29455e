package bench

import "testing"

func BenchmarkMicro(b *testing.B) {
	g := newGuest(b)
	for atom, format := range []string{"JSON", "Atom"} {
		for k, shape := range Shapes(pageRows) {
			doc := shape.JSON(Regular)
			if atom == 1 {
				doc = shape.Atom(Regular)
			}
			b.Run(format+"/"+shape.Name, func(b *testing.B) {
				var guests []float64
				for b.Loop() {
					guests = append(guests, timed(func() { g.decode(b, k, uint64(atom), doc, pieceSize, nil) }))
				}
				b.ReportMetric(median(guests)/pageRows, "guest-ns/row")
				b.ReportMetric(median(guests)/pageRows/float64(len(shape.Layout.Columns)), "ns/col")
				b.ReportMetric(0, "ns/op")
			})
		}
	}
}
