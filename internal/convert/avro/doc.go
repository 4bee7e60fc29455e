// Package avro is Confluent's AvroConverter.
//
// Where to look:
//
//   - converter.go: the converter. writer.go, names.go: from Connect schemas to Avro schemas. reader.go,
//     readdefaults.go: from Avro schemas to Connect schemas.
//   - step.go: conversion of values where the bytes differ. anything.go: schemaless values.
//
// Invariants: schemas are compiled once, into steps; a value whose encodings are the same is copied. Conversion is
// bounded by [connectdata.MaxDepth], by the number of items without bytes, and by the size of its output.
package avro
