package config

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/culvert-project/culvert/internal/java/pattern"
	"github.com/culvert-project/culvert/sdk/go/role"
	"github.com/culvert-project/culvert/sdk/go/setting"
	"github.com/culvert-project/culvert/wit"
)

func missingSettings(ctx context.Context, connector *Connector, declarations *Declarations) Problems {
	var problems Problems
	for _, spec := range declarations.Keys() {
		if ctx.Err() != nil {
			break
		}
		if setting.IsRequired(&spec) && !hasDefault(&spec) && !strings.Contains(spec.Name, "{") &&
			!connector.has(&spec) {
			problems = append(problems, connector.missingProblem(spec.Name))
		}
	}
	return problems
}

// checkAddress requires address and port unless a BTP destination has both. The plugin's defaults do not count.
func checkAddress(connector *Connector, declarations *Declarations) Problems {
	roles := NewRoles(declarations, connector)
	if roles.Has(role.Destination) {
		return nil
	}
	var problems Problems
	for _, name := range []string{role.Address, role.Port} {
		value, ok := roles.byRole[name]
		if !ok || value.has || setting.IsRequired(value.spec) {
			continue
		}
		switch r, _ := role.Find(name); {
		case value.spec.DefaultValue == nil && roles.Declared(role.Destination):
			problems = append(problems, connector.missingProblem(value.spec.Name))
		case value.spec.DefaultValue != nil && !r.AcceptsDefault(*value.spec.DefaultValue):
			p := connector.missingProblem(value.spec.Name)
			p.Text = fmt.Sprintf("%s: the plugin's default %q is ignored, because only the user may decide where "+
				"requests go", strings.TrimSuffix(p.Text, "."), *value.spec.DefaultValue)
			problems = append(problems, p)
		}
	}
	return problems
}

func hasDefault(spec *wit.ConfigKey) bool {
	if spec.DefaultValue == nil {
		return false
	}
	r, ok := role.Find(spec.Role())
	return !ok || r.AcceptsDefault(*spec.DefaultValue)
}

func ignoredDefaults(ctx context.Context, connector *Connector, declarations *Declarations) Problems {
	var problems Problems
	for _, spec := range declarations.Keys() {
		if ctx.Err() != nil {
			break
		}
		if spec.DefaultValue == nil || hasDefault(&spec) || strings.Contains(spec.Name, "{") || connector.has(&spec) ||
			setting.IsRequired(&spec) || spec.Role() == role.Address || spec.Role() == role.Port {
			continue
		}
		shown := "(not shown)"
		if spec.Kind != wit.KindPassword {
			shown = strconv.Quote(*spec.DefaultValue)
		}
		problems = append(problems, Entry{Key: spec.Name, File: connector.File, Line: 1}.warning(
			"not set; the plugin's default %s is ignored, because only the user may set %s", shown, spec.Role()))
	}
	return problems
}

func (c *Connector) has(spec *wit.ConfigKey) bool {
	return slices.ContainsFunc(spec.Names(), func(name string) bool {
		_, ok := c.Get(name)
		return ok
	})
}

func (c *Connector) missingProblem(name string) Problem {
	return Entry{File: c.File, Line: 1}.missingProblem(name)
}

// checkCommonRules checks the rules of Kafka Connect's own settings that their declarations do not contain.
func checkCommonRules(connector *Connector, kind wit.ComponentKind) Problems {
	problems := connector.checkName()
	if kind != wit.ComponentSink {
		return append(problems, connector.checkTopicCreation()...)
	}
	problems = append(problems, connector.checkTasksMax()...)
	problems = append(problems, connector.checkTopics()...)
	return append(problems, connector.checkDeadLetterTopic()...)
}

func (c *Connector) checkName() Problems {
	entry, ok := c.Entry("name")
	name := setting.Trim(entry.Value.Reveal())
	switch {
	case ok && name == "":
		return Problems{entry.problem("expected a name, found nothing; without this line the file's name is used")}
	case strings.ContainsFunc(name, unicode.IsControl):
		return Problems{entry.problem("expected a name without control characters, found %q", name)}
	}
	return nil
}

// MaxSinkTasks is the largest number of tasks of a sink. Each is a Kafka client, even without a partition.
const MaxSinkTasks = 1000

func (c *Connector) checkTasksMax() Problems {
	entry, _ := c.Entry("tasks.max")
	if n, ok := setting.ParseInt(wit.KindInt, entry.Value.Reveal()); !ok || n <= MaxSinkTasks {
		return nil
	}
	return Problems{entry.codedProblem(setting.CodeInvalid, setting.Invalid(entry.Key, entry.Value.String(),
		fmt.Sprintf("Value must be no more than %d", MaxSinkTasks)))}
}

func (c *Connector) checkTopics() Problems {
	regex := c.Text("topics.regex")
	if regex == "" {
		return nil
	}
	entry, _ := c.Entry("topics.regex")
	if len(List(c.Text("topics"))) > 0 {
		topics, _ := c.Entry("topics")
		const message = "topics and topics.regex are mutually exclusive options, but both are set."
		return Problems{topics.problem(message), entry.problem(message)} // Kafka Connect reports both
	}
	if _, err := pattern.Compile(regex); err != nil {
		return Problems{invalidRegex(entry, regex, err)}
	}
	return nil
}

func invalidRegex(entry Entry, regex string, err error) Problem {
	return entry.codedProblem(setting.CodeInvalid, setting.Invalid(entry.Key, regex, "Invalid regex: "+err.Error()))
}

// checkDeadLetterTopic rejects a dead letter topic that the sink reads.
func (c *Connector) checkDeadLetterTopic() Problems {
	entry, _ := c.Entry("errors.deadletterqueue.topic.name")
	topic := setting.Trim(entry.Value.Reveal())
	if topic == "" {
		return nil
	}
	if slices.Contains(List(c.Text("topics")), topic) {
		return Problems{entry.problem("expected a topic that is not among topics, found %q", topic)}
	}
	expression, err := pattern.Compile(c.Text("topics.regex"))
	if err != nil {
		return nil // see checkTopics
	}
	isMatch, err := MatchesTopic(expression, topic)
	switch {
	case err != nil:
		return Problems{entry.problem("topics.regex: %v", err)}
	case isMatch:
		return Problems{entry.problem("expected a topic that topics.regex does not match, because dead letters would "+
			"be read as records, found %q", topic)}
	}
	return nil
}

const maxTopicExpressions = 10_000

func (c *Connector) checkTopicCreation() Problems {
	groups, _ := c.Entry("topic.creation.groups")
	problems := c.duplicateAliases(groups)
	count := 0
	for _, entry := range c.Entries {
		if !strings.HasPrefix(entry.Key, "topic.creation.") || (!strings.HasSuffix(entry.Key, ".include") &&
			!strings.HasSuffix(entry.Key, ".exclude")) {
			continue
		}
		for _, expression := range List(entry.Value.Reveal()) {
			count++
			if count > maxTopicExpressions {
				return append(problems, entry.problem("expected at most %d expressions of topic.creation.* together, "+
					"found more", maxTopicExpressions))
			}
			if _, err := pattern.Compile(expression); err != nil {
				problems = append(problems, invalidRegex(entry, expression, err))
			}
		}
	}
	return problems
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
