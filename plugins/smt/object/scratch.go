package object

import (
	"github.com/culvert-project/culvert/plugins/smt/schemas"
	"github.com/culvert-project/culvert/wit"
	"github.com/culvert-project/culvert/wit/connectdata"
)

// Scratch holds the schemas, and memory that objects of one record share.
type Scratch struct {
	Schemas schemas.Registry
	Layouts schemas.Cache[*Layout]
	// Buf receives the bytes that are written for the record. Values refer to it until the record is done.
	Buf []byte
	// Ends holds the offsets at which the fields of the current struct begin, and where the last one ends.
	Ends []uint64
}

// GrowEnds makes room for n offsets.
func (b *Scratch) GrowEnds(n int) {
	if len(b.Ends) < n {
		b.Ends = make([]uint64, n)
	}
}

// Layout returns the layout of a schema.
func (b *Scratch) Layout(schema uint32) (*Layout, error) {
	return b.Layouts.Get(&b.Schemas, schema, func(nodes []wit.SchemaNode) *Layout { return newLayout(schema, nodes) })
}

// WithBranch returns a value of a schema, or a null, with its branch.
func (b *Scratch) WithBranch(n *wit.SchemaNode, null bool, value []byte) []byte {
	from := len(b.Buf)
	b.Buf = append(connectdata.AppendBranch(b.Buf, n, null), value...)
	return b.Buf[from:len(b.Buf):len(b.Buf)]
}
