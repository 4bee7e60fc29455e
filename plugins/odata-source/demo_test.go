package main

import (
	"testing"

	"github.com/culvert-project/culvert/internal/odatatest"
)

// A service that gives a page twice, by two addresses: in delta mode the rows come twice, and none is missing. (In full
// mode it cannot be distinguished from a circle: TestCircles of package load.)
func TestPagesThatComeTwice(t *testing.T) {
	s := odatatest.New(odatatest.Options{Rows: 80, Switches: odatatest.Switches{PageSize: 10, RepeatPages: 2}})
	f := loaded(t, s, tracked00("Orders")...)
	f.equals(s, "Orders", "OrderID", "ShipName")
	// Nothing shows where the links of those pages lead, so the set is read once more behind them.
	if n := len(f.log) - 2*s.Count("Orders"); n != 20 {
		t.Errorf("expected that two pages come twice, found %d rows more than those of two readings", n)
	}
}
