// Package responses decides what a response proves for each row of a delivery.
//
// Handle returns the results and records what the response shows of the service in the state. A batch is split into
// its parts first. The result of a row is that it was written, rejected, or must be encoded again with a hint.
//
// Where to look: handle.go and response.go, then batch.go and batchmatch.go for batches; insert.go, check.go, lock.go
// and operations.go decide on single operations; sender.go recognizes who answered; learn.go records what a service can
// do; v4.go has batches in JSON and drafts.
//
// Invariants: a response counts for a row only if the service itself sent it, not a gateway. A row whose request may
// have been applied is never encoded again unless that does no harm (RATIONALE.md P19). An error of the call fails the
// task, and the rows stay unwritten.
package responses
