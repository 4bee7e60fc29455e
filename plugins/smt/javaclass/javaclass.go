package javaclass

import (
	"github.com/culvert-project/culvert/wit"
)

// OfTag holds the classes of values without schema by their tag.
var OfTag = [...]string{"null", "java.lang.Boolean", "java.lang.Boolean", "java.lang.Byte", "java.lang.Short",
	"java.lang.Integer",
	"java.lang.Long", "java.lang.Float", "java.lang.Double", "java.lang.String", "[B", "java.util.ArrayList",
	"java.util.HashMap",
	"java.math.BigDecimal", "java.util.Date", "org.apache.kafka.connect.data.Struct"}

// OfName returns the class for the logical type that a schema is named after, "" for none.
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

// Of returns the class of values with a schema.
func Of(n *wit.SchemaNode) string {
	if class := OfName(n); class != "" { // after Cast, another type may have the name
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

// KindNames holds Kafka's names of types in the order of [wit.Kind].
var KindNames = []string{"INT8", "INT16", "INT32", "INT64", "FLOAT32", "FLOAT64", "BOOLEAN", "STRING", "BYTES", "ARRAY",
	"MAP", "STRUCT"}
