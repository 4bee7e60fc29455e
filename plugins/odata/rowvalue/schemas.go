package rowvalue

import (
	"slices"
	"strings"
	"unicode/utf8"

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
			node := &declared[i].Nodes[j]
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
			nodes[j] = clone
		}
		s[declared[i].ID] = nodes
	}
}

// Reader reads the keys or the values of rows, one after another. A Value is valid until the next Read.
type Reader struct {
	schemas Schemas
	schema  uint32           // schema of the previous row
	nodes   []wit.SchemaNode // of that schema, nil before the first row with a schema
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
	// starts holds the offsets of the fields of the root struct, or of the values of a root map without schema. It is
	// empty if they must be skipped one by one.
	starts []int
	// names holds the keys of that map. A key that the previous row had at the same index is not copied again.
	names []string
}

// nameCount is the maximum number of entries of a map whose names are kept.
const nameCount = 256

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
		isMap := len(c.bytes) > 0 && c.bytes[0] == connectdata.TagMap
		if !isMap || !c.findEntries() {
			c.starts = c.starts[:0]
			_, err = connectdata.SkipSchemaless(c.bytes)
		}
	default:
		return false, nil
	}
	if err != nil {
		return false, &wit.Error{Kind: wit.ErrorData, Message: err.Error()}
	}
	value.content = c
	value.open(0, 0)
	if c.nodes == nil {
		*value = value.unwrapStruct()
	}
	return value.Present, nil
}

// findEntries validates a root map and sets names and starts to its entries. It returns false if the map is invalid,
// has more than nameCount entries or a key that is no text, or nests so deep that it may be invalid; names and starts
// are then undefined.
func (c *content) findEntries() bool {
	pos := 1 // after the tag
	count, size := connectdata.Number(c.bytes[pos:])
	pos += size
	if size <= 0 || count < 0 || count > nameCount {
		return false
	}
	previousNames := c.names[:cap(c.names)]
	c.names = c.names[:0]
	for i := range int(count) {
		if pos >= len(c.bytes) || c.bytes[pos] != connectdata.TagString {
			return false
		}
		name, size := connectdata.LengthPrefixed(c.bytes[pos+1:])
		if size <= 0 {
			return false
		}
		pos += 1 + size
		switch {
		case i < len(previousNames) && previousNames[i] == string(name):
			c.names = previousNames[:i+1]
		case !utf8.Valid(name):
			return false
		default:
			c.names = append(c.names, string(name))
		}
		c.starts = append(c.starts, pos)
		size, err := connectdata.SkipSchemaless(c.bytes[pos:])
		isDeep := size > 2*connectdata.MaxDepth && hasItems(c.bytes[pos])
		if err != nil || isDeep {
			return false
		}
		pos += size
	}
	return true
}

// hasItems reports whether a value with the tag may contain other values, each of which takes at least two bytes.
func hasItems(tag byte) bool { return tag == connectdata.TagArray || tag == connectdata.TagMap }

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
