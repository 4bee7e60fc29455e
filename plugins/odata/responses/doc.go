// Package responses decides what a response proves for each row of a delivery.
//
// Handle returns the results and records what the response shows of the service in the state. A batch is split into
// its parts first. The result of a row is that it was written, rejected, or must be encoded again with a hint.
//
// Invariants: a response counts for a row only if the service itself sent it, not a gateway. A row whose request may
// have been applied is never encoded again unless that does no harm (RATIONALE.md P19). An error of the call fails the
// task, and the rows stay unwritten.
package responses
