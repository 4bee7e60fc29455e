package main

import (
	"strings"
	"testing"

	"github.com/culvert-project/culvert/examples/demo-service/service"
	"github.com/culvert-project/culvert/plugins/odata/decode"
	"github.com/culvert-project/culvert/plugins/odata/edm"
	"github.com/culvert-project/culvert/wit"
)

// TestFollow reads orders with their lines expanded, whose feeds page inside: what is behind the links inside comes too. There is
// no setting for it yet, so the layout is made by hand.
func TestFollow(t *testing.T) {
	for _, links := range []string{"absolute", "relative"} {
		for _, atom := range []bool{false, true} {
			s := service.New(service.Options{Rows: 40, Switches: service.Switches{ExpandPageSize: 1, PageSize: 15, Links: links}})
			l := newLoad(t, s, append(set("00", "Orders"), map[bool]string{false: "sap.odata.format=json", true: "sap.odata.format=atom"}[atom])...)
			_, f, err := l.p.contexts.feed(l.opened.Context, 0)
			if err != nil {
				t.Fatal(err)
			}
			expandLines(t, f)
			offset := []wit.Field{wit.TextField("url", northwind+"/Orders?$expand=Order_Details&$orderby=OrderID"), wit.IntegerField("seen", 0)}
			if _, err := l.run(0, offset); err != nil {
				t.Fatalf("%s, Atom %v: %v", links, atom, err)
			}
			l.same(s, "Orders")
			lines := 0
			for _, v := range l.values {
				lines += strings.Count(v, " [") - 1 // the list itself
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

// expandLines gives a feed's rows one more member, a list of keys of order lines.
func expandLines(t *testing.T, f *feed) {
	t.Helper()
	nested := &decode.Layout{Name: "line", Visible: 2, Columns: []decode.Column{{Name: "OrderID", Type: edm.Int32}, {Name: "ProductID", Type: edm.Int32}},
		Known: []string{"UnitPrice", "Quantity", "Discount", "Order", "Product"}}
	f.layout.Columns = append(f.layout.Columns, decode.Column{Name: "Order_Details", Shape: decode.Many, Nested: nested})
	f.layout.Visible++
	f.layout.Known = []string{"Customer", "Employee"}
	if err := f.layout.Check(); err != nil {
		t.Fatal(err)
	}
	nodes := f.value.Nodes
	at := uint32(len(nodes))
	nodes[0].Members = append(nodes[0].Members, wit.Member{Name: "Order_Details", Node: at})
	f.value.Nodes = append(nodes, wit.Node{Kind: wit.Array, Element: at + 1},
		wit.Node{Kind: wit.Structure, Members: []wit.Member{{Name: "OrderID", Node: at + 2}, {Name: "ProductID", Node: at + 3}}}, wit.Node{Kind: wit.Int32}, wit.Node{Kind: wit.Int32})
}
