// Package convert turns keys, values and headers of batches into the bytes that stand in Kafka, and back: Kafka
// Connect's converters under Kafka Connect's class names. It knows neither topics' contents nor who reads them.
//
// Where to look, from the top down:
//
//   - declaration.go: the table of all converters, their classes and settings; converter.go: a converter is made.
//   - headers.go, header.go: converters of headers. plain.go, primitive.go: texts, bytes and numbers. render.go:
//     schemas for readers.
//   - avro, jsonschema: Confluent's converters. registered: what both do with the schema registry, whose client is
//     registry.
//   - connectjson: JSON with or without its schema, and the compiled readers and writers that jsonschema uses too.
//   - conversion: what each converter is made with, and what bounds it. fault: errors and their Java classes. charset:
//     Java's character sets.
//
// Invariants: what Kafka Connect's class writes is written to the byte, and deviations are named where they stand.
// Every loop over bytes from outside is linear in them or bounded. A schema is compiled once, and a row allocates
// nothing.
package convert
