package kafka

import (
	"fmt"
	"strings"
)

// ReservedTopics holds topics that connectors must not write to, Kafka's internal ones in the zero value: a forged
// offset would make a connector skip rows. Check each topic, also of dead letters, before its first record.
type ReservedTopics struct {
	uses map[string]string // by the name in lower case
}

var kafkaTopics = map[string]string{
	"__consumer_offsets":  "the offsets of Kafka's groups",
	"__transaction_state": "the transactions of Kafka's producers",
	"__share_group_state": "the states of Kafka's share groups",
	"__cluster_metadata":  "Kafka's own metadata",
}

// Add reserves a topic; use describes its content in errors. The first use of a topic counts; "" is no topic.
func (r *ReservedTopics) Add(topic, use string) {
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

// Check returns an error for a reserved topic. It ignores case, as brokers on some file systems do.
func (r *ReservedTopics) Check(topic string) error {
	name := strings.ToLower(topic)
	use, isReserved := r.uses[name]
	if !isReserved {
		use, isReserved = kafkaTopics[name]
	}
	if !isReserved {
		return nil
	}
	return fmt.Errorf("topic %s contains %s, so connectors must not write to it: the record would be trusted. Set "+
		"another topic in the connector's settings or its transforms", topic, use)
}
