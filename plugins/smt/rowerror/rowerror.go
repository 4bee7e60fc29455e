package rowerror

import (
	"strconv"
)

// Failure is what a row fails by.
type Failure struct {
	Stage          int
	Class, Message string
}

// Classes of errors, as Kafka Connect's own classes throw them.
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

// New returns a failure with one of the classes.
func New(stage int, class, text string) *Failure {
	return &Failure{Stage: stage, Class: class, Message: text}
}

// Data returns a failure of class DataException.
func Data(stage int, text string) *Failure { return New(stage, DataException, text) }

// BadValue returns the failure of a value that is invalid from a field on.
func BadValue(stage, member int) *Failure {
	return Data(stage, "bytes that are no value of the record's schema, at member "+
		strconv.Itoa(member))
}

func BadSchemaless(stage int) *Failure {
	return Data(stage, "bytes that are no dynamic value")
}

// OnlyStruct is the failure of a value with schema that is no structure.
func OnlyStruct(stage int, purpose, class string) *Failure {
	return Data(stage, "Only Struct objects supported for ["+purpose+"]"+Found+class)
}

// Found stands in front of the class of a value that is no structure or map.
const Found = ", found: "

// OnlyMap is the failure of a value without schema that is no map.
func OnlyMap(stage int, purpose, class string) *Failure {
	return Data(stage, "Only Map objects supported in absence of schema for ["+purpose+"]"+Found+class)
}

// RequiredNull is the failure of a null in the place of a value of a type that has none: Kafka's converters say so.
func RequiredNull(stage int) *Failure {
	return Data(stage, "Conversion error: null value for field that is required and has no default value")
}
