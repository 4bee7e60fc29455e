// Package group implements [Member]: [Worker] for a worker of a group, [Standalone] for one without a group.
//
// [Worker] connects package cluster, the protocols of the group, with the worker's herder, plugins, REST and settings.
// A [Folder] publishes the worker's connector folder, which the leader writes to the config topic.
//
// Standalone.mu is taken before the locks of the store and the herder, and held while the store writes.
//
// Invariants: in a group, what runs is what the config topic contains. Calls between workers are signed with its
// session key.
package group
