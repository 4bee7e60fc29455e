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

// Orders4 returns the schema of the shape Orders in OData v4, with a point in time and a date, and a page of these rows
// as CAP writes it.
func Orders4(rows int, v Variant) (*decode.RowSchema, []byte) {
	s := orders(rows)
	columns := slices.Clone(s.Schema.Columns)
	columns[3].Type = edm.DateTimeOffset
	columns[4].Type = edm.Date
	schema := newSchema("Demo.Order", columns)
	r := rand.New(rand.NewSource(9))
	var b strings.Builder
	b.WriteString(`{"@odata.context":"$metadata#Orders","@odata.count":1000,"value":[`)
	for n, row := range s.rows {
		if n > 0 {
			b.WriteByte(',')
		}
		b.WriteByte('{')
		for _, i := range v.order(r, row, false) {
			fmt.Fprintf(&b, `"%s":%s,`, columns[i].Name, json4Text(columns[i].Type, row[i]))
		}
		fmt.Fprintf(&b, `"@odata.etag":"W/\"%d\""}`, n)
	}
	b.WriteString(`],"@odata.nextLink":"Orders?$skiptoken=2"}`)
	return schema, []byte(b.String())
}

// json4Text returns a value of v2's pages as OData v4 writes it.
func json4Text(t edm.Primitive, v *string) string {
	layout := ""
	switch t {
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
