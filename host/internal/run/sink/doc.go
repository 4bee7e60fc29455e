// Package sink writes topics to a service: the loop of a sink task. What a request looks like and what its answer means
// is the plugin's business; order, what may be sent again and what counts as settled is this package's.
//
// Where to look, from the top down; what stands lower knows nothing of what stands above:
//
//   - task.go: a task from its start to its end, and its commits. replay.go: the same for records that are read back.
//   - gather.go: batches. reach.go: topics that nothing takes.
//   - dispatch.go, queue.go: what is written side by side and by lane, and when the task ends; of one goroutine.
//   - encode.go, deliver.go: the rows of one batch become requests, and what their answers say. doubt.go: rows in
//     doubt, to whose request no answer came, or none that says whether they were written. deadletter.go: records that
//     cannot be written.
//   - account.go: the ledger for all goroutines. ledger.go, room.go: what is settled, announced and committed, as a
//     value with events. metadata.go: what is stored with an offset. uncertain.go, settled.go: what the tasks of a
//     connector share.
//   - code.go: what a task needs of others: plugin, client, chain, consumer.
//
// Invariants: records of one key are written in their order. An offset is committed when everything before it is
// settled. A request that must not be sent twice is not sent again before its fate is known, or somebody has said so.
// What was settled of a partition that went away is not written again by whom it comes to.
//
// Locks, from the outside in: Task.committing, account.mu, Uncertain.mu or Settled.mu.
package sink
