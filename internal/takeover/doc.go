// Package takeover moves connectors between kinds of workers: [Check] reads what a group of Kafka Connect's workers has
// left in its topics before workers of ours form the group, [Release] gives the topics back, and [ImportIntoGroup]
// writes the connectors of a worker that was alone to a group's config topic.
//
// Invariants: [Check] writes nothing. The others write only while the group has no members, as its leader would.
package takeover
