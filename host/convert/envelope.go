package convert

import (
	"strconv"

	"github.com/culvert-project/culvert/wit"
	"github.com/culvert-project/culvert/wit/java/json"
)

// jsonNames are the types' names in the schemas of Kafka Connect's JSON converter.
var jsonNames = [...]string{"int8", "int16", "int32", "int64", "float", "double", "boolean", "string", "bytes", "array",
	"map", "struct"}

// appendSchema writes a node and what is below it as Kafka Connect's JSON converter does, keys in its order. field is
// the name of the member that it is the schema of, or nil; w is the node's writer.
func appendSchema(k *budget, dst []byte, nodes []wit.Node, node uint32, field *string, w *writer) ([]byte, error) {
	n := &nodes[node]
	dst = append(append(append(dst, `{"type":"`...), jsonNames[n.Kind]...), '"')
	var err error
	below := func(lead string, node uint32, field *string, w *writer) {
		if err == nil {
			dst, err = appendSchema(k, append(dst, lead...), nodes, node, field, w)
		}
	}
	switch n.Kind {
	case wit.Array:
		below(`,"items":`, n.Element, nil, w.element)
	case wit.Mapping:
		below(`,"keys":`, n.Key, nil, w.key)
		below(`,"values":`, n.Element, nil, w.element)
	case wit.Structure:
		dst = append(dst, `,"fields":[`...)
		for i := range n.Members {
			lead := ","
			if i == 0 {
				lead = ""
			}
			below(lead, n.Members[i].Node, &n.Members[i].Name, &w.members[i])
		}
		dst = append(dst, ']')
	}
	if err != nil {
		return dst, err
	}
	dst = strconv.AppendBool(append(dst, `,"optional":`...), n.Optional)
	if dst, err = appendAttributes(dst, n); err != nil {
		return dst, err
	}
	if n.DefaultValue != nil {
		text, err := w.defaultText(k, *n.DefaultValue)
		if err != nil {
			return dst, err
		}
		dst = append(append(dst, `,"default":`...), text...)
	}
	if field != nil {
		if dst, err = appendName(append(dst, `,"field":`...), *field); err != nil {
			return dst, err
		}
	}
	if len(dst) > k.most {
		return dst, k.room(dst, 0)
	}
	return append(dst, '}'), nil
}

func appendAttributes(dst []byte, n *wit.Node) ([]byte, error) {
	var err error
	option := func(lead string, text *string) {
		if text != nil && err == nil {
			dst, err = appendName(append(dst, lead...), *text)
		}
	}
	option(`,"name":`, n.Name)
	if n.Version != nil {
		dst = strconv.AppendInt(append(dst, `,"version":`...), int64(*n.Version), 10)
	}
	option(`,"doc":`, n.Doc)
	for i := range n.Parameters {
		lead := ","
		if i == 0 {
			lead = `,"parameters":{`
		}
		option(lead, &n.Parameters[i].Name)
		option(":", &n.Parameters[i].Value)
	}
	if len(n.Parameters) > 0 {
		dst = append(dst, '}')
	}
	return dst, err
}

func appendName(dst []byte, s string) ([]byte, error) {
	out, ok := json.AppendText(dst, []byte(s))
	if !ok {
		return dst, dataError("schema: text that is not UTF-8: %s", quoted(s))
	}
	return out, nil
}
