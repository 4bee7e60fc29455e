// Package bench measures the decoders as they run: compiled to Wasm by stock Go, under wazero, against what a plain Go
// program would do natively. See bench_test.go.
package bench

import (
	"fmt"
	"math/rand"
	"slices"
	"strings"
	"time"

	"github.com/culvert-project/culvert/plugins/odata/decode"
	"github.com/culvert-project/culvert/plugins/odata/edm"
)

// Shape is a kind of page.
type Shape struct {
	Name    string
	Schema  *decode.RowSchema
	rows    [][]*string   // the text of each value by row and column; nil means null
	items   [][][]*string // the items of the expanded feed Items, if the last column is one
	oddRows int           // the number of rows of the page Odd, which has no other
}

// Shapes returns the kinds of pages that are measured, in the order of their numbers: 12 columns; 60 columns of which a
// fifth is null; 5 columns with texts of 1 to 6 KB in which each 22nd byte is escaped or not ASCII; 12 columns with
// three expanded items of 4 columns; and rows each of which takes another branch of the decoder.
func Shapes(rows int) []Shape {
	return []Shape{orders(rows), wide(rows), long(rows), expanded(rows), odd(rows)}
}

func column(name string, t edm.Primitive, optional bool) decode.Column {
	return decode.Column{Name: name, Type: t, Optional: optional, Scale: 4, Precision: 15}
}

func newSchema(name string, columns []decode.Column) *decode.RowSchema {
	schema := &decode.RowSchema{Name: name, Columns: columns, ValueColumns: len(columns), Keys: []int{0}, KeySchema: 1,
		ValueSchema: 2, Ignored: []string{"Customer"}}
	if columns[len(columns)-1].Name != "Items" {
		schema.Ignored = append(schema.Ignored, "Items")
	}
	if err := schema.Init(); err != nil {
		panic(err)
	}
	return schema
}

func orders(rows int) Shape {
	s := Shape{Name: "Orders", Schema: newSchema("Demo.Order", []decode.Column{
		column("OrderID", edm.Int32, false), column("CustomerID", edm.String, true), column("Number", edm.Int64, true),
		column("OrderDate", edm.DateTime, true), column("ShippedDate", edm.DateTime, true),
		column("Freight", edm.Decimal, true), column("ShipName", edm.String, true),
		column("ShipCity", edm.String, true), column("ShipCountry", edm.String, true),
		column("Weight", edm.Double, true), column("Paid", edm.Boolean, true), column("Reference", edm.Guid, true),
	})}
	r := rand.New(rand.NewSource(1))
	for i := range rows {
		s.rows = append(s.rows, values(r, s.Schema, i, 0, 0))
	}
	return s
}

func wide(rows int) Shape {
	types := []edm.Primitive{edm.String, edm.Int32, edm.String, edm.Decimal, edm.DateTime, edm.String,
		edm.Int64, edm.Boolean, edm.String, edm.Double}
	columns := []decode.Column{column("ID", edm.Int32, false)}
	for i := 1; i < 60; i++ {
		columns = append(columns, column(fmt.Sprintf("Field%02d%s", i, strings.Repeat("x", i%5)), types[i%len(types)],
			true))
	}
	s := Shape{Name: "Wide", Schema: newSchema("Demo.Wide", columns)}
	r := rand.New(rand.NewSource(2))
	for i := range rows {
		s.rows = append(s.rows, values(r, s.Schema, i, 0.2, 0))
	}
	return s
}

func long(rows int) Shape {
	s := Shape{Name: "Long", Schema: newSchema("Demo.Long", []decode.Column{
		column("ID", edm.Int32, false), column("Title", edm.String, true), column("Body", edm.String, true),
		column("Changed", edm.DateTime, true), column("Notes", edm.String, true),
	})}
	r := rand.New(rand.NewSource(3))
	for i := range rows {
		s.rows = append(s.rows, values(r, s.Schema, i, 0, 1000))
	}
	return s
}

func expanded(rows int) Shape {
	s := orders(rows)
	item := &decode.RowSchema{Name: "Demo.Item", ValueColumns: 4, Columns: []decode.Column{
		column("Position", edm.Int32, false), column("Product", edm.String, true),
		column("Amount", edm.Decimal, true), column("Changed", edm.DateTime, true),
	}}
	columns := append(slices.Clone(s.Schema.Columns),
		decode.Column{Name: "Items", Kind: decode.NavigationToMany, Optional: true, Nested: item})
	s.Schema = newSchema("Demo.Order", columns)
	s.Name = "Expanded"
	r := rand.New(rand.NewSource(4))
	for range rows {
		var items [][]*string
		for i := range 3 {
			items = append(items, values(r, item, i, 0, 0))
		}
		s.items = append(s.items, items)
	}
	return s
}

var words = []string{"Rotterdam", "Alfreds Futterkiste", "Graz", "Berglunds snabb", "Lyon", "Ottilies",
	"Rua do Mercado", "Helvetia 47"}

// values returns random values for the columns of a row, the first one of which is its number. nullRate is the share of
// nulls. longText, if not zero, is the least size of the texts from the third column on.
func values(r *rand.Rand, schema *decode.RowSchema, row int, nullRate float64, longText int) []*string {
	out := make([]*string, len(schema.Columns))
	for i := range schema.Columns {
		c := &schema.Columns[i]
		if i > 0 && r.Float64() < nullRate {
			continue
		}
		literal := ""
		switch c.Type {
		case edm.Int32:
			literal = fmt.Sprint(r.Intn(100_000))
		case edm.Int64:
			literal = fmt.Sprint(r.Int63n(100_000_000_000))
		case edm.Decimal:
			literal = fmt.Sprintf("%d.%04d", r.Intn(100_000), r.Intn(10_000))
		case edm.Double:
			literal = fmt.Sprintf("%d.%d", r.Intn(1000), r.Intn(1000))
		case edm.Boolean:
			literal = fmt.Sprint(r.Intn(2) == 0)
		case edm.DateTime:
			literal = fmt.Sprint(1_400_000_000_000 + r.Int63n(200_000_000_000))
		case edm.Guid:
			literal = fmt.Sprintf("%08x-%04x-%04x-%04x-%012x", r.Uint32(), r.Intn(65536), r.Intn(65536), r.Intn(65536),
				r.Int63n(1<<47))
		default:
			literal = words[r.Intn(len(words))]
			if longText > 0 && i > 1 {
				literal = prose(r, longText+r.Intn(5*longText))
			}
		}
		if i == 0 {
			literal = fmt.Sprint(10_000 + row)
		}
		out[i] = &literal
	}
	return out
}

// prose returns a text of n bytes with a special character every 22 bytes.
func prose(r *rand.Rand, n int) string {
	special := []string{"\n", "\"", "ü", "&", "<"}
	var b strings.Builder
	for b.Len() < n {
		b.WriteString("the quick brown fox j")
		b.WriteString(special[r.Intn(len(special))])
	}
	return b.String()
}

// Variant is a difference from the regular page.
type Variant uint8

const (
	Regular Variant = iota
	// Omitted omits nulls, in shapes without nulls a fifth of the values.
	Omitted
	// Shuffled puts the properties of each row in another order.
	Shuffled
)

func (v Variant) String() string { return [...]string{"regular", "nulls left out", "shuffled"}[v] }

// order returns the columns of a row in the order of the page.
func (v Variant) order(r *rand.Rand, row []*string, hasNulls bool) []int {
	var order []int
	for i := range row {
		if v == Omitted && i > 0 && (row[i] == nil || (!hasNulls && r.Float64() < 0.2)) {
			continue
		}
		order = append(order, i)
	}
	if v == Shuffled {
		r.Shuffle(len(order), func(i, k int) { order[i], order[k] = order[k], order[i] })
	}
	return order
}

const (
	jsonPageHead = `{"d":{"results":[`
	jsonPageTail = `],"__count":"1000","__next":"x?$skiptoken=2"}}`
)

// writeJSON writes a row in verbose JSON.
func (s Shape) writeJSON(b *strings.Builder, n int, order []int) {
	row := s.rows[n]
	uri := "https://sap.example.com:44300/sap/opu/odata/DEMO/SRV/" + s.Name + "(" + *row[0] + ")"
	fmt.Fprintf(b, `{"__metadata":{"id":"%s","uri":"%s","type":"%s"}`, uri, uri, s.Schema.Name)
	for _, i := range order {
		fmt.Fprintf(b, `,"%s":%s`, s.Schema.Columns[i].Name, jsonText(s.Schema.Columns[i].Type, row[i]))
	}
	if s.items == nil {
		fmt.Fprintf(b, `,"Items":{"__deferred":{"uri":"%s/Items"}}}`, uri)
		return
	}
	b.WriteString(`,"Items":{"results":[`)
	for k, item := range s.items[n] {
		if k > 0 {
			b.WriteByte(',')
		}
		fmt.Fprintf(b, `{"__metadata":{"id":"%s/%d","uri":"%s/%d","type":"Demo.Item"}`, uri, k, uri, k)
		for i, c := range s.itemColumns() {
			fmt.Fprintf(b, `,"%s":%s`, c.Name, jsonText(c.Type, item[i]))
		}
		b.WriteByte('}')
	}
	b.WriteString(`]}}`)
}

// itemColumns returns the columns of the expanded feed Items.
func (s Shape) itemColumns() []decode.Column {
	return s.Schema.Columns[len(s.Schema.Columns)-1].Nested.Columns
}

func jsonText(t edm.Primitive, v *string) string {
	if v == nil {
		return "null"
	}
	switch t {
	case edm.Int32, edm.Boolean:
		return *v
	case edm.DateTime:
		return `"\/Date(` + *v + `)\/"`
	}
	return `"` + strings.NewReplacer("\n", `\n`, `"`, `\"`).Replace(*v) + `"`
}

const (
	atomPageHead = `<?xml version="1.0" encoding="utf-8"?><feed xmlns="http://www.w3.org/2005/Atom" xmlns:m="http://schemas.microsoft.com/ado/2007/08/dataservices/metadata" xmlns:d="http://schemas.microsoft.com/ado/2007/08/dataservices" xml:base="https://sap.example.com:44300/sap/opu/odata/DEMO/SRV/"><id>x</id><title type="text">x</title><updated>2024-01-01T00:00:00Z</updated><author><name/></author><m:count>1000</m:count>`
	atomPageTail = `<link rel="next" href="x?$skiptoken=2"/></feed>`
)

// writeAtom writes a row as SAP Gateway does, without white space between elements.
func (s Shape) writeAtom(b *strings.Builder, n int, order []int) {
	row := s.rows[n]
	uri := s.Name + "(" + *row[0] + ")"
	fmt.Fprintf(b,
		`<entry><id>https://sap.example.com:44300/sap/opu/odata/DEMO/SRV/%s</id><title type="text">%s</title><updated>2024-01-01T00:00:00Z</updated><category term="%s" scheme="http://schemas.microsoft.com/ado/2007/08/dataservices/scheme"/><link href="%s" rel="self" title="%s"/><link href="%s/Items" rel="http://schemas.microsoft.com/ado/2007/08/dataservices/related/Items" type="application/atom+xml;type=feed" title="Items">`, uri, uri, s.Schema.Name, uri, s.Name, uri)
	if s.items != nil {
		s.atomItems(b, uri, s.items[n])
	}
	b.WriteString(`</link><content type="application/xml"><m:properties>`)
	for _, i := range order {
		name := s.Schema.Columns[i].Name
		if row[i] == nil {
			fmt.Fprintf(b, `<d:%s m:null="true"/>`, name)
			continue
		}
		fmt.Fprintf(b, `<d:%s>%s</d:%s>`, name, atomText(s.Schema.Columns[i].Type, *row[i]), name)
	}
	b.WriteString(`</m:properties></content></entry>`)
}

func (s Shape) atomItems(b *strings.Builder, uri string, items [][]*string) {
	fmt.Fprintf(b,
		`<m:inline><feed><id>https://sap.example.com:44300/sap/opu/odata/DEMO/SRV/%s/Items</id><title type="text">Items</title><updated>2024-01-01T00:00:00Z</updated>`, uri)
	for k, item := range items {
		fmt.Fprintf(b,
			`<entry><id>https://sap.example.com:44300/sap/opu/odata/DEMO/SRV/%s/%d</id><title type="text">%s</title><updated>2024-01-01T00:00:00Z</updated><category term="Demo.Item" scheme="http://schemas.microsoft.com/ado/2007/08/dataservices/scheme"/><content type="application/xml"><m:properties>`, uri, k, uri)
		for i, c := range s.itemColumns() {
			fmt.Fprintf(b, `<d:%s>%s</d:%s>`, c.Name, atomText(c.Type, *item[i]), c.Name)
		}
		b.WriteString(`</m:properties></content></entry>`)
	}
	b.WriteString(`</feed></m:inline>`)
}

func atomText(t edm.Primitive, v string) string {
	if t == edm.DateTime {
		var ms int64
		fmt.Sscan(v, &ms)
		return time.UnixMilli(ms).UTC().Format("2006-01-02T15:04:05.000")
	}
	return strings.NewReplacer("&", "&amp;", "<", "&lt;").Replace(v)
}
