package paging

import (
	"strconv"
	"testing"
)

// What a load remembers doesn't grow with it.
func TestTrailIsBounded(t *testing.T) {
	var tr LoopDetector
	for i := range 200_000 {
		if tr.visit(hashOf(strconv.Itoa(i))) {
			t.Fatalf("step %d looks like one before", i)
		}
	}
	if n := len(tr.String()); n > 1000 {
		t.Errorf("%d bytes", n)
	}
	again := LoopDetector{}
	if !again.parse(tr.String()) || again != tr {
		t.Error("it can't be read again")
	}
	for _, s := range []string{"", "1", "1.2.3", "0." + tr.checkpoint + ".", tr.String() + "x", "x." + tr.checkpoint +
		"."} {
		if again.parse(s) {
			t.Errorf("%q was read", s)
		}
	}
}
