// Package cluster lets workers form a group: by Kafka's group coordination and the topics of a Kafka Connect cluster.
// The leader decides what each worker runs, and alone writes connectors and tasks.
//
// Where to look:
//
//   - worker.go, workerstatus.go, leadercalls.go, drain.go, rebalances.go: one worker, what it runs and reports, its
//     calls to the leader, its shutdown, its metrics.
//   - leader.go, leaderplan.go, leaderstatus.go: the leader. fencer.go, attempts.go (logons, which lockouts.go
//     requests), rollout.go (plugin versions), stopped.go, former.go (members that were lost), topicowner.go (owner of
//     the config topic, problems of members), overview.go.
//   - group.go, groupbalancer.go, protocol.go: membership and its messages. assignor.go: the assignment.
//   - log.go, leaderwrites.go: the config topic (its format is package configtopic's). statustopic.go, outbox.go,
//     status.go: the status topic.
//
// A change of the config topic is read by all workers. The leader waits for more changes and makes the group rejoin;
// [Assign] gives the connector to a worker, which plans its tasks and sends them to the leader. The leader writes
// them, and the next generation assigns them.
//
// Invariants: a resource (a connector or one of its tasks) is assigned to one member only when no other owns it. A
// member reports everything that it owns when it joins. The leader's writes are fenced by one transactional ID of the
// group.
//
// Locks, from the outside in: Group.mu, Worker.mu or leader.mu, never both; the herder's.
package cluster
