// Package feedreader compiles a configured entity set and its metadata into a [Feed] (compile.go), and reads responses
// of the set with [Reader]. Full mode ([PageReader]), delta mode and notifications build on it. The host stores feeds
// packed in a context (context.go); undeclared.go handles properties missing from the metadata.
//
// Invariants: an instance can be replaced between any two calls, so all state is in contexts and offsets. A row, a
// deleted entity and a notification of the same entity have the same key bytes.
package feedreader
