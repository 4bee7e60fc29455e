package tree

import (
	"cmp"
	"fmt"
	"strings"
	"testing"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/base/require"
)

// orderText is an order as JsonConverter writes it, with a field of each type.
const orderText = `{"schema":{"type":"struct","fields":[
	{"type":"int32","optional":false,"field":"OrderID"},
	{"type":"string","optional":true,"field":"ShipName"},
	{"type":"bytes","optional":true,"name":"org.apache.kafka.connect.data.Decimal","version":1,"parameters":{"scale":"2"},"field":"Freight"},
	{"type":"bytes","optional":false,"name":"org.apache.kafka.connect.data.Decimal","version":1,"parameters":{"scale":"0"},"field":"Numeric"},
	{"type":"int32","optional":true,"name":"org.apache.kafka.connect.data.Date","version":1,"field":"Day"},
	{"type":"int32","optional":true,"name":"org.apache.kafka.connect.data.Time","version":1,"field":"At"},
	{"type":"int64","optional":true,"name":"org.apache.kafka.connect.data.Timestamp","version":1,"field":"Changed"},
	{"type":"boolean","optional":true,"field":"Open"},
	{"type":"double","optional":true,"field":"Weight"},
	{"type":"bytes","optional":true,"field":"Photo"},
	{"type":"array","items":{"type":"struct","fields":[{"type":"int8","optional":true,"field":"Qty"}]},"field":"Items"}
	],"optional":false},"payload":{"OrderID": 13247, "ShipName":"Ana \u00e9","Freight":"BOI=","Numeric":-7,"Day":20487,
	"At":14706789,"Changed":1770091506789,"Open":true,"Weight":1.50,"Photo":"AQI=","Items":[{"Qty":null}]}}`

func fieldsOf(d *Document) (lines []string) {
	for _, f := range d.leaves {
		lines = append(lines, fmt.Sprintf("%s %s %s %q", f.Path, f.Name, cmp.Or(f.Type, f.Kind), f.Text))
	}
	return lines
}

// Fields have the names and types of the schema, and values as people type them.
func TestFieldsOfADocument(t *testing.T) {
	for text, want := range map[string]string{
		orderText: `/0 OrderID int32 "13247"; /1 ShipName string "Ana é"; /2 Freight Decimal(2) "12.50"; ` +
			`/3 Numeric Decimal(0) "-7"; /4 Day Date "2026-02-03"; /5 At Time "04:05:06.789"; ` +
			`/6 Changed Timestamp "2026-02-03T04:05:06.789Z"; /7 Open boolean "true"; /8 Weight double "1.50"; ` +
			`/9 Photo bytes "AQI="; /10/0/0 Qty int8 ""`,
		`{"a":12345678901234567890,"b":{"c":[1,"x"]},"payload":{}}`: `/0 a number "12345678901234567890"; ` +
			`/1/0/0 0 number "1"; /1/0/1 1 string "x"`,
		`{"schema":null,"payload":{"n":1}}`:           `/0 n number "1"`,
		`{"schema":{"type":"int32"},"payload":7}`:     `  int32 "7"`,
		`{"schema":"no schema","payload":{"n":null}}`: `/0 n null ""`,
		`"text"`: `  string "text"`,
		`{"schema":{"type":"struct","fields":[{"type":"int64","name":"org.apache.kafka.connect.data.Timestamp",` +
			`"field":"far"}]},"payload":{"far":9223372036854775807}}`: `/0 far Timestamp "9223372036854775807"`,
	} {
		d := Parse(text, "")
		assert.Equal(t, want, strings.Join(fieldsOf(d), "; "))
		same, err := d.Edit(map[string]string{"/0": d.leaves[0].Text})
		require.NoError(t, err)
		assert.Equal(t, text, same, "an edit without a difference")
	}
	assert.Equal(t, "OrderID 13247, ItemNo 10", Parse(`{"OrderID":13247,"ItemNo":"10"}`, "").Line())
}

// An edit changes the bytes of its fields only. The form of the stored value remains.
func TestEditOfFields(t *testing.T) {
	for _, test := range []struct{ path, value, old, want string }{
		{"/0", "-2147483648", `"OrderID": 13247`, `"OrderID": -2147483648`},
		{"/0", "+007", `"OrderID": 13247`, `"OrderID": 7`},
		{"/1", `a "b" 1`, `"Ana \u00e9"`, `"a \"b\" 1"`},
		{"/1", "", `"Ana \u00e9"`, `""`},
		{"/2", "12.5", `"BOI="`, `"BOI="`},
		{"/2", "-0.01", `"BOI="`, `"/w=="`},
		{"/2", "1.28", `"BOI="`, `"AIA="`},
		{"/2", "+100000000000000000000.00", `"BOI="`, `"Ah4Z4Mm6skAAAA=="`},
		{"/2", "", `"BOI="`, `null`},
		{"/3", "+012", `"Numeric":-7`, `"Numeric":12`},
		{"/4", "1969-12-31", `"Day":20487`, `"Day":-1`},
		{"/5", "00:00:00.001", `"At":14706789`, `"At":1`},
		{"/6", "2026-02-03T05:05:06.789+01:00", `"Changed":1770091506789`, `"Changed":1770091506789`},
		{"/7", "false", `"Open":true`, `"Open":false`},
		{"/8", "1e3", `"Weight":1.50`, `"Weight":1e3`},
		{"/9", "", `"Photo":"AQI="`, `"Photo":""`},
		{"/10/0/0", "127", `"Qty":null`, `"Qty":127`},
	} {
		edited, err := Parse(orderText, "").Edit(map[string]string{test.path: test.value, "/99": "x"})
		require.NoError(t, err)
		assert.Equal(t, strings.Replace(orderText, test.old, test.want, 1), edited, test.path)
	}
	for _, test := range []struct{ path, value, want string }{
		{"/0", "2147483648", "OrderID: expected an integer of 32 bits, found \"2147483648\""},
		{"/0", "", "OrderID: expected an integer of 32 bits"},
		{"/2", "1.234", "Freight: expected digits with at most 2 after the point"},
		{"/2", "1,5", "Freight: expected digits"},
		{"/2", "--1", "Freight: expected digits"},
		{"/3", "", "Numeric: expected digits with at most 0"},
		{"/4", "03.02.2026", "Day: expected a date such as 2026-02-03"},
		{"/5", "04:05:06.7891", "At: expected a time such as"},
		{"/6", "yesterday", "Changed: expected a time such as"},
		{"/7", "yes", "Open: expected true or false"},
		{"/8", "1 2", "Weight: expected a number"},
		{"/8", `"1"`, "Weight: expected a number"},
		{"/9", "?", "Photo: expected base64"},
		{"/10/0/0", "128", "Qty: expected an integer of 8 bits"},
	} {
		_, err := Parse(orderText, "").Edit(map[string]string{test.path: test.value})
		assert.Error(t, err, test.want)
	}
}

// Texts that are no JSON, and those with too many or too deep fields, have none.
func TestDocumentsAreBounded(t *testing.T) {
	items := func(n int) string { return "[" + strings.TrimSuffix(strings.Repeat("1,", n), ",") + "]" }
	nested := func(n int) string { return strings.Repeat("[", n) + strings.Repeat("]", n) }
	for text, wantFields := range map[string]bool{
		"": false, "17 x": false, `{"a":`: false,
		items(maxFields - 1): true, items(maxFields): false,
		nested(maxDepth + 1): true, nested(maxDepth + 2): false,
	} {
		assert.Equal(t, wantFields, Parse(text, "") != nil, text)
	}
	for size, want := range map[int]bool{maxFieldText: true, maxFieldText + 1: false} {
		d := Parse(`["`+strings.Repeat("x", size)+`"]`, "")
		assert.Equal(t, want, d.leaves[0].isEditable())
	}
	assert.Equal(t, false, Parse(`["a\nb"]`, "").leaves[0].isEditable())
	assert.Equal(t, false, Parse(`{"schema":{"type":"struct"},"payload":null}`, "").leaves[0].isEditable())
}

// The fields that an error names are marked.
func TestFaultyFields(t *testing.T) {
	for message, want := range map[string]string{
		`Freight: expected a number`:       "/2",
		`Property "ShipName" has no value`: "/1",
		`ShipNames`:                        "",
	} {
		d := Parse(orderText, "")
		d.Mark(message)
		marked := ""
		for _, f := range d.leaves {
			if f.IsFaulty {
				marked += f.Path
			}
		}
		assert.Equal(t, want, marked, message)
	}
}

func FuzzEdit(f *testing.F) {
	f.Add(orderText, "/2", "12.50")
	f.Add(`{"a":[1,{"b":"c"}]}`, "/0/1/0", "x")
	f.Fuzz(func(t *testing.T, text, path, value string) {
		d := Parse(text, "")
		if d == nil {
			return
		}
		edited, err := d.Edit(map[string]string{path: value})
		require.True(t, err != nil || (Parse(edited, "") != nil && len(Parse(edited, "").leaves) == len(d.leaves)),
			"%q: expected a document with the same fields, found %q", text, edited)
	})
}

// Values that differ from those before a transform are marked, also within others. Fields have the types of a schema
// next to the value.
func TestChangedFields(t *testing.T) {
	before := Parse(`{"id":1,"address":{"city":"Berlin","country":"Germany"},"items":[1,2],"no":{}}`, "")
	after := Parse(`{"id":"1","address":{"city":"Bonn","zip":53111},"items":[1,2],"no":{}}`,
		`{"type":"struct","fields":[{"type":"string","field":"id"}]}`)
	after.Compare(before)
	var changes []string
	var visit func(fields []*Field)
	visit = func(fields []*Field) {
		for _, f := range fields {
			changes = append(changes, strings.TrimSpace(f.Name+" "+f.Type+" "+f.Text+" "+f.Change))
			visit(f.Children)
		}
	}
	visit(after.Fields)
	assert.Equal(t, "id string 1 changed; address  {}; city  Bonn changed; zip  53111 added; items  []; 0  1; 1  2; "+
		"no  {}", strings.Join(changes, "; "))
}
