package transform

import (
	"fmt"
	"strings"
	"testing"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/base/require"
	"github.com/culvert-project/culvert/wit"
	"github.com/culvert-project/culvert/wit/connectdata"
)

// namer adds a field to each record. The field's name is the record's own text.
type namer struct{}

func (namer) Describe() wit.Description { return wit.Description{} }

func (namer) New(string, []wit.Setting) (Func, error) {
	return func(r *Record) error {
		name, _ := r.Value.String("name")
		if err := r.Value.AddField(name, []wit.SchemaNode{{Kind: wit.Int32}}, int32(1)); err != nil {
			return err
		}
		return r.Value.AddField("also", []wit.SchemaNode{{Kind: wit.Int32}}, int32(2))
	}, nil
}

// applyNames passes records with such names through one instance, in one call.
func applyNames(tb testing.TB, p Plugin, context []byte, schemas []wit.Schema, names []string) wit.ApplyResult {
	tb.Helper()
	var data []byte
	rows := make([]wit.Row, len(names))
	for i, name := range names {
		start := uint32(len(data))
		data = connectdata.AppendString(data, name)
		rows[i].Value = wit.ValueSlice{Encoding: wit.WithSchema, Schema: 1, Start: start,
			Size: uint32(len(data)) - start}
	}
	out, err := p.Apply(context, schemas, []string{"t"}, rows, data)
	require.NoError(tb, err)
	return out
}

// newNamer returns a namer, its context and the schema of its records.
func newNamer(tb testing.TB) (p Plugin, context []byte, schemas []wit.Schema) {
	tb.Helper()
	p = Records(namer{})
	context, err := p.Prepare([]wit.Stage{{Component: "namer"}})
	require.NoError(tb, err)
	return p, context, []wit.Schema{{ID: 1,
		Nodes: []wit.SchemaNode{{Kind: wit.Struct, Fields: []wit.Field{{Name: "name", Node: 1}}}, {Kind: wit.String}}}}
}

// namesFrom returns the names of fields from a number up to another.
func namesFrom(from, to int) (names []string) {
	for i := from; i < to; i++ {
		names = append(names, fmt.Sprint("field-", i))
	}
	return names
}

// If names of fields come from data, each has its own schema, which is reused, up to the number of schemas that the
// host accepts from an instance. Records that would need another one fail, and no others, and nothing is cached for
// them.
func TestSchemasOfDynamicNames(t *testing.T) {
	p, context, schemas := newNamer(t)
	const excess = 500
	names := namesFrom(0, maxDeclared+excess)
	out := applyNames(t, p, context, schemas, names)
	require.True(t, len(out.Schemas) == maxDeclared && len(out.Rows) == maxDeclared && len(out.Errors) == excess,
		"expected %d schemas and rows, and %d faults, found %d, %d and %d", maxDeclared, excess, len(out.Schemas),
		len(out.Rows), len(out.Errors))
	if f := out.Errors[0]; f.RowIndex != maxDeclared || !strings.Contains(f.Error.Message, "10000 schemas") {
		t.Errorf("expected an error of row %d about 10000 schemas, found %+v", maxDeclared, f)
	}
	for i, row := range out.Rows {
		s := out.Schemas[row.Value.Schema-wit.GuestSchemas]
		if m := s.Nodes[0].Fields; len(m) != 3 || m[1].Name != names[i] || m[2].Name != "also" {
			t.Fatalf("row %d: expected a schema with the field %s, found %+v", i, names[i], s)
		}
	}
	again := applyNames(t, p, context, nil, names)
	assert.True(t, len(again.Schemas) == 0 && len(again.Rows) == maxDeclared,
		"expected no further schemas, found %d for %d rows", len(again.Schemas), len(again.Rows))
	for i := range again.Rows {
		require.True(t, again.Rows[i].Value.Schema == out.Rows[i].Value.Schema, "row %d: found another schema", i)
	}
	r := p.(*records)
	assert.True(t, len(r.shared.extensions) <= maxExtensions && len(r.schemas) <= maxDeclared+1,
		"expected at most %d cached extensions and %d schemas, found %d and %d", maxExtensions, maxDeclared+1,
		len(r.shared.extensions), len(r.schemas))
}
