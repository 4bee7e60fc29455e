package main

import (
	"fmt"
	"net/http"
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
			l := newLoad(t, s, append(set("00", "Orders"), map[bool]string{false: "sap.odata.format=json",
				true: "sap.odata.format=atom"}[atom],
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
				t.Errorf("%s, Atom %v: expected %d lines, found %d by %d links inside", links, atom, expected, lines,
					inside)
			}
		}
	}
}

// Further pages of an expanded feed that have no end fail the page, soon: those that lead back to one of them, and
// those that bring nothing, however their links grow.
func TestInnerPagesWithoutEnd(t *testing.T) {
	for name, c := range map[string]struct {
		rows string
		link func(n int) string
		said string
	}{
		"to itself, without rows": {"", func(int) string { return "a" }, "was followed before"},
		"to itself, with a row":   {`{"P":1}`, func(int) string { return "a" }, "was followed before"},
		"in a circle": {`{"P":1}`, func(n int) string { return fmt.Sprint(n % 50) },
			"was followed before"},
		"ever further, without a row":  {"", func(n int) string { return fmt.Sprint(n) }, "1000 pages"},
		"an end, behind many with one": {`{"P":1}`, func(n int) string { return fmt.Sprint(n) }, ""},
	} {
		t.Run(name, func(t *testing.T) {
			inner := 0
			s := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				switch {
				case strings.HasSuffix(r.URL.Path, "$metadata"):
					fmt.Fprint(w,
						`<Schema Namespace="N"><EntityType Name="T"><Key><PropertyRef Name="K"/></Key><Property Name="K" Type="Edm.Int32" Nullable="false"/>`+
							`<NavigationProperty Name="L" Relationship="N.R" FromRole="O" ToRole="I"/></EntityType><EntityType Name="I"><Key><PropertyRef Name="P"/></Key>`+
							`<Property Name="P" Type="Edm.Int32" Nullable="false"/></EntityType><Association Name="R"><End Role="O" Type="N.T" Multiplicity="1"/>`+
							`<End Role="I" Type="N.I" Multiplicity="*"/></Association><EntityContainer Name="C"><EntitySet Name="X" EntityType="N.T"/></EntityContainer></Schema>`)
				case strings.Contains(r.URL.Path, "/L"):
					inner++
					next := `,"__next":"X(1)/L?$skiptoken=` + c.link(inner) + `"`
					if c.said == "" && inner == 1200 {
						next = ""
					}
					fmt.Fprintf(w, `{"d":{"results":[%s]%s}}`, c.rows, next)
				default:
					fmt.Fprint(w,
						`{"d":{"__count":"1","results":[{"K":1,"L":{"results":[{"P":1}],"__next":"X(1)/L?$skiptoken=start"}}]}}`)
				}
			})
			l := newLoad(t, s, "sap.odata#00.service=/s", "sap.odata#00.entityset=X", "sap.odata#00.topic=t",
				"sap.odata#00.expand=L",
				"sap.odata.count=none")
			_, err := l.some(0, nil, 1)
			if c.said == "" {
				if err != nil || inner < 1200 {
					t.Errorf("%d inner pages, %v", inner, err)
				}
			} else if err == nil || !strings.Contains(err.Error(), c.said) || inner > 1001 {
				t.Errorf("%d inner pages, %v", inner, err)
			}
		})
	}
}
