package object

import (
	"unsafe"

	"github.com/culvert-project/culvert/plugins/smt/rowerror"
	"github.com/culvert-project/culvert/plugins/smt/schemas"
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
func (x *Object) KeepsInput() bool {
	fields := x.Reader.Fields
	if len(x.Fields) < len(fields) || x.Changed || x.Whole {
		return false
	}
	for i := range fields {
		if field := &x.Fields[i]; field.Kind != FromInput || field.Index != i {
			return false
		}
	}
	return true
}

// SameBytes reports whether the result has the bytes of the input.
func (x *Object) SameBytes() bool {
	if x.Whole {
		b := x.Fields[0].Bytes
		return len(b) == len(x.Input) && unsafe.SliceData(b) == unsafe.SliceData(x.Input)
	}
	if x.IsMap {
		return !x.Changed
	}
	return x.KeepsInput() && len(x.Fields) == len(x.Reader.Fields) &&
		string(schemas.Branch(&x.Root)) == string(schemas.Branch(&x.Reader.Nodes[0]))
}

// Append appends the encoded result.
func (x *Object) Append(dst []byte) []byte {
	switch {
	case x.Whole:
		return append(dst, x.Fields[0].Bytes...)
	case x.IsMap:
		dst = connectdata.AppendNumber(append(dst, connectdata.TagMap), int64(len(x.Fields)))
		for i := range x.Fields {
			dst = append(append(dst, x.Fields[i].Key...), x.Fields[i].Bytes...)
		}
		return dst
	}
	dst, rest := append(dst, schemas.Branch(&x.Root)...), x.Fields
	if x.Reader != nil && x.KeepsInput() {
		dst, rest = append(dst, x.Input[x.start:]...), rest[len(x.Reader.Fields):]
	}
	for i := range rest {
		dst = append(dst, rest[i].Bytes...)
	}
	return dst
}

// Nodes returns the schema of the result.
func (x *Object) Nodes() []wit.SchemaNode {
	if x.Whole {
		return x.Fields[0].Subtree()
	}
	result := []wit.SchemaNode{x.Root}
	fields := make([]wit.Field, len(x.Fields))
	for i := range x.Fields {
		field := &x.Fields[i]
		fields[i] = wit.Field{Name: field.Name, Node: uint32(len(result))}
		result = schemas.AppendNode(result, field.Nodes, field.Node)
	}
	result[0].Fields = fields
	return result
}

// Results holds the schemas of value, key and headers that result from one input schema.
type Results struct {
	Value, Key uint32
	Headers    []uint32
	Failure    *rowerror.Failure
}

// Results declares the schemas of the result. convertDefault, if not nil, applies the operation to the default of the
// struct.
func (x *Object) Results(registry *schemas.Registry, stage int,
	convertDefault func(obj *Object) *rowerror.Failure) *Results {
	results := &Results{}
	for i := range x.Headers {
		if header := &x.Headers[i]; header.Bytes == nil {
			results.Headers = append(results.Headers, registry.Declare(header.Field.Subtree()))
		}
	}
	if x.Key != nil {
		results.Key, results.Failure = registry.DeclareChecked(x.Key.Nodes(), stage)
	}
	if x.KeepsSchema || results.Failure != nil {
		results.Value = x.Reader.ID
		return results
	}
	result := x.Nodes()
	if convertDefault != nil && x.Root.DefaultValue != nil {
		input := *x.Root.DefaultValue
		converted := &Object{}
		converted.Open(x.Scratch, x.Reader, input, 0)
		if results.Failure = convertDefault(converted); results.Failure != nil {
			return results
		}
		b := converted.Append(nil)[len(schemas.Branch(&converted.Root)):]
		result[0].DefaultValue = &b
	}
	results.Value, results.Failure = registry.DeclareChecked(result, stage)
	return results
}

func (x *Object) AppendHeaders(dst []byte, results *Results) []byte {
	schemas := results.Headers
	for i := range x.Headers {
		header := &x.Headers[i]
		switch {
		case header.Bytes != nil:
			dst = append(dst, header.Bytes...)
			continue
		case x.IsMap:
			dst = append(connectdata.AppendString(dst, header.Name), byte(wit.Schemaless), 0)
		default:
			dst = append(connectdata.AppendString(dst, header.Name), byte(wit.WithSchema))
			dst, schemas = connectdata.AppendNumber(dst, int64(schemas[0])), schemas[1:]
		}
		dst = connectdata.AppendBytes(dst, header.Field.Bytes)
	}
	return dst
}
