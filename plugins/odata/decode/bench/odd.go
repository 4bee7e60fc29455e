package bench

import (
	"fmt"
	"strings"

	"github.com/culvert-project/culvert/plugins/odata/decode"
	"github.com/culvert-project/culvert/plugins/odata/edm"
)

// oddRow is a row of the page Odd. Each row takes another branch of the decoder.
type oddRow struct {
	branch string // name of the branch
	// want describes the result, "" if it equals the base row's: the columns whose values differ, `error` and a
	// message, `deleted` and a reference, or `unknown` and names.
	want string
	text string // the row, whose OrderID is 10248
}

// odd returns the shape Odd: rows of the shape Orders with a complex type, an expanded entity and an expanded feed.
func odd(rows int) Shape {
	newPart := func(name string, columns ...decode.Column) *decode.RowSchema {
		return &decode.RowSchema{Name: name, Columns: columns, ValueColumns: len(columns)}
	}
	newNested := func(name string, kind decode.ColumnKind, schema *decode.RowSchema) decode.Column {
		return decode.Column{Name: name, Kind: kind, Optional: true, Nested: schema}
	}
	newAddress := func() *decode.RowSchema {
		return newPart("Demo.Address", column("Street", edm.String, true), column("City", edm.String, true),
			newNested("Geo", decode.Complex, newPart("Demo.Geo", column("Lat", edm.Double, false),
				column("Lon", edm.Double, false))))
	}
	s := expanded(0)
	columns := s.Schema.Columns
	items := len(columns) - 1
	columns = append(columns[:items:items], newNested("Address", decode.Complex, newAddress()),
		newNested("Customer", decode.NavigationToOne, newPart("Demo.Customer", column("CustomerID", edm.String, false),
			column("CompanyName", edm.String, true), newNested("Address", decode.Complex, newAddress()))),
		columns[items])
	s.Schema.Columns = columns
	s.Schema.ValueColumns = len(columns)
	s.Schema.Ignored = []string{"Employee", "Internal"}
	if err := s.Schema.Init(); err != nil {
		panic(err)
	}
	s.Name = "Odd"
	s.oddRows = rows
	return s
}

// replaceOnce returns a text in which each old text of pairs is replaced by the new text after it, once.
func replaceOnce(text string, pairs ...string) string {
	for i := 0; i < len(pairs); i += 2 {
		if !strings.Contains(text, pairs[i]) {
			panic(fmt.Sprintf("no %q in %q", pairs[i], text))
		}
		text = strings.Replace(text, pairs[i], pairs[i+1], 1)
	}
	return text
}

// longText returns a text of n bytes in ASCII.
func longText(n int) string { return strings.Repeat("0123456789abcde ", n/16+1)[:n] }

// itemWants describes n expanded items.
func itemWants(n int) string { return "Items=[" + strings.Repeat(itemWant+" ", n-1) + itemWant + "]" }

// Namespaces, the entity's URI, and the wants of parts of a row and of the base row.
const (
	dataURI     = "http://schemas.microsoft.com/ado/2007/08/dataservices"
	metadataURI = dataURI + "/metadata"
	orderURI    = "https://sap.example.com:44300/sap/opu/odata/DEMO/SRV/Orders(10248)"

	itemWant     = `{Position=1 Product="Chai" Amount=180000 Changed=2015-01-01T00:00:00Z}`
	customerWant = `Customer={CustomerID="ALFKI" CompanyName="Alfreds" Address={Street=null City="Berlin" Geo=null}}`
	orderWant    = `OrderID=10248 CustomerID="ALFKI" Number=71248937214 OrderDate=2015-01-01T00:00:00Z ` +
		`ShippedDate=2015-01-12T00:00:00Z Freight=323800 ShipName="Alfreds" ShipCity="Berlin" ShipCountry="Germany" ` +
		`Weight=12.5 Paid=true Reference="00112233-4455-6677-8899-aabbccddeeff" Address=null Customer=null Items=null`
)
