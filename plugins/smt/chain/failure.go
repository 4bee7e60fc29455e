package chain

import (
	"strconv"

	"github.com/culvert-project/culvert/wit"
)

// failure is what a row fails by.
type failure struct {
	stage       int
	class, text string
}

// Classes of errors, as Kafka Connect's own classes throw them.
const (
	connectException       = "org.apache.kafka.connect.errors.ConnectException"
	dataException          = "org.apache.kafka.connect.errors.DataException"
	schemaBuilderException = "org.apache.kafka.connect.errors.SchemaBuilderException"
	classCastException     = "java.lang.ClassCastException"
	illegalArgument        = "java.lang.IllegalArgumentException"
	nullPointer            = "java.lang.NullPointerException"
	indexOutOfBounds       = "java.lang.IndexOutOfBoundsException"
	invalidTopicException  = "org.apache.kafka.common.errors.InvalidTopicException"
)

func broken(stage, member int) *failure {
	return &failure{stage, dataException, "bytes that are no value of the record's schema, at member " +
		strconv.Itoa(member)}
}

func brokenDynamic(stage int) *failure {
	return &failure{stage, dataException, "bytes that are no dynamic value"}
}

// onlyStruct is the failure of a value with schema that is no structure.
func onlyStruct(stage int, purpose, class string) *failure {
	return &failure{stage, dataException, "Only Struct objects supported for [" + purpose + "]" + found + class}
}

// found stands in front of the class of a value that is no structure or map.
const found = ", found: "

// onlyMap is the failure of a value without schema that is no map.
func onlyMap(stage int, purpose, class string) *failure {
	return &failure{stage, dataException,
		"Only Map objects supported in absence of schema for [" + purpose + "]" + found + class}
}

// requiredNull is the failure of a null in the place of a value of a type that has none: Kafka's converters say so.
func requiredNull(stage int) *failure {
	return &failure{stage, dataException,
		"Conversion error: null value for field that is required and has no default value"}
}

// unmatched is the error of a match that did not come to an end: whether the topic matches is not known, and each
// answer could send a record elsewhere than it belongs.
type unmatched struct {
	topic string
	err   error
}

func (u *unmatched) Error() string {
	return "the regular expression gives no answer for the topic " + strconv.Quote(u.topic) + ": " + u.err.Error()
}

// at is the failure of a row in a stage.
func (u *unmatched) at(stage int) *failure { return &failure{stage, connectException, u.Error()} }

var dynamicClasses = [...]string{"null", "java.lang.Boolean", "java.lang.Boolean", "java.lang.Byte", "java.lang.Short",
	"java.lang.Integer",
	"java.lang.Long", "java.lang.Float", "java.lang.Double", "java.lang.String", "[B", "java.util.ArrayList",
	"java.util.HashMap",
	"java.math.BigDecimal", "java.util.Date", "org.apache.kafka.connect.data.Struct"}

// logicalClass is the class that Kafka Connect has for the logical type that a schema is named after, "" for none.
func logicalClass(n *wit.SchemaNode) string {
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

// javaClass is the class that Kafka Connect holds a value of a schema in.
func javaClass(n *wit.SchemaNode) string {
	if class := logicalClass(n); class != "" { // a Cast leaves the name on another type
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

// kindNames are the names of types in the order of [wit.Kind]; what stands before BYTES can be cast to.
var kindNames = []string{"INT8", "INT16", "INT32", "INT64", "FLOAT32", "FLOAT64", "BOOLEAN", "STRING", "BYTES", "ARRAY",
	"MAP", "STRUCT"}
