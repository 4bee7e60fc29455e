package check

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/culvert-project/culvert/internal/config"
	"github.com/culvert-project/culvert/internal/resolved"
	"github.com/culvert-project/culvert/sdk/go/role"
	"github.com/culvert-project/culvert/sdk/go/setting"
	"github.com/culvert-project/culvert/wit"
)

// maxGuesses bounds the comparisons for similar names: some hundred times what built-in plugins need.
const maxGuesses = 100_000_000

// nestedPrefixes are the prefixes of settings that converters, topics and Kafka clients read.
var nestedPrefixes = []string{"key.converter.", "value.converter.", "header.converter.", "topic.creation.",
	"producer.override.", "consumer.override.", "admin.override."}

// settingsCheck finds the problems of a connector's settings by their declarations: unknown keys, missing or invalid
// values, and rules of Kafka Connect between settings. It calls no plugin.
type settingsCheck struct {
	*resolved.Connector
	worker        *config.Worker
	isEmbedded    bool           // the broker is the built-in one
	plugin        *setting.Table // the plugin's settings
	kafkaConnect  *setting.Table // Kafka Connect's settings of the connector's kind
	secrets       *setting.Table // the names of settings that are secrets by other declarations
	nested        []string       // the prefixes of settings that the component does not read itself
	loadSuggester func() *setting.Suggester
}

func (ch *Checker) newSettingsCheck(connector *resolved.Connector) *settingsCheck {
	c := &settingsCheck{Connector: connector, worker: ch.Worker, isEmbedded: ch.Embedded,
		plugin:       connector.Class.Component.Table(),
		kafkaConnect: config.CommonTable(connector.Class.Component.Kind),
		nested:       slices.Concat(nestedPrefixes, connector.Stages.Prefixes)}
	if connector.Plugins != nil {
		c.secrets = connector.Plugins.SecretNames(connector.Class.Module.BuiltIn)
	}
	c.loadSuggester = sync.OnceValue(func() *setting.Suggester {
		both := config.Declare(slices.Concat(c.plugin.Keys(), c.kafkaConnect.Keys())...)
		both.Prefixes = c.plugin.Prefixes
		var keys []string
		for _, entry := range c.Entries {
			keys = append(keys, entry.Key)
		}
		return &setting.Suggester{Table: both, Number: c.plugin.NumberIn(keys), Budget: maxGuesses}
	})
	return c
}

// problems checks all settings. Unknown keys with a prefix of the component, or similar to a known key with one, are
// errors unless unknown.settings=warn, because a misspelled filter would export the whole table (RATIONALE.md P6);
// others are warnings. If the context ends, that is a problem, too.
func (c *settingsCheck) problems(ctx context.Context) (problems config.Problems) {
	for i := range c.Entries {
		if ctx.Err() != nil {
			return append(problems, c.canceled(ctx))
		}
		problems = append(problems, c.checkSetting(c.Entries[i])...)
	}
	for _, rule := range []func() config.Problems{
		func() config.Problems { return missingSettings(ctx, c.Connector.Connector, c.kafkaConnect) },
		func() config.Problems { return missingSettings(ctx, c.Connector.Connector, c.plugin) },
		c.checkAddress,
		func() config.Problems { return c.ignoredDefaults(ctx) },
		c.checkCommonRules,
	} {
		if ctx.Err() != nil {
			return append(problems, c.canceled(ctx))
		}
		problems = append(problems, rule()...)
	}
	return problems
}

func (c *settingsCheck) canceled(ctx context.Context) config.Problem {
	return config.Problem{File: c.File, Line: 1, Text: fmt.Sprintf("the check was canceled: %v", context.Cause(ctx))}
}

func (c *settingsCheck) checkSetting(entry config.Entry) config.Problems {
	if message := c.exactlyOnceUnavailable(entry); message != "" {
		return config.Problems{entry.CodedProblem(setting.CodeInvalid, message)}
	}
	spec, ok := c.plugin.Find(entry.Key)
	if !ok {
		spec, ok = c.kafkaConnect.Find(entry.Key)
	}
	switch {
	case ok:
		return c.checkValue(entry, &spec, c.plugin)
	case c.plugin.Prefix(entry.Key) == "" && config.HasPrefix(entry.Key, c.nested):
		for _, prefix := range []string{"producer.override.", "consumer.override.", "admin.override."} {
			name, ok := strings.CutPrefix(entry.Key, prefix)
			if !ok {
				continue
			}
			if spec, ok := config.FindWorkerSetting(name); ok {
				return c.providers().CheckLiteral(entry, spec)
			}
		}
		if c.providers().HasUnknownProvider(entry) && config.IsPassword(entry.Key) && config.HasPrefix(entry.Key,
			[]string{"key.converter.", "value.converter."}) {
			return config.Problems{c.providers().UnknownProvider(entry, true)}
		}
		return nil
	}
	return config.Problems{c.unknownProblem(entry)}
}

// applyUnknownSettings turns the problem of an unknown setting into a warning or an error, as unknown.settings of the
// connector, or else of the worker, specifies.
func (c *settingsCheck) applyUnknownSettings(p config.Problem) config.Problem {
	value := c.Text("unknown.settings")
	if value == "" && c.worker != nil {
		value = c.worker.Text("unknown.settings")
	}
	p.Warning = strings.EqualFold(value, "warn")
	if !p.Warning {
		p.Text += "; with unknown.settings=warn this is a warning"
	}
	return p
}

func (c *settingsCheck) providers() *config.Providers {
	if c.worker == nil {
		return nil
	}
	return c.worker.Providers
}

// unknownProblem returns the problem of an undeclared key: an error if the key has the component's prefix, or a similar
// known key has it.
func (c *settingsCheck) unknownProblem(entry config.Entry) config.Problem {
	near := c.loadSuggester().Nearest(entry.Key)
	_, isOfWorker := config.FindWorkerSetting(entry.Key)
	isForeign := config.IsConnectorSetting(entry.Key) || isOfWorker
	if c.plugin.Prefix(entry.Key) != "" || (c.plugin.Prefix(near) != "" && !isForeign) {
		return c.applyUnknownSettings(entry.CodedProblem(setting.CodeUnknown, setting.Unknown(near)))
	}
	for _, list := range []string{"transforms", "predicates"} {
		if suffix, ok := strings.CutPrefix(entry.Key, list+"."); ok {
			alias, _, _ := strings.Cut(suffix, ".")
			return entry.Warning("has no effect: %s does not name %s", list, alias)
		}
	}
	switch {
	case config.CommonTable(wit.ComponentSink).Declares(entry.Key):
		return entry.Warning("has no effect: a setting of sinks")
	case config.CommonTable(wit.ComponentSource).Declares(entry.Key):
		return entry.Warning("has no effect: a setting of sources")
	case entry.Key == config.InitialStateKey:
		return entry.Warning("has no effect in a configuration: expected in the connector's file, or next to config " +
			"in POST /connectors")
	case isOfWorker:
		return entry.Warning("has no effect: a setting of the worker, which belongs in the worker's file")
	}
	p := entry.CodedProblem(setting.CodeUnknown, setting.Unknown(near))
	p.Warning = true
	return p
}

// checkValue checks the value of a setting that a table declares.
func (c *settingsCheck) checkValue(entry config.Entry, spec *wit.ConfigKey,
	declarations *setting.Table) config.Problems {
	if entry.IsUnresolved() {
		return nil
	}
	secret := config.IsSecret(entry.Key, declarations, c.secrets)
	if name := spec.Role(); secret && name != "" {
		if r, ok := role.Find(name); ok && r.Kind != role.Secret && r.Kind != role.StringOrSecret {
			return config.Problems{entry.Problem(
				"is a secret, but the plugin declares it as %s, whose values are shown: it is not used", name)}
		}
	}
	named := *spec
	named.Name = entry.Key // which may be an alias
	if message := config.CheckValue(&named, entry.Value.Reveal(), !entry.Value.IsSecret() && !secret); message != "" {
		return c.providers().InvalidValue(entry, message)
	}
	return c.providers().CheckLiteral(entry, spec)
}

// exactlyOnceUnavailable returns the problem of a setting that requires exactly-once from a worker without it, else "".
func (c *settingsCheck) exactlyOnceUnavailable(entry config.Entry) string {
	v := setting.Trim(entry.Value.Reveal())
	isAvailable := c.worker != nil && c.worker.ExactlyOnce()
	if entry.Key != "exactly.once.support" || !strings.EqualFold(v, "required") || isAvailable {
		return ""
	}
	reason := ""
	switch {
	case c.worker == nil || c.worker.File == "":
		reason = "; without a worker's file the embedded broker is used, which does not support it"
	case c.isEmbedded:
		reason = "; bootstrap.servers is the embedded broker, which does not support it"
	}
	return "expected requested, found required: exactly-once requires a worker's file with bootstrap.servers of a " +
		"Kafka cluster, group.id and exactly.once.source.support=enabled" + reason
}

// validationProblems converts the result of a plugin's validate, each problem at the line of its setting. Settings with
// an error in reported are omitted; a plugin cannot judge a password, which it does not see.
func validationProblems(connector *resolved.Connector, prefix string, validated []wit.ConfigValue,
	reported config.Problems) config.Problems {
	var problems config.Problems
	for _, value := range validated {
		// Most values have none, and the search below is slow.
		if len(value.Errors) == 0 {
			continue
		}
		name := prefix + value.Key.Name
		if slices.ContainsFunc(reported, func(p config.Problem) bool { return p.Setting == name && !p.Warning }) {
			continue
		}
		entry, ok := connector.Entry(name)
		if ok && value.Key.Kind == wit.KindPassword {
			continue
		}
		if !ok {
			entry = expectedEntry(connector, name)
		}
		for _, message := range value.Errors {
			problems = append(problems, entry.Problem("%s", message))
		}
	}
	return problems
}

// expectedEntry returns an empty entry where a missing setting belongs: at its transform or group, else at the top.
func expectedEntry(c *resolved.Connector, name string) config.Entry {
	expected := config.Entry{Key: name, File: c.File, Line: 1}
	if prefix := resolved.StagePrefix(name); prefix != "" {
		if typed, ok := c.Entry(prefix + "type"); ok {
			expected.File = typed.File
			expected.Line = typed.Line
		}
		return expected
	}
	group := name[:strings.LastIndexByte(name, '.')+1]
	for _, entry := range c.Entries {
		// A group with a number is one of several, whose settings belong together.
		if strings.ContainsAny(group, "0123456789") && strings.HasPrefix(entry.Key, group) {
			expected.Line = entry.Line
			break
		}
	}
	return expected
}
