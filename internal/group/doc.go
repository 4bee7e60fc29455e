// Package group makes a worker a [Member] of a group of workers that share their connectors, or lets it be [Alone].
//
// [Worker] connects package cluster, the protocols of the group, with the worker's herder, plugins, REST and settings.
// A [Folder] publishes the worker's connector folder, which the leader writes to the config topic.
//
// Invariants: what runs is what the config topic contains. Calls between workers are signed with its session key.
package group
