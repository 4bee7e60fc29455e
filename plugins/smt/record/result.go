package record

import (
	"unsafe"

	"github.com/culvert-project/culvert/wit"
	"github.com/culvert-project/culvert/wit/connectdata"
)

// AddedHeader is a header to add to the record.
type AddedHeader struct {
	Name  string
	Field Field  // the value
	Bytes []byte // if not nil, the whole encoded header instead
}

// KeepsInput reports whether the result starts with all fields of the input, unchanged.
func (o *Object) KeepsInput() bool {
	fields := o.Reader.Fields
	if len(o.Fields) < len(fields) || o.Changed || o.Whole {
		return false
	}
	for i := range fields {
		if field := &o.Fields[i]; field.Kind != FromInput || field.Index != i {
			return false
		}
	}
	return true
}

// SameBytes reports whether the result has the bytes of the input.
func (o *Object) SameBytes() bool {
	if o.Whole {
		b := o.Fields[0].Bytes
		return len(b) == len(o.Input) && unsafe.SliceData(b) == unsafe.SliceData(o.Input)
	}
	if o.IsMap {
		return !o.Changed
	}
	return o.KeepsInput() && len(o.Fields) == len(o.Reader.Fields) &&
		string(Branch(&o.Root)) == string(Branch(&o.Reader.Nodes[0]))
}

// Append appends the encoded result.
func (o *Object) Append(dst []byte) []byte {
	switch {
	case o.Whole:
		return append(dst, o.Fields[0].Bytes...)
	case o.IsMap:
		dst = connectdata.AppendNumber(append(dst, connectdata.TagMap), int64(len(o.Fields)))
		for i := range o.Fields {
			dst = append(append(dst, o.Fields[i].Key...), o.Fields[i].Bytes...)
		}
		return dst
	}
	dst = append(dst, Branch(&o.Root)...)
	fields := o.Fields
	if o.Reader != nil && o.KeepsInput() {
		dst = append(dst, o.Input[o.start:]...)
		fields = fields[len(o.Reader.Fields):]
	}
	for i := range fields {
		dst = append(dst, fields[i].Bytes...)
	}
	return dst
}

// Nodes returns the schema of the result.
func (o *Object) Nodes() []wit.SchemaNode {
	if o.Whole {
		return o.Fields[0].Subtree()
	}
	result := []wit.SchemaNode{o.Root}
	fields := make([]wit.Field, len(o.Fields))
	for i := range o.Fields {
		field := &o.Fields[i]
		fields[i] = wit.Field{Name: field.Name, Node: uint32(len(result))}
		result = AppendNode(result, field.Nodes, field.Node)
	}
	result[0].Fields = fields
	return result
}

// Results holds the numbers of the schemas of value, key and headers that result from one input schema, or the failure
// of all its rows.
type Results struct {
	Value   uint32
	Key     uint32
	Headers []uint32
	Failure *Failure
}

// DeclareResults declares the schemas of the result. convertDefault, if not nil, applies the operation to the default
// of the struct.
func (o *Object) DeclareResults(registry *Schemas, stage int, convertDefault func(obj *Object) *Failure) *Results {
	results := &Results{}
	for i := range o.Headers {
		if header := &o.Headers[i]; header.Bytes == nil {
			results.Headers = append(results.Headers, registry.Declare(header.Field.Subtree()))
		}
	}
	if o.Key != nil {
		results.Key, results.Failure = registry.DeclareChecked(o.Key.Nodes(), stage)
	}
	if o.KeepsSchema || results.Failure != nil {
		results.Value = o.Reader.ID
		return results
	}
	result := o.Nodes()
	if convertDefault != nil && o.Root.DefaultValue != nil {
		input := *o.Root.DefaultValue
		converted := &Object{}
		converted.Open(o.Scratch, o.Reader, input, 0)
		if results.Failure = convertDefault(converted); results.Failure != nil {
			return results
		}
		b := converted.Append(nil)[len(Branch(&converted.Root)):]
		result[0].DefaultValue = &b
	}
	results.Value, results.Failure = registry.DeclareChecked(result, stage)
	return results
}

// AppendHeaders appends the encoded headers to add. results holds their schemas.
func (o *Object) AppendHeaders(dst []byte, results *Results) []byte {
	headerSchemas := results.Headers
	for i := range o.Headers {
		header := &o.Headers[i]
		switch {
		case header.Bytes != nil:
			dst = append(dst, header.Bytes...)
			continue
		case o.IsMap:
			dst = append(connectdata.AppendString(dst, header.Name), byte(wit.Schemaless), 0)
		default:
			dst = append(connectdata.AppendString(dst, header.Name), byte(wit.WithSchema))
			dst = connectdata.AppendNumber(dst, int64(headerSchemas[0]))
			headerSchemas = headerSchemas[1:]
		}
		dst = connectdata.AppendBytes(dst, header.Field.Bytes)
	}
	return dst
}
