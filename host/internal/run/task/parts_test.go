package task

import (
	"math/rand/v2"
	"testing"
)

// Parts say the same when they were written as text, and of two lists what is in both.
func TestParts(t *testing.T) {
	random := rand.New(rand.NewPCG(7, 0))
	for range 500 {
		of := 2 + random.Uint32N(12)
		var lists [2]Parts
		var has [2]map[uint32]bool
		for n := range lists {
			has[n] = map[uint32]bool{}
			var places []uint32
			for range 1 + random.IntN(int(of)-1) {
				at := random.Uint32N(of)
				places, has[n][at] = append(places, at), true
			}
			lists[n] = PartsOf(of, places)
			if all := len(has[n]) == int(of); all != lists[n].Whole() {
				t.Fatalf("%v of %d: whole %t", places, of, lists[n].Whole())
			}
			if lists[n].Whole() {
				continue
			}
			read, err := ParseParts(lists[n].String())
			if err != nil || read.String() != lists[n].String() {
				t.Fatalf("%s: read %s, %v", lists[n], read, err)
			}
		}
		both, ok := lists[0].Both(lists[1])
		for at := range of {
			if expected := has[0][at] && has[1][at]; !ok || both.Has(at) != expected || lists[0].Has(at) != has[0][at] {
				t.Fatalf("%s and %s: %d in both: %t, found %t", lists[0], lists[1], at, expected, both.Has(at))
			}
		}
	}
	if _, ok := PartsOf(3, []uint32{1}).Both(PartsOf(4, []uint32{1})); ok {
		t.Error("parts of 3 rows and of 4 fit together")
	}
	if PartsOf(3, []uint32{1}).Fits(4) == nil || PartsOf(3, []uint32{1}).Fits(3) != nil || (Parts{}).Fits(9) != nil {
		t.Error("what fits")
	}
	for _, text := range []string{"", "1", "1 of 0", "0 of 3", "4 of 3", "2-1 of 3", "2,1 of 3", "1,1 of 3", "1- of 3",
		"1 of 99999999999", "x of 3"} {
		if p, err := ParseParts(text); err == nil {
			t.Errorf("%q: read %s", text, p)
		}
	}
}
