// Package sink writes topics to a service: the loop of a sink task. What a request looks like and what its answer means
// is the plugin's business; order, what may be sent again and what counts as settled is this package's.
//
// Where to look, from the top down; each file uses those after it alone:
//
//   - replay.go: records that are read back. run.go: a task from its start to its end.
//   - dispatch.go, queue.go: what is written side by side and by lane, and when the task ends; of one goroutine.
//   - deliver.go, judge.go: a delivery, and what the verdicts on its rows come to. encode.go: rows become deliveries.
//     doubt.go: rows in doubt, to whose request no answer came, or none that says whether they were written. row.go:
//     rows that are settled, refused or tried again.
//   - gather.go: batches. deadletter.go: records that cannot be written. writing.go: a batch that is being written.
//   - commit.go: commits, and what an earlier run has stored. task.go: a task, its options and what it has done.
//   - reach.go: topics that nothing takes. account.go: the ledger for all goroutines, and what accounts keep of
//     partitions that went away. fault.go: faults of records.
//   - ledger.go, room.go, partition.go: what is settled, announced and committed, as a value with events. uncertain.go:
//     what nobody knows of. metadata.go: what is stored with an offset. offsets.go: names of partitions and records.
//   - code.go: what a task needs of others: plugin, client, chain, consumer.
//
// Invariants: records of one key are written in their order. An offset is committed when everything before it is
// settled. A request that must not be sent twice is not sent again before its fate is known, or somebody has said so.
// What was settled of a partition that went away is not written again by whom it comes to.
//
// Locks, from the outside in: Task.committing, account.mu, Uncertain.mu or Settled.mu.
package sink
