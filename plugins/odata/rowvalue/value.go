package rowvalue

import (
	"unicode/utf8"

	"github.com/culvert-project/culvert/wit"
	"github.com/culvert-project/culvert/wit/connectdata"
)

// Value is a position in the bytes of a row. The zero Value is null.
type Value struct {
	Present bool // the value is not null
	node    uint32
	*content
	pos   int // offset of the value
	start int // offset of its content, after its union branch or tag
}

// open moves to the value of a node at an offset of the content, which has been validated.
func (v *Value) open(node uint32, pos int) {
	v.node = node
	v.pos = pos
	v.start = pos
	v.Present = true
	switch {
	case v.nodes == nil:
		v.Present = len(v.bytes) > pos && v.bytes[pos] != connectdata.TagNull
		v.start = pos + 1
	case v.nodes[node].Optional:
		v.Present = (v.bytes[pos] == 0) != (v.nodes[node].DefaultValue == nil) // see connectdata.IsNull
		v.start = pos + 1
	}
}

// Schema returns the value's node of the schema, nil for schemaless values.
func (v *Value) Schema() *wit.SchemaNode {
	if v.content == nil || v.nodes == nil {
		return nil
	}
	return &v.nodes[v.node]
}

// Node returns the node at an index of the value's schema. The value must have one.
func (v *Value) Node(index uint32) *wit.SchemaNode { return &v.nodes[index] }

const kindOther = wit.Struct + 1 // schemaless values of a type that kindOf does not distinguish

// Kind returns the kind of a value that is not null.
func (v *Value) Kind() wit.Kind {
	if v.nodes != nil {
		return v.nodes[v.node].Kind
	}
	return kindOf(v.bytes[v.pos])
}

func kindOf(tag byte) wit.Kind {
	switch tag {
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

// Int64 returns the value of an integer of any size.
func (v *Value) Int64() int64 {
	n, _ := connectdata.Number(v.bytes[v.start:])
	return n
}

// Raw returns the bytes of a value that is not null, after its union branch or tag, and the bytes after it.
func (v *Value) Raw() []byte { return v.bytes[v.start:] }

// Bytes returns the content of a string or of bytes.
func (v *Value) Bytes() []byte {
	text, _ := connectdata.LengthPrefixed(v.bytes[v.start:])
	return text
}

// Decode converts the value as package connectdata does. Strings that are not UTF-8 are an error.
func (v *Value) Decode() (decoded any, err error) {
	switch {
	case v.content == nil:
		// null
	case v.nodes != nil:
		decoded, _, err = connectdata.Read(v.nodes, v.node, v.bytes[v.pos:])
	case len(v.bytes) > v.pos:
		decoded, _, err = connectdata.ReadSchemaless(v.bytes[v.pos:])
	}
	return decoded, err
}

// Text returns the value if it is a string.
func (v *Value) Text() (text []byte, ok bool) {
	if !v.Present || v.Kind() != wit.String {
		return nil, false
	}
	text = v.Bytes()
	return text, utf8.Valid(text)
}

// unwrapStruct returns the struct if v is one that is embedded with its schema ID in schemaless data, else v. It also
// returns v if the schema is unknown or the struct is invalid.
func (v Value) unwrapStruct() Value {
	if v.nodes != nil || len(v.bytes) <= v.pos || v.bytes[v.pos] != connectdata.TagStruct {
		return v
	}
	id, size := connectdata.Number(v.bytes[v.start:])
	bytes, _ := connectdata.LengthPrefixed(v.bytes[v.start+size:])
	nodes := v.schemas[uint32(id)]
	if nodes == nil || id>>32 != 0 {
		return v
	}
	embedded := &content{schemas: v.schemas, nodes: nodes, bytes: bytes}
	if embedded.check() != nil {
		return v
	}
	v = Value{content: embedded}
	v.open(0, 0)
	return v
}

// Field sets field to a field of a struct or an entry of a map. ok is false if the value has no such field.
func (v *Value) Field(field *Value, name string) (ok bool) {
	if v.Present && v.node == 0 && len(v.starts) > 0 && v.nodes != nil {
		fields := v.nodes[0].Fields
		for i := range fields {
			if fields[i].Name == name {
				field.content = v.content
				field.open(fields[i].Node, v.starts[i])
				return true
			}
		}
		return false
	}
	var cursor Cursor
	for v.Fields(&cursor); cursor.Next(); {
		if cursor.Name == name {
			*field = cursor.Value
			return true
		}
	}
	return false
}

// Fields starts the iteration of a cursor over a struct or a map.
func (v *Value) Fields(cursor *Cursor) {
	v.openCursor(cursor)
	cursor.Mismatch = cursor.kind != wit.Struct && cursor.kind != wit.Map
}

// Items starts the iteration of a cursor over an array.
func (v *Value) Items(cursor *Cursor) {
	v.openCursor(cursor)
	cursor.Mismatch = cursor.kind != wit.Array
}

// openCursor sets the fields of a zero cursor.
func (v *Value) openCursor(cursor *Cursor) {
	cursor.kind = kindOther
	if !v.Present {
		return
	}
	cursor.Value.content = v.content
	cursor.parent.content = v.content
	cursor.parent.open(v.node, v.pos)
	cursor.kind = v.Kind()
	cursor.pos = v.start
	if cursor.kind == wit.Struct {
		cursor.fields = v.nodes[v.node].Fields
		if v.node == 0 {
			cursor.starts = v.starts
		}
	}
	switch {
	case v.nodes != nil:
		// The cursor reads the count of each block, or has the fields.
	case cursor.kind == wit.Map && v.pos == 0 && len(v.starts) > 0:
		cursor.names = v.names
		cursor.starts = v.starts
	case cursor.kind == wit.Map, cursor.kind == wit.Array:
		cursor.count = cursor.readInt()
		cursor.isLast = true
	}
}
