package record

import (
	"github.com/culvert-project/culvert/wit"
	"github.com/culvert-project/culvert/wit/connectdata"
)

// TagJavaClasses holds the classes of values without schema, by the tags of wit/connectdata.
var TagJavaClasses = [...]string{
	connectdata.TagNull:    "null",
	connectdata.TagFalse:   "java.lang.Boolean",
	connectdata.TagTrue:    "java.lang.Boolean",
	connectdata.TagInt8:    "java.lang.Byte",
	connectdata.TagInt16:   "java.lang.Short",
	connectdata.TagInt32:   "java.lang.Integer",
	connectdata.TagInt64:   "java.lang.Long",
	connectdata.TagFloat32: "java.lang.Float",
	connectdata.TagFloat64: "java.lang.Double",
	connectdata.TagString:  "java.lang.String",
	connectdata.TagBytes:   "[B",
	connectdata.TagArray:   "java.util.ArrayList",
	connectdata.TagMap:     "java.util.HashMap",
	connectdata.TagDecimal: "java.math.BigDecimal",
	connectdata.TagInstant: "java.util.Date",
	connectdata.TagStruct:  "org.apache.kafka.connect.data.Struct",
}

// kindJavaClasses holds the classes of values with schema, by kind. Logical types have others.
var kindJavaClasses = [...]string{
	wit.Int8:    "java.lang.Byte",
	wit.Int16:   "java.lang.Short",
	wit.Int32:   "java.lang.Integer",
	wit.Int64:   "java.lang.Long",
	wit.Float32: "java.lang.Float",
	wit.Float64: "java.lang.Double",
	wit.Boolean: "java.lang.Boolean",
	wit.String:  "java.lang.String",
	wit.Bytes:   "[B",
	wit.Array:   "java.util.ArrayList",
	wit.Map:     "java.util.HashMap",
	wit.Struct:  "org.apache.kafka.connect.data.Struct",
}

// KindNames holds Kafka's names of types, by kind.
var KindNames = []string{
	wit.Int8:    "INT8",
	wit.Int16:   "INT16",
	wit.Int32:   "INT32",
	wit.Int64:   "INT64",
	wit.Float32: "FLOAT32",
	wit.Float64: "FLOAT64",
	wit.Boolean: "BOOLEAN",
	wit.String:  "STRING",
	wit.Bytes:   "BYTES",
	wit.Array:   "ARRAY",
	wit.Map:     "MAP",
	wit.Struct:  "STRUCT",
}

// LogicalJavaClass returns the class of the logical type that a schema is named after, "" for other names.
func LogicalJavaClass(node *wit.SchemaNode) string {
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

// JavaClass returns the class of values with a schema. After Cast, a name may belong to another type; then the type
// counts.
func JavaClass(node *wit.SchemaNode) string {
	class := LogicalJavaClass(node)
	if class == "" {
		return kindJavaClasses[node.Kind]
	}
	logicalKind := wit.Int32 // of Date and Time
	switch *node.Name {
	case wit.NameDecimal:
		logicalKind = wit.Bytes
	case wit.NameTimestamp:
		logicalKind = wit.Int64
	}
	if node.Kind != logicalKind {
		return kindJavaClasses[node.Kind]
	}
	return class
}
