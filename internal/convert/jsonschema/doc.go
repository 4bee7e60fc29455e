// Package jsonschema is Confluent's JsonSchemaConverter. It converts schemas between Kafka Connect and JSON Schema.
// Package connectjson writes and reads the values.
package jsonschema
