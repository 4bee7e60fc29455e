// Package jsonschema is Confluent's JsonSchemaConverter.
//
// Where to look:
//
// - converter.go: the converter, and its schemas in the registry.
// - writer.go: from Connect schemas to JSON Schemas. reader.go: from JSON Schemas to Connect schemas.
//
// Package connectjson reads and writes the values.
package jsonschema
