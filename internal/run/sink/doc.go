// Package sink is the loop of a sink task: it reads Kafka topics and writes their records to a service. The plugin
// builds the requests and interprets the responses; this package decides about order, retries and what is committed.
//
// A [Task] reads batches (batchreader.go). Its dispatcher has them encoded and sends the deliveries, in lanes by
// ordering key (dispatch.go, startdelivery.go, queue.go, batch.go). Their results settle, reject, retry or check rows.
//
// Where to look:
//
// - options.go, task.go, run.go: the task and its run. code.go: the interfaces of plugin, client, chain and consumer.
// - encode.go, deliver.go, results.go, row.go, deadletter.go: a delivery, from its rows to their results.
// - contexts.go: which contexts of the plugin give rows the same ordering keys.
// - indoubt.go, indoubtrecords.go, decisions.go, errors.go: rows whose outcome is unknown.
// - tracker.go, ledger.go, item.go, partition.go: which records are settled and committed. recordevents.go,
// deliveryevents.go, commitevents.go: the events that change it.
// - commit.go, restore.go, metadata.go, bitmap.go, capacity.go, offsets.go: commits, and their metadata.
// - replay.go: dead letters that are written again. unmatched.go: topics that no setting names.
//
// Invariants: records of one key are written in order. An offset is committed when everything before it is settled. A
// non-repeatable request is sent again only if its outcome is known, or an operator has decided so. What was settled of
// a revoked partition is not written again by its next owner.
//
// Lock order: Task.committing, offsetTracker.mu, then InDoubtRecords.mu or RevokedPartitions.mu.
package sink
