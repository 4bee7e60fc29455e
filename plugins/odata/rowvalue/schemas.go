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

// Reader reads the keys or the values of rows, one after another. A Value is valid until the next Read.
type Reader struct {
	schemas Schemas
	schema  uint32           // of the row before
	nodes   []wit.SchemaNode // of that schema, nil if there was none
	content content
}

// NewReader returns a reader of rows with the schemas, which do not change while it is in use.
func NewReader(schemas Schemas) Reader {
	return Reader{schemas: schemas, content: content{schemas: schemas}}
}

// content is the bytes of a key or value. Several values share it.
type content struct {
	schemas Schemas
	nodes   []wit.SchemaNode // the schema, nil for values without schema
	bytes   []byte
	// starts holds where the fields of the root struct start. It is empty if a field is not of a common kind.
	starts []int
}

// Read sets value to the key or value of a row, which it validates. ok is false if it is absent or null.
func (r *Reader) Read(value *Value, slice wit.ValueSlice, data []byte) (ok bool, err error) {
	value.content = nil
	value.Present = false
	c := &r.content
	c.bytes = data[slice.Start : slice.Start+slice.Size]
	c.starts = c.starts[:0]
	switch slice.Encoding {
	case wit.WithSchema:
		if r.nodes == nil || r.schema != slice.Schema {
			r.nodes = r.schemas[slice.Schema]
			r.schema = slice.Schema
		}
		if c.nodes = r.nodes; c.nodes == nil {
			return false, &wit.Error{Kind: wit.ErrorInternal, Message: "the schema of a row was not declared"}
		}
		err = c.check()
	case wit.Schemaless:
		c.nodes = nil
		_, err = connectdata.SkipSchemaless(c.bytes)
	default:
		return false, nil
	}
	if err != nil {
		return false, &wit.Error{Kind: wit.ErrorData, Message: err.Error()}
	}
	value.content = c
	value.open(0, 0)
	if c.nodes == nil {
		*value = value.resolved()
	}
	return value.Present, nil
}

// check validates a value with schema and finds the fields of a struct.
func (c *content) check() error {
	root := &c.nodes[0]
	null, pos, ok := connectdata.IsNull(root, c.bytes)
	if ok && !null && root.Kind == wit.Struct {
		for i := range root.Fields {
			c.starts = append(c.starts, pos)
			if pos = connectdata.SkipFast(&c.nodes[root.Fields[i].Node], c.bytes, pos); pos == 0 {
				break
			}
		}
		if pos > 0 {
			return nil
		}
	}
	c.starts = c.starts[:0]
	_, err := connectdata.Skip(c.nodes, 0, c.bytes)
	return err
}
