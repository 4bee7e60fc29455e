// Package configtopic reads and writes the config topic of a Kafka Connect cluster: connectors, task configs, target
// states, session keys, fencing counts, and annotations, which are records of our own that Kafka Connect skips.
//
// A [Record] is encoded and decoded exactly as Kafka Connect 4.3 does. [State] applies records in order. [Store]
// is the [config.Store] of a group: it applies what package cluster reads, resolves references, and passes what is
// written to a [RecordWriter]. [FileLog] is the writer of a worker without a group, with a file instead of the topic.
//
// Invariants: the tasks of a connector come from one commit, or there are none. A damaged record changes nothing. The
// leader alone writes connectors and tasks, see [Record.LeaderOnly].
//
// Locks, outermost first: FileLog.mu (held while the file is written and synced), Store.mu, State.mu.
package configtopic
