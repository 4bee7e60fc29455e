package javaclass

import (
	"github.com/culvert-project/culvert/wit"
)

var OfTag = [...]string{"null", "java.lang.Boolean", "java.lang.Boolean", "java.lang.Byte", "java.lang.Short",
	"java.lang.Integer",
	"java.lang.Long", "java.lang.Float", "java.lang.Double", "java.lang.String", "[B", "java.util.ArrayList",
	"java.util.HashMap",
	"java.math.BigDecimal", "java.util.Date", "org.apache.kafka.connect.data.Struct"}

// OfName is the class that Kafka Connect has for the logical type that a schema is named after, "" for none.
func OfName(n *wit.SchemaNode) string {
	if n.Name == nil {
		return ""
	}
	switch *n.Name {
	case wit.NameDecimal:
		return "java.math.BigDecimal"
	case wit.NameDate, wit.NameTime, wit.NameTimestamp:
		return "java.util.Date"
	}
	return ""
}

// Of is the class that Kafka Connect holds a value of a schema in.
func Of(n *wit.SchemaNode) string {
	if class := OfName(n); class != "" { // a Cast leaves the name on another type
		switch {
		case *n.Name == wit.NameDecimal && n.Kind == wit.Bytes,
			(*n.Name == wit.NameDate || *n.Name == wit.NameTime) && n.Kind == wit.Int32,
			*n.Name == wit.NameTimestamp && n.Kind == wit.Int64:
			return class
		}
	}
	return [...]string{"java.lang.Byte", "java.lang.Short", "java.lang.Integer", "java.lang.Long", "java.lang.Float",
		"java.lang.Double",
		"java.lang.Boolean", "java.lang.String", "[B", "java.util.ArrayList", "java.util.HashMap",
		"org.apache.kafka.connect.data.Struct"}[n.Kind]
}

// KindNames are the names of types in the order of [wit.Kind]; what stands before BYTES can be cast to.
var KindNames = []string{"INT8", "INT16", "INT32", "INT64", "FLOAT32", "FLOAT64", "BOOLEAN", "STRING", "BYTES", "ARRAY",
	"MAP", "STRUCT"}
