package object

import (
	"github.com/culvert-project/culvert/plugins/smt/schemas"
	"github.com/culvert-project/culvert/wit"
	"github.com/culvert-project/culvert/wit/connectdata"
)

// Layout is a schema, prepared for reading its values.
type ValueReader struct {
	ID    uint32
	Nodes []wit.SchemaNode
	// Fields holds the fields of a struct, nil for other schemas.
	Fields []Field
	types  []fieldType
	inner  []*ValueReader
}

// fieldType is the type for skipping a field. Integers have the widest one: their readers check the range.
type fieldType struct {
	nodes []wit.SchemaNode
	node  uint32
}

func newValueReader(id uint32, nodes []wit.SchemaNode) *ValueReader {
	reader := &ValueReader{ID: id, Nodes: nodes}
	if !reader.IsStruct() {
		return reader
	}
	for i, field := range nodes[0].Fields {
		reader.Fields = append(reader.Fields, Field{Name: field.Name, Nodes: nodes, Node: field.Node,
			Source: Source{Index: i}})
		t := fieldType{nodes, field.Node}
		switch node := &nodes[field.Node]; node.Kind {
		case wit.Int8, wit.Int16, wit.Int32, wit.Int64:
			t = fieldType{[]wit.SchemaNode{{Kind: wit.Int64, Optional: node.Optional,
				DefaultValue: node.DefaultValue}}, 0}
		}
		reader.types = append(reader.types, t)
	}
	return reader
}

// IsStruct reports whether the values are structs.
func (l *ValueReader) IsStruct() bool { return l.Nodes[0].Kind == wit.Struct }

// FieldReader returns the layout of a field.
func (l *ValueReader) FieldReader(member int) *ValueReader {
	if l.inner == nil {
		l.inner = make([]*ValueReader, len(l.Fields))
	}
	if l.inner[member] == nil {
		l.inner[member] = newValueReader(0, l.Fields[member].Subtree())
	}
	return l.inner[member]
}

// Null reads the branch of a value: whether it is null, and where the value starts. ok is false for invalid bytes.
func (l *ValueReader) Null(input []byte) (null bool, start int, ok bool) {
	return connectdata.IsNull(&l.Nodes[0], input)
}

// Offsets stores in ends where each field starts and the last one ends. It returns the first invalid field, or -1.
func (l *ValueReader) Offsets(input []byte, i int, ends []uint64) int {
	for m := range l.types {
		ends[m] = uint64(i)
		t := &l.types[m]
		end := connectdata.SkipFast(&t.nodes[t.node], input, i)
		if end == 0 {
			size, err := connectdata.Skip(t.nodes, t.node, input[i:])
			if err != nil {
				return m
			}
			end = i + size
		}
		i = end
	}
	if ends[len(l.types)] = uint64(i); i != len(input) {
		return len(l.types)
	}
	return -1
}

// SkipField returns the size of a field's value at the start of in.
func (l *ValueReader) SkipField(member int, input []byte) (int, error) {
	return connectdata.Skip(l.types[member].nodes, l.types[member].node, input)
}

// Scratch holds the schemas and the memory that the objects of one record share.
type Scratch struct {
	Schemas schemas.Registry
	Readers schemas.Cache[*ValueReader]
	// Buf receives the bytes that are written for the record. Values refer to it until the record is done.
	Buf []byte
	// Ends holds the offsets of a struct's fields, see [ValueReader.Offsets].
	Ends []uint64
}

// GrowEnds ensures space for n offsets.
func (s *Scratch) GrowEnds(n int) {
	if len(s.Ends) < n {
		s.Ends = make([]uint64, n)
	}
}

// Layout returns the layout of a schema.
func (s *Scratch) Reader(schema uint32) (*ValueReader, error) {
	return s.Readers.Get(&s.Schemas, schema,
		func(nodes []wit.SchemaNode) *ValueReader { return newValueReader(schema, nodes) })
}

// WithBranch returns the value, or a null, with the branch of its schema.
func (s *Scratch) WithBranch(node *wit.SchemaNode, null bool, value []byte) []byte {
	from := len(s.Buf)
	s.Buf = append(connectdata.AppendBranch(s.Buf, node, null), value...)
	return s.Buf[from:len(s.Buf):len(s.Buf)]
}
