// Package kafka contains everything that talks to Kafka: client configuration by Kafka's property names, an
// administrator, the producer of a source's feed, the consumer of a sink and a bounded reader. Clients are franz-go's
// with measured defaults: no compression unless configured, large fetches for few partitions, records in slabs,
// explicit start offsets and resets.
//
// Where to look:
//
//   - config.go, settings.go, parse.go, policy.go: properties. client.go: clients. metrics.go: their metrics. Package
//     security: TLS, SASL, proxies, and which failures are fatal.
//   - sharedclient.go, producer.go: producers. output.go, transactionaloutput.go, transactions.go: the output of a
//     source's feed, at least and exactly once.
//   - consumer.go, member.go, membership.go, startoffsets.go, commitmetadata.go, outofrange.go: the consumer of a sink.
//     fetchmemory.go, fetchpace.go: how much and how often it fetches.
//     session.go, bootclock_linux.go, bootclock_other.go: its session. grouplock.go: a lock by a consumer group.
//   - reader.go: reading without a group. jsonline.go: JSON lines. admin.go, groups.go, reserved.go, authorization.go:
//     topics, groups and rights.
//
// Invariants:
//
//   - A property of Kafka without effect is warned of, or rejected if it would change what arrives.
//   - No password, token or key is in a configuration's text.
//   - A batch is acknowledged as a whole, and only after the brokers that acks requires.
//   - An offset of a sink is committed only after its records are written or skipped, and never for a lost partition.
package kafka
