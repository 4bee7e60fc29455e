package conversion

import (
	"strings"

	"github.com/culvert-project/culvert/internal/convert/fault"
	"github.com/culvert-project/culvert/internal/java/values"
	"github.com/culvert-project/culvert/wit"
	"github.com/culvert-project/culvert/wit/connectdata"
)

// TypeName returns a kind as Kafka Connect's messages write it.
func TypeName(k wit.Kind) string {
	return [...]string{"INT8", "INT16", "INT32", "INT64", "FLOAT32", "FLOAT64", "BOOLEAN", "STRING", "BYTES", "ARRAY",
		"MAP", "STRUCT"}[k]
}

// NameOf returns the name of a node's schema, or "".
func NameOf(n *wit.SchemaNode) string {
	if n.Name == nil {
		return ""
	}
	return *n.Name
}

// Parameter returns a parameter of a node, and whether it has it.
func Parameter(n *wit.SchemaNode, name string) (string, bool) {
	for i := range n.Parameters {
		if n.Parameters[i].Name == name {
			return n.Parameters[i].Value, true
		}
	}
	return "", false
}

// LogicalKind returns the type that the logical type of a node requires. logical is false if the node has none.
func LogicalKind(n *wit.SchemaNode) (kind wit.Kind, logical bool) {
	if n.Name == nil {
		return 0, false
	}
	switch *n.Name {
	case wit.NameDecimal:
		return wit.Bytes, true
	case wit.NameDate, wit.NameTime:
		return wit.Int32, true
	case wit.NameTimestamp:
		return wit.Int64, true
	}
	return 0, false
}

// ScaleOf returns the scale of a Decimal.
func ScaleOf(n *wit.SchemaNode) (int, error) {
	scale, problem := values.ScaleOf(n)
	if problem != "" {
		return 0, fault.Data("%s", problem)
	}
	return scale, nil
}

// JavaClass returns the class of a value in Kafka Connect. root is nil for a schemaless value.
func JavaClass(v any, root *wit.SchemaNode) string {
	if root != nil && root.Name != nil {
		switch *root.Name {
		case wit.NameDate, wit.NameTime, wit.NameTimestamp:
			return "java.util.Date"
		case wit.NameDecimal:
			return "java.math.BigDecimal"
		}
	}
	switch v.(type) {
	case bool:
		return "java.lang.Boolean"
	case int8:
		return "java.lang.Byte"
	case int16:
		return "java.lang.Short"
	case int32:
		return "java.lang.Integer"
	case int64:
		return "java.lang.Long"
	case float32:
		return "java.lang.Float"
	case float64:
		return "java.lang.Double"
	case string:
		return "java.lang.String"
	case []byte:
		return "[B"
	case connectdata.Decimal:
		return "java.math.BigDecimal"
	case connectdata.Instant:
		return "java.util.Date"
	case connectdata.List:
		return "java.util.ArrayList"
	case connectdata.Map:
		return "java.util.HashMap"
	}
	return "org.apache.kafka.connect.data.Struct"
}

// MaxUnionBranches bounds the types of a union, each of which writes a null for every other.
const MaxUnionBranches = 1000

// SimpleName returns the part after the last dot.
func SimpleName(full string) string { return full[strings.LastIndexByte(full, '.')+1:] }
