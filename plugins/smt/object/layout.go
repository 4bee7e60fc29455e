package object

import (
	"github.com/culvert-project/culvert/wit"
	"github.com/culvert-project/culvert/wit/connectdata"
)

// Layout is a schema, prepared for reading its values.
type Layout struct {
	ID    uint32
	Nodes []wit.SchemaNode
	// Fields are those of a struct, nil for other schemas.
	Fields []Field
	types  []fieldType
	// inner are the layouts of fields, nil until they are needed.
	inner []*Layout
}

// fieldType is the type of a struct's field for skipping a value. Each integer has the widest type: whether a number
// fits its type is checked by the code that reads it, as in the kernel.
type fieldType struct {
	nodes []wit.SchemaNode
	node  uint32
}

func newLayout(id uint32, nodes []wit.SchemaNode) *Layout {
	l := &Layout{ID: id, Nodes: nodes}
	if !l.IsStruct() {
		return l
	}
	for i, m := range nodes[0].Fields {
		l.Fields = append(l.Fields, Field{Name: m.Name, Nodes: nodes, Node: m.Node, Source: Source{Index: i}})
		t := fieldType{nodes, m.Node}
		switch n := &nodes[m.Node]; n.Kind {
		case wit.Int8, wit.Int16, wit.Int32, wit.Int64:
			t = fieldType{[]wit.SchemaNode{{Kind: wit.Int64, Optional: n.Optional, DefaultValue: n.DefaultValue}}, 0}
		}
		l.types = append(l.types, t)
	}
	return l
}

// IsStruct reports whether the values are structs.
func (l *Layout) IsStruct() bool { return l.Nodes[0].Kind == wit.Struct }

// FieldLayout returns the layout of a field.
func (l *Layout) FieldLayout(member int) *Layout {
	if l.inner == nil {
		l.inner = make([]*Layout, len(l.Fields))
	}
	if l.inner[member] == nil {
		l.inner[member] = newLayout(0, l.Fields[member].Subtree())
	}
	return l.inner[member]
}

// Null reads the branch of a value: whether it is null, and where the value begins. ok is false for invalid bytes.
func (l *Layout) Null(in []byte) (null bool, start int, ok bool) {
	return connectdata.IsNull(&l.Nodes[0], in)
}

// Offsets stores in ends where each field of a struct begins, from i on, and where the last one ends. It returns the
// index of the first field with invalid bytes, or -1.
func (l *Layout) Offsets(in []byte, i int, ends []uint64) int {
	for m := range l.types {
		ends[m] = uint64(i)
		t := &l.types[m]
		end := connectdata.SkipFast(&t.nodes[t.node], in, i)
		if end == 0 {
			size, err := connectdata.Skip(t.nodes, t.node, in[i:])
			if err != nil {
				return m
			}
			end = i + size
		}
		i = end
	}
	if ends[len(l.types)] = uint64(i); i != len(in) {
		return len(l.types)
	}
	return -1
}

// SkipField returns the size of a field's value at the beginning of in.
func (l *Layout) SkipField(member int, in []byte) (int, error) {
	return connectdata.Skip(l.types[member].nodes, l.types[member].node, in)
}
