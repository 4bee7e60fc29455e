package transform

import (
	"bytes"
	"math/rand/v2"
	"strconv"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/culvert-project/culvert/wit"
	"github.com/culvert-project/culvert/wit/connectdata"
)

// noError ends the test at an unexpected error.
func noError(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// randomRecord returns a structure of up to ten fields, some nested, some null, with its schema.
func randomRecord(r *rand.Rand) ([]wit.SchemaNode, any) {
	nodes := []wit.SchemaNode{{Kind: wit.Struct, Optional: r.IntN(2) == 0}}
	var tree connectdata.Struct
	for i := range r.IntN(11) {
		n := wit.SchemaNode{Kind: []wit.Kind{wit.Int32, wit.Int64, wit.String, wit.Bytes, wit.Boolean, wit.Array,
			wit.Float64}[r.IntN(7)], Optional: r.IntN(2) == 0}
		node := uint32(len(nodes))
		if n.Kind == wit.Array {
			n.Element = node + 1
		}
		nodes = append(nodes, n)
		if n.Kind == wit.Array {
			nodes = append(nodes, wit.SchemaNode{Kind: wit.String})
		}
		nodes[0].Fields = append(nodes[0].Fields, wit.Field{Name: "f" + strconv.Itoa(i), Node: node})
		tree = append(tree, randomValue(r, n))
	}
	if nodes[0].Optional && r.IntN(4) == 0 {
		return nodes, nil
	}
	return nodes, tree
}

func randomValue(r *rand.Rand, n wit.SchemaNode) any {
	if n.Optional && r.IntN(3) == 0 {
		return nil
	}
	switch n.Kind {
	case wit.Int32:
		return int32(r.Uint32())
	case wit.Int64:
		return int64(r.Uint64())
	case wit.String:
		return string(bytes.Repeat([]byte("ä"), r.IntN(40)))
	case wit.Bytes:
		return make([]byte, r.IntN(100))
	case wit.Boolean:
		return r.IntN(2) == 0
	case wit.Float64:
		return r.Float64()
	}
	l := connectdata.List{}
	for range r.IntN(4) {
		l = append(l, "item")
	}
	return l
}

// asMap returns the structure without its schema.
func asMap(nodes []wit.SchemaNode, tree any) any {
	record, ok := tree.(connectdata.Struct)
	if !ok {
		return connectdata.List{"no fields"}
	}
	m := connectdata.Map{{Key: int32(3), Value: "a key that is no text"}}
	for i, v := range record {
		m = append(m, connectdata.Entry{Key: nodes[0].Fields[i].Name, Value: v})
	}
	return m
}

// Fields that are read and set one by one have the same result as the whole value, with a schema and without one, in
// whatever order both are used.
func TestFieldsAgreeWithTree(t *testing.T) {
	r := rand.New(rand.NewPCG(7, 9))
	for range 20_000 {
		nodes, tree := randomRecord(r)
		b, err := connectdata.Append(nil, nodes, 0, tree)
		form := wit.WithSchema
		if r.IntN(2) == 0 {
			form = wit.Schemaless
			b, err = connectdata.AppendSchemaless(nil, asMap(nodes, tree))
		}
		noError(t, err)
		var byField, whole Data
		at := wit.ValueSlice{Encoding: form, Size: uint32(len(b))}
		byField.load(at, nodes, b)
		whole.load(at, nodes, b)
		whole.Tree()
		for range r.IntN(6) {
			i := r.IntN(11)
			name := "f" + strconv.Itoa(i)
			text, ok := byField.String(name)
			if r.IntN(2) == 0 {
				field, _ := whole.Field(name)
				if want, wantOK := field.(string); ok != wantOK || text != want {
					t.Fatalf("%s: got text %q %v, want %q %v", name, text, ok, want, wantOK)
				}
			}
			got, ok := byField.Field(name)
			want, wantOK := whole.Field(name)
			if ok != wantOK || !cmp.Equal(got, want) {
				t.Fatalf("%s: got %v %v, want %v %v", name, got, ok, want, wantOK)
			}
			if ok && r.IntN(2) == 0 {
				if _, ok := got.(string); ok && r.IntN(2) == 0 {
					noError(t, byField.SetString(name, "new"))
					noError(t, whole.SetString(name, "new"))
					continue
				}
				v := any(connectdata.List{"other"})
				if i%2 == 0 {
					v = "other"
				}
				if i < len(nodes[0].Fields) {
					v = randomValue(r, nodes[nodes[0].Fields[i].Node])
				}
				noError(t, byField.SetField(name, v))
				noError(t, whole.SetField(name, v))
			}
			if r.IntN(4) == 0 { // a list, so that the nodes of the field refer to each other
				field := []wit.SchemaNode{{Kind: wit.Array, Element: 1}, {Kind: wit.String, Optional: true}}
				var v any = connectdata.List{"x", nil}
				if i%2 == 0 {
					field = []wit.SchemaNode{{Kind: wit.String}}
					v = "text"
				}
				one := byField.AddField(name, field, v)
				other := whole.AddField(name, field, v)
				if (one == nil) != (other == nil) || (ok && one == nil) {
					t.Fatalf("%s exists: %v; added: %v, %v", name, ok, one, other)
				}
			}
			if r.IntN(10) == 0 && !cmp.Equal(byField.Tree(), whole.Tree()) {
				t.Fatalf("tree: %s", cmp.Diff(byField.Tree(), whole.Tree()))
			}
		}
		got, err := byField.append([]byte("before"))
		noError(t, err)
		want, err := whole.append([]byte("before"))
		if err != nil || !bytes.Equal(got, want) || !cmp.Equal(byField.nodes, whole.nodes) {
			t.Fatalf("%v\n got %x\nwant %x\n%s", err, got, want, cmp.Diff(whole.nodes, byField.nodes))
		}
		if form == wit.WithSchema {
			_, err := connectdata.CheckSchema(byField.nodes)
			noError(t, err)
			noError(t, connectdata.Check(byField.nodes, got[len("before"):]))
		} else {
			noError(t, connectdata.CheckSchemaless(got[len("before"):]))
		}
	}
}

// If bytes are truncated anywhere, the record fails when a field is read, and nothing panics.
func TestFieldOfTruncatedBytes(t *testing.T) {
	nodes := []wit.SchemaNode{{Kind: wit.Struct, Fields: []wit.Field{{Name: "a", Node: 1}, {Name: "b", Node: 1}}},
		{Kind: wit.String}}
	whole, err := connectdata.Append(nil, nodes, 0, connectdata.Struct{"first", "second"})
	noError(t, err)
	free, err := connectdata.AppendSchemaless(nil, asMap(nodes, connectdata.Struct{"first", "second"}))
	noError(t, err)
	cut := func(form wit.Encoding, size int, nodes []wit.SchemaNode, of []byte) {
		var d Data
		d.load(wit.ValueSlice{Encoding: form, Size: uint32(size)}, nodes, of)
		if _, ok := d.Field("b"); ok || d.err == nil {
			t.Errorf("form %v, cut at %d: found a field, error %v", form, size, d.err)
		}
	}
	for i := range whole {
		cut(wit.WithSchema, i, nodes, whole)
	}
	for i := 1; i < len(free); i++ {
		cut(wit.Schemaless, i, nil, free)
	}
}

// Schemas with an added field are created once for each schema of the host. Schemas that a Func creates for a record by
// Set are not cached, since there may be one for each record.
func TestExtensionsAreCached(t *testing.T) {
	nodes := []wit.SchemaNode{{Kind: wit.Struct}}
	for want, d := range map[int]*Data{2: {encoding: wit.WithSchema, schema: 7, nodes: nodes}, 0: {}} {
		d.shared = &shared{extensions: map[extensionKey]*extendedSchema{}}
		for range 10 {
			if want > 0 {
				d.load(wit.ValueSlice{Encoding: wit.WithSchema, Schema: 7}, nodes, nil)
			} else {
				d.Set(nodes, connectdata.Struct{})
			}
			for _, name := range []string{"a", "b"} {
				noError(t, d.AddField(name, []wit.SchemaNode{{Kind: wit.Int32}}, int32(1)))
			}
			got, err := d.append(nil)
			if err != nil || !bytes.Equal(got, []byte{2, 2}) || len(d.nodes[0].Fields) != 2 {
				t.Fatalf("%x of %v, %v", got, d.nodes, err)
			}
		}
		if len(d.shared.extensions) != want {
			t.Errorf("expected %d cached schemas, found %d", want, len(d.shared.extensions))
		}
	}
}
