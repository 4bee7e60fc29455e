package connectjson

import (
	"strconv"

	"github.com/culvert-project/culvert/internal/convert/conversion"
	"github.com/culvert-project/culvert/wit"
)

// TypeNames are the type names in schemas of JsonConverter, by [wit.SchemaNode.Kind].
var TypeNames = [...]string{"int8", "int16", "int32", "int64", "float", "double", "boolean", "string", "bytes", "array",
	"map", "struct"}

type connectSchema struct {
	conversion.SchemaText
	nodes []wit.SchemaNode
}

// AppendSchema appends a schema in JsonConverter's form. w is the writer of its values, which writes the defaults.
func AppendSchema(budget *conversion.Budget, dst []byte, nodes []wit.SchemaNode, w *Writer) ([]byte, error) {
	s := connectSchema{SchemaText: conversion.SchemaText{Budget: budget, Out: dst}, nodes: nodes}
	s.node(0, nil, w)
	return s.Out, s.Err
}

// node writes a node and its children, members in Kafka Connect's order. field is the name of its field, or nil.
func (s *connectSchema) node(id uint32, field *string, w *Writer) {
	if s.Done() {
		return
	}
	n := &s.nodes[id]
	s.Raw(`{"type":"`, TypeNames[n.Kind], `"`)
	switch n.Kind {
	case wit.Array:
		s.Raw(`,"items":`)
		s.node(n.Element, nil, w.Element)
	case wit.Map:
		s.Raw(`,"keys":`)
		s.node(n.Key, nil, w.Key)
		s.Raw(`,"values":`)
		s.node(n.Element, nil, w.Element)
	case wit.Struct:
		s.Raw(`,"fields":[`)
		for i := range n.Fields {
			s.Comma(i)
			s.node(n.Fields[i].Node, &n.Fields[i].Name, &w.Members[i])
		}
		s.Raw("]")
	}
	s.Raw(`,"optional":`, strconv.FormatBool(n.Optional))
	s.OptionalText(`,"name":`, n.Name)
	if n.Version != nil {
		s.Raw(`,"version":`)
		s.Number(int64(*n.Version))
	}
	s.OptionalText(`,"doc":`, n.Doc)
	s.Parameters(`,"parameters":`, n.Parameters)
	if n.DefaultValue != nil {
		defaultJSON, err := w.DefaultText(s.Budget, *n.DefaultValue)
		s.Fail(err)
		s.Raw(`,"default":`, string(defaultJSON))
	}
	s.OptionalText(`,"field":`, field)
	s.Raw("}")
	s.Done()
}
