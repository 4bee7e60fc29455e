package java_test

import (
	"math"
	"strconv"
	"testing"

	"github.com/culvert-project/culvert/internal/java"
)

// The texts are the results of Float.toString and Double.toString of Java 21.
func TestFormatsFloatsLikeJava(t *testing.T) {
	for _, c := range []struct {
		v    float64
		bits int
		want string
	}{
		{0, 64, "0.0"}, {math.Copysign(0, -1), 64, "-0.0"}, {1, 64, "1.0"}, {-1.5, 64, "-1.5"}, {100, 32, "100.0"},
		{math.NaN(), 64, "NaN"}, {math.Inf(1), 64, "Infinity"}, {math.Inf(-1), 32, "-Infinity"},
		{0.001, 64, "0.001"}, {0.00099, 64, "9.9E-4"}, {9999999, 64, "9999999.0"}, {1e7, 64, "1.0E7"},
		{12345678.9, 64, "1.23456789E7"}, {1e21, 64, "1.0E21"}, {1e23, 64, "1.0E23"}, {0.1, 64, "0.1"},
		{float64(float32(0.1)), 32, "0.1"}, {float64(float32(16777216)), 32, "1.6777216E7"},
		{math.SmallestNonzeroFloat64, 64, "4.9E-324"}, {-math.SmallestNonzeroFloat64, 64, "-4.9E-324"},
		{2 * math.SmallestNonzeroFloat64, 64, "9.9E-324"}, {math.SmallestNonzeroFloat32, 32, "1.4E-45"},
		{2 * math.SmallestNonzeroFloat32, 32, "2.8E-45"}, {math.MaxFloat64, 64, "1.7976931348623157E308"},
		{math.MaxFloat32, 32, "3.4028235E38"}, {float64(float32(1.17549435e-38)), 32, "1.1754944E-38"},
	} {
		if got := string(java.AppendFloat(nil, c.v, c.bits)); got != c.want {
			t.Errorf("%v of %d bits: expected %s, found %s", c.v, c.bits, c.want, got)
		}
		quoted := c.want
		if math.IsNaN(c.v) || math.IsInf(c.v, 0) {
			quoted = strconv.Quote(c.want)
		}
		if got := string(java.AppendJSONFloat(nil, c.v, c.bits)); got != quoted {
			t.Errorf("%v of %d bits in JSON: expected %s, found %s", c.v, c.bits, quoted, got)
		}
	}
}

// A formatted number is parsed as the same number.
func FuzzReal(f *testing.F) {
	f.Add(uint64(1))
	f.Add(math.Float64bits(1e23))
	f.Fuzz(func(t *testing.T, bits uint64) {
		for size, v := range map[int]float64{64: math.Float64frombits(bits),
			32: float64(math.Float32frombits(uint32(bits)))} {
			if math.IsNaN(v) || math.IsInf(v, 0) {
				continue
			}
			text := string(java.AppendFloat(nil, v, size))
			if back, err := strconv.ParseFloat(text, size); err != nil || back != v {
				t.Errorf("%v of %d bits: %s is parsed as %v, %v", v, size, text, back, err)
			}
		}
	})
}
