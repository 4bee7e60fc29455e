package main

import (
	"strings"
	"testing"

	"github.com/culvert-project/culvert/examples/demo-service/service"
)

// TestFollow reads orders with their lines expanded, whose feeds page inside: what is behind the links inside comes
// too.
func TestFollow(t *testing.T) {
	for _, links := range []string{"absolute", "relative"} {
		for _, atom := range []bool{false, true} {
			s := service.New(service.Options{Rows: 40, Switches: service.Switches{ExpandPageSize: 1, PageSize: 15,
				Links: links}})
			l := newLoad(t, s, append(set("00", "Orders"), map[bool]string{false: "sap.odata.format=json", true: "sap.odata.format=atom"}[atom],
				"sap.odata#00.expand=Order_Details", "sap.odata#00.select=OrderID,Order_Details/OrderID")...)
			if _, err := l.run(0, nil); err != nil {
				t.Fatalf("%s, Atom %v: %v", links, atom, err)
			}
			l.same(s, "Orders")
			lines := 0
			for _, v := range l.values {
				lines += strings.Count(v, "[") - 2 // the row and the list itself
			}
			inside := 0
			for _, target := range l.targets {
				if strings.Contains(target, ")/Order_Details?") {
					inside++
				}
			}
			if expected := s.Count("Order_Details"); lines != expected || inside == 0 {
				t.Errorf("%s, Atom %v: expected %d lines, found %d by %d links inside", links, atom, expected, lines, inside)
			}
		}
	}
}
