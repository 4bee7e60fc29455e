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
func OfName(node *wit.SchemaNode) string {
	if node.Name == nil {
		return ""
	}
	switch *node.Name {
	case wit.NameDecimal:
		return "java.math.BigDecimal"
	case wit.NameDate, wit.NameTime, wit.NameTimestamp:
		return "java.util.Date"
	}
	return ""
}

// Of returns the class of values with a schema.
func Of(node *wit.SchemaNode) string {
	if class := OfName(node); class != "" { // after Cast, another type may have the name
		switch {
		case *node.Name == wit.NameDecimal && node.Kind == wit.Bytes,
			(*node.Name == wit.NameDate || *node.Name == wit.NameTime) && node.Kind == wit.Int32,
			*node.Name == wit.NameTimestamp && node.Kind == wit.Int64:
			return class
		}
	}
	return [...]string{"java.lang.Byte", "java.lang.Short", "java.lang.Integer", "java.lang.Long", "java.lang.Float",
		"java.lang.Double",
		"java.lang.Boolean", "java.lang.String", "[B", "java.util.ArrayList", "java.util.HashMap",
		"org.apache.kafka.connect.data.Struct"}[node.Kind]
}

// KindNames holds Kafka's names of types in the order of [wit.Kind].
var KindNames = []string{"INT8", "INT16", "INT32", "INT64", "FLOAT32", "FLOAT64", "BOOLEAN", "STRING", "BYTES", "ARRAY",
	"MAP", "STRUCT"}
