package resolved

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/culvert-project/culvert/internal/config"
	"github.com/culvert-project/culvert/internal/java/pattern"
	"github.com/culvert-project/culvert/internal/kafka"
	"github.com/culvert-project/culvert/sdk/go/role"
	"github.com/culvert-project/culvert/sdk/go/setting"
)

const (
	kafkaTransforms = "org.apache.kafka.connect.transforms."
	classFilter     = "Filter"
	classRouter     = "RegexRouter"
	classByTopic    = "predicates.TopicNameMatches"
)

// topicPreserving lists the transforms that leave every record in its topic.
var topicPreserving = []string{"Cast", "DropHeaders", "ExtractField", "Flatten", "HeaderFrom", "HoistField",
	"InsertField", "InsertHeader", "MaskField", "ReplaceField", "SetSchemaMetadata", "TimestampConverter",
	"ValueToKey", classFilter}

// Effect describes what a chain of transforms may do to topics.
type Effect struct {
	ChangesTopic bool // records may get another topic
	DropsRecords bool // a topic may lose all of its records
	ByTopic      bool // the new topic depends only on the previous one
}

// Effect returns the effect of the connector's transforms. Transforms of other vendors may do anything.
func (c *Connector) Effect() Effect {
	effect := Effect{ByTopic: true}
	for _, transform := range c.Stages.Transforms {
		class, ok := strings.CutPrefix(transform.Class.Component.Name, kafkaTransforms)
		name, _, _ := strings.Cut(class, "$")
		switch {
		case ok && name == classFilter:
			effect.DropsRecords = true
		case ok && slices.Contains(topicPreserving, name): // no effect on topics
		case ok && name == classRouter:
			effect.ChangesTopic = true
			if predicate := transform.Predicate; predicate != nil {
				effect.ByTopic = effect.ByTopic && predicate.Class.Component.Name == kafkaTransforms+classByTopic
			}
		default:
			effect = Effect{ChangesTopic: true, DropsRecords: true}
		}
	}
	return effect
}

// SinkTopics returns the settings of a sink that name a topic whose records it writes.
func (c *Connector) SinkTopics() (settings []config.Entry) {
	for entry, spec := range c.Declared() {
		if spec.Role() == role.SinkTopic && TopicOf(entry) != "" {
			settings = append(settings, entry)
		}
	}
	return settings
}

// TopicOf returns the topic that a setting names.
func TopicOf(e config.Entry) string { return setting.Trim(e.Value.Reveal()) }

// Reserved returns the topics that connectors must not write to: internal topics of Kafka, workers and connectors.
func Reserved(w *config.Worker, connectors []*Connector) (r kafka.ReservedTopics) {
	for _, topic := range []struct{ setting, use string }{
		{setting: "offset.storage.topic", use: "the offsets of sources"},
		{setting: "config.storage.topic", use: "configurations of connectors"},
		{setting: "status.storage.topic", use: "states of connectors"},
	} {
		r.Add(w.Text(topic.setting), fmt.Sprintf("%s (the worker's %s)", topic.use, topic.setting))
	}
	if w.ExactlyOnce() {
		r.Add(w.ConfigTopic(), "configurations of connectors (the worker's config.storage.topic)")
	}
	for _, connector := range connectors {
		if topic := setting.Trim(connector.Text("offsets.storage.topic")); topic != "" {
			r.Add(topic, fmt.Sprintf("the offsets of connector %s (its offsets.storage.topic)", connector.Name))
		}
	}
	return r
}

const regexTimeout = time.Second

// MatchesTopic reports whether an expression matches a whole topic name. It fails after one second.
func MatchesTopic(p pattern.Pattern, topic string) (bool, error) {
	ok, err := p.WithTimeout(regexTimeout).Matches(topic)
	if err != nil {
		return false, fmt.Errorf("the regular expression takes more than %s for the topic %q", regexTimeout, topic)
	}
	return ok, nil
}
