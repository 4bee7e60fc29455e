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

// namesTopics reports whether a sink has settings that name topics: it reads those where neither topics nor
// topics.regex says which.
func namesTopics(component wit.Component) bool {
	return slices.ContainsFunc(component.Settings, func(s wit.ConfigKey) bool { return s.Role() == role.SinkTopic })
}

// unreachableTopics finds settings of a sink that name a topic which no record can have, and topics that are read for
// nothing, as far as they are known before anything runs: where a transform may change the topic, the first record
// tells, see package sink.
func (k *Checker) unreachableTopics(c *config.Connector, component wit.Component) config.Problems {
	if component.Kind != wit.ComponentSink {
		return nil
	}
	all, does := components.TopicSettings(c, component), components.EffectOf(k.Plugins, c)
	read, text := config.List(c.Text("topics")), c.Text("topics.regex")
	if len(all)+len(read) == 0 && text == "" && !namesTopics(component) {
		const neither = "Must configure one of topics or topics.regex"
		return config.Problems{problem(entryFor(c, "topics"), errors.New(neither)),
			problem(entryFor(c, "topics.regex"), errors.New(neither))}
	}
	if len(all) == 0 || does.Moves {
		return nil
	}
	whole, err := pattern.Compile(text)
	if len(read) > 0 == (text != "") || err != nil {
		return nil // the plugin's own topics are read, or that is the problem
	}
	var problems config.Problems
	for _, e := range all {
		switch {
		case len(read) > 0 && !slices.Contains(read, components.TopicOf(e)):
			problems = append(problems, problem(e, fmt.Errorf("expected one of topics (%s), found %q, which no "+
				"record can reach", strings.Join(read, ", "), components.TopicOf(e))))
		case len(read) == 0:
			if takes, err := config.MatchesTopic(whole, components.TopicOf(e)); err != nil {
				return append(problems, problem(e, fmt.Errorf("topics.regex (%s): %w", text, err)))
			} else if !takes {
				problems = append(problems, problem(e, fmt.Errorf("expected a topic that topics.regex (%s) matches as "+
					"a whole, found %q, which no record can reach", text, components.TopicOf(e))))
			}
		}
	}
	if does.Drops {
		return problems
	}
	for _, topic := range read {
		if !slices.ContainsFunc(all, func(e config.Entry) bool { return components.TopicOf(e) == topic }) {
			names := make([]string, len(all))
			for n, e := range all {
				names[n] = e.Key + " (" + components.TopicOf(e) + ")"
			}
			problems = append(problems, problem(entryFor(c, "topics"),
				fmt.Errorf("expected topics that one of %s names, found %q: nothing takes its records",
					strings.Join(names, ", "), topic)))
		}
	}
	return problems
}

// checkTopicNames checks the names of topics that Kafka Connect itself reads.
func checkTopicNames(c *config.Connector, component wit.Component) config.Problems {
	var problems config.Problems
	if e, ok := c.Entry("offsets.storage.topic"); ok && component.Kind == wit.ComponentSource {
		if err := kafka.CheckTopic(components.TopicOf(e)); err != nil {
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

// checkTargets finds topics for rows that take none, as far as they are known before anything runs: where a transform
// may change the topic, the first record tells.
func (k *Checker) checkTargets(c *config.Connector, component wit.Component) config.Problems {
	var problems config.Problems
	reserved := components.Reserved(k.Worker, append([]*config.Connector{c}, k.Connectors...))
	refuse := func(e config.Entry) {
		if err := reserved.Check(components.TopicOf(e)); err != nil {
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
			if components.TopicOf(e) == components.TopicOf(dead) && components.TopicOf(dead) != "" {
				problems = append(problems, problem(dead,
					fmt.Errorf("expected a topic that no rows go to, found that of %s", e.Key)))
			}
		}
	}
	return problems
}
