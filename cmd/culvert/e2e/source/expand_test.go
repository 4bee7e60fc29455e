package source

import (
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"testing"

	"github.com/culvert-project/culvert/internal/e2etest"
)

const expandMetadata = `<edmx:Edmx Version="1.0" xmlns:edmx="http://schemas.microsoft.com/ado/2007/06/edmx"><edmx:DataServices><Schema Namespace="N" xmlns="http://schemas.microsoft.com/ado/2008/09/edm">` +
	`<EntityType Name="Row"><Key><PropertyRef Name="ID"/></Key><Property Name="ID" Type="Edm.Int32" Nullable="false"/>` +
	`<NavigationProperty Name="Items" Relationship="N.A" FromRole="R" ToRole="I"/></EntityType>` +
	`<EntityType Name="Item"><Key><PropertyRef Name="ID"/></Key><Property Name="ID" Type="Edm.Int32" Nullable="false"/></EntityType>` +
	`<Association Name="A"><End Role="R" Type="N.Row" Multiplicity="1"/><End Role="I" Type="N.Item" Multiplicity="*"/></Association>` +
	`<EntityContainer Name="C"><EntitySet Name="Rows" EntityType="N.Row"/><EntitySet Name="Items" EntityType="N.Item"/>` +
	`<AssociationSet Name="AS" Association="N.A"><End Role="R" EntitySet="Rows"/><End Role="I" EntitySet="Items"/></AssociationSet>` +
	`</EntityContainer></Schema></edmx:DataServices></edmx:Edmx>`

// expanding answers all rows in one page, or $top of them, and of each row one item in each of so many inner pages.
func expanding(rows, pages int) http.Handler {
	inner := func(row, page int) string {
		text := fmt.Sprintf(`{"results":[{"ID":%d}]`, page)
		if page+1 < pages {
			text += fmt.Sprintf(`,"__next":"Rows(%d)/Items?$skiptoken=%d"`, row, page+1)
		}
		return text + "}"
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case strings.HasSuffix(r.URL.Path, "$metadata"):
			w.Header().Set("Content-Type", "application/xml")
			_, _ = w.Write([]byte(expandMetadata))
		case strings.HasSuffix(r.URL.Path, "/Items"):
			row, page := 0, r.URL.Query().Get("$skiptoken")
			_, _ = fmt.Sscanf(r.URL.Path, "/s/Rows(%d)/Items", &row)
			n, _ := strconv.Atoi(page)
			_, _ = w.Write([]byte(`{"d":` + inner(row, n) + "}"))
		default:
			var list []string
			asked := rows
			if top, err := strconv.Atoi(r.URL.Query().Get("$top")); err == nil {
				asked = min(rows, top)
			}
			for row := range asked {
				list = append(list, fmt.Sprintf(`{"ID":%d,"Items":%s}`, row, inner(row, 0)))
			}
			_, _ = w.Write([]byte(`{"d":{"__count":"` + strconv.Itoa(rows) + `","results":[` +
				strings.Join(list, ",") + "]}}"))
		}
	})
}

// Inner next links are followed behind one another, so many rows as have one in a page, and so many pages as a row has.
func TestInnerLinksOfManyRowsAndPages(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ rows, pages int }{{301, 2}, {1, 31}, {20, 40}} {
		t.Run(fmt.Sprint(c), func(t *testing.T) {
			p := e2etest.NewPlace(t)
			lines := oddRows("rows", e2etest.Serve(t, expanding(c.rows, c.pages)), "sap.odata#00.expand=Items")
			r := p.Once(p.File("rows.properties", lines...))
			items := 0
			for _, record := range p.Records("rows") {
				value := record["value"].(map[string]any)["payload"].(map[string]any)
				items += len(value["Items"].([]any))
			}
			if r.Code != 0 || items != c.rows*c.pages {
				t.Errorf("exit %d, %d of %d items\n%s", r.Code, items, c.rows*c.pages, r.Stderr)
			}
		})
	}
}
