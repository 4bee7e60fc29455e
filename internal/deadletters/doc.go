// Package deadletters is the dead letter queue of connectors: it writes letters, counts, lists, replays and discards
// them.
//
// [Queues] are the queues of a worker. They use its [Connectors] by three functions: the topics whose letters are
// counted, the topic of one connector, and a [Task] of a connector, which sends letters but does not run. A [Topic] is
// a queue that a command reads without a worker. A [Writer] writes the letters of a running task and those that a
// replay rejects again.
//
// How data passes: a record of the topic becomes a [Letter]. An index (index.go) finds the letters of one original
// record or row, and which of them are settled. Lists, replays and discards select from an index by a [Filter]; then
// they read the selected letters alone. A replay (replay.go) gives batches of a partition (partition.go) to a sink
// (sink.go) or a source (source.go), and stores which letters it has settled (state.go) with the connector's offsets.
//
//   - writer.go, letter.go, cause.go: headers, their contents, the cause of an error.
//   - queues.go, tracker.go: requests; following the topics. index.go: originals. list.go: filters, pages, topics
//     without a worker.
//   - request.go, replay.go, partition.go: replay and discard. sink.go, source.go, rejections.go: sending. attempt.go:
//     what is sent of an original. registry.go: running replays and their memory.
//   - state.go: what is settled, and its stored form.
//   - newer.go, offsetcomparison.go, timecomparison.go, keylocks.go: a letter never overwrites a newer record.
//
// Invariants:
//
//   - One meaning of open: a letter is settled if the state of its partition has its offset, and an original is open
//     while it has a letter that is not settled. Only the index answers this, for lists, counts, replays and discards.
//   - States: a letter is open, or settled; an open one may be in doubt, which means that it may have been written. A
//     letter leaves these states only by markSettled (delivered, rejected again, or discarded), setInDoubt (before a
//     request that may not be repeated), and unmark (a replay of settled letters). A state is stored before the next
//     batch is sent.
//   - A replay or discard changes states only while it holds the group lock of its connector, across processes. Within
//     a worker a connector has one of them at a time.
//   - Letters of other partitions are settled before those of the partition that is sent, and older letters before the
//     newest one, so that a crash never hides a letter that was not sent.
//   - Letters, causes, pages, states and the memory of replays are bounded.
//
// Locks: the lock of a topic guards the indexes of its connectors, and is held while the topic is read. [Queues.mu] is
// taken after it, and held only for short. [KeyLocks] and the registry of replays take no other lock. No lock is held
// while letters are sent or a page is read.
package deadletters
