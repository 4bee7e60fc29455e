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

func cloneNode(node *wit.SchemaNode) wit.SchemaNode {
	clone := wit.SchemaNode{Kind: node.Kind, Optional: node.Optional, Key: node.Key, Element: node.Element}
	if node.Name != nil {
		clone.Name = wit.Ptr(strings.Clone(*node.Name))
	}
	for _, p := range node.Parameters {
		clone.Parameters = append(clone.Parameters, wit.Setting{Name: strings.Clone(p.Name),
			Value: strings.Clone(p.Value)})
	}
	for _, field := range node.Fields {
		clone.Fields = append(clone.Fields, wit.Field{Name: strings.Clone(field.Name), Node: field.Node})
	}
	if node.DefaultValue != nil {
		clone.DefaultValue = wit.Ptr(slices.Clone(*node.DefaultValue))
	}
	return clone
}

// Read returns the key or value of a row, which it validates. ok is false if it is absent or null.
func (s Schemas) Read(slice wit.ValueSlice, data []byte) (value Value, ok bool, err error) {
	value = Value{schemas: s, bytes: data[slice.Start : slice.Start+slice.Size]}
	switch slice.Encoding {
	case wit.WithSchema:
		if value.nodes = s[slice.Schema]; value.nodes == nil {
			return value, false, &wit.Error{Kind: wit.ErrorInternal, Message: "the schema of a row was not declared"}
		}
		_, err = connectdata.Skip(value.nodes, 0, value.bytes)
	case wit.Schemaless:
		_, err = connectdata.SkipSchemaless(value.bytes)
	default:
		return Value{}, false, nil
	}
	if err != nil {
		return value, false, &wit.Error{Kind: wit.ErrorData, Message: err.Error()}
	}
	value.open(0, 0)
	value = value.resolved()
	return value, value.Present, nil
}
