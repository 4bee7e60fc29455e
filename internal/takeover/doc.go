// Package takeover moves connectors between kinds of workers: [Check] reads the topics of a group of Kafka Connect's
// workers before Culvert's form the group, [Release] returns the topics, and [ImportIntoGroup] moves the connectors of
// a single worker to a group.
//
// Invariant: [Check] writes nothing. The others write only while the group has no members, as its leader would.
package takeover
