package decode

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/base/require"
	"github.com/culvert-project/culvert/plugins/odata/edm"
	"github.com/culvert-project/culvert/wit"
)

// The host can have the row that a byte belongs to skipped, in OData v4 too.
func TestJSON4SkipsRowOnRequest(t *testing.T) {
	schema := parseSchema(t, "ID Edm.Int32 key\nName Edm.String?")
	const head = `{"@odata.nextLink":"n","value":[{"ID":0},`
	const row = `{"@odata.etag":"x","ID":1,"Name":"n"}`
	const tail = `,{"ID":2}]}`
	for _, options := range []JSON4Options{{}, {Partial: true}} {
		for at := 1; at < len(row); at++ {
			d := NewJSON4(schema, options)
			out := &Output{}
			for _, s := range []struct{ tag, piece string }{{"", head + row[:at]}, {wit.TagComplete, ""},
				{wit.TagSkipRow, ""}, {"", row[at:] + tail}} {
				require.NoError(t, d.Feed(s.tag, []byte(s.piece), strings.HasSuffix(s.piece, tail), out))
			}
			require.True(t, len(out.Rows) == 2 && out.Rows[1].RowIndex == 2 && len(out.RowErrors) == 1 &&
				string(out.Data[out.RowErrors[0].RawStart:][:out.RowErrors[0].RawSize]) == `{"value":[`+row+`]}`,
				"skipped at byte %d: %+v, %+v", at, out.Rows, out.RowErrors)
		}
	}
}

// A row of more than maxRow bytes fails the page, after the rows before it.
func TestJSON4RejectsRowsOverTheLimit(t *testing.T) {
	schema := parseSchema(t, "ID Edm.Int32 key\nText Edm.String?")
	doc := `{"value":[{"ID":1},{"ID":2,"Text":"` + strings.Repeat("x", 2*maxRow) + `"}]}`
	out, err := decodePieces(NewJSON4(schema, JSON4Options{}), []byte(doc), cuts{size: 64 << 10}, nil)
	var e *PageError
	assert.True(t, errors.As(err, &e) && e.Row == 1 && strings.Contains(e.Expected, strconv.Itoa(maxRow)) &&
		len(out.Rows) == 1, "expected one row, then the limit, found %d rows and %v", len(out.Rows), err)
}

// A long document of each nasty kind takes time in proportion to its length.
func TestNastyDocumentsOfJSON4TakeLinearTime(t *testing.T) {
	schema := parseSchema(t, `ID Edm.Int32?
		Text Edm.String?
		Tags list {
			item Edm.Double?
		}
		Items many {
			N Edm.Int32?
		}`)
	for name, write := range map[string]func(size int) ([]byte, int){
		"rows":                   fill(`{"value":[`, `{"ID":#,"Tags":[],"Items":[]},`, `{"Tags":[],"Items":[]}]}`),
		"annotations of a page":  fill(`{`, `"@x.a#":1,`, `"value":[]}`),
		"annotations of a row":   fill(`{"value":[{`, `"@x.a#":1,`, `"Tags":[],"Items":[]}]}`),
		"annotations of columns": fill(`{"value":[{`, `"Text@x.a#":"y",`, `"Tags":[],"Items":[]}]}`),
		"links without an array": fill(`{"value":[{`, `"Items@odata.nextLink":"#",`, `"Tags":[]}]}`),
		"empty links":            fill(`{"value":[{`, `"Items@odata.nextLink":"",`, `"Tags":[],"Items":[]}]}`),
		"contexts":               fill(`{"value":[`, `{"@odata.context":"#T/$entity","Tags":[],"Items":[]},`, `{}]}`),
		"deleted entries":        fill(`{"value":[`, `{"@removed":{},"@id":"T(#)"},`, `{"@removed":{}}]}`),
		"a long deleted entry":   fill(`{"value":[{"@removed":{},"@id":"x"`, `,"a#":1`, `}]}`),
		"links":                  fill(`{"value":[`, `{"@context":"#T/$link","source":"#","relationship":"x"},`, `5]}`),
		"items of a collection":  fill(`{"value":[{"Items":[],"Tags":[`, `0,`, `null]}]}`),
		"rows without columns":   fill(`{"value":[`, `{},`, `{}]}`),
		"brackets":               fill(`{"value":[{"Tags":`, `[`, `]}]}`),
	} {
		for _, options := range []JSON4Options{{Exact: true}, {Partial: true}} {
			doc, parts := write(nastySize)
			decoder := NewJSON4(schema, options)
			start := time.Now()
			_, err := decodePieces(decoder, doc, cuts{size: 1 << 10}, nil)
			maxSteps := 2*len(doc)>>10 + parts + 200
			assert.True(t, (err == nil || name == "brackets") && decoder.steps <= maxSteps && time.Since(start) < 3*time.Second,
				"%s: expected at most %d steps, found %d in %v, %v", name, maxSteps, decoder.steps,
				time.Since(start), err)
		}
	}
}

// A text of many flags takes time in proportion to its length, whatever the number of members.
func TestManyFlagsTakeLinearTime(t *testing.T) {
	schema := parseSchema(t, "ID Edm.Int32 key\nFlags Edm.Enum? flags=None")
	enum := schema.Columns[1].Enum
	for i := range 200_000 {
		enum.Members = append(enum.Members, "M"+strconv.Itoa(i))
	}
	require.NoError(t, schema.Init())
	start := time.Now()
	doc := `{"value":[{"ID":1,"Flags":"` + strings.Join(enum.Members, ",") + `"},{"ID":2,"Flags":"M,"}]}`
	out, err := decodeWith(NewJSON4(schema, JSON4Options{}), []byte(doc), cuts{size: len(doc)})
	assert.True(t, err == nil && len(out.Rows) == 1 && len(out.RowErrors) == 1 && time.Since(start) < 3*time.Second,
		"expected a row and an error soon, found %d and %d in %v, %v", len(out.Rows), len(out.RowErrors),
		time.Since(start), err)
}

// Pages behind the links in rows are checked as in v2: for loops, for rows of other types and for repeated rows.
func TestNestedPagesOfJSON4AreChecked(t *testing.T) {
	schema := parseSchema(t, "ID Edm.Int32 key\nItems many inline {\n Pos Edm.Int32 key\n}")
	schema.Columns[1].Nested.Types = []string{"Item", "Derived"}
	const doc = `{"value":[{"ID":1,"Items":[{"Pos":1}],"Items@odata.nextLink":"a"}]}`
	for page, want := range map[string]string{
		`{"value":[{"Pos":2}],"@nextLink":"a"}`:              `a link that was followed before, "a"`,
		`{"value":[{"Pos":1}]}`:                              "each key once in Items, found Pos=",
		`{"value":[{"@odata.type":"#N.Order","Pos":2}]}`:     `rows of Items of type Items, found type "N.Order"`,
		`{"value":[{"@type":"#N.Derived","Pos":2}]}`:         "<nil>",
		`{"value":[{"Pos":2}],"@odata.error":{"code":"X"}}`:  "an error among them",
		`{"error":{"code":"X"}}`:                             "an error document",
		`{"d":{"results":[]}}`:                               "a response of OData v2",
		`{"@odata.context":"$metadata#Items","@odata.x":""}`: "<nil>",
	} {
		out, err := decodePieces(NewJSON4(schema, JSON4Options{}), []byte(doc), cuts{size: 5},
			map[string]string{"a": page})
		assert.True(t, strings.Contains(fmt.Sprint(err), want) && (err != nil || len(out.Rows) == 1),
			"%s: expected %q, found %d rows, %v", page, want, len(out.Rows), err)
	}
}

// Row schemas of OData v4 have the columns that its types need.
func TestRowSchemaOfCollections(t *testing.T) {
	color := &edm.EnumType{Members: []string{"Red"}}
	property := func(name string, typ edm.Type) edm.Property {
		return edm.Property{Name: name, Type: typ, Nullable: true}
	}
	model := &edm.Model{Dialect: edm.V4, Structures: []*edm.StructuredType{
		{Namespace: "N", Name: "A", Complex: true,
			Properties: []edm.Property{property("Zip", edm.Type{Primitive: edm.Int32})}},
		{Namespace: "N", Name: "T", Properties: []edm.Property{
			property("Tags", edm.Type{Primitive: edm.Enum, Collection: true, Enum: color}),
			property("Places", edm.Type{Name: "N.A", Collection: true}),
			property("Day", edm.Type{Primitive: edm.Date}),
		}},
	}}
	schema, err := structureSchema(model, model.Structure("N.T"), nil, edm.Options{}, 0)
	require.NoError(t, err)
	require.NoError(t, schema.Init())
	doc := []byte(`{"value":[{"Tags":["Red",null],"Places":[{"Zip":1},null],"Day":"2024-01-31"}]}`)
	out, err := decodePieces(NewJSON4(schema, JSON4Options{}), doc, cuts{size: len(doc)}, nil)
	assert.Equal(t, `0 value {Tags: ["Red", null], Places: [{Zip: 1}, null], Day: 2024-01-31}`+"\n",
		describeAll(t, schema, out, err))
}
