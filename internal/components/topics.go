package components

import (
	"fmt"
	"slices"
	"strings"

	"github.com/culvert-project/culvert/internal/config"
	"github.com/culvert-project/culvert/internal/kafka"
	"github.com/culvert-project/culvert/internal/plugin"
	"github.com/culvert-project/culvert/sdk/go/role"
	"github.com/culvert-project/culvert/sdk/go/setting"
	"github.com/culvert-project/culvert/wit"
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

// EffectOf returns the effect of a connector's transforms. Transforms of other vendors may do anything.
func EffectOf(plugins *plugin.Manager, connector *config.Connector) Effect {
	effect := Effect{ByTopic: true}
	stages, _ := connector.Stages()
	for _, stage := range stages {
		class, isKafka := transformClass(plugins, stage.Class, stage.Version, wit.ComponentTransformation)
		name, _, _ := strings.Cut(class, "$")
		switch {
		case isKafka && name == classFilter:
			effect.DropsRecords = true
		case isKafka && slices.Contains(topicPreserving, name): // no effect on topics
		case isKafka && name == classRouter:
			effect.ChangesTopic = true
			if stage.Predicate != nil {
				predicateClass, isKafka := transformClass(plugins, stage.Predicate.Class, stage.Predicate.Version,
					wit.ComponentPredicate)
				effect.ByTopic = effect.ByTopic && isKafka && predicateClass == classByTopic
			}
		default:
			effect = Effect{ChangesTopic: true, DropsRecords: true}
		}
	}
	return effect
}

// transformClass returns the class of a stage without its package, and whether it is one of Kafka Connect's own.
func transformClass(plugins *plugin.Manager, class, version string,
	kind wit.ComponentKind) (name string, isKafka bool) {
	_, component, err := Find(plugins, class, version, kind)
	if err != nil {
		return "", false
	}
	return strings.CutPrefix(component.Name, kafkaTransforms)
}

// TopicSettings returns the settings of a sink that name a topic whose records it writes.
func TopicSettings(connector *config.Connector, component *plugin.Component) []config.Entry {
	var settings []config.Entry
	declarations := component.Table()
	for _, e := range connector.Entries {
		if spec, ok := declarations.Find(e.Key); ok && spec.Role() == role.SinkTopic && TopicOf(e) != "" {
			settings = append(settings, e)
		}
	}
	return settings
}

// TopicOf returns the topic that a setting names.
func TopicOf(e config.Entry) string { return setting.Trim(e.Value.Reveal()) }

// ByTopic reports whether the topic of a transformed record depends only on its previous topic.
func ByTopic(plugins *plugin.Manager, connector *config.Connector) bool {
	return EffectOf(plugins, connector).ByTopic
}

// Reserved returns the topics that connectors must not write to: internal topics of Kafka, workers and connectors.
func Reserved(w *config.Worker, connectors []*config.Connector) (r kafka.ReservedTopics) {
	for _, setting := range []struct{ name, use string }{
		{name: "offset.storage.topic", use: "the offsets of sources"},
		{name: "config.storage.topic", use: "configurations of connectors"},
		{name: "status.storage.topic", use: "states of connectors"},
	} {
		r.Add(w.Text(setting.name), fmt.Sprintf("%s (the worker's %s)", setting.use, setting.name))
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
