package convert

import (
	"strconv"

	"github.com/culvert-project/culvert/wit"
)

// jsonNames are the types' names in the schemas of Kafka Connect's JSON converter.
var jsonNames = [...]string{"int8", "int16", "int32", "int64", "float", "double", "boolean", "string", "bytes", "array",
	"map", "struct"}

// connectSchema writes the schemas of Kafka Connect's JSON converter.
type connectSchema struct {
	schemaText
	nodes []wit.Node
}

// appendSchema appends the schema of nodes; w is the writer of their values.
func appendSchema(k *budget, dst []byte, nodes []wit.Node, w *writer) ([]byte, error) {
	s := connectSchema{schemaText{k: k, out: dst}, nodes}
	s.node(0, nil, w)
	return s.out, s.err
}

// node writes a node and what is below it, keys in Kafka Connect's order. field is the name of the member that it is
// the schema of, or nil; w is the node's writer.
func (s *connectSchema) node(id uint32, field *string, w *writer) {
	if s.ended() {
		return
	}
	n := &s.nodes[id]
	s.raw(`{"type":"`, jsonNames[n.Kind], `"`)
	switch n.Kind {
	case wit.Array:
		s.raw(`,"items":`)
		s.node(n.Element, nil, w.element)
	case wit.Mapping:
		s.raw(`,"keys":`)
		s.node(n.Key, nil, w.key)
		s.raw(`,"values":`)
		s.node(n.Element, nil, w.element)
	case wit.Structure:
		s.raw(`,"fields":[`)
		for i := range n.Members {
			s.comma(i)
			s.node(n.Members[i].Node, &n.Members[i].Name, &w.members[i])
		}
		s.raw("]")
	}
	s.raw(`,"optional":`, strconv.FormatBool(n.Optional))
	s.option(`,"name":`, n.Name)
	if n.Version != nil {
		s.raw(`,"version":`)
		s.number(int64(*n.Version))
	}
	s.option(`,"doc":`, n.Doc)
	s.parameters(`,"parameters":`, n.Parameters)
	if n.DefaultValue != nil {
		text, err := w.defaultText(s.k, *n.DefaultValue)
		s.fail(err)
		s.raw(`,"default":`, string(text))
	}
	s.option(`,"field":`, field)
	s.raw("}")
	s.ended()
}
