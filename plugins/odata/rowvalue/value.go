package rowvalue

import (
	"unicode/utf8"

	"github.com/culvert-project/culvert/wit"
	"github.com/culvert-project/culvert/wit/connectdata"
)

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
