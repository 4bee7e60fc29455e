package check

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/culvert-project/culvert/internal/config"
	"github.com/culvert-project/culvert/internal/java/pattern"
	"github.com/culvert-project/culvert/internal/kafka"
	"github.com/culvert-project/culvert/internal/resolved"
	"github.com/culvert-project/culvert/sdk/go/role"
	"github.com/culvert-project/culvert/wit"
)

// unreachableTopics finds settings of a sink that name a topic which no record can have, and topics that are read
// although no setting writes their records. If a transform may change the topic, package sink checks the first record
// instead.
func (ch *Checker) unreachableTopics(connector *resolved.Connector) config.Problems {
	component := connector.Class.Component
	if component.Kind != wit.ComponentSink {
		return nil
	}
	settings := connector.SinkTopics()
	topics := config.List(connector.Text("topics"))
	regex := connector.Text("topics.regex")
	// Without topics and topics.regex a sink reads the topics that its settings name.
	namesTopics := slices.ContainsFunc(component.Settings,
		func(s wit.ConfigKey) bool { return s.Role() == role.SinkTopic })
	if len(topics) == 0 && regex == "" && len(settings) == 0 && !namesTopics {
		const neither = "Must configure one of topics or topics.regex"
		return config.Problems{problem(entryFor(connector, "topics"), errors.New(neither)),
			problem(entryFor(connector, "topics.regex"), errors.New(neither))}
	}
	effect := connector.Effect()
	switch {
	case len(settings) == 0 || effect.ChangesTopic:
		return nil // nothing to compare, or the topics of records are not known yet
	case len(topics) > 0 && regex != "":
		return nil // only one of them is allowed, which another check reports
	case regex != "":
		return outsideRegex(settings, regex)
	case len(topics) == 0:
		return nil // the sink reads the topics of its settings
	}
	var problems config.Problems
	for _, entry := range settings {
		if topic := resolved.TopicOf(entry); !slices.Contains(topics, topic) {
			problems = append(problems, problem(entry, fmt.Errorf("expected one of topics (%s), found %q, which no "+
				"record can reach", strings.Join(topics, ", "), topic)))
		}
	}
	if !effect.DropsRecords {
		var written, descriptions []string
		for _, s := range settings {
			written = append(written, resolved.TopicOf(s))
			descriptions = append(descriptions, s.Key+" ("+resolved.TopicOf(s)+")")
		}
		for _, topic := range topics {
			if !slices.Contains(written, topic) {
				problems = append(problems, problem(entryFor(connector, "topics"), fmt.Errorf("expected topics that "+
					"one of %s names, found %q: nothing writes its records", strings.Join(descriptions, ", "), topic)))
			}
		}
	}
	return problems
}

// checkTopicNames finds invalid names of a source's own offsets topic and of the topics that a sink reads.
func checkTopicNames(connector *resolved.Connector) config.Problems {
	var problems config.Problems
	if entry, ok := connector.Entry("offsets.storage.topic"); ok && connector.Class.Is(wit.ComponentSource) {
		if err := kafka.CheckTopic(resolved.TopicOf(entry)); err != nil {
			problems = append(problems, problem(entry, err))
		}
	}
	entry, ok := connector.Entry("topics")
	if !ok || !connector.Class.Is(wit.ComponentSink) {
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
// topic, the topic of a row is not known before the first record.
func (ch *Checker) checkTargets(connector *resolved.Connector) config.Problems {
	var problems config.Problems
	reserved := resolved.Reserved(ch.Worker, append([]*resolved.Connector{connector}, ch.Connectors...))
	checkReserved := func(entry config.Entry) {
		if err := reserved.Check(resolved.TopicOf(entry)); err != nil {
			problems = append(problems, problem(entry, err))
		}
	}
	deadLetter, ok := connector.Entry("errors.deadletterqueue.topic.name")
	if ok {
		checkReserved(deadLetter)
	}
	if len(config.List(connector.Text("transforms"))) > 0 {
		return problems
	}
	for entry, spec := range connector.Declared() {
		if spec.Role() == role.SourceTopic {
			checkReserved(entry)
			if topic := resolved.TopicOf(deadLetter); topic != "" && topic == resolved.TopicOf(entry) {
				problems = append(problems, problem(deadLetter,
					fmt.Errorf("expected a topic to which no rows are written, found the topic of %s", entry.Key)))
			}
		}
	}
	return problems
}

// outsideRegex returns problems of the settings that name a topic which topics.regex does not match. It returns none
// for an invalid pattern, which another check reports.
func outsideRegex(settings []config.Entry, regex string) (problems config.Problems) {
	compiled, err := pattern.Compile(regex)
	if err != nil {
		return nil
	}
	for _, entry := range settings {
		topic := resolved.TopicOf(entry)
		matches, err := resolved.MatchesTopic(compiled, topic)
		if err != nil {
			return append(problems, problem(entry, fmt.Errorf("topics.regex (%s): %w", regex, err)))
		}
		if !matches {
			problems = append(problems, problem(entry, fmt.Errorf("expected a topic that topics.regex (%s) matches as "+
				"a whole, found %q, which no record can reach", regex, topic)))
		}
	}
	return problems
}
