package kafka

import (
	"fmt"
	"strings"
)

// Reserved are topics that records of connectors must not be written to, on whatever cluster and by whatever client:
// Kafka's own, and those in which workers keep offsets, configurations and states. A record there would be believed: a
// forged offset has a connector skip rows. The zero value holds Kafka's own. Whoever sends rows, dead letters included,
// asks [Reserved.Check] before the first one of a topic.
type Reserved struct {
	uses map[string]string // by the name in lower case
}

// kafkaTopics are topics that brokers keep for themselves.
var kafkaTopics = map[string]string{
	"__consumer_offsets":  "the offsets of Kafka's groups",
	"__transaction_state": "the transactions of Kafka's producers",
	"__share_group_state": "the states of Kafka's share groups",
	"__cluster_metadata":  "Kafka's own metadata",
}

// Add reserves a topic for what use says; a name that is empty is none.
func (r *Reserved) Add(topic, use string) {
	if topic == "" {
		return
	}
	if r.uses == nil {
		r.uses = map[string]string{}
	}
	if name := strings.ToLower(topic); r.uses[name] == "" {
		r.uses[name] = use
	}
}

// Check tells whether records may go to a topic. Capitals make no difference: Kafka tells names apart by them, but a
// broker whose file system does not would put both into one folder.
func (r *Reserved) Check(topic string) error {
	name := strings.ToLower(topic)
	use, reserved := r.uses[name]
	if !reserved {
		use, reserved = kafkaTopics[name]
	}
	if !reserved {
		return nil
	}
	return fmt.Errorf("topic %s holds %s and takes no records of connectors: a record there would be believed. "+
		"Expected another topic, in the connector's settings or from its transforms", topic, use)
}
