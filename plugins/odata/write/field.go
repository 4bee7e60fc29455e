package write

import (
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/culvert-project/culvert/wit"
	"github.com/culvert-project/culvert/wit/connectdata"
)

// schemas holds the schemas that the host has declared, by their numbers.
type schemas map[uint32][]wit.SchemaNode

// learn keeps a copy of schemas: the host's lie in memory that its next call overwrites.
func (s schemas) learn(declared []wit.Schema) {
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
		// It counts for the order of branches.
		c.DefaultValue = wit.Ptr(slices.Clone(*n.DefaultValue))
	}
	return c
}

// read returns a key or value of a row. ok is false if it is absent or null. Its lengths, branches and tags are checked
// here, once, so that the methods of [field] rely on them.
func (s schemas) read(d wit.ValueSlice, data []byte) (f field, ok bool, err error) {
	f = field{schemas: s, bytes: data[d.Start : d.Start+d.Size]}
	switch d.Encoding {
	case wit.WithSchema:
		if f.nodes = s[d.Schema]; f.nodes == nil {
			return f, false, &wit.Error{Kind: wit.ErrorInternal, Message: "a row's schema was never declared"}
		}
		_, err = connectdata.Skip(f.nodes, 0, f.bytes)
	case wit.Schemaless:
		_, err = connectdata.SkipSchemaless(f.bytes)
	default:
		return field{}, false, nil
	}
	if err != nil {
		return f, false, &wit.Error{Kind: wit.ErrorData, Message: err.Error()}
	}
	f.open(0, 0)
	f = f.resolved()
	return f, f.present, nil
}

// field is a value where it is in a row's bytes. The zero field is null.
type field struct {
	schemas schemas
	// nodes and node are the value's schema. Schemaless values have no nodes.
	nodes []wit.SchemaNode
	// bytes are the row's. The value begins at the byte at, its content at start, after the branch or tag.
	bytes     []byte
	at, start int
	node      uint32
	// present reports that the value is not null.
	present bool
}

// open makes f the value of a node that begins at a byte of the same bytes.
func (f *field) open(node uint32, at int) {
	f.node, f.at, f.start, f.present = node, at, at, true
	switch {
	case f.nodes == nil:
		f.present, f.start = len(f.bytes) > at && f.bytes[at] != connectdata.TagNull, at+1
	case f.nodes[node].Optional:
		f.present, f.start = (f.bytes[at] == 0) != (f.nodes[node].DefaultValue == nil), at+1
	}
}

// schema returns the value's node, nil if it is schemaless.
func (f *field) schema() *wit.SchemaNode {
	if f.nodes == nil {
		return nil
	}
	return &f.nodes[f.node]
}

// kindOther is the kind of schemaless values that have none of the kinds of schemas.
const kindOther = wit.Struct + 1

// kind returns the kind of a value that is not null.
func (f *field) kind() wit.Kind {
	if f.nodes != nil {
		return f.nodes[f.node].Kind
	}
	switch tag := f.bytes[f.at]; tag {
	case connectdata.TagInt8, connectdata.TagInt16, connectdata.TagInt32, connectdata.TagInt64:
		return wit.Int8 + wit.Kind(tag-connectdata.TagInt8)
	case connectdata.TagString:
		return wit.String
	case connectdata.TagArray:
		return wit.Array
	case connectdata.TagMap:
		return wit.Map
	}
	return kindOther
}

// number, and block, return the content of integers, and of texts and bytes.
func (f *field) number() int64 {
	n, _ := connectdata.Number(f.bytes[f.start:])
	return n
}

func (f *field) block() []byte {
	content, _ := connectdata.LengthPrefixed(f.bytes[f.start:])
	return content
}

// value reads the value as package connectdata does. It fails for texts that are not UTF-8.
func (f *field) value() (v any, err error) {
	switch {
	case f.nodes != nil:
		v, _, err = connectdata.Read(f.nodes, f.node, f.bytes[f.at:])
	case len(f.bytes) > f.at:
		v, _, err = connectdata.ReadSchemaless(f.bytes[f.at:])
	}
	return v, err
}

// text returns the value if it is a text.
func (f *field) text() (text []byte, ok bool) {
	if !f.present || f.kind() != wit.String {
		return nil, false
	}
	text = f.block()
	return text, utf8.Valid(text)
}

// resolved returns a struct inside schemaless data as a value of the struct's schema, and other values as they are.
func (f field) resolved() field {
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
	f = field{schemas: f.schemas, nodes: nodes, bytes: content}
	f.open(0, 0)
	return f
}

// member finds a member of a struct or map by its name.
func (f *field) member(name string) (found field, ok bool) {
	for m := f.members(); m.next(); {
		if m.name == name {
			return m.value, true
		}
	}
	return found, false
}

// cursor goes through the members of a struct or map, or the items of an array.
type cursor struct {
	of   field
	kind wit.Kind
	// at is where the next value begins.
	at int
	// count is how many members of a struct were read, or how many items are left in the block at hand; last reports
	// that no other block follows.
	count int64
	last  bool
	name  string
	value field
	// bad reports that the value is not one of the kind that was asked for, or a map with a key that is not a text.
	bad bool
}

// members starts to read a struct or map.
func (f *field) members() cursor {
	c := f.begin()
	c.bad = c.kind != wit.Struct && c.kind != wit.Map
	return c
}

// items starts to read an array.
func (f *field) items() cursor {
	c := f.begin()
	c.bad = c.kind != wit.Array
	return c
}

func (f *field) begin() cursor {
	if !f.present {
		return cursor{kind: kindOther}
	}
	c := cursor{of: *f, value: *f, kind: f.kind(), at: f.start}
	if f.nodes == nil && (c.kind == wit.Map || c.kind == wit.Array) {
		c.count, c.last = c.number(), true
	}
	return c
}

// next goes to the next member or item. It returns false at the end.
func (c *cursor) next() bool {
	if c.bad {
		return false
	}
	if c.kind == wit.Struct {
		members := c.of.nodes[c.of.node].Fields
		if c.count == int64(len(members)) {
			return false
		}
		m := &members[c.count]
		c.name = m.Name
		c.take(m.Node)
		c.count++
		return true
	}
	if c.count == 0 && !c.last {
		if c.count = c.number(); c.count < 0 { // the block's size follows
			c.count = -c.count
			c.number()
		}
		c.last = c.count == 0
	}
	if c.count == 0 {
		return false
	}
	c.count--
	var key, element uint32
	if n := c.of.schema(); n != nil {
		key, element = n.Key, n.Element
	}
	if c.kind == wit.Map {
		c.take(key)
		name, ok := c.value.text()
		if !ok {
			c.bad = true
			return false
		}
		c.name = string(name)
	}
	if c.take(element); c.of.nodes == nil {
		c.value = c.value.resolved()
	}
	return true
}

func (c *cursor) number() int64 {
	n, size := connectdata.Number(c.of.bytes[c.at:])
	c.at += size
	return n
}

// take takes the next value, of a node of the schema.
func (c *cursor) take(node uint32) {
	at := c.at
	if c.of.nodes == nil {
		c.value = c.of // the value before may have been resolved
		size, _ := connectdata.SkipSchemaless(c.of.bytes[at:])
		c.at += size
	} else if c.at = connectdata.SkipFast(&c.of.nodes[node], c.of.bytes, at); c.at == 0 {
		size, _ := connectdata.Skip(c.of.nodes, node, c.of.bytes[at:])
		c.at = at + size
	}
	c.value.open(node, at)
}
