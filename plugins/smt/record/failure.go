package record

import "strconv"

// Failure is the reason why a row fails. It never fails the call, and is not a Go error.
type Failure struct {
	Stage   int
	Class   string // class of the Java exception
	Message string // message of the Java exception
}

// Java classes of failures in Kafka Connect.
const (
	ConnectException          = "org.apache.kafka.connect.errors.ConnectException"
	DataException             = "org.apache.kafka.connect.errors.DataException"
	SchemaBuilderException    = "org.apache.kafka.connect.errors.SchemaBuilderException"
	ClassCastException        = "java.lang.ClassCastException"
	IllegalArgumentException  = "java.lang.IllegalArgumentException"
	NullPointerException      = "java.lang.NullPointerException"
	IndexOutOfBoundsException = "java.lang.IndexOutOfBoundsException"
	InvalidTopicException     = "org.apache.kafka.common.errors.InvalidTopicException"
)

const classPrefix = ", found: " // precedes the class in the messages of OnlyStruct and OnlyMap

// NewFailure returns a failure with a class and a message.
func NewFailure(stage int, class, message string) *Failure {
	return &Failure{Stage: stage, Class: class, Message: message}
}

// DataFailure returns a DataException.
func DataFailure(stage int, message string) *Failure {
	return NewFailure(stage, DataException, message)
}

// BadValue returns the failure of a value whose bytes are invalid from a field on.
func BadValue(stage, field int) *Failure {
	return DataFailure(stage, "invalid bytes for the record's schema, at field "+strconv.Itoa(field))
}

// BadSchemaless returns the failure of invalid bytes without schema.
func BadSchemaless(stage int) *Failure {
	return DataFailure(stage, "invalid bytes of a value without schema")
}

// OnlyStruct returns the failure of a value with schema that is not a struct.
func OnlyStruct(stage int, purpose, class string) *Failure {
	return DataFailure(stage, "Only Struct objects supported for ["+purpose+"]"+classPrefix+class)
}

// OnlyMap returns the failure of a value without schema that is not a map.
func OnlyMap(stage int, purpose, class string) *Failure {
	return DataFailure(stage, "Only Map objects supported in absence of schema for ["+purpose+"]"+classPrefix+class)
}

// RequiredNull returns the failure of a null in a required type, as Kafka's converters report it.
func RequiredNull(stage int) *Failure {
	return DataFailure(stage, "Conversion error: null value for field that is required and has no default value")
}
