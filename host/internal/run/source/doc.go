// Package source reads feeds of a service into Kafka: the loop of a source task. What a service's bytes mean is the
// plugin's business; what may be skipped, sent again and stored is this package's.
//
// Where to look: task.go for a task and its feeds, feed.go for the stages of a feed, which are read.go with page.go and
// ahead.go (pages, and requests that follow from them), chunk.go and shape.go (transforms, converters), deliver.go
// (records, acknowledgements, offsets); wakes.go for notifications; offset.go for what is stored, swap.go for another
// version of the plugin, poison.go for rows on which a plugin breaks, buffers.go for memory;
// letter.go and replay.go for dead letters, written and read back; code.go for what a task needs of others: plugin,
// client, chain, output.
//
// Invariants: an offset is stored when all records before it are acknowledged, and never before. Records of a feed are
// sent in the order in which the plugin gave them. What is under way when a task ends is either acknowledged with its
// offset or read again. A version of the plugin is taken at the end of a page only.
package source
