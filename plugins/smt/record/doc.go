// Package record holds a row on its way through the stages ([Record]): topic, key, value and headers ([Part]). An
// [Object] is a key or value split into fields ([Field]), which transforms change; it encodes the result. [Schemas] are
// the schemas that a plugin instance knows, a [SchemaCache] what was compiled for them. A [Failure] of a row has Kafka
// Connect's class and message, which may name the [JavaClass] in which Kafka Connect holds a value.
//
// Invariants: values stay encoded, and an [Edit] replaces them. A field always knows the source of its value, so that
// package chain can compile a program from a traced object. A number is never used for two schemas. After
// [Schemas.Forget], all caches must be emptied.
//
// Files:
//   - record, part, headers: a row and its parts
//   - object, field, edit, attribute, result: fields of a key or value, changes of them, and the result
//   - schemas, valuereader: schemas, caches of them, and where the fields of an encoded value start
//   - failure, javaclass: failures of rows, and the classes that they name
package record
