// Package convert turns keys, values and headers of batches into the bytes that stand in Kafka, and back: Kafka
// Connect's converters under Kafka Connect's class names. It knows neither topics' contents nor who reads them.
//
// Where to look:
//
//   - converter.go: what a converter is. declaration.go: by which class it is found, and its settings. bounds.go: what
//     a conversion may make of a record.
//   - plain.go, charset.go, primitive.go, header.go: texts, bytes, numbers, headers.
//   - json.go with envelope.go and schema.go: JSON with or without its schema; writer.go and reader.go, compiled for
//     each schema, with scanner.go and number.go: bytes as Jackson and Java read them; package wit/java/json has their
//     strings and numbers, wit/java/values the texts of headers.
//   - jsonschema.go with jsonschema_writer.go, jsonschema_reader.go and union.go: JSON with JSON Schemas.
//     registered.go, readings.go: what it shares with Avro. cache.go: what is kept of schemas.
//   - avro.go with avro_schema.go, avro_reader.go, avro_step.go and avro_anything.go: Confluent's Avro; registry: the
//     client of a schema registry. schematext.go: how all of them write schemas; render.go: schemas for readers.
//
// Invariants: what Kafka Connect's class writes is written to the byte, and deviations are named where they stand.
// Every loop over bytes from outside is linear in them or bounded. A schema is compiled once, and a row allocates
// nothing.
package convert
