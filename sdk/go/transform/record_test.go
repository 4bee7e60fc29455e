package transform

import (
	"bytes"
	"math/rand/v2"
	"strconv"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/base/require"
	"github.com/culvert-project/culvert/wit"
	"github.com/culvert-project/culvert/wit/connectdata"
)

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

// randomValue returns a value that matches a node.
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

// asMap returns the structure as a map without a schema. A value without fields becomes a list.
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
	random := rand.New(rand.NewPCG(7, 9))
	for range 20_000 {
		nodes, tree := randomRecord(random)
		b, err := connectdata.Append(nil, nodes, 0, tree)
		encoding := wit.WithSchema
		if random.IntN(2) == 0 {
			encoding = wit.Schemaless
			b, err = connectdata.AppendSchemaless(nil, asMap(nodes, tree))
		}
		require.NoError(t, err)
		var byField, byTree Data
		slice := wit.ValueSlice{Encoding: encoding, Size: uint32(len(b))}
		byField.load(slice, nodes, b)
		byTree.load(slice, nodes, b)
		byTree.Tree()
		for range random.IntN(6) {
			i := random.IntN(11)
			name := "f" + strconv.Itoa(i)
			text, ok := byField.String(name)
			if random.IntN(2) == 0 {
				field, _ := byTree.Field(name)
				if want, wantOK := field.(string); ok != wantOK || text != want {
					t.Fatalf("%s: got text %q %v, want %q %v", name, text, ok, want, wantOK)
				}
			}
			got, ok := byField.Field(name)
			want, wantOK := byTree.Field(name)
			require.True(t, ok == wantOK && cmp.Equal(got, want), "%s: got %v %v, want %v %v", name, got, ok, want,
				wantOK)
			if ok && random.IntN(2) == 0 {
				if _, ok := got.(string); ok && random.IntN(2) == 0 {
					require.NoError(t, byField.SetString(name, "new"))
					require.NoError(t, byTree.SetString(name, "new"))
					continue
				}
				v := any(connectdata.List{"other"})
				if i%2 == 0 {
					v = "other"
				}
				if i < len(nodes[0].Fields) {
					v = randomValue(random, nodes[nodes[0].Fields[i].Node])
				}
				require.NoError(t, byField.SetField(name, v))
				require.NoError(t, byTree.SetField(name, v))
			}
			if random.IntN(4) == 0 { // a list, so that the nodes of the field refer to each other
				field := []wit.SchemaNode{{Kind: wit.Array, Element: 1}, {Kind: wit.String, Optional: true}}
				var v any = connectdata.List{"x", nil}
				if i%2 == 0 {
					field = []wit.SchemaNode{{Kind: wit.String}}
					v = "text"
				}
				fieldErr := byField.AddField(name, field, v)
				treeErr := byTree.AddField(name, field, v)
				require.True(t, (fieldErr == nil) == (treeErr == nil) && (!ok || fieldErr != nil),
					"%s exists: %v: expected equal results of AddField, found %v and %v", name, ok, fieldErr, treeErr)
			}
			if random.IntN(10) == 0 && !cmp.Equal(byField.Tree(), byTree.Tree()) {
				t.Fatalf("tree: %s", cmp.Diff(byField.Tree(), byTree.Tree()))
			}
		}
		got, err := byField.append([]byte("before"))
		require.NoError(t, err)
		want, err := byTree.append([]byte("before"))
		if err != nil || !bytes.Equal(got, want) || !cmp.Equal(byField.nodes, byTree.nodes) {
			t.Fatalf("%v\n got %x\nwant %x\n%s", err, got, want, cmp.Diff(byTree.nodes, byField.nodes))
		}
		if encoding == wit.WithSchema {
			_, err := connectdata.CheckSchema(byField.nodes)
			require.NoError(t, err)
			require.NoError(t, connectdata.Check(byField.nodes, got[len("before"):]))
		} else {
			require.NoError(t, connectdata.CheckSchemaless(got[len("before"):]))
		}
	}
}

// If bytes are truncated anywhere, the record fails when a field is read, and nothing panics.
func TestFieldOfTruncatedBytes(t *testing.T) {
	nodes := []wit.SchemaNode{{Kind: wit.Struct, Fields: []wit.Field{{Name: "a", Node: 1}, {Name: "b", Node: 1}}},
		{Kind: wit.String}}
	structBytes, err := connectdata.Append(nil, nodes, 0, connectdata.Struct{"first", "second"})
	require.NoError(t, err)
	mapBytes, err := connectdata.AppendSchemaless(nil, asMap(nodes, connectdata.Struct{"first", "second"}))
	require.NoError(t, err)
	check := func(encoding wit.Encoding, size int, nodes []wit.SchemaNode, content []byte) {
		var d Data
		d.load(wit.ValueSlice{Encoding: encoding, Size: uint32(size)}, nodes, content)
		if _, ok := d.Field("b"); ok || d.err == nil {
			t.Errorf("encoding %v, cut at %d: expected an error, found %v", encoding, size, d.err)
		}
	}
	for i := range structBytes {
		check(wit.WithSchema, i, nodes, structBytes)
	}
	for i := 1; i < len(mapBytes); i++ {
		check(wit.Schemaless, i, nil, mapBytes)
	}
}

// Schemas with an added field are created once for each schema of the host. Schemas that a Func creates for a record by
// Set are not cached, since there may be one for each record.
func TestExtensionsAreCached(t *testing.T) {
	nodes := []wit.SchemaNode{{Kind: wit.Struct}}
	for want, d := range map[int]*Data{ // by the number of cached schemas
		2: {encoding: wit.WithSchema, schema: 7, nodes: nodes},
		0: {},
	} {
		d.shared = &shared{extensions: map[extensionKey]*extendedSchema{}}
		for range 10 {
			if want > 0 {
				d.load(wit.ValueSlice{Encoding: wit.WithSchema, Schema: 7}, nodes, nil)
			} else {
				d.Set(nodes, connectdata.Struct{})
			}
			for _, name := range []string{"a", "b"} {
				require.NoError(t, d.AddField(name, []wit.SchemaNode{{Kind: wit.Int32}}, int32(1)))
			}
			got, err := d.append(nil)
			require.True(t, err == nil && bytes.Equal(got, []byte{2, 2}) && len(d.nodes[0].Fields) == 2,
				"expected the bytes 0202 and two fields, found %x, %v, %v", got, d.nodes, err)
		}
		assert.True(t, len(d.shared.extensions) == want, "expected %d cached schemas, found %d", want,
			len(d.shared.extensions))
	}
}
