// Package sink writes topics to a service: the loop of a sink task. What a request looks like and what its answer means
// is the plugin's business; order, what may be sent again and what counts as settled is this package's.
//
// Where to look: task.go for a task and its partitions, gather.go for batches, dispatch.go and queue.go for what is
// written side by side and by lane, deliver.go for one delivery, check.go and uncertain.go for requests without an
// answer, ledger.go, settled.go and metadata.go for what is settled and where that is kept, deadletter.go for
// records that cannot be written, replay.go for those read back, reach.go for topics that nothing takes; code.go for
// what a task needs of others: plugin, client, chain, consumer.
//
// Invariants: records of one key are written in their order. An offset is committed when everything before it is
// settled. A request that must not be sent twice is not sent again before its fate is known, or somebody has said so.
// What was settled of a partition that went away is not written again by whom it comes to.
package sink
