// Package source is the loop of a source task: it reads the feeds of a service, such as entity sets, into Kafka. The
// plugin builds the requests and interprets the responses; this package decides what is skipped, retried and stored.
//
// A [Task] runs its feeds, each in four stages that forward chunks of rows: read (page by page, with linked requests),
// transform (transforms and converters), produce, settle (acknowledgements and offsets). Notifications trigger reads of
// a feed; a [Replay] runs dead letters through the same stages.
//
// Where to look:
//
// - options.go, task.go, progress.go: the task. feed.go: a feed and its stages. code.go: the interfaces of plugin,
// client, chain and output.
// - read.go, poll.go, snapshot.go, retry.go: the read stage. page.go, pagerows.go, pagechunks.go, linked.go: a page and
// its linked requests. poison.go: rows that trap the plugin.
// - transform.go, deliver.go, chunk.go, buffers.go: the other stages, their data and its memory.
// - notifications.go, subscription.go: notifications. offset.go, load.go: stored offsets and their loads. keys.go: the
// keys of a first load. upgrade.go: plugin versions.
// - deadletter.go, replay.go: dead letters, written and read.
//
// Invariants: an offset is stored when all records before it are acknowledged, never earlier. The records of a feed are
// sent in the plugin's order. What is in flight when a task ends is acknowledged with its offset or read again. A
// plugin version changes only at the end of a page.
package source
