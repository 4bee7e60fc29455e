package decode

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/base/require"
)

const olingoProduct = `
ID Edm.Int32 key
Name Edm.String?
Price Edm.Decimal?(13,2)
Free Edm.Decimal?(0,4)
Total Edm.Decimal?(13,3)
Weight Edm.Double?
Ratio Edm.Single?
Active Edm.Boolean?
Big Edm.Int64?
Small Edm.SByte?
Short Edm.Int16?
Changed Edm.DateTimeOffset?
Exact Edm.DateTimeOffset? micros
Released Edm.Date?
Opens Edm.TimeOfDay?
Took Edm.Duration?
Code Edm.Guid?
Payload Edm.Binary?
Color Edm.Enum? members=Red,Green,Blue
Flags Edm.Enum? flags=New,Sale
Tags list {
  item Edm.String?
}
Bigs list {
  item Edm.Int64?
}
Colors list {
  item Edm.Enum? members=Red,Green,Blue
}
Address complex? {
  Street Edm.String?
  City Edm.String?
  Zip Edm.Int32?
}
Addresses list {
  item complex? {
    Street Edm.String?
    City Edm.String?
    Zip Edm.Int32?
  }
}
known Items
`

const olingoTracked = "ID Edm.Int32 key\nName Edm.String?\nBig Edm.Int64?"

const olingoExpanded = `
ID Edm.Int32 key
Name Edm.String?
Items many inline {
  ProductID Edm.Int32
  Pos Edm.Int16
  Text Edm.String?
  Product one? inline {
    ID Edm.Int32
    Name Edm.String?
  }
}
`

const capAllTypes = `
ID Edm.Int32 key
b Edm.Boolean?
u8 Edm.Byte?
i16 Edm.Int16?
i32 Edm.Int32?
i64 Edm.Int64?
dec Edm.Decimal?(0,20)
dfl Edm.String?
dbl Edm.Double?
date Edm.Date?
time Edm.TimeOfDay?
dt Edm.DateTimeOffset?
ts Edm.DateTimeOffset?
str Edm.String?
lstr Edm.String?
bin Edm.Binary?
guid Edm.Guid?
`

const capValue = `
ID Edm.Int32 key
big Edm.Int64?
dec Edm.Decimal?(0,2)
free Edm.String?
dbl Edm.Double?
status Edm.String?
level Edm.Int32?
tags list {
  item Edm.String?
}
bigs list {
  item Edm.Int64?
}
readings list {
  item complex {
    kind Edm.String?
    amount Edm.Decimal?(0,3)
    big Edm.Int64?
  }
}
address_street Edm.String?
address_city Edm.String?
bin Edm.Binary?
`

const capOrder = `
ID Edm.Guid key
createdAt Edm.DateTimeOffset?
createdBy Edm.String?
modifiedAt Edm.DateTimeOffset?
modifiedBy Edm.String?
number Edm.String?
customer Edm.String?
total Edm.Decimal?(15,2)
ordered Edm.DateTimeOffset?
Items many inline {
  ID Edm.Guid
  pos Edm.Int32?
  product Edm.String?
  Schedule many inline {
    due Edm.Date?
  }
}
`

// Answers of CAP and Olingo have no unknown properties, no failed rows unless numbers are rounded, and the values that
// their texts show.
func TestSamplesOfJSON4(t *testing.T) {
	const deletions = "deleted Products(3) deleted\n2 deleted Products(21) changed\nnext http"
	const links = "0 link Items of Products(4)\n1 link Items of Products(5)\ndelta http"
	const first = `0 key {ID: 1} value {ID: 1, Name: "Product 1, change 1", Big: 9007199254740994}`
	for _, sample := range []struct {
		file   string
		layout string
		rows   int
		want   []string
	}{
		{"olingo_Products-delta-4.0", olingoTracked, 3, []string{first, deletions}},
		{"olingo_Products-delta-4.01", olingoTracked, 3, []string{first, deletions}},
		{"olingo_Products-delta-links-4.0", olingoTracked, 2, []string{links}},
		{"olingo_Products-delta-links-4.01", olingoTracked, 2, []string{links}},
		{"olingo_Products-page-4.01", olingoTracked, 3, []string{"count 20\nnext http", "Big: 9007199254740996}"}},
		{"olingo_Products-expand", olingoExpanded, 3, []string{"Items: []}",
			`Items: [{ProductID: 1, Pos: 1, Text: "Item 1 of 1", Product: {ID: 1, Name: "Product 1"}}]}`}},
		{"olingo_Products-numbers", olingoProduct, 2, []string{`long Big "9007199254741002"`, "Ratio: 3f",
			"Exact: 2000-01-10T00:00:00.000009Z", "Opens: 9m9.009s", `Took: "PT13.500S"`, "Payload: x0900fffe",
			`Colors: ["Red", "Blue"]`, `{Street: "Street 10", City: "Köln", Zip: null}]`}},
		{"olingo_Products-full", olingoProduct, 1, []string{"Bigs: [9223372036854775806, 1]"}},
		{"olingo_Products-nulls", olingoProduct, 1, []string{"Address: null, Addresses: []}"}},
		{"cap_AllTypes-ieee754", capAllTypes, 3, []string{"i64: 9223372036854775807, dec: 12345678901234570000000000000e-20",
			`dfl: "-1"`, "date: 9999-12-31, time: 23h59m59s", "bin: xff00fefb"}},
		{"cap_AllTypes-numbers", capAllTypes, 3, []string{`property i64: expected Edm.Int64, found "9223372036854776000"`,
			`long i64 "9223372036854776000"`}},
		{"cap_Values-numbers", capValue, 3, []string{`long big "9007199254740996"`, "bigs: [9007199254740995, 1]",
			`readings: [{kind: "in", amount: 1500e-3, big: 9007199254740997}, {kind: "out", amount: null, big: null}]`}},
		{"cap_Orders-expand", capOrder, 2, []string{`product: "Product 2", Schedule: []}`}},
		{"cap_Products-page", "ID Edm.Int32 key\nreleased Edm.Date?\nopens Edm.TimeOfDay?\nknown name category_code price " +
			"weight stock sold active created changed code payload note", 3, []string{
			"{ID: 3, released: 2000-01-04, opens: 3h3m21s}", "next Products?%24skiptoken=3"}},
		{"cap_Settings-singleton", "ID Edm.Int32 key\ncompany Edm.String?\nchanged Edm.DateTimeOffset?", 1, nil},
	} {
		t.Run(sample.file, func(t *testing.T) {
			doc, err := os.ReadFile(filepath.Join(testdata, "samples", "json4", sample.file+".json"))
			require.NoError(t, err)
			schema := parseSchema(t, sample.layout)
			out, err := decodePieces(NewJSON4(schema, JSON4Options{}), doc, cuts{size: len(doc)}, nil)
			got := describeAll(t, schema, out, err)
			isRounded := sample.file == "cap_AllTypes-numbers" // beyond Int64
			assert.True(t, (len(out.RowErrors) > 0) == isRounded && len(out.Page.Unknown) == 0 &&
				int(out.Page.Rows) == sample.rows, "expected %d rows, found %s", sample.rows, got)
			for _, part := range sample.want {
				assert.True(t, strings.Contains(got, part), "expected %q, found %s", part, got)
			}
			eachCutWith(t, NewJSON4(schema, JSON4Options{}), schema, doc, nil, got)
		})
	}
}
