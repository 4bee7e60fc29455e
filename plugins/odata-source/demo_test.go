package main

import (
	"fmt"
	"strings"
	"testing"

	"github.com/culvert-project/culvert/internal/odatatest"
)

// A service that gives a page twice, by two addresses: in full mode the load says so and fails, since it can't be told
// from a circle; in delta mode the rows come twice, and none is missing.
func TestPagesThatComeTwice(t *testing.T) {
	for _, paging := range []string{"auto", "keys", "links"} {
		for _, token := range []string{"key", "offset"} {
			s := odatatest.New(odatatest.Options{Rows: 60, Switches: odatatest.Switches{PageSize: 10, RepeatPages: 1,
				SkipToken: token}})
			l := newLoad(t, s, append(set("00", "Orders"), "sap.odata.paging="+paging)...)
			_, err := l.run(0, nil)
			switch {
			case err != nil && !strings.Contains(err.Error(), "the service's pages go in a circle"):
				t.Errorf("%s, %s: %v", paging, token, err)
			case err == nil:
				l.same(s, "Orders")
			}
		}
	}
	s := odatatest.New(odatatest.Options{Rows: 80, Switches: odatatest.Switches{PageSize: 10, RepeatPages: 2}})
	f := loaded(t, s, tracked00("Orders")...)
	f.equals(s, "Orders", "OrderID", "ShipName")
	// Nothing shows where the links of those pages lead, so the set is read once more behind them.
	if n := len(f.log) - 2*s.Count("Orders"); n != 20 {
		t.Errorf("expected that two pages come twice, found %d rows more than those of two readings", n)
	}
}

// A property that a service gains while it is followed is in the rows that have it, and one that it loses is null; no
// row is missing or a fault.
func TestPropertiesThatComeAndGo(t *testing.T) {
	s := odatatest.New(odatatest.Options{Rows: 10, Switches: odatatest.Switches{Hide: "Products/UnitsOnOrder"}})
	f := loaded(t, s, tracked00("Products")...)
	for n, hidden := range []string{"", "Products/ReorderLevel", "Products/ReorderLevel,Products/UnitsOnOrder"} {
		noError(t, s.Set("hide", hidden))
		write(t, s, "MERGE", "Products(3)", map[string]any{"ProductName": fmt.Sprint("Changed ", n)})
		if err := f.reopened(poll); err != nil || len(f.faults) > 0 {
			t.Fatalf("hidden %q: %v, %v", hidden, err, f.faults)
		}
		f.equals(s, "Products", "ProductID", "ProductName")
		value := f.state["[3]"]
		for _, name := range []string{"UnitsOnOrder", "ReorderLevel"} {
			if there := value[name] != nil; there == strings.Contains(hidden, name) {
				t.Errorf("hidden %q: %s is %v", hidden, name, value[name])
			}
		}
	}
}
