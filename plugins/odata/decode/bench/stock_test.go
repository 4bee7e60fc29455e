package bench

import "testing"

// BenchmarkStock measures by which factor a guest takes longer whose kernels are Go that stock Go has compiled, in
// turns with the guest whose kernels are assembly: processor time, regular pages.
func BenchmarkStock(b *testing.B) {
	binary, err := buildGuest("stock")
	if err != nil {
		b.Fatal(err)
	}
	guests := []*guest{newGuest(b), instantiate(b, binary)}
	for atom, format := range []string{"JSON", "Atom"} {
		for k, shape := range Shapes(pageRows) {
			doc := shape.JSON(Regular)
			if atom == 1 {
				doc = shape.Atom(Regular)
			}
			b.Run(format+"/"+shape.Name, func(b *testing.B) {
				var times [2][]float64
				for b.Loop() {
					for n, g := range guests {
						times[n] = append(times[n], timed(func() { g.decode(b, k, uint64(atom), doc, pieceSize, nil) }))
					}
				}
				b.ReportMetric(median(times[1])/median(times[0]), "times-kernel")
				b.ReportMetric(0, "ns/op")
			})
		}
	}
}
