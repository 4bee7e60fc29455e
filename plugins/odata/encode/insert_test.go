package encode

import (
	"testing"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/base/require"
	"github.com/culvert-project/culvert/plugins/odata/edm"
	"github.com/culvert-project/culvert/plugins/odata/rowvalue"
	"github.com/culvert-project/culvert/wit"
	"github.com/culvert-project/culvert/wit/connectdata"
)

// An insert that overwrites an entity has the same result as an update if both write the same properties and, for
// updates that merge, the row has all of them.
func TestInsertEqualsUpdate(t *testing.T) {
	text := edm.Type{Primitive: edm.String}
	keyed := []edm.Property{{Name: "ID", Type: text, Creatable: true, Updatable: true},
		{Name: "A", Type: text, Creatable: true, Updatable: true}, {Name: "Changed", Type: text}}
	row := connectdata.Map{{Key: "ID", Value: "1"}, {Key: "A", Value: "x"}}
	for name, c := range map[string]struct {
		property edm.Property // the last one of the type
		row      connectdata.Map
		merge    bool // expected for updates that merge
		put      bool // and for PUT
	}{
		"all": {edm.Property{Type: text, Creatable: true, Updatable: true}, with(row, "B", "y"), true, true},
		"null": {edm.Property{Type: text, Creatable: true, Updatable: true, Nullable: true}, with(row, "B", nil), true,
			true},
		"null that is not written": {edm.Property{Type: text, Creatable: true, Updatable: true}, with(row, "B", nil),
			false, true},
		"a nested entity": {edm.Property{Type: text}, with(row, "N", connectdata.Map{}), false, false},
		"no nested one":   {edm.Property{Type: text}, with(row, "N", nil), true, true},
		"one missing":     {edm.Property{Type: text, Creatable: true, Updatable: true}, row, false, true},
		"another field in its place": {edm.Property{Type: text, Creatable: true, Updatable: true}, with(row, "Changed", "y"),
			false, true},
		"the service's own": {edm.Property{Type: text}, row, true, true},
		"set by inserts":    {edm.Property{Type: text, Creatable: true}, row, false, false},
		"set by updates":    {edm.Property{Type: text, Updatable: true}, with(row, "B", "y"), false, false},
		"a complex one": {edm.Property{Type: edm.Type{Name: "N.C"}, Creatable: true, Updatable: true},
			with(row, "B", connectdata.Map{}), false, true},
	} {
		c.property.Name = "B"
		typ := NewType(nil, []*edm.StructuredType{{Namespace: "N", Name: "T", Key: []string{"ID"},
			Properties: append(keyed[:3:3], c.property), Navigations: []edm.Navigation{{Name: "N"}}}})
		data, err := connectdata.AppendSchemaless(nil, c.row)
		require.NoError(t, err)
		reader := rowvalue.NewReader(rowvalue.Schemas{})
		var value rowvalue.Value
		_, err = reader.Read(&value, wit.ValueSlice{Encoding: wit.Schemaless, Size: uint32(len(data))}, data)
		require.NoError(t, err)
		merge := typ.InsertEqualsUpdate(&value, false)
		put := typ.InsertEqualsUpdate(&value, true)
		assert.True(t, merge == c.merge && put == c.put,
			"%s: expected %t, and %t for PUT, found %t and %t", name, c.merge, c.put, merge, put)
	}
}

func with(row connectdata.Map, name string, value any) connectdata.Map {
	return append(row[:len(row):len(row)], connectdata.Entry{Key: name, Value: value})
}
