// Package records contains the transforms that change, drop or split a record as a whole.
// Invariants: results and messages are those of Kafka's classes, if there is one.
package records
