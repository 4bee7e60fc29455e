package object

import (
	"unsafe"

	"github.com/culvert-project/culvert/plugins/smt/rowerror"
	"github.com/culvert-project/culvert/plugins/smt/schemas"
	"github.com/culvert-project/culvert/wit"
	"github.com/culvert-project/culvert/wit/connectdata"
)

// AddedHeader is a header to add: a field and its name, or the encoded header.
type AddedHeader struct {
	Name  string
	Field Field
	Bytes []byte
}

// KeepsInput reports whether the result starts with all fields of the input, unchanged.
func (x *Object) KeepsInput() bool {
	members := x.Layout.Fields
	if len(x.Fields) < len(members) || x.Changed || x.Whole {
		return false
	}
	for i := range members {
		if f := &x.Fields[i]; f.Kind != FromInput || f.Index != i {
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
	return x.KeepsInput() && len(x.Fields) == len(x.Layout.Fields) &&
		string(schemas.Branch(&x.Root)) == string(schemas.Branch(&x.Layout.Nodes[0]))
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
	if x.Layout != nil && x.KeepsInput() {
		dst, rest = append(dst, x.Input[x.start:]...), rest[len(x.Layout.Fields):]
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
	members := make([]wit.Field, len(x.Fields))
	for i := range x.Fields {
		f := &x.Fields[i]
		members[i] = wit.Field{Name: f.Name, Node: uint32(len(result))}
		result = schemas.AppendNode(result, f.Nodes, f.Node)
	}
	result[0].Fields = members
	return result
}

// Results holds the schemas of value, key and headers that result from one input schema.
type Results struct {
	Value, Key uint32
	Headers    []uint32
	Failure    *rowerror.Failure
}

// Results declares the schemas of the result. convertDefault applies the operation to the default of the struct.
func (x *Object) Results(s *schemas.Registry, stage int, convertDefault func(x *Object) *rowerror.Failure) *Results {
	r := &Results{Value: 0}
	for i := range x.Headers {
		if h := &x.Headers[i]; h.Bytes == nil {
			r.Headers = append(r.Headers, s.Declare(h.Field.Subtree()))
		}
	}
	if x.Key != nil && r.Failure == nil {
		r.Key, r.Failure = s.DeclareChecked(x.Key.Nodes(), stage)
	}
	if x.KeepsSchema || r.Failure != nil {
		r.Value = x.Layout.ID
		return r
	}
	result := x.Nodes()
	if convertDefault != nil && x.Root.DefaultValue != nil {
		in := *x.Root.DefaultValue
		y := &Object{}
		y.Open(x.Scratch, x.Layout, in, 0)
		if r.Failure = convertDefault(y); r.Failure != nil {
			return r
		}
		b := y.Append(nil)[len(schemas.Branch(&y.Root)):]
		result[0].DefaultValue = &b
	}
	r.Value, r.Failure = s.DeclareChecked(result, stage)
	return r
}

// AppendHeaders appends the headers that operations added.
func (x *Object) AppendHeaders(dst []byte, r *Results) []byte {
	schemas := r.Headers
	for i := range x.Headers {
		h := &x.Headers[i]
		switch {
		case h.Bytes != nil:
			dst = append(dst, h.Bytes...)
			continue
		case x.IsMap:
			dst = append(connectdata.AppendString(dst, h.Name), byte(wit.Schemaless), 0)
		default:
			dst = append(connectdata.AppendString(dst, h.Name), byte(wit.WithSchema))
			dst, schemas = connectdata.AppendNumber(dst, int64(schemas[0])), schemas[1:]
		}
		dst = connectdata.AppendBytes(dst, h.Field.Bytes)
	}
	return dst
}
