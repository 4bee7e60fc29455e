package bench

import "testing"

// BenchmarkStock measures how much longer a guest takes whose kernels stock Go has compiled, alternating with the guest
// whose kernels are assembly: CPU time, regular pages.
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
