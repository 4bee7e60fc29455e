// Package sink writes topics to a service: it is the loop of a sink task. The plugin builds requests and interprets
// responses; this package decides about order, retries, and what counts as settled.
//
// A [Task] reads batches (batchreader.go), which its dispatcher encodes and sends as deliveries, in lanes by ordering
// key (dispatch.go, startdelivery.go, queue.go, batch.go). Their results settle, reject, retry or check rows.
//
// Where to look:
//
//   - options.go, task.go, run.go: the task and its run. code.go: the interfaces of plugin, client, chain and consumer.
//   - encode.go, deliver.go, results.go, row.go, deadletter.go: a delivery, from its rows to their results.
//   - indoubt.go, indoubtrecords.go, errors.go: rows whose outcome is unknown.
//   - tracker.go, ledger.go, partition.go: what is settled, announced and committed, as a value with events.
//   - commit.go, restore.go, metadata.go, capacity.go, offsets.go: commits, and their metadata.
//   - replay.go: dead letters that are written again. unmatched.go: topics that no setting names.
//
// Invariants: records of one key are written in order. An offset is committed when everything before it is settled. A
// non-repeatable request is repeated only after its outcome is known, or an operator has decided so. What was settled
// of a revoked partition is not written again by its next owner.
//
// Lock order: Task.committing, offsetTracker.mu, then InDoubtRecords.mu or RevokedPartitions.mu.
package sink
