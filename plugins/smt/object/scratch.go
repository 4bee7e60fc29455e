package object

import (
	"github.com/culvert-project/culvert/plugins/smt/schemas"
	"github.com/culvert-project/culvert/wit"
	"github.com/culvert-project/culvert/wit/connectdata"
)

// Scratch holds the schemas and the memory that the objects of one record share.
type Scratch struct {
	Schemas schemas.Registry
	Readers schemas.Cache[*ValueReader]
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
