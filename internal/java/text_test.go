package java_test

import (
	"math"
	"strconv"
	"testing"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/java"
)

// Numbers have the text of Float.toString and Double.toString of Java 21. In JSON, NaN and infinities are quoted.
func TestFormatsFloatsLikeJava(t *testing.T) {
	for _, c := range []struct {
		value float64
		bits  int
		want  string
	}{
		{value: 0, bits: 64, want: "0.0"},
		{value: math.Copysign(0, -1), bits: 64, want: "-0.0"},
		{value: 1, bits: 64, want: "1.0"},
		{value: -1.5, bits: 64, want: "-1.5"},
		{value: 100, bits: 32, want: "100.0"},
		{value: math.NaN(), bits: 64, want: "NaN"},
		{value: math.Inf(1), bits: 64, want: "Infinity"},
		{value: math.Inf(-1), bits: 32, want: "-Infinity"},
		{value: 0.001, bits: 64, want: "0.001"},
		{value: 0.00099, bits: 64, want: "9.9E-4"},
		{value: 9999999, bits: 64, want: "9999999.0"},
		{value: 1e7, bits: 64, want: "1.0E7"},
		{value: 12345678.9, bits: 64, want: "1.23456789E7"},
		{value: 1e21, bits: 64, want: "1.0E21"},
		{value: 1e23, bits: 64, want: "1.0E23"},
		{value: 0.1, bits: 64, want: "0.1"},
		{value: float64(float32(0.1)), bits: 32, want: "0.1"},
		{value: float64(float32(16777216)), bits: 32, want: "1.6777216E7"},
		{value: math.SmallestNonzeroFloat64, bits: 64, want: "4.9E-324"},
		{value: -math.SmallestNonzeroFloat64, bits: 64, want: "-4.9E-324"},
		{value: 2 * math.SmallestNonzeroFloat64, bits: 64, want: "9.9E-324"},
		{value: math.SmallestNonzeroFloat32, bits: 32, want: "1.4E-45"},
		{value: 2 * math.SmallestNonzeroFloat32, bits: 32, want: "2.8E-45"},
		{value: math.MaxFloat64, bits: 64, want: "1.7976931348623157E308"},
		{value: math.MaxFloat32, bits: 32, want: "3.4028235E38"},
		{value: float64(float32(1.17549435e-38)), bits: 32, want: "1.1754944E-38"},
	} {
		assert.Equal(t, c.want, string(java.AppendFloat(nil, c.value, c.bits)), c.value, "of", c.bits, "bits")
		quoted := c.want
		if math.IsNaN(c.value) || math.IsInf(c.value, 0) {
			quoted = strconv.Quote(c.want)
		}
		got := string(java.AppendJSONFloat(nil, c.value, c.bits))
		assert.Equal(t, quoted, got, c.value, "of", c.bits, "bits in JSON")
	}
}

// A formatted number is parsed as the same number.
func FuzzReal(f *testing.F) {
	f.Add(uint64(1))
	f.Add(math.Float64bits(1e23))
	f.Fuzz(func(t *testing.T, bits uint64) {
		for size, v := range map[int]float64{
			64: math.Float64frombits(bits),
			32: float64(math.Float32frombits(uint32(bits))),
		} {
			if math.IsNaN(v) || math.IsInf(v, 0) {
				continue
			}
			text := string(java.AppendFloat(nil, v, size))
			back, err := strconv.ParseFloat(text, size)
			assert.True(t, err == nil && back == v, "%v of %d bits: %s is parsed as %v, %v", v, size, text, back, err)
		}
	})
}
