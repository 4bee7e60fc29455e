package record

import (
	"github.com/culvert-project/culvert/wit"
	"github.com/culvert-project/culvert/wit/connectdata"
)

// Part is the key, the value or the headers of a record.
type Part struct {
	Encoding wit.Encoding
	Schema   uint32
	Bytes    []byte // memory of the call until a stage replaces it; undefined if the part is absent
	Changed  bool   // encoding or bytes differ from the input's. The schema may differ, too.
	Class    string // Java class of the value if its schema has another, for example after Cast of a logical type
	// InvalidNull is set for a null of a required type, as Kafka's transforms create it from a field of a null. It
	// fails the record unless a later stage replaces the value.
	InvalidNull *Failure
}

// load reads the part of a row. It returns false if the slice exceeds the data.
func (part *Part) load(slice *wit.ValueSlice, data []byte) bool {
	part.Encoding = slice.Encoding
	part.Schema = slice.Schema
	part.Changed = false
	part.InvalidNull = nil
	part.Class = ""
	if slice.Encoding == wit.Absent {
		return true
	}
	end := uint64(slice.Start) + uint64(slice.Size)
	if end > uint64(len(data)) {
		return false
	}
	part.Bytes = data[slice.Start:end]
	return true
}

// Set replaces the part. It does not copy bytes.
func (part *Part) Set(encoding wit.Encoding, schema uint32, bytes []byte) {
	*part = Part{Encoding: encoding, Schema: schema, Bytes: bytes, Changed: true}
}

// Write replaces the part by the value that write appends.
func (part *Part) Write(scratch *Scratch, encoding wit.Encoding, schema uint32, write func(dst []byte) []byte) {
	from := len(scratch.Buf)
	scratch.Buf = write(scratch.Buf)
	part.Set(encoding, schema, scratch.Buf[from:])
}

// SetInvalidNull replaces the part by a null of a required type.
func (part *Part) SetInvalidNull(registry *Schemas, nodes []wit.SchemaNode, stage int) {
	result := append([]wit.SchemaNode(nil), nodes...)
	result[0].Optional = true // otherwise a null has no bytes
	part.Set(wit.WithSchema, registry.Declare(result), connectdata.AppendBranch(nil, &result[0], true))
	part.InvalidNull = RequiredNull(stage)
}

// ResolveNull replaces an invalid null by the default of its type. Without a default the record fails.
func (part *Part) ResolveNull(registry *Schemas) *Failure {
	if part.InvalidNull == nil {
		return nil
	}
	nodes := append([]wit.SchemaNode(nil), registry.Nodes(part.Schema)...)
	if nodes[0].DefaultValue == nil {
		return part.InvalidNull
	}
	nodes[0].Optional = false
	part.Set(wit.WithSchema, registry.Declare(nodes), *nodes[0].DefaultValue)
	return nil
}

// IsNull reports whether Kafka Connect would see a null. Invalid bytes are not null.
func (part *Part) IsNull(schemas *Schemas) (bool, error) {
	if part.Encoding != wit.WithSchema {
		return part.Encoding == wit.Absent, nil
	}
	nodes, err := schemas.lookup(part.Schema)
	if err != nil {
		return false, err
	}
	isNull, _, ok := connectdata.IsNull(&nodes[0], part.Bytes)
	return isNull && ok, nil
}
