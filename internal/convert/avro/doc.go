// Package avro is Confluent's AvroConverter.
//
// Where to look:
//
// - converter.go: the converter, and its schemas in the registry.
// - writer.go: from Connect schemas to Avro schemas. reader.go: from Avro schemas to Connect schemas.
// - step.go: converting the bytes where the two differ. anything.go: values without a schema.
//
// Invariants: schemas are compiled once, into steps; a value is copied if all steps are equal. Each loop over external
// bytes is bounded by [connectdata.MaxDepth], by the number of items without bytes, and by its output.
package avro
