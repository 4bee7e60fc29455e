// Package connectjson implements Kafka Connect's JsonConverter, and the JSON of values with schemas for
// JsonSchemaConverter.
//
// Where to look:
//
// - json.go: the converter. envelope.go, schema.go: writing and reading the schemas in documents.
// - writer.go, reader.go: values with a schema, compiled once for each schema. union.go: unions and maps of JSON
// Schema.
// - dynamic.go: values without a schema. scanner.go, number.go, wide.go: JSON as Jackson and Java read it.
//
// Invariants: after its first error a [Parser] consumes nothing more. Each byte of a document is read a bounded number
// of times, whatever the order of members.
package connectjson
