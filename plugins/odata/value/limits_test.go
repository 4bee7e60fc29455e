package value_test

import (
	"math"
	"math/big"
	"testing"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/plugins/odata/edm"
	"github.com/culvert-project/culvert/plugins/odata/value"
	"github.com/culvert-project/culvert/wit/connectdata"
)

// The error for a value outside a property's range names the limits. ConvertLossy makes it fit.
func TestLimits(t *testing.T) {
	newProperty := func(p edm.Primitive) edm.Property {
		return edm.Property{Type: edm.Type{Primitive: p}, Length: -1, Precision: -1, Scale: -1}
	}
	text := newProperty(edm.String)
	raw := newProperty(edm.Binary)
	amount := newProperty(edm.Decimal)
	variableScale := newProperty(edm.Decimal)
	text.Length = 3
	raw.Length = 2
	amount.Precision = 5
	amount.Scale = 2
	variableScale.Precision = 5
	variableScale.Scale = 2
	variableScale.VariableScale = true
	for _, c := range []struct {
		property edm.Property
		value    any
		checked  string // the text or the error of ConvertChecked
		lossy    string // the text or the error of ConvertLossy
	}{
		{newProperty(edm.Int16), int64(70000), "expected Edm.Int16 from -32768 to 32767, found integer 70000", "4464"},
		{newProperty(edm.Int16), int16(-5), "-5", "-5"},
		{newProperty(edm.Byte), int64(-1), "expected Edm.Byte from 0 to 255, found integer -1", "255"},
		{newProperty(edm.SByte), int32(200), "expected Edm.SByte from -128 to 127, found integer 200", "-56"},
		{newProperty(edm.Int32), int64(math.MaxInt64),
			"expected Edm.Int32 from -2147483648 to 2147483647, found integer 9223372036854775807", "-1"},
		{newProperty(edm.Int64), float64(1.5), "expected Edm.Int64 from -9223372036854775808 to " +
			"9223372036854775807, found float64 1.5", "1"},
		{newProperty(edm.Int16), connectdata.Decimal{Unscaled: big.NewInt(70000)},
			"expected Edm.Int16 from -32768 to 32767, found decimal 70000e0",
			"expected Edm.Int16, found decimal 70000e0"},
		{text, connectdata.Decimal{Scale: 1, Unscaled: big.NewInt(1230)}, "123", "123"},
		{text, connectdata.Decimal{Scale: -2, Unscaled: big.NewInt(12)},
			`expected Edm.String of at most 3 characters, found 4 characters: decimal 12e2`, "1200"},
		{newProperty(edm.Int32), "x", `expected Edm.Int32, found "x"`, `expected Edm.Int32, found "x"`},
		{text, "äöü", "äöü", "äöü"},
		{text, "abcd", `expected Edm.String of at most 3 characters, found 4 characters: "abcd"`, "abcd"},
		{raw, []byte{1, 2}, "AQI=", "AQI="},
		{raw, []byte{1, 2, 3}, "expected Edm.Binary of at most 2 bytes, found 3 bytes", "AQID"},
		{amount, "123.45", "123.45", "123.45"},
		{amount, "-000123.4500", "-000123.45", "-000123.45"},
		{amount, "123.455", "expected Edm.Decimal of at most 5 digits with at most 2 of them after " +
			"the point, found 123.455", "123.46"},
		{amount, "123.465", "expected Edm.Decimal of at most 5 digits with at most 2 of them after " +
			"the point, found 123.465", "123.46"},
		{amount, "-0.005", "expected Edm.Decimal of at most 5 digits with at most 2 of them after " +
			"the point, found -0.005", "0.00"},
		{amount, "1234.5", "expected Edm.Decimal of at most 5 digits with at most 2 of them after " +
			"the point, found 1234.5", "1234.5"},
		{variableScale, "1.2345", "1.2345", "1.2345"},
		{variableScale, "12.3456", "expected Edm.Decimal of at most 5 digits, found 12.3456", "12.3456"},
	} {
		result := func(c value.Converted, err error) string {
			if err != nil {
				return err.Error()
			}
			return c.Text
		}
		found := result(value.ConvertChecked(&c.property, nil, c.value))
		assert.Equal(t, c.checked, found, c.property.Type.Primitive, "of", c.value)
		found = result(value.ConvertLossy(&c.property, nil, c.value))
		assert.Equal(t, c.lossy, found, c.property.Type.Primitive, "of", c.value, "lossy")
	}
}
