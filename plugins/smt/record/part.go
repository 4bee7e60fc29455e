package record

import (
	"github.com/culvert-project/culvert/plugins/smt/object"
	"github.com/culvert-project/culvert/plugins/smt/rowerror"
	"github.com/culvert-project/culvert/plugins/smt/schemas"
	"github.com/culvert-project/culvert/wit"
	"github.com/culvert-project/culvert/wit/connectdata"
)

// Part is the key, the value or the headers of a row on their way through the chain.
type Part struct {
	Encoding wit.Encoding
	Schema   uint32
	// Bytes are the call's until a stage writes others; of an absent column they say nothing.
	Bytes []byte
	// Changed: form or bytes are no longer the input's. The schema may be another one all the same.
	Changed bool
	// InvalidNull: the null here is of a type that has none, as Kafka's transforms make it of a field of a null. The schema
	// is that type made optional; the failure is that of the record, unless a later stage makes another value of it.
	InvalidNull *rowerror.Failure
	// Class is the one that Kafka holds the value in where the form and the schema say another: the number that Cast
	// made of a whole value whose schema keeps the name of a logical type, the map that Flatten made.
	Class string
}

// load takes a datum of a call; it is false of one that runs past the data.
func (c *Part) load(d *wit.ValueSlice, data []byte) bool {
	c.Encoding, c.Schema, c.Changed, c.InvalidNull, c.Class = d.Encoding, d.Schema, false, nil, ""
	if d.Encoding == wit.Absent {
		return true
	}
	end := uint64(d.Start) + uint64(d.Size)
	if end > uint64(len(data)) {
		return false
	}
	c.Bytes = data[d.Start:end]
	return true
}

// Set gives a column other bytes.
func (c *Part) Set(encoding wit.Encoding, schema uint32, bytes []byte) {
	*c = Part{Encoding: encoding, Schema: schema, Bytes: bytes, Changed: true}
}

// Write sets the column to the value that write appends.
func (c *Part) Write(b *object.Scratch, encoding wit.Encoding, schema uint32, write func(dst []byte) []byte) {
	from := len(b.Buf)
	b.Buf = write(b.Buf)
	c.Set(encoding, schema, b.Buf[from:])
}

// SetInvalidNull makes the column a null of a type that has none; nodes are the type's.
func (c *Part) SetInvalidNull(s *schemas.Registry, nodes []wit.SchemaNode, stage int) {
	result := append([]wit.SchemaNode(nil), nodes...)
	result[0].Optional = true
	c.Set(wit.WithSchema, s.Declare(result), connectdata.AppendBranch(nil, &result[0], true))
	c.InvalidNull = rowerror.RequiredNull(stage)
}

// ResolveNull makes a value of a null that the column's type has none of, at the end of a chain: the type's default, as
// converters do by default, or the failure of the record.
func (c *Part) ResolveNull(s *schemas.Registry) *rowerror.Failure {
	if c.InvalidNull == nil {
		return nil
	}
	nodes := append([]wit.SchemaNode(nil), s.Nodes(c.Schema)...)
	if nodes[0].DefaultValue == nil {
		return c.InvalidNull
	}
	nodes[0].Optional = false
	c.Set(wit.WithSchema, s.Declare(nodes), *nodes[0].DefaultValue)
	return nil
}

// IsNull tells whether Kafka Connect holds a null for the column, with a schema or without. Bytes that are bad are none.
func (c *Part) IsNull(schemas *schemas.Registry) (bool, error) {
	if c.Encoding != wit.WithSchema {
		return c.Encoding == wit.Absent, nil
	}
	nodes, err := schemas.Lookup(c.Schema)
	if err != nil {
		return false, err
	}
	isNull, _, ok := connectdata.IsNull(&nodes[0], c.Bytes)
	return isNull && ok, nil
}
