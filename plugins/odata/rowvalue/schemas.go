package rowvalue

import (
	"slices"
	"strings"

	"github.com/culvert-project/culvert/wit"
	"github.com/culvert-project/culvert/wit/connectdata"
)

// Schemas holds the declared schemas by their IDs.
type Schemas map[uint32][]wit.SchemaNode

// Add copies schemas, because the next call of the host overwrites their memory.
func (s Schemas) Add(declared []wit.Schema) {
	for i := range declared {
		nodes := make([]wit.SchemaNode, len(declared[i].Nodes))
		for j := range nodes {
			nodes[j] = cloneNode(&declared[i].Nodes[j])
		}
		s[declared[i].ID] = nodes
	}
}

func cloneNode(n *wit.SchemaNode) wit.SchemaNode {
	c := wit.SchemaNode{Kind: n.Kind, Optional: n.Optional, Key: n.Key, Element: n.Element}
	if n.Name != nil {
		c.Name = wit.Ptr(strings.Clone(*n.Name))
	}
	for _, p := range n.Parameters {
		c.Parameters = append(c.Parameters, wit.Setting{Name: strings.Clone(p.Name), Value: strings.Clone(p.Value)})
	}
	for _, m := range n.Fields {
		c.Fields = append(c.Fields, wit.Field{Name: strings.Clone(m.Name), Node: m.Node})
	}
	if n.DefaultValue != nil {
		c.DefaultValue = wit.Ptr(slices.Clone(*n.DefaultValue))
	}
	return c
}

// Read returns the key or value of a row, which it validates. ok is false if it is absent or null.
func (s Schemas) Read(d wit.ValueSlice, data []byte) (v Value, ok bool, err error) {
	v = Value{schemas: s, bytes: data[d.Start : d.Start+d.Size]}
	switch d.Encoding {
	case wit.WithSchema:
		if v.nodes = s[d.Schema]; v.nodes == nil {
			return v, false, &wit.Error{Kind: wit.ErrorInternal, Message: "the schema of a row was not declared"}
		}
		_, err = connectdata.Skip(v.nodes, 0, v.bytes)
	case wit.Schemaless:
		_, err = connectdata.SkipSchemaless(v.bytes)
	default:
		return Value{}, false, nil
	}
	if err != nil {
		return v, false, &wit.Error{Kind: wit.ErrorData, Message: err.Error()}
	}
	v.open(0, 0)
	v = v.resolved()
	return v, v.Present, nil
}
