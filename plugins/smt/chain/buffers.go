package chain

import (
	"github.com/culvert-project/culvert/wit"
	"github.com/culvert-project/culvert/wit/connectdata"
)

// buffers holds the schemas, and memory that objects of one record share.
type buffers struct {
	schemas schemas
	layouts programs[*layout]
	// buf receives the bytes that are written for the record. Values refer to it until the record is done.
	buf []byte
	// ends holds the offsets at which the fields of the current struct begin, and where the last one ends.
	ends []uint64
}

// growEnds makes room for n offsets.
func (b *buffers) growEnds(n int) {
	if len(b.ends) < n {
		b.ends = make([]uint64, n)
	}
}

// layout returns the layout of a schema.
func (b *buffers) layout(schema uint32) (*layout, error) {
	return b.layouts.of(&b.schemas, schema, func(nodes []wit.SchemaNode) *layout { return newLayout(schema, nodes) })
}

// branched returns a value of a schema, or a null, with its branch.
func (b *buffers) branched(n *wit.SchemaNode, null bool, value []byte) []byte {
	from := len(b.buf)
	b.buf = append(connectdata.AppendBranch(b.buf, n, null), value...)
	return b.buf[from:len(b.buf):len(b.buf)]
}
