// Package connectjson is Kafka Connect's JsonConverter, and the JSON of values with a schema that JsonSchemaConverter
// shares with it.
//
// Where to look:
//
//   - json.go: the converter. envelope.go, schema.go: schemas in documents, written and read.
//   - writer.go, reader.go: values with a schema, compiled for each schema; union.go: members of unions and entries of
//     maps in documents of JSON Schema. dynamic.go: values without a schema.
//   - scanner.go, number.go, wide.go: bytes as Jackson and Java read them; package
//     internal/java/json has their strings and numbers.
//
// Invariants: after its first fault a [Parser] takes nothing more, and what was read is of no use. Each byte of a
// document is read a bounded number of times, however its members are ordered.
package connectjson
