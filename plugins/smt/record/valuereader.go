package record

import (
	"github.com/culvert-project/culvert/wit"
	"github.com/culvert-project/culvert/wit/connectdata"
)

// ValueReader finds the fields in encoded values of one schema.
type ValueReader struct {
	ID           uint32 // of the schema
	Nodes        []wit.SchemaNode
	Fields       []Field // of a struct, nil for other schemas
	types        []fieldType
	fieldReaders []*ValueReader // by field, nil until they are needed
}

// fieldType is the type for skipping a field. Integers have the widest one: code that uses the value checks its range.
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
		typ := fieldType{nodes: nodes, node: field.Node}
		switch node := &nodes[field.Node]; node.Kind {
		case wit.Int8, wit.Int16, wit.Int32, wit.Int64:
			widest := wit.SchemaNode{Kind: wit.Int64, Optional: node.Optional, DefaultValue: node.DefaultValue}
			typ = fieldType{nodes: []wit.SchemaNode{widest}}
		}
		reader.types = append(reader.types, typ)
	}
	return reader
}

// IsStruct reports whether the values are structs.
func (v *ValueReader) IsStruct() bool { return v.Nodes[0].Kind == wit.Struct }

// FieldReader returns the reader for values of a field of the struct.
func (v *ValueReader) FieldReader(field int) *ValueReader {
	if v.fieldReaders == nil {
		v.fieldReaders = make([]*ValueReader, len(v.Fields))
	}
	if v.fieldReaders[field] == nil {
		v.fieldReaders[field] = newValueReader(0, v.Fields[field].Subtree())
	}
	return v.fieldReaders[field]
}

// Null reads the union branch of a value. start is the offset of the value after it, ok false for invalid bytes.
func (v *ValueReader) Null(input []byte) (isNull bool, start int, ok bool) {
	return connectdata.IsNull(&v.Nodes[0], input)
}

// Offsets stores in ends where each field starts and the last one ends, from start on. It returns the index of the
// first invalid field, -1 if all are valid.
func (v *ValueReader) Offsets(input []byte, start int, ends []uint64) (invalid int) {
	for field := range v.types {
		ends[field] = uint64(start)
		typ := &v.types[field]
		end := connectdata.SkipFast(&typ.nodes[typ.node], input, start)
		if end == 0 { // invalid, or of a type that SkipFast does not know
			size, err := connectdata.Skip(typ.nodes, typ.node, input[start:])
			if err != nil {
				return field
			}
			end = start + size
		}
		start = end
	}
	ends[len(v.types)] = uint64(start)
	if start != len(input) {
		return len(v.types)
	}
	return -1
}

// SkipField returns the size of the value of a field at the start of input.
func (v *ValueReader) SkipField(field int, input []byte) (int, error) {
	return connectdata.Skip(v.types[field].nodes, v.types[field].node, input)
}

// Scratch holds the schemas and the memory that the objects of one record share.
type Scratch struct {
	Schemas Schemas
	Readers SchemaCache[*ValueReader]
	Buf     []byte   // the bytes written for the record. Values refer to it until the record is done.
	Ends    []uint64 // the offsets of a struct's fields, see [ValueReader.Offsets]
}

// GrowEnds makes Ends at least n long. It does not keep the offsets.
func (s *Scratch) GrowEnds(n int) {
	if len(s.Ends) < n {
		s.Ends = make([]uint64, n)
	}
}

// Reader returns the reader for values of a schema, from the cache if possible.
func (s *Scratch) Reader(schema uint32) (*ValueReader, error) {
	return s.Readers.Get(&s.Schemas, schema,
		func(nodes []wit.SchemaNode) *ValueReader { return newValueReader(schema, nodes) })
}

// WithBranch returns the value, or a null, with the union branch of its schema. It appends them to Buf.
func (s *Scratch) WithBranch(node *wit.SchemaNode, isNull bool, value []byte) []byte {
	from := len(s.Buf)
	s.Buf = append(connectdata.AppendBranch(s.Buf, node, isNull), value...)
	return s.Buf[from:len(s.Buf):len(s.Buf)]
}
