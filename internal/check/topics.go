package check

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/culvert-project/culvert/internal/components"
	"github.com/culvert-project/culvert/internal/config"
	"github.com/culvert-project/culvert/internal/java/pattern"
	"github.com/culvert-project/culvert/internal/kafka"
	"github.com/culvert-project/culvert/sdk/go/role"
	"github.com/culvert-project/culvert/wit"
)

// namesTopics reports whether a sink has settings that name topics. It reads those topics if neither topics nor
// topics.regex is set.
func namesTopics(component wit.Component) bool {
	return slices.ContainsFunc(component.Settings, func(s wit.ConfigKey) bool { return s.Role() == role.SinkTopic })
}

// unreachableTopics finds settings of a sink that name a topic which no record can have, and topics that are read
// although no setting writes their records. If a transform may change the topic, only the first record shows it, see
// package sink.
func (ch *Checker) unreachableTopics(connector *config.Connector, component wit.Component) config.Problems {
	if component.Kind != wit.ComponentSink {
		return nil
	}
	all := components.TopicSettings(connector, component)
	effect := components.EffectOf(ch.Plugins, connector)
	read := config.List(connector.Text("topics"))
	text := connector.Text("topics.regex")
	if len(all)+len(read) == 0 && text == "" && !namesTopics(component) {
		const neither = "Must configure one of topics or topics.regex"
		return config.Problems{problem(entryFor(connector, "topics"), errors.New(neither)),
			problem(entryFor(connector, "topics.regex"), errors.New(neither))}
	}
	if len(all) == 0 || effect.ChangesTopic {
		return nil
	}
	whole, err := pattern.Compile(text)
	if len(read) > 0 == (text != "") || err != nil {
		return nil // the plugin's topics are read, or another check reports it
	}
	var problems config.Problems
	for _, entry := range all {
		switch {
		case len(read) > 0 && !slices.Contains(read, components.TopicOf(entry)):
			problems = append(problems, problem(entry, fmt.Errorf("expected one of topics (%s), found %q, which no "+
				"record can reach", strings.Join(read, ", "), components.TopicOf(entry))))
		case len(read) == 0:
			if takes, err := config.MatchesTopic(whole, components.TopicOf(entry)); err != nil {
				return append(problems, problem(entry, fmt.Errorf("topics.regex (%s): %w", text, err)))
			} else if !takes {
				problems = append(problems, problem(entry,
					fmt.Errorf("expected a topic that topics.regex (%s) matches as "+
						"a whole, found %q, which no record can reach", text, components.TopicOf(entry))))
			}
		}
	}
	if effect.DropsRecords {
		return problems
	}
	for _, topic := range read {
		if !slices.ContainsFunc(all, func(entry config.Entry) bool { return components.TopicOf(entry) == topic }) {
			names := make([]string, len(all))
			for n, entry := range all {
				names[n] = entry.Key + " (" + components.TopicOf(entry) + ")"
			}
			problems = append(problems, problem(entryFor(connector, "topics"),
				fmt.Errorf("expected topics that one of %s names, found %q: nothing writes its records",
					strings.Join(names, ", "), topic)))
		}
	}
	return problems
}

func checkTopicNames(connector *config.Connector, component wit.Component) config.Problems {
	var problems config.Problems
	if entry, ok := connector.Entry("offsets.storage.topic"); ok && component.Kind == wit.ComponentSource {
		if err := kafka.CheckTopic(components.TopicOf(entry)); err != nil {
			problems = append(problems, problem(entry, err))
		}
	}
	entry, ok := connector.Entry("topics")
	if !ok || component.Kind != wit.ComponentSink {
		return problems
	}
	for _, name := range config.List(entry.Value.Reveal()) {
		if err := kafka.CheckTopic(name); err != nil {
			problems = append(problems, problem(entry, err))
		}
	}
	return problems
}

// checkTargets finds reserved topics, and rows that would go to the dead letter topic. If a transform may change the
// topic, only the first record shows it.
func (ch *Checker) checkTargets(connector *config.Connector, component wit.Component) config.Problems {
	var problems config.Problems
	reserved := components.Reserved(ch.Worker, append([]*config.Connector{connector}, ch.Connectors...))
	checkReserved := func(entry config.Entry) {
		if err := reserved.Check(components.TopicOf(entry)); err != nil {
			problems = append(problems, problem(entry, err))
		}
	}
	dead, _ := connector.Entry("errors.deadletterqueue.topic.name")
	if dead.Key != "" {
		checkReserved(dead)
	}
	if len(config.List(connector.Text("transforms"))) > 0 {
		return problems
	}
	declarations := config.DeclareComponent(component)
	for _, entry := range connector.Entries {
		if spec, ok := declarations.Find(entry.Key); ok && spec.Role() == role.SourceTopic {
			checkReserved(entry)
			if components.TopicOf(entry) == components.TopicOf(dead) && components.TopicOf(dead) != "" {
				problems = append(problems, problem(dead,
					fmt.Errorf("expected a topic to which no rows are written, found the topic of %s", entry.Key)))
			}
		}
	}
	return problems
}
