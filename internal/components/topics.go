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

// Classes of Apache Kafka's transforms, without the package. What each of them does to topics is part of what its name
// promises.
const (
	kafkaTransforms = "org.apache.kafka.connect.transforms."
	classFilter     = "Filter"
	classRouter     = "RegexRouter"
	classByTopic    = "predicates.TopicNameMatches"
)

// keeping are the transforms that leave every record in its topic.
var keeping = []string{"Cast", "DropHeaders", "ExtractField", "Flatten", "HeaderFrom", "HoistField", "InsertField",
	"InsertHeader", "MaskField", "ReplaceField",
	"SetSchemaMetadata", "TimestampConverter", "ValueToKey", classFilter}

// Effect is what a chain of transforms may do to topics.
type Effect struct {
	// Moves: records may get another topic. Drops: a topic may lose all of its records.
	Moves, Drops bool
	// ByTopic: a record's topic alone decides which one it gets.
	ByTopic bool
}

// EffectOf returns the effect of a connector's transforms. One that is not Apache Kafka's may do anything.
func EffectOf(m *plugin.Manager, c *config.Connector) Effect {
	e := Effect{ByTopic: true}
	stages, _ := c.Stages()
	for _, s := range stages {
		class, known := transformClass(m, s.Class, s.Version, wit.ComponentTransformation)
		name, _, _ := strings.Cut(class, "$")
		switch {
		case known && name == classFilter:
			e.Drops = true
		case known && slices.Contains(keeping, name):
		case known && name == classRouter:
			e.Moves = true
			if s.Predicate != nil {
				by, known := transformClass(m, s.Predicate.Class, s.Predicate.Version, wit.ComponentPredicate)
				e.ByTopic = e.ByTopic && known && by == classByTopic
			}
		default:
			e = Effect{Moves: true, Drops: true}
		}
	}
	return e
}

// transformClass returns a class without Apache Kafka's package. known is false for the class of another vendor.
func transformClass(m *plugin.Manager, class, version string, kind wit.ComponentKind) (name string, known bool) {
	_, component, err := Find(m, class, version, kind)
	if err != nil {
		return "", false
	}
	return strings.CutPrefix(component.Name, kafkaTransforms)
}

// TopicSettings returns the settings of a sink that name a topic whose records it writes.
func TopicSettings(c *config.Connector, component wit.Component) []config.Entry {
	var all []config.Entry
	d := config.DeclareComponent(component)
	for _, e := range c.Entries {
		if spec, ok := d.Find(e.Key); ok && spec.Role() == role.SinkTopic && TopicOf(e) != "" {
			all = append(all, e)
		}
	}
	return all
}

// TopicOf returns the topic that a setting names.
func TopicOf(e config.Entry) string { return setting.Trim(e.Value.Reveal()) }

// ByTopic reports whether a record's topic alone decides in which one the connector's transforms leave it.
func ByTopic(m *plugin.Manager, c *config.Connector) bool { return EffectOf(m, c).ByTopic }

// Reserved returns the topics to which no connector may write: Kafka's own, those of the worker, and those of its
// connectors.
func Reserved(w *config.Worker, connectors []*config.Connector) (r kafka.ReservedTopics) {
	for _, setting := range []struct{ name, use string }{
		{"offset.storage.topic", "the offsets of sources"}, {"config.storage.topic", "configurations of connectors"},
		{"status.storage.topic", "states of connectors"},
	} {
		r.Add(w.Text(setting.name), fmt.Sprintf("%s (the worker's %s)", setting.use, setting.name))
	}
	if w.ExactlyOnce() {
		r.Add(w.ConfigTopic(), "configurations of connectors (the worker's config.storage.topic)")
	}
	for _, c := range connectors {
		r.Add(setting.Trim(c.Text("offsets.storage.topic")),
			fmt.Sprintf("the offsets of connector %s (its offsets.storage.topic)", c.Name))
	}
	return r
}
