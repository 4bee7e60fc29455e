package query

import (
	"testing"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/base/require"
	"github.com/culvert-project/culvert/plugins/odata/edm"
)

// TestContradicts: a row contradicts a condition only if no service that applies the condition would return it. Such a
// row does not match the condition either.
func TestContradicts(t *testing.T) {
	const null = "\x00"
	for _, test := range []struct {
		typ        edm.Primitive
		option     string
		low        string
		high       string
		fits       []string // values of rows that a service may return
		contradict []string // values of rows that it cannot return
	}{
		{edm.Int32, "eq", "5", "", []string{"5"}, []string{"6", "-5", null}},
		{edm.Int32, "ne", "5", "", []string{"6", null}, []string{"5"}},
		{edm.Int32, "in", "5,6", "", []string{"5", "6"}, []string{"7", null}},
		{edm.Int32, "bt", "5", "7", []string{"5", "6", "7"}, []string{"4", "8", null}},
		{edm.Int32, "nb", "5", "7", []string{"4", "8", null}, []string{"5", "6", "7"}},
		{edm.Int32, "le", "0", "", []string{"0", "-1", null}, []string{"1"}},
		{edm.Int32, "eq", "0", "", []string{"0", null}, []string{"1"}},
		{edm.Int32, "eq", "null", "", []string{null, "0"}, []string{"1"}},
		{edm.Int32, "ne", "null", "", []string{"1", "0"}, []string{null}},
		{edm.String, "eq", "Abc", "", []string{"Abc", "ABC ", "abc"}, []string{"Abd", "", null}},
		{edm.String, "eq", "42", "", []string{"0000042", "42"}, []string{"43", "42a"}},
		{edm.String, "eq", "", "", []string{"", " ", null}, []string{"a"}},
		{edm.String, "ne", "Abc", "", []string{"abc", "x", null}, []string{"Abc"}},
		{edm.String, "ge", "M", "", []string{"M", "N", "m", "z", "a", "Ä", "é"}, []string{"A", "L"}},
		{edm.String, "lt", "M", "", []string{"A", "a", "l"}, []string{"z", "Z"}},
		{edm.Decimal, "eq", "1.5", "", []string{"1.50"}, []string{"1.51"}},
		{edm.Double, "eq", "0.1", "", []string{"0.1", "0.10000000149"}, []string{"0.2"}},
		{edm.DateTime, "ge", "2024-01-31T12:00:00", "", []string{"2024-01-31T12:00:00", "2024-01-31T12:00:00.001"},
			[]string{"2024-01-31T11:59:59.999", null}},
		{edm.DateTime, "gt", "2024-01-31T12:00:00", "",
			[]string{"2024-01-31T12:00:00" /* and a fraction that no format has */, "2024-02-01T00:00:00"},
			[]string{"2024-01-30T00:00:00"}},
		{edm.DateTime, "gt", "2024-01-31T12:00:00.0005", "", []string{"2024-01-31T12:00:00"},
			[]string{"2024-01-31T11:00:00"}},
		{edm.Guid, "eq", "0a1b2c3d-0000-1111-2222-333344445555", "", []string{"0A1B2C3D-0000-1111-2222-333344445555"},
			[]string{"0A1B2C3D-0000-1111-2222-333344445556"}},
		{edm.Boolean, "eq", "true", "", []string{"true"}, []string{"false", null}},
	} {
		property := &edm.Property{Name: "P", Precision: -1, Scale: -1,
			Type: edm.Type{Primitive: test.typ, Name: test.typ.String()}}
		compiled := condition{operator: test.option, property: property}
		spec := &Condition{Property: "P", Option: test.option, Low: test.low, High: test.high}
		if err := compiled.parseOperands(spec); err != nil {
			t.Errorf("%v %s %s: %v", test.typ, test.option, test.low, err)
			continue
		}
		for _, text := range test.fits {
			assert.True(t, !compiled.contradicts(rowText{text: text, isNull: text == null}, false),
				"%v %s %s %s: contradicts %q", test.typ, test.option, test.low, test.high, text)
		}
		for _, text := range test.contradict {
			actual := rowText{text: text, isNull: text == null}
			assert.True(t, compiled.contradicts(actual, false),
				"%v %s %s %s: does not contradict %q", test.typ, test.option, test.low, test.high, text)
			assert.True(t, !compiled.matches(actual),
				"%v %s %s %s: meets %q", test.typ, test.option, test.low, test.high, text)
		}
	}
}

func TestItems(t *testing.T) {
	for list, want := range map[string][]string{
		"":               nil,
		"a":              {"a"},
		"a, b ,c":        {"a", "b", "c"},
		"'a,b', c":       {"'a,b'", "c"},
		"O'Neil, D'Arcy": {"O'Neil", "D'Arcy"},
		"'O''Neil, x',y": {"'O''Neil, x'", "y"},
		"datetime'2024-01-01T00:00:00',datetime'2024-01-02T00:00:00'": {"datetime'2024-01-01T00:00:00'",
			"datetime'2024-01-02T00:00:00'"},
		"1,,2": {"1", "", "2"},
	} {
		assert.Equal(t, want, splitList(list), list)
	}
}

// FuzzCompile: any settings are rejected with an error or result in a query whose options are valid in a request line.
func FuzzCompile(f *testing.F) {
	f.Add("ID,Lines/Number", "Lines/Of", "Lines/Number", "gt", "5", "", "search=x")
	f.Add("*", "Lines", "Name", "in", "a,'b,c'", "", "$filter=ID eq 1&x")
	f.Add("", "", "Of/ID", "bt", "1", "2", "$top=5")
	line := &edm.StructuredType{Namespace: "N", Name: "Line", Key: []string{"Number"}, Properties: []edm.Property{
		{Name: "Number", Type: edm.Type{Primitive: edm.Int32, Name: "Edm.Int32"}, Filterable: true, Precision: -1,
			Scale: -1}},
		Navigations: []edm.Navigation{{Name: "Of", Target: "N.Order"}}}
	order := &edm.StructuredType{Namespace: "N", Name: "Order", Key: []string{"ID"}, Properties: []edm.Property{
		{Name: "ID", Type: edm.Type{Primitive: edm.Int32, Name: "Edm.Int32"}, Filterable: true, Precision: -1,
			Scale: -1},
		{Name: "Name", Type: edm.Type{Primitive: edm.String, Name: "Edm.String"}, Nullable: true, Filterable: true,
			Precision: -1,
			Scale:     -1}},
		Navigations: []edm.Navigation{{Name: "Lines", Target: "N.Line", Many: true}, {Name: "Of", Target: "N.Order"}}}
	model := &edm.Model{Structures: []*edm.StructuredType{order, line}}
	f.Fuzz(func(t *testing.T, selected, expanded, property, option, low, high, raw string) {
		query, err := Compile(Settings{Prefix: "p.", Select: splitList(selected), Expand: splitList(expanded), Raw: raw,
			Conditions: []Condition{{Prefix: "p.filter#0.", Property: property, Option: option, Low: low, High: high}}},
			model, order)
		if err != nil {
			return
		}
		for _, option := range append(query.Options(), query.Filter("ID gt 1")) {
			for i := range len(option) {
				c := option[i]
				require.True(t, c > ' ' && c < 0x7f && c != '#', "%q contains %q", option, c)
			}
		}
		_, err = model.ViewSchema(query.View, edm.Options{})
		assert.NoError(t, err)
		_, err = query.RowChecker(model, edm.Options{})
		assert.NoError(t, err)
	})
}
