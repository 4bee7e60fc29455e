package paging

import (
	"cmp"
	"testing"

	"github.com/culvert-project/culvert/plugins/odata/edm"
)

func TestCompare(t *testing.T) {
	for _, c := range []struct {
		typ  edm.Primitive
		a, b string
		fold bool
	}{
		{edm.Int64, "-10", "9", false}, {edm.Byte, "9", "10", false}, {edm.Decimal, "-1.5", "-1.25", false},
		{edm.Decimal, "9.9", "10", false},
		{edm.DateTime, "2016-07-08T12:34:56", "2016-07-08T12:34:56.5", false}, {edm.DateTimeOffset,
			"2016-07-08T12:34:56Z", "2016-07-08T12:34:56.5Z", false},
		{edm.Time, "PT12H34M56S", "PT12H34M56.5S", false}, {edm.String, "B", "a", false}, {edm.String, "a", "B", true},
		{edm.Guid, "0A", "0b", false},
		{edm.Boolean, "false", "true", false}, {edm.String, "Ä", "äb", true},
	} {
		if compareLiterals(c.typ, c.a, c.b, c.fold) >= 0 || compareLiterals(c.typ, c.b, c.a, c.fold) <= 0 ||
			compareLiterals(c.typ, c.a, c.a, c.fold) != 0 {
			t.Errorf("%v: expected %s before %s", c.typ, c.a, c.b)
		}
	}
}

func TestCompareWhole(t *testing.T) {
	for x := int64(-70_000); x < 70_000; x += 77 {
		for _, y := range []int64{-65536, -257, -256, -129, -128, -1, 0, 1, 127, 128, 255, 256, 65536} {
			if got := compareWhole(twosComplement(x), twosComplement(y)); got != cmp.Compare(x, y) {
				t.Fatalf("%d and %d: found %d", x, y, got)
			}
		}
	}
}

// twosComplement is a number as decimals have it: as few bytes as hold it.
func twosComplement(n int64) []byte {
	b := []byte{byte(n)}
	for n>>7 != 0 && n>>7 != -1 {
		n >>= 8
		b = append([]byte{byte(n)}, b...)
	}
	return b
}
