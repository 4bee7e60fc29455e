package bench

import "testing"

// BenchmarkStock measures by which factor a guest takes longer whose kernels are Go that stock Go has compiled, in
// turns with the guest whose kernels are assembly: processor time, regular pages.
func BenchmarkStock(b *testing.B) {
	binary, err := buildGuest("")
	if err != nil {
		b.Fatal(err)
	}
	guests := []*guest{newGuest(b), instantiate(b, binary)}
	for atom, format := range []string{"JSON", "Atom"} {
		for k, shape := range Shapes(pageRows) {
			doc, _ := pageOf(shape, atom, Regular)
			b.Run(format+"/"+shape.Name, func(b *testing.B) {
				times := inTurns(b, k, uint64(atom), doc, guests...)
				b.ReportMetric(times[1]/times[0], "times-kernel")
				b.ReportMetric(0, "ns/op")
			})
		}
	}
}
