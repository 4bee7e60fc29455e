// Package jsonschema is Confluent's JsonSchemaConverter.
//
// Where to look:
//
//   - converter.go: the converter, and the schemas that it asks the registry for.
//   - writer.go: from Connect schemas to JSON Schemas. reader.go: from JSON Schemas to Connect schemas.
//
// Values are written and read by package connectjson.
package jsonschema
