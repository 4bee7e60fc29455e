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
func (s Schemas) Read(d wit.ValueSlice, data []byte) (f Value, ok bool, err error) {
	f = Value{schemas: s, bytes: data[d.Start : d.Start+d.Size]}
	switch d.Encoding {
	case wit.WithSchema:
		if f.nodes = s[d.Schema]; f.nodes == nil {
			return f, false, &wit.Error{Kind: wit.ErrorInternal, Message: "the schema of a row was not declared"}
		}
		_, err = connectdata.Skip(f.nodes, 0, f.bytes)
	case wit.Schemaless:
		_, err = connectdata.SkipSchemaless(f.bytes)
	default:
		return Value{}, false, nil
	}
	if err != nil {
		return f, false, &wit.Error{Kind: wit.ErrorData, Message: err.Error()}
	}
	f.open(0, 0)
	f = f.resolved()
	return f, f.Present, nil
}

// Value is a position in the bytes of a row. The zero Value is null.
type Value struct {
	schemas   Schemas
	nodes     []wit.SchemaNode
	bytes     []byte
	at, start int
	node      uint32
	Present   bool
}

func (f *Value) open(node uint32, at int) {
	f.node, f.at, f.start, f.Present = node, at, at, true
	switch {
	case f.nodes == nil:
		f.Present, f.start = len(f.bytes) > at && f.bytes[at] != connectdata.TagNull, at+1
	case f.nodes[node].Optional:
		f.Present, f.start = (f.bytes[at] == 0) != (f.nodes[node].DefaultValue == nil), at+1
	}
}

// Schema returns nil for schemaless values.
func (f *Value) Schema() *wit.SchemaNode {
	if f.nodes == nil {
		return nil
	}
	return &f.nodes[f.node]
}

// Node returns a node of the schema.
func (f *Value) Node(index uint32) *wit.SchemaNode { return &f.nodes[index] }

// kindOther is the kind of schemaless values without a corresponding schema kind.
const kindOther = wit.Struct + 1

// Kind returns the kind of a value that is not null.
func (f *Value) Kind() wit.Kind {
	if f.nodes != nil {
		return f.nodes[f.node].Kind
	}
	switch tag := f.bytes[f.at]; tag {
	case connectdata.TagInt8, connectdata.TagInt16, connectdata.TagInt32, connectdata.TagInt64:
		return wit.Int8 + wit.Kind(tag-connectdata.TagInt8)
	case connectdata.TagText:
		return wit.String
	case connectdata.TagArray:
		return wit.Array
	case connectdata.TagMap:
		return wit.Map
	}
	return kindOther
}

// Int64 returns the value of an integer of any size.
func (f *Value) Int64() int64 {
	n, _ := connectdata.Number(f.bytes[f.start:])
	return n
}

// Bytes returns the content of a string or of bytes.
func (f *Value) Bytes() []byte {
	content, _ := connectdata.LengthPrefixed(f.bytes[f.start:])
	return content
}

// Decode converts the value as package datum does. Strings that are not UTF-8 are an error.
func (f *Value) Decode() (v any, err error) {
	switch {
	case f.nodes != nil:
		v, _, err = connectdata.Read(f.nodes, f.node, f.bytes[f.at:])
	case len(f.bytes) > f.at:
		v, _, err = connectdata.ReadSchemaless(f.bytes[f.at:])
	}
	return v, err
}

// Text returns the value if it is a string.
func (f *Value) Text() (text []byte, ok bool) {
	if !f.Present || f.Kind() != wit.String {
		return nil, false
	}
	text = f.Bytes()
	return text, utf8.Valid(text)
}

// resolved unwraps a struct that is embedded with its schema ID in schemaless data.
func (f Value) resolved() Value {
	if f.nodes != nil || len(f.bytes) <= f.at || f.bytes[f.at] != connectdata.TagStruct {
		return f
	}
	id, size := connectdata.Number(f.bytes[f.start:])
	content, _ := connectdata.LengthPrefixed(f.bytes[f.start+size:])
	nodes := f.schemas[uint32(id)]
	if nodes == nil || id>>32 != 0 {
		return f
	}
	if _, err := connectdata.Skip(nodes, 0, content); err != nil {
		return f
	}
	f = Value{schemas: f.schemas, nodes: nodes, bytes: content}
	f.open(0, 0)
	return f
}

// Field returns a field of a struct or an entry of a map.
func (f *Value) Field(name string) (found Value, ok bool) {
	for m := f.Fields(); m.Next(); {
		if m.Name == name {
			return m.Value, true
		}
	}
	return found, false
}

// Cursor iterates over the fields of a struct, the entries of a map or the items of an array.
type Cursor struct {
	parent Value
	kind   wit.Kind
	at     int
	// count is the number of fields read, or of items left in the current block. last is true if no block follows.
	count int64
	last  bool
	Name  string
	Value Value
	// Mismatch is true if the value has another kind than requested, or a map has a key that is not a string.
	Mismatch bool
}

// Fields iterates over a struct or a map.
func (f *Value) Fields() Cursor {
	c := f.cursor()
	c.Mismatch = c.kind != wit.Struct && c.kind != wit.Map
	return c
}

// Items iterates over an array.
func (f *Value) Items() Cursor {
	c := f.cursor()
	c.Mismatch = c.kind != wit.Array
	return c
}

func (f *Value) cursor() Cursor {
	if !f.Present {
		return Cursor{kind: kindOther}
	}
	c := Cursor{parent: *f, Value: *f, kind: f.Kind(), at: f.start}
	if f.nodes == nil && (c.kind == wit.Map || c.kind == wit.Array) {
		c.count, c.last = c.readInt(), true
	}
	return c
}

// FieldIndex returns the index of the current field in the schema of the struct.
func (c *Cursor) FieldIndex() int64 { return c.count - 1 }

// Next moves to the next field or item. It returns false at the end.
func (c *Cursor) Next() bool {
	if c.Mismatch {
		return false
	}
	if c.kind == wit.Struct {
		members := c.parent.nodes[c.parent.node].Fields
		if c.count == int64(len(members)) {
			return false
		}
		m := &members[c.count]
		c.Name = m.Name
		c.read(m.Node)
		c.count++
		return true
	}
	if c.count == 0 && !c.last {
		if c.count = c.readInt(); c.count < 0 { // the size of the block follows
			c.count = -c.count
			c.readInt()
		}
		c.last = c.count == 0
	}
	if c.count == 0 {
		return false
	}
	c.count--
	var key, element uint32
	if n := c.parent.Schema(); n != nil {
		key, element = n.Key, n.Element
	}
	if c.kind == wit.Map {
		c.read(key)
		name, ok := c.Value.Text()
		if !ok {
			c.Mismatch = true
			return false
		}
		c.Name = string(name)
	}
	if c.read(element); c.parent.nodes == nil {
		c.Value = c.Value.resolved()
	}
	return true
}

func (c *Cursor) readInt() int64 {
	n, size := connectdata.Number(c.parent.bytes[c.at:])
	c.at += size
	return n
}

func (c *Cursor) read(node uint32) {
	at := c.at
	if c.parent.nodes == nil {
		c.Value = c.parent // the previous value may have been unwrapped
		size, _ := connectdata.SkipSchemaless(c.parent.bytes[at:])
		c.at += size
	} else if c.at = connectdata.SkipFast(&c.parent.nodes[node], c.parent.bytes, at); c.at == 0 {
		size, _ := connectdata.Skip(c.parent.nodes, node, c.parent.bytes[at:])
		c.at = at + size
	}
	c.Value.open(node, at)
}
