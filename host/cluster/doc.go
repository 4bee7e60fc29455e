// Package cluster has workers form a group: through Kafka's own group coordination, with the topics of a Kafka Connect
// cluster, and nothing of our own between them. The group's leader works out what each worker runs, and alone writes
// connectors and tasks.
//
// Where to look:
//
//   - worker.go: one worker's part. It brings its herder to what was assigned to it, and says in the status topic what
//     that does. drain.go: how it hands over, or rests, before it ends; rebalances.go: figures of rebalances.
//   - leader.go: what a worker does while it leads; fence.go: what it fences; permits.go: whose turn it is to try a
//     secret, which lockouts.go asks for; rollout.go: which versions of plugins all members run; still.go: what waits
//     until no worker has tasks of a connector; overview.go: what it shows of its group; topicgroup.go: whether the
//     config topic is its group's, and what may go wrong with its members.
//   - group.go: membership, which moves bytes. protocol.go: what the bytes say. plan.go: placement, a function of its
//     input alone.
//   - log.go: the config topic on brokers; what stands in it is package config's TopicStore. statustopic.go: the status
//     topic on brokers, with outbox.go (what is still to be written) and status.go (records).
//
// Invariants: a unit (a connector, or one of its tasks) is assigned to one member only when no other holds it. A member
// says of all that it holds when it joins: what it runs, starts, and has not ended yet. What a leader writes is fenced
// by one transactional id for the group.
//
// A life of a change: a record of the config topic is read by all workers; their herders have the connector, and
// nothing of it runs. The leader waits for more changes, then has the group join again. Place gives the connector
// itself to a worker, which plans its tasks and hands them to the leader. The leader writes them; the next generation
// gives them to workers, each of which finds its tasks in the config topic.
//
// Locks, from the outside in: Group.mu, Worker.mu or leader.mu, never both; the herder's.
package cluster
