package main

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/base/require"
	"github.com/culvert-project/culvert/internal/odatatest"
	"github.com/culvert-project/culvert/plugins/odata/sourceconfig"
)

// TestExpandedFeedsArePaged reads orders with expanded lines whose feeds have pages: the rows behind nested next links
// are read too.
func TestExpandedFeedsArePaged(t *testing.T) {
	for _, links := range []string{"absolute", "relative"} {
		for _, format := range []string{"json", "atom"} {
			settings := append(set("00", "Orders"), "sap.odata.format="+format, "sap.odata#00.expand=Order_Details",
				"sap.odata#00.select=OrderID,Order_Details/OrderID")
			name := links + ", " + format
			eachClass(t, name, settings, func(t *testing.T, class *sourceconfig.Component, settings []string) {
				service := odatatest.New(odatatest.Options{Rows: 40, Switches: odatatest.Switches{
					ExpandPageSize: 1,
					PageSize:       15,
					Links:          links,
				}})
				load := newUnopened(t, service)
				load.class = class
				require.NoError(t, load.open(settings...))
				load.readAll(nil)
				load.checkComplete(service, "Orders")
				lines := 0
				for _, value := range load.values {
					lines += strings.Count(value, "[") - 2 // the row and the list itself
				}
				nestedRequests := 0
				for _, target := range load.targets {
					if strings.Contains(target, ")/Order_Details?") {
						nestedRequests++
					}
				}
				expected := service.Count("Order_Details")
				assert.True(t, lines == expected && nestedRequests > 0,
					"expected %d lines, found %d with %d nested links", expected, lines, nestedRequests)
			})
		}
	}
}

// Nested pages without an end fail the page soon: pages that link to an earlier one, and empty pages whose links grow.
func TestNestedPagesWithoutEnd(t *testing.T) {
	metadata := metadataOf("K", `<Property Name="K" Type="Edm.Int32" Nullable="false"/>`+
		`<NavigationProperty Name="L" Relationship="N.R" FromRole="O" ToRole="I"/>`,
		`<EntityType Name="I"><Key><PropertyRef Name="P"/></Key><Property Name="P" Type="Edm.Int32" Nullable="false"/>`+
			`</EntityType>`, `<Association Name="R"><End Role="O" Type="N.T" Multiplicity="1"/>`+
			`<End Role="I" Type="N.I" Multiplicity="*"/></Association>`)
	const row = `{"P":%d}`
	for name, test := range map[string]struct {
		row     string             // in each page, with its number
		token   func(n int) string // of the next link of page n
		message string             // of the error. "" means that the load succeeds.
	}{
		"to itself, without rows": {token: func(int) string { return "a" }, message: "was followed before"},
		"to itself, with a row": {row: row, token: func(int) string { return "a" },
			message: "was followed before"},
		"in a circle": {row: row, token: func(n int) string { return fmt.Sprint(n % 50) },
			message: "was followed before"},
		"ever further, without a row":  {token: func(n int) string { return fmt.Sprint(n) }, message: "1000 pages"},
		"an end, behind many with one": {row: row, token: func(n int) string { return fmt.Sprint(n) }},
	} {
		t.Run(name, func(t *testing.T) {
			inner := 0
			handler := withMetadata(metadata, func(w http.ResponseWriter, r *http.Request) {
				if !strings.Contains(r.URL.Path, "/L") {
					fmt.Fprint(w, `{"d":{"__count":"1","results":[{"K":1,"L":{"results":[{"P":1}],`+
						`"__next":"X(1)/L?$skiptoken=start"}}]}}`)
					return
				}
				inner++
				next := `,"__next":"X(1)/L?$skiptoken=` + test.token(inner) + `"`
				if test.message == "" && inner == 1200 {
					next = ""
				}
				row := test.row
				if row != "" {
					row = fmt.Sprintf(row, inner+1)
				}
				fmt.Fprintf(w, `{"d":{"results":[%s]%s}}`, row, next)
			})
			l := newLoad(t, handler, setOf("/s", "X", "sap.odata#00.expand=L", "sap.odata.count=none")...)
			_, err := l.readPages(0, nil, 1)
			ends := test.message == ""
			assert.True(t, errorContains(err, test.message) && (!ends || inner >= 1200) && (ends || inner <= 1001),
				"expected %q, found %v after %d nested pages", test.message, err, inner)
		})
	}
}

const withChildren = `<Property Name="P" Type="Edm.Int32" Nullable="false"/>` +
	`<NavigationProperty Name="L" Relationship="N.R" FromRole="O" ToRole="I"/>`

// childMetadata describes a set X of T, whose L leads to more rows of T, and a type D that derives from T.
var childMetadata = metadataOf("P", withChildren, `<EntityType Name="D" BaseType="N.T"/><EntityType Name="F"><Key>`+
	`<PropertyRef Name="P"/></Key><Property Name="P" Type="Edm.Int32" Nullable="false"/></EntityType>`,
	`<Association Name="R"><End Role="O" Type="N.T" Multiplicity="1"/><End Role="I" Type="N.T" Multiplicity="*"/>`+
		`</Association>`)

// childMetadata4 is childMetadata of v4.
var childMetadata4 = strings.Replace(metadata4("P", `<Property Name="P" Type="Edm.Int32" Nullable="false"/>`+
	`<NavigationProperty Name="L" Type="Collection(N.T)"/>`, `<EntityType Name="D" BaseType="N.T"/><EntityType Name="F">`+
	`<Key><PropertyRef Name="P"/></Key><Property Name="P" Type="Edm.Int32" Nullable="false"/></EntityType>`),
	`Alias="A"`, `Alias="Self"`, 1)

// child returns a row of a feed. typeName and inside may be empty.
func child(format string, key int, typeName, inside string) string {
	if format == "json" {
		members := fmt.Sprintf(`"P":%d`, key)
		if typeName != "" {
			members = fmt.Sprintf(`"__metadata":{"uri":"X(%d)","type":%q},%s`, key, typeName, members)
		}
		if inside != "" {
			members += `,"L":` + inside
		}
		return "{" + members + "}"
	}
	category := ""
	if typeName != "" {
		category = `<category term="` + typeName +
			`" scheme="http://schemas.microsoft.com/ado/2007/08/dataservices/scheme"/>`
	}
	if inside != "" {
		inside = `<link rel="http://schemas.microsoft.com/ado/2007/08/dataservices/related/L"><m:inline>` + inside +
			`</m:inline></link>`
	}
	return fmt.Sprintf(`<entry>%s%s<content type="application/xml"><m:properties><d:P>%d</d:P></m:properties>`+
		`</content></entry>`, category, inside, key)
}

// children returns a feed of rows with a next link, which may be empty.
func children(format string, rows []string, next string) string {
	if format == "json" {
		if next != "" {
			next = fmt.Sprintf(`,"__next":%q`, next)
		}
		return `{"results":[` + strings.Join(rows, ",") + `]` + next + `}`
	}
	if next != "" {
		next = `<link rel="next" href="` + strings.ReplaceAll(next, "&", "&amp;") + `"/>`
	}
	return `<feed xmlns="http://www.w3.org/2005/Atom" ` +
		`xmlns:m="http://schemas.microsoft.com/ado/2007/08/dataservices/metadata" ` +
		`xmlns:d="http://schemas.microsoft.com/ado/2007/08/dataservices">` + strings.Join(rows, "") + next + `</feed>`
}

// nestedRows returns rows with ascending keys.
func nestedRows(format string, from, count int, typeName string) (rows []string) {
	for key := from; key < from+count; key++ {
		rows = append(rows, child(format, key, typeName, ""))
	}
	return rows
}
