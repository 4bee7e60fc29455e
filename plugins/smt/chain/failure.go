package chain

import (
	"strconv"
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

// newFailure returns a failure with one of the classes.
func newFailure(stage int, class, text string) *failure {
	return &failure{stage: stage, class: class, text: text}
}

// dataFailure returns a failure of class DataException.
func dataFailure(stage int, text string) *failure { return newFailure(stage, dataException, text) }

// broken returns the failure of a value that is invalid from a field on.
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
