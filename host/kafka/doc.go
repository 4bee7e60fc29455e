// Package kafka holds everything that talks to Kafka: the configuration of its clients under Kafka's own property
// names, an administrator, the producer of a source's feed, the consumer of a sink and a bounded reader. The broker for
// trying out is package embedded.
//
// The clients are franz-go's with the defaults that were measured to matter: no compression unless asked for, large
// fetches where few partitions are read, records in slabs, start offsets and resets stated instead of inherited.
//
// Where to look:
//
//   - config.go, settings.go, parse.go, client.go, shared.go: the properties of clients, and what a client is made of.
//     figures.go: what they count together. reach.go: the way to brokers for those who are no client.
//   - security: TLS, logon, the proxy before the brokers; failures that pass, which are logged and waited for, and
//     those that do not, which end.
//   - producing.go, producer.go, partitioner.go: what writes; output.go, transactionaloutput.go with
//     transactions.go: what a source's feed writes to, at least and exactly once.
//   - session.go with sleepless_linux.go and sleepless_other.go: since when a member of a group may be out of it.
//   - consumer.go with member.go, membership.go, begin.go, commitmetadata.go and outofrange.go: a sink's group, the
//     partitions that a member owns, where it begins, what is stored with its offsets, and offsets that are not in the
//     log. reader.go: a topic up to an end. turn.go: what one process does at a time.
//   - admin.go, groups.go, policy.go, reserved.go: topics, groups, and what connectors may not do about them;
//     rights.go: what users may not.
//   - line.go: a record as a line of JSON. wire: for those who go to Kafka step by step.
//
// Invariants:
//
//   - A property that Kafka has and nothing here acts on is warned of, or refused where it would change what arrives.
//   - No password, token or key stands in a configuration's text.
//   - What is acknowledged was acknowledged by the brokers that acks asks for, and a batch is acknowledged as a
//     whole.
//   - An offset of a sink is committed after what was settled only, and never by a member that lost the partition.
package kafka
