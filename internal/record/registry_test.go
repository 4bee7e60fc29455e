package record

import (
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/base/require"
	"github.com/culvert-project/culvert/wit"
)

// Equal nodes have one schema, found by its number; other numbers have no schema.
func TestInternReturnsOneNumberPerSchema(t *testing.T) {
	r := NewRegistry()
	nodes := func(name string) []wit.SchemaNode {
		return []wit.SchemaNode{{Kind: wit.Struct, Name: &name, Fields: []wit.Field{{Name: "a", Node: 1}}},
			{Kind: wit.Int32}}
	}
	a, err := r.Intern(nodes("x"))
	require.NoError(t, err)
	same, _ := r.Intern(nodes("x"))
	other, _ := r.Intern(nodes("y"))
	require.True(t, a == same && a != other && a.ID != 0 && r.Get(a.ID) == a && r.Get(0) == nil && r.Get(99) == nil,
		"expected one schema for equal nodes and another for others, found %v, %v and %v", a, same, other)
}

// Nodes that contain themselves or miss others are rejected.
func TestInternRejectsLoopsAndMissingNodes(t *testing.T) {
	for want, nodes := range map[string][]wit.SchemaNode{
		"at least one node":        {},
		"node 0, element":          {{Kind: wit.Array, Element: 0}},
		"node 0, member a":         {{Kind: wit.Struct, Fields: []wit.Field{{Name: "a", Node: 7}}}},
		"unknown kind":             {{Kind: 200}},
		"node 1, key: expected a ": {{Kind: wit.Array, Element: 1}, {Kind: wit.Map, Key: 1, Element: 1}},
	} {
		_, err := NewRegistry().Intern(nodes)
		assert.Error(t, err, want)
	}
}

// A schema's size is the size of its tree, even if nodes are shared: forty nodes that each refer to the next one twice
// are 2^40 fields.
func TestSchemaSizeIsTreeSize(t *testing.T) {
	chain := func(n int, members int) []wit.SchemaNode {
		nodes := make([]wit.SchemaNode, n)
		for i := range nodes {
			nodes[i] = wit.SchemaNode{Kind: wit.Struct}
			for m := range members {
				nodes[i].Fields = append(nodes[i].Fields, wit.Field{Name: strconv.Itoa(m), Node: uint32(i + 1)})
			}
		}
		return append(nodes, wit.SchemaNode{Kind: wit.Int8})
	}
	maps := make([]wit.SchemaNode, 40)
	for i := range maps {
		maps[i] = wit.SchemaNode{Kind: wit.Map, Key: uint32(i + 1), Element: uint32(i + 1)}
	}
	text := wit.SchemaNode{Kind: wit.String, Doc: wit.Ptr(strings.Repeat("d", 1000))}
	wide := func(n int, node wit.SchemaNode) []wit.SchemaNode {
		root := wit.SchemaNode{Kind: wit.Struct}
		for m := range n {
			root.Fields = append(root.Fields, wit.Field{Name: strconv.Itoa(m), Node: 1})
		}
		return []wit.SchemaNode{root, node}
	}
	decimal := func(scale string) []wit.SchemaNode {
		return []wit.SchemaNode{{Kind: wit.Bytes, Name: wit.Ptr(wit.NameDecimal),
			Parameters: []wit.Setting{{Name: "scale", Value: scale}}}}
	}
	for name, c := range map[string]struct {
		nodes []wit.SchemaNode
		want  string
	}{
		"40 nodes":         {nodes: chain(40, 2), want: "at most 10000 fields"},
		"40 maps":          {nodes: append(maps, wit.SchemaNode{Kind: wit.String}), want: "at most 40000 nodes"},
		"99 in each other": {nodes: chain(99, 1)},
		"and one more":     {nodes: chain(100, 1), want: "at most 100 nodes in each other"},
		"10,000 fields":    {nodes: wide(10_000, wit.SchemaNode{Kind: wit.Int8})},
		"and one field":    {nodes: wide(10_001, wit.SchemaNode{Kind: wit.Int8}), want: "at most 10000 fields"},
		"a shared text":    {nodes: wide(5000, text), want: "at most 4194304 bytes"},
		"many nodes":       {nodes: make([]wit.SchemaNode, 50_000), want: "at most 40000 nodes"},
		"scale":            {nodes: decimal("1001"), want: "a scale from -1000 to 1000"},
		"no scale":         {nodes: decimal("x")},
		"good scale":       {nodes: decimal("-1000")},
	} {
		if _, err := NewRegistry().Intern(c.nodes); (c.want == "" && err != nil) || (c.want != "" && (err == nil ||
			!strings.Contains(err.Error(), c.want))) {
			t.Errorf("%s: expected %q, found %v", name, c.want, err)
		}
	}
}

// Unused schemas are removed: a connector with a new schema on each page continues, and one that uses all of them is
// stopped, while another connector has all the space that it needs.
func TestUnusedSchemasAreRemoved(t *testing.T) {
	r := NewRegistry()
	internPage := func(registry *Registry, i int) (*Schema, error) {
		return registry.Intern([]wit.SchemaNode{{Kind: wit.String, Doc: wit.Ptr(strconv.Itoa(i) +
			strings.Repeat("d", 3<<20))}})
	}
	registry := r.ForConnector("ours")
	otherRegistry := r.ForConnector("theirs")
	retained, _ := internPage(registry, -1)
	for i := range 60 { // 180 MB
		if _, err := internPage(registry, i); err != nil {
			// The registry is full, and its last garbage collection was less than a second ago: allow the next one.
			registry.owner.lastGC = registry.owner.lastGC.Add(-2 * time.Second)
			_, err = internPage(registry, i)
			require.NoError(t, err, "page", i)
		}
	}
	runtime.GC()
	if r.Get(retained.ID) != retained || len(registry.owner.entries) > 30 || registry.owner.bytes > maxRegistryBytes {
		t.Errorf("expected at most 30 schemas and the retained one, found %d schemas of %d bytes",
			len(registry.owner.entries), registry.owner.bytes)
	}
	b := Batch{Registry: otherRegistry}
	var err error
	for i := 0; err == nil && i < 100; i++ {
		var s *Schema
		if s, err = internPage(otherRegistry, 1000+i); err == nil {
			b.Retain(s)
		}
	}
	assert.True(t, err != nil && strings.Contains(err.Error(), "at most 67108864 bytes of schemas of one connector") &&
		len(b.Retained) >= 20, "expected an error after 20 retained schemas, found %d, %v", len(b.Retained), err)
	for _, s := range b.Retained {
		require.True(t, r.Get(s.ID) == s, "expected schema %d, which a batch retains, found %v", s.ID, r.Get(s.ID))
	}
	_, err = internPage(registry, 5000)
	assert.NoError(t, err, "another connector")
	runtime.KeepAlive(retained)
	b.Reset()
}
