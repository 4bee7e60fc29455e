// Package rowerror defines the [Failure] of a row, with Kafka Connect's messages.
// Invariants: A failure fails its row, never the call. It is not a Go error.
package rowerror
