package query

import (
	"strings"
	"testing"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/plugins/odata/edm"
)

// orders has orders with items, parts of items and a customer.
func orders(dialect *edm.Dialect) (*edm.Model, *edm.StructuredType) {
	number := edm.Type{Primitive: edm.Int32, Name: "Edm.Int32"}
	typeOf := func(name string, navigations ...edm.Navigation) *edm.StructuredType {
		var properties []edm.Property
		for _, name := range []string{"ID", "Count", "Price"} {
			properties = append(properties, edm.Property{Name: name, Type: number, Filterable: true})
		}
		return &edm.StructuredType{Name: name, Key: []string{"ID"}, Properties: properties, Navigations: navigations}
	}
	order := typeOf("Order", edm.Navigation{Name: "Items", Target: "Item", Many: true},
		edm.Navigation{Name: "Customer", Target: "Customer"})
	item := typeOf("Item", edm.Navigation{Name: "Parts", Target: "Part", Many: true})
	return &edm.Model{Dialect: dialect, Structures: []*edm.StructuredType{order, item, typeOf("Part"),
		typeOf("Customer")}}, order
}

// The options of expanded entities are inside of $expand in v4, and paths in v2.
func TestExpandOptions(t *testing.T) {
	items := Condition{Prefix: "c.", Property: "Items/Count", Option: "gt", Low: "5"}
	for _, test := range []struct {
		name     string
		settings Settings
		v2       string
		v4       string // starts with ! for an error
	}{
		{name: "nested", settings: Settings{Expand: []string{"Items/Parts", "Customer"}},
			v2: "$expand=Items/Parts,Customer", v4: "$expand=Items($expand=Parts),Customer"},
		{name: "selected", settings: Settings{Expand: []string{"Items"}, Select: []string{"ID", "Items/Count"}},
			v2: "$select=ID,Items/ID,Items/Count&$expand=Items", v4: "$select=ID&$expand=Items($select=ID,Count)"},
		{name: "only an expanded one is selected", settings: Settings{Expand: []string{"Items"},
			Select: []string{"Items/Count"}}, v2: "$select=ID,Count,Price,Items/ID,Items/Count&$expand=Items",
			v4: "$expand=Items($select=ID,Count)"},
		{name: "a condition on expanded entities", settings: Settings{Expand: []string{"Items"},
			Conditions: []Condition{items}}, v2: "$expand=Items", v4: "$expand=Items($filter=Count%20gt%205)"},
		{name: "the user's own", settings: Settings{Conditions: []Condition{items},
			Raw: "$expand=Items($filter=contains(A,';)');$orderby=Count desc,ID;$select=Count;" +
				"$expand=Parts($select=ID)),Customer"},
			v2: "!Items($filter=contains(A", v4: "$expand=Items($filter=(contains(A,'%3B)'))%20and%20Count%20gt%205%3B" +
				"$orderby=Count%20desc,ID%3B$select=ID,Count%3B$expand=Parts($select=ID)),Customer"},
		{name: "$select after $expand", settings: Settings{Raw: "$expand=Items($select=Count)&$select=Price"},
			v2: "!Items($select=Count)", v4: "$select=ID,Price&$expand=Items($select=ID,Count)"},
		{name: "$select before $expand", settings: Settings{Raw: "$select=Price&$expand=Items($select=Count)"},
			v2: "!Items($select=Count)", v4: "$select=ID,Price&$expand=Items($select=ID,Count)"},
		{name: "an option that leaves out entities", settings: Settings{Raw: "$expand=Items($top=3)"},
			v2: "!Items($top=3)", v4: "!expected $select, $filter, $orderby or $expand for the entities of Items, found $top"},
		{name: "no closing parenthesis", settings: Settings{Raw: "$expand=Items($select=ID"},
			v2: "!Items($select=ID", v4: "!expected a closing parenthesis"},
	} {
		for _, dialect := range []*edm.Dialect{edm.V2, edm.V4} {
			want := map[*edm.Dialect]string{edm.V2: test.v2, edm.V4: test.v4}[dialect]
			model, order := orders(dialect)
			query, err := Compile(test.settings, model, order)
			if problem, ok := strings.CutPrefix(want, "!"); ok {
				assert.True(t, err != nil && strings.Contains(err.Error(), problem), "%s, %s: expected %s, found %v",
					test.name, dialect.Version, problem, err)
				continue
			}
			if assert.NoError(t, err, test.name, dialect.Version) {
				assert.Equal(t, want, strings.Join(query.Options(), "&"), test.name, dialect.Version)
			}
		}
	}
}

// A condition cannot follow a collection: its items are no single value.
func TestConditionsThroughCollections(t *testing.T) {
	text := edm.Property{Name: "City", Filterable: true, Type: edm.Type{Primitive: edm.String, Name: "Edm.String"}}
	order := &edm.StructuredType{Name: "Order", Properties: []edm.Property{{Name: "Addresses", Filterable: true,
		Type: edm.Type{Name: "Address", Collection: true}}}}
	model := &edm.Model{Dialect: edm.V4, Structures: []*edm.StructuredType{order, {Name: "Address", Complex: true,
		Properties: []edm.Property{text}}}}
	_, err := Compile(Settings{Conditions: []Condition{{Prefix: "c.", Property: "Addresses/City", Option: "eq",
		Low: "x"}}}, model, order)
	assert.Error(t, err, "Addresses of Order is a collection; expected a condition on it in query, as "+
		"$filter=Addresses/any(")
}
