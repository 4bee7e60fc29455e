package check

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode"

	"github.com/culvert-project/culvert/internal/config"
	"github.com/culvert-project/culvert/internal/java/pattern"
	"github.com/culvert-project/culvert/internal/resolved"
	"github.com/culvert-project/culvert/sdk/go/role"
	"github.com/culvert-project/culvert/sdk/go/setting"
	"github.com/culvert-project/culvert/wit"
)

func missingSettings(ctx context.Context, connector *config.Connector, declarations *setting.Table) config.Problems {
	var problems config.Problems
	for _, spec := range declarations.Keys() {
		if ctx.Err() != nil {
			break
		}
		if setting.IsRequired(&spec) && !hasDefault(&spec) && !strings.Contains(spec.Name, "{") &&
			!has(connector, &spec) {
			problems = append(problems, connector.MissingProblem(spec.Name))
		}
	}
	return problems
}

// checkAddress reports a missing address or port, unless a BTP destination has both. missingSettings reports required
// settings; an optional one without a default is needed only where a destination could have been set instead.
func (c *settingsCheck) checkAddress() config.Problems {
	roles := c.Roles()
	if roles.Has(role.Destination) {
		return nil
	}
	var problems config.Problems
	for _, name := range []string{role.Address, role.Port} {
		spec, hasValue := roles.Spec(name)
		if spec == nil || hasValue || setting.IsRequired(spec) {
			continue
		}
		r, _ := role.Find(name)
		switch {
		case spec.DefaultValue == nil && roles.Declared(role.Destination):
			problems = append(problems, c.MissingProblem(spec.Name))
		case spec.DefaultValue != nil && !r.AcceptsDefault(*spec.DefaultValue):
			p := c.MissingProblem(spec.Name)
			p.Text = fmt.Sprintf("%s: the plugin's default %q is ignored, because only the user may decide where "+
				"requests go", strings.TrimSuffix(p.Text, "."), *spec.DefaultValue)
			problems = append(problems, p)
		}
	}
	return problems
}

// hasDefault reports whether a setting has a default that the host accepts for its role.
func hasDefault(spec *wit.ConfigKey) bool {
	if spec.DefaultValue == nil {
		return false
	}
	r, ok := role.Find(spec.Role())
	return !ok || r.AcceptsDefault(*spec.DefaultValue)
}

// ignoredDefaults warns of settings that are not set and whose default is ignored. missingSettings and checkAddress
// report required settings, address and port.
func (c *settingsCheck) ignoredDefaults(ctx context.Context) config.Problems {
	var problems config.Problems
	for _, spec := range c.plugin.Keys() {
		if ctx.Err() != nil {
			break
		}
		if setting.IsRequired(&spec) || spec.Role() == role.Address || spec.Role() == role.Port {
			continue
		}
		if spec.DefaultValue == nil || hasDefault(&spec) || strings.Contains(spec.Name, "{") ||
			has(c.Connector.Connector, &spec) {
			continue
		}
		shown := "(not shown)"
		if spec.Kind != wit.KindPassword {
			shown = strconv.Quote(*spec.DefaultValue)
		}
		problems = append(problems, config.Entry{Key: spec.Name, File: c.File, Line: 1}.Warning(
			"not set; the plugin's default %s is ignored, because only the user may set %s", shown, spec.Role()))
	}
	return problems
}

func has(connector *config.Connector, spec *wit.ConfigKey) bool {
	return slices.ContainsFunc(spec.Names(), func(name string) bool {
		_, ok := connector.Get(name)
		return ok
	})
}

// checkCommonRules checks the rules of Kafka Connect's own settings that their declarations do not contain.
func (c *settingsCheck) checkCommonRules() config.Problems {
	problems := c.checkName()
	if c.Class.Component.Kind != wit.ComponentSink {
		return append(problems, c.checkTopicCreation()...)
	}
	problems = append(problems, c.checkTasksMax()...)
	problems = append(problems, c.checkTopics()...)
	return append(problems, c.checkDeadLetterTopic()...)
}

func (c *settingsCheck) checkName() config.Problems {
	entry, ok := c.Entry("name")
	name := setting.Trim(entry.Value.Reveal())
	switch {
	case ok && name == "":
		return config.Problems{entry.Problem("expected a name, found nothing; without this line the file's name is " +
			"used")}
	case strings.ContainsFunc(name, unicode.IsControl):
		return config.Problems{entry.Problem("expected a name without control characters, found %q", name)}
	}
	return nil
}

// checkTasksMax checks the upper limit of a sink; its declaration has the lower one.
func (c *settingsCheck) checkTasksMax() config.Problems {
	entry, _ := c.Entry("tasks.max")
	if n, ok := setting.ParseInt(wit.KindInt, entry.Value.Reveal()); !ok || n <= config.MaxSinkTasks {
		return nil
	}
	return config.Problems{entry.CodedProblem(setting.CodeInvalid, setting.Invalid(entry.Key, entry.Value.String(),
		fmt.Sprintf("Value must be no more than %d", config.MaxSinkTasks)))}
}

func (c *settingsCheck) checkTopics() config.Problems {
	regex := c.Text("topics.regex")
	if regex == "" {
		return nil
	}
	entry, _ := c.Entry("topics.regex")
	if len(config.List(c.Text("topics"))) > 0 {
		topics, _ := c.Entry("topics")
		const message = "topics and topics.regex are mutually exclusive options, but both are set."
		return config.Problems{topics.Problem(message), entry.Problem(message)} // Kafka Connect reports both
	}
	if _, err := pattern.Compile(regex); err != nil {
		return config.Problems{invalidRegex(entry, regex, err)}
	}
	return nil
}

func invalidRegex(entry config.Entry, regex string, err error) config.Problem {
	return entry.CodedProblem(setting.CodeInvalid, setting.Invalid(entry.Key, regex, "Invalid regex: "+err.Error()))
}

// checkDeadLetterTopic rejects a dead letter topic that the sink reads.
func (c *settingsCheck) checkDeadLetterTopic() config.Problems {
	entry, _ := c.Entry("errors.deadletterqueue.topic.name")
	topic := c.Text("errors.deadletterqueue.topic.name")
	if topic == "" {
		return nil
	}
	if slices.Contains(config.List(c.Text("topics")), topic) {
		return config.Problems{entry.Problem("expected a topic that is not among topics, found %q", topic)}
	}
	expression, err := pattern.Compile(c.Text("topics.regex"))
	if err != nil {
		return nil // see checkTopics
	}
	isMatch, err := resolved.MatchesTopic(expression, topic)
	switch {
	case err != nil:
		return config.Problems{entry.Problem("topics.regex: %v", err)}
	case isMatch:
		return config.Problems{entry.Problem("expected a topic that topics.regex does not match, because dead letters "+
			"would be read as records, found %q", topic)}
	}
	return nil
}

const maxTopicExpressions = 10_000 // each is compiled, and matched with each topic

func (c *settingsCheck) checkTopicCreation() config.Problems {
	groups, _ := c.Entry("topic.creation.groups")
	problems := resolved.DuplicateAliases(groups)
	count := 0
	for _, entry := range c.Entries {
		if !strings.HasPrefix(entry.Key, "topic.creation.") || (!strings.HasSuffix(entry.Key, ".include") &&
			!strings.HasSuffix(entry.Key, ".exclude")) {
			continue
		}
		for _, expression := range config.List(entry.Value.Reveal()) {
			count++
			if count > maxTopicExpressions {
				return append(problems, entry.Problem("expected at most %d expressions of topic.creation.* together, "+
					"found more", maxTopicExpressions))
			}
			if _, err := pattern.Compile(expression); err != nil {
				problems = append(problems, invalidRegex(entry, expression, err))
			}
		}
	}
	return problems
}
