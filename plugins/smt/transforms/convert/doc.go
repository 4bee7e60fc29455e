// Package convert contains the transforms that convert values to other types: Cast and TimestampConverter. Invariants:
// results and messages are those of Kafka's classes. An edit and its kernel conversion have the same result.
package convert
