// Package group makes a worker a member of a group of workers that share their connectors.
//
// [Worker] connects package cluster, which knows the protocols of the group, with the worker's herder, plugins, REST
// and settings: it opens the group's topics, joins, answers the calls of other workers and forwards notifications to
// the worker that runs their task. [Worker.Herder] shows REST what all workers do. A [Folder] publishes the worker's
// folder of connector files, which the leader writes to the config topic.
//
// Invariants: what runs is what the config topic contains. Calls between workers are signed with the session key that
// the topic contains.
package group
