// Package avro is Confluent's AvroConverter.
//
// Where to look:
//
//   - converter.go: the converter, and the schemas that it asks the registry for.
//   - writer.go: from our schemas to Avro's. reader.go: from Avro's schemas to ours.
//   - step.go: from the bytes of one side to those of the other, where they differ. anything.go: values without schema.
//
// Invariants: schemas are compiled once, into steps; a value whose steps are all the same is copied. Every walk over
// bytes of a topic is bounded by [connectdata.MaxDepth], by the number of items without bytes, and by the size of its
// output.
package avro
