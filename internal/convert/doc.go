// Package convert converts the keys, values and headers of records between Culvert's batches and the bytes in Kafka. It
// implements Kafka Connect's converters under their class names.
//
// Where to look:
//
// - declaration.go: the table of converters, their classes and settings. converter.go: creating a converter.
// - headers.go, header.go: header converters. plain.go, primitive.go: strings, bytes and numbers. render.go: schemas as
// text.
// - avro, jsonschema: Confluent's converters. registry: the client of the schema registry.
// - connectjson: JSON with or without schemas; jsonschema uses its compiled readers and writers, too.
// - conversion: interfaces, limits, character sets, and what converters with a registry share. fault: errors and their
// Java classes.
//
// Invariants: output equals that of Kafka Connect's class byte for byte, except for documented deviations. Loops over
// external bytes are linear in their number or bounded. Each schema is compiled once, and converting a row allocates
// nothing.
package convert
