// Package offset stores the offsets of source connectors in Kafka Connect's format: a topic (connect-offsets by
// default) with a record for each source partition, ["connector",{partition}] → {offset}, both JSON.
//
// A [Store] reads the topic and keeps the entries of the requested connectors. A [Writer] writes the acknowledged
// offsets of a task periodically, [Transactional] in the transactions of its records.
//
// Invariants: Java workers and Culvert read each other's offsets; a key keeps its bytes; an older offset never
// overwrites a newer one.
package offset
