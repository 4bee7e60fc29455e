package check

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/culvert-project/culvert/host/config"
	"github.com/culvert-project/culvert/host/kafka"
	"github.com/culvert-project/culvert/host/plugin"
	"github.com/culvert-project/culvert/sdk/go/role"
	"github.com/culvert-project/culvert/sdk/go/setting"
	"github.com/culvert-project/culvert/wit"
	"github.com/culvert-project/culvert/wit/java/pattern"
)

// Classes of Apache Kafka's transforms, without the package. What each of them does to topics is part of what its name
// promises.
const (
	kafkaTransforms = "org.apache.kafka.connect.transforms."
	classFilter     = "Filter"
	classRouter     = "RegexRouter"
	classByTopic    = "predicates.TopicNameMatches"
)

// keeping are those that leave every record in its topic.
var keeping = []string{"Cast", "DropHeaders", "ExtractField", "Flatten", "HeaderFrom", "HoistField", "InsertField",
	"InsertHeader", "MaskField", "ReplaceField",
	"SetSchemaMetadata", "TimestampConverter", "ValueToKey", classFilter}

// effect is what a chain of transforms may do to topics.
type effect struct {
	// moves: records may get another topic; drops: there may be topics of which no record is left.
	moves, drops bool
	// byTopic: a record's topic alone decides which one it gets.
	byTopic bool
}

// effectOf is that of the connector's transforms. One that is not Apache Kafka's may do anything.
func effectOf(m *plugin.Manager, c *config.Connector) effect {
	e := effect{byTopic: true}
	stages, _ := c.Stages()
	for _, s := range stages {
		class, known := transformClass(m, s.Class, s.Version, wit.ComponentTransformation)
		name, _, _ := strings.Cut(class, "$")
		switch {
		case known && name == classFilter:
			e.drops = true
		case known && slices.Contains(keeping, name):
		case known && name == classRouter:
			e.moves = true
			if s.Predicate != nil {
				by, known := transformClass(m, s.Predicate.Class, s.Predicate.Version, wit.ComponentPredicate)
				e.byTopic = e.byTopic && known && by == classByTopic
			}
		default:
			e = effect{moves: true, drops: true}
		}
	}
	return e
}

// transformClass is the class of a transform or predicate without Apache Kafka's package; !known: it is somebody
// else's.
func transformClass(m *plugin.Manager, class, version string, kind wit.ComponentKind) (name string, known bool) {
	_, component, err := Find(m, class, version, kind)
	if err != nil {
		return "", false
	}
	return strings.CutPrefix(component.Name, kafkaTransforms)
}

// TopicSettings are the settings of a sink that name a topic whose records it writes.
func TopicSettings(c *config.Connector, component wit.Component) []config.Entry {
	var all []config.Entry
	d := config.DeclareComponent(component)
	for _, e := range c.Entries {
		if spec, ok := d.Find(e.Key); ok && spec.Role() == role.SinkTopic && topicOf(e) != "" {
			all = append(all, e)
		}
	}
	return all
}

// topicOf is the topic that a setting names.
func topicOf(e config.Entry) string { return setting.Trim(e.Value.Reveal()) }

// namesTopics tells whether a sink has settings that name topics: it reads those where neither topics nor topics.regex
// says which.
func namesTopics(component wit.Component) bool {
	return slices.ContainsFunc(component.Settings, func(s wit.ConfigKey) bool { return s.Role() == role.SinkTopic })
}

// unreached finds settings of a sink that name a topic which no record can have, and topics that are read for nothing,
// as far as they are known before anything runs: where a transform may change the topic, the first record tells, see
// package sink.
func (k *Checker) unreached(c *config.Connector, component wit.Component) config.Problems {
	if component.Kind != wit.ComponentSink {
		return nil
	}
	all, does := TopicSettings(c, component), effectOf(k.Plugins, c)
	read, text := config.List(c.Text("topics")), c.Text("topics.regex")
	if len(all)+len(read) == 0 && text == "" && !namesTopics(component) {
		const neither = "Must configure one of topics or topics.regex"
		return config.Problems{problem(entry(c, "topics"), errors.New(neither)),
			problem(entry(c, "topics.regex"), errors.New(neither))}
	}
	if len(all) == 0 || does.moves {
		return nil
	}
	whole, err := pattern.Compile(text)
	if len(read) > 0 == (text != "") || err != nil {
		return nil // the plugin's own topics are read, or that is the problem
	}
	var problems config.Problems
	for _, e := range all {
		switch {
		case len(read) > 0 && !slices.Contains(read, topicOf(e)):
			problems = append(problems, problem(e, fmt.Errorf("expected one of topics (%s), found %q, which no "+
				"record can reach", strings.Join(read, ", "), topicOf(e))))
		case len(read) == 0:
			if takes, err := config.MatchesTopic(whole, topicOf(e)); err != nil {
				return append(problems, problem(e, fmt.Errorf("topics.regex (%s): %w", text, err)))
			} else if !takes {
				problems = append(problems, problem(e, fmt.Errorf("expected a topic that topics.regex (%s) matches as "+
					"a whole, found %q, which no record can reach", text, topicOf(e))))
			}
		}
	}
	if does.drops {
		return problems
	}
	for _, topic := range read {
		if !slices.ContainsFunc(all, func(e config.Entry) bool { return topicOf(e) == topic }) {
			names := make([]string, len(all))
			for n, e := range all {
				names[n] = e.Key + " (" + topicOf(e) + ")"
			}
			problems = append(problems, problem(entry(c, "topics"),
				fmt.Errorf("expected topics that one of %s names, found %q: nothing takes its records",
					strings.Join(names, ", "), topic)))
		}
	}
	return problems
}

// ByTopic tells whether a record's topic alone decides in which one the connector's transforms leave it.
func ByTopic(m *plugin.Manager, c *config.Connector) bool { return effectOf(m, c).byTopic }

// Reserved are the topics that take no records of connectors: Kafka's own, those of the worker, and those of any of its
// connectors.
func Reserved(w *config.Worker, connectors []*config.Connector) (r kafka.Reserved) {
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

// topics checks the names of topics that Kafka Connect itself reads.
func topics(c *config.Connector, component wit.Component) config.Problems {
	var problems config.Problems
	if e, ok := c.Entry("offsets.storage.topic"); ok && component.Kind == wit.ComponentSource {
		if err := kafka.CheckTopic(topicOf(e)); err != nil {
			problems = append(problems, problem(e, err))
		}
	}
	e, ok := c.Entry("topics")
	if !ok || component.Kind != wit.ComponentSink {
		return problems
	}
	for _, name := range config.List(e.Value.Reveal()) {
		if err := kafka.CheckTopic(name); err != nil {
			problems = append(problems, problem(e, err))
		}
	}
	return problems
}

// targets finds topics for rows that take none, as far as they are known before anything runs: where a transform may
// change the topic, the first record tells.
func (k *Checker) targets(c *config.Connector, component wit.Component) config.Problems {
	var problems config.Problems
	reserved := Reserved(k.Worker, append([]*config.Connector{c}, k.Connectors...))
	refuse := func(e config.Entry) {
		if err := reserved.Check(topicOf(e)); err != nil {
			problems = append(problems, problem(e, err))
		}
	}
	dead, _ := c.Entry("errors.deadletterqueue.topic.name")
	if dead.Key != "" {
		refuse(dead)
	}
	if len(config.List(c.Text("transforms"))) > 0 {
		return problems
	}
	d := config.DeclareComponent(component)
	for _, e := range c.Entries {
		if spec, ok := d.Find(e.Key); ok && spec.Role() == role.SourceTopic {
			refuse(e)
			if topicOf(e) == topicOf(dead) && topicOf(dead) != "" {
				problems = append(problems, problem(dead,
					fmt.Errorf("expected a topic that no rows go to, found that of %s", e.Key)))
			}
		}
	}
	return problems
}
