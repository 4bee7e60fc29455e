package bench

import (
	"fmt"
	"strings"
	"time"

	"github.com/culvert-project/culvert/plugins/odata/edm"
)

const (
	json4PageHead = `{"@odata.context":"$metadata#Orders","@odata.count":1000,"value":[`
	json4PageTail = `],"@odata.nextLink":"Orders?$skiptoken=2"}`
)

// writeJSON4 returns a function that writes a row as CAP does. isExact writes Int64 and Decimal as texts.
func writeJSON4(isExact bool) func(s Shape, b *strings.Builder, n int, order []int) {
	literal := func(t edm.Primitive, v *string) string {
		if !isExact && v != nil && (t == edm.Int64 || t == edm.Decimal) {
			return *v
		}
		return json4Text(t, v)
	}
	return func(s Shape, b *strings.Builder, n int, order []int) {
		b.WriteByte('{')
		for _, i := range order {
			fmt.Fprintf(b, `"%s":%s,`, s.Schema.Columns[i].Name, literal(s.Schema.Columns[i].Type, s.rows[n][i]))
		}
		if s.items != nil {
			b.WriteString(`"Items":[`)
			for k, item := range s.items[n] {
				if k > 0 {
					b.WriteByte(',')
				}
				b.WriteByte('{')
				for i, c := range s.itemColumns() {
					fmt.Fprintf(b, `"%s":%s,`, c.Name, literal(c.Type, item[i]))
				}
				fmt.Fprintf(b, `"@odata.etag":"W/\"%d\""}`, k)
			}
			b.WriteString("],")
		}
		fmt.Fprintf(b, `"@odata.etag":"W/\"%d\""}`, n)
	}
}

// json4Text returns a value of v2's pages as OData v4 writes it.
func json4Text(t edm.Primitive, v *string) string {
	if v == nil {
		return "null"
	}
	layout := ""
	switch t {
	case edm.Double:
		return *v
	case edm.DateTimeOffset:
		layout = `"2006-01-02T15:04:05.000Z"`
	case edm.Date:
		layout = `"2006-01-02"`
	default:
		return jsonText(t, v)
	}
	var ms int64
	fmt.Sscan(*v, &ms)
	return time.UnixMilli(ms).UTC().Format(layout)
}
