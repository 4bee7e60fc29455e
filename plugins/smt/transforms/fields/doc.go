// Package fields contains the transforms that change the fields of a key or value, for structs and maps alike.
// Invariants: results and messages are those of Kafka's classes. A transform returns [object.NotTraceable] for a traced
// object if its effect depends on values that a program does not check.
package fields
