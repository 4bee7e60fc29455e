package config

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/culvert-project/culvert/sdk/go/role"
	"github.com/culvert-project/culvert/sdk/go/setting"
	"github.com/culvert-project/culvert/wit"
)

// Checker finds the problems of connectors' settings: unknown keys, missing or invalid values, and rules of Kafka
// Connect between settings. It calls no plugin.
type Checker struct {
	Worker   *Worker
	Embedded bool          // true if the broker is the built-in one
	Secrets  *Declarations // the names of settings that are secrets by other declarations. Nil means none.
}

// maxGuesses bounds the comparisons for similar names: some hundred times what built-in plugins need.
const maxGuesses = 100_000_000

// nestedPrefixes are the prefixes of settings that converters, topics and Kafka clients read. [Connector.stagePrefixes]
// returns the prefixes of transformations and predicates.
var nestedPrefixes = []string{"key.converter.", "value.converter.", "header.converter.", "topic.creation.",
	"producer.override.", "consumer.override.", "admin.override."}

// CheckComponent checks settings by declarations. Unknown keys with a prefix of the component, or similar to a known
// key with one, are errors unless unknown.settings=warn, because a misspelled filter would export the whole table
// (RATIONALE.md P6); others are warnings. If the context ends, that is a problem, too.
func (ch Checker) CheckComponent(ctx context.Context, connector *Connector, kind wit.ComponentKind,
	pluginSettings *Declarations) Problems {
	connectSettings := Declare(CommonSettings(kind)...)
	suggester := sync.OnceValue(func() *setting.Suggester {
		both := Declare(slices.Concat(pluginSettings.Keys(), connectSettings.Keys())...)
		both.Prefixes = pluginSettings.Prefixes
		return &setting.Suggester{Table: both, Number: pluginSettings.NumberIn(keys(connector.Entries)),
			Budget: maxGuesses}
	})
	nested := slices.Concat(nestedPrefixes, connector.stagePrefixes())
	var problems Problems
	for _, entry := range connector.Entries {
		if ctx.Err() != nil {
			return append(problems, connector.checkCanceled(ctx))
		}
		problems = append(problems,
			ch.checkSetting(connector, entry, nested, pluginSettings, connectSettings, suggester)...)
	}
	for _, rule := range []func() Problems{
		func() Problems { return missingSettings(ctx, connector, connectSettings) },
		func() Problems { return missingSettings(ctx, connector, pluginSettings) },
		func() Problems { return checkAddress(connector, pluginSettings) },
		func() Problems { return ignoredDefaults(ctx, connector, pluginSettings) },
		func() Problems { return checkCommonRules(connector, kind) },
	} {
		if ctx.Err() != nil {
			return append(problems, connector.checkCanceled(ctx))
		}
		problems = append(problems, rule()...)
	}
	return problems
}

func (c *Connector) checkCanceled(ctx context.Context) Problem {
	return Problem{File: c.File, Line: 1, Text: fmt.Sprintf("the check was canceled: %v", context.Cause(ctx))}
}

// checkSetting checks one setting. nested are the prefixes of settings that the component does not read itself.
func (ch Checker) checkSetting(connector *Connector, entry Entry, nested []string,
	pluginSettings, connectSettings *Declarations, suggester func() *setting.Suggester) Problems {
	if message := exactlyOnceUnavailable(entry, ch.Worker, ch.Embedded); message != "" {
		return Problems{entry.codedProblem(setting.CodeInvalid, message)}
	}
	spec, ok := pluginSettings.Find(entry.Key)
	if !ok {
		spec, ok = connectSettings.Find(entry.Key)
	}
	switch {
	case ok:
		return ch.checkValue(entry, &spec, pluginSettings)
	case pluginSettings.Prefix(entry.Key) == "" && hasPrefix(entry.Key, nested):
		return checkClientSetting(entry, ch.providers())
	}
	return Problems{ch.unknownProblem(connector, entry, pluginSettings, suggester())}
}

func keys(entries []Entry) []string {
	keys := make([]string, len(entries))
	for i, entry := range entries {
		keys[i] = entry.Key
	}
	return keys
}

// applyUnknownSettings turns the problem of an unknown setting into a warning or an error, as unknown.settings of the
// connector, or else of the worker, specifies.
func (ch Checker) applyUnknownSettings(connector *Connector, p Problem) Problem {
	value := connector.Text("unknown.settings")
	if value == "" && ch.Worker != nil {
		value = ch.Worker.Text("unknown.settings")
	}
	p.Warning = strings.EqualFold(value, "warn")
	if !p.Warning {
		p.Text += "; with unknown.settings=warn this is a warning"
	}
	return p
}

func (ch Checker) providers() *Providers {
	if ch.Worker == nil {
		return nil
	}
	return ch.Worker.Providers
}

// unknownProblem returns the problem of an undeclared key: an error if the key has the component's prefix, or a similar
// known key has it.
func (ch Checker) unknownProblem(connector *Connector, entry Entry, pluginSettings *Declarations,
	suggester *setting.Suggester) Problem {
	near := suggester.Nearest(entry.Key)
	if pluginSettings.Prefix(entry.Key) != "" || (pluginSettings.Prefix(near) != "" && !isForeign(entry.Key)) {
		return ch.applyUnknownSettings(connector, entry.codedProblem(setting.CodeUnknown, setting.Unknown(near)))
	}
	for _, list := range []string{"transforms", "predicates"} {
		if suffix, ok := strings.CutPrefix(entry.Key, list+"."); ok {
			alias, _, _ := strings.Cut(suffix, ".")
			return entry.warning("has no effect: %s does not name %s", list, alias)
		}
	}
	if _, ok := common.Find(entry.Key); ok && hasSpec(sinkSettings, entry.Key) {
		return entry.warning("has no effect: a setting of sinks")
	} else if ok {
		return entry.warning("has no effect: a setting of sources")
	}
	if entry.Key == InitialStateKey {
		return entry.warning("has no effect in a configuration: expected in the connector's file, or next to config " +
			"in POST /connectors")
	}
	if hasSpec(workerSettings, entry.Key) {
		return entry.warning("has no effect: a setting of the worker, which belongs in the worker's file")
	}
	p := entry.codedProblem(setting.CodeUnknown, setting.Unknown(near))
	p.Warning = true
	return p
}

// isForeign reports whether a key belongs to Kafka Connect or to a transformation or predicate, not to the component.
func isForeign(key string) bool { return isConnectorSetting(key) || hasSpec(workerSettings, key) }

func hasSpec(specs []wit.ConfigKey, key string) bool {
	return slices.ContainsFunc(specs, func(s wit.ConfigKey) bool { return s.Name == key })
}

func checkClientSetting(entry Entry, providers *Providers) Problems {
	for _, prefix := range []string{"producer.override.", "consumer.override.", "admin.override."} {
		name, ok := strings.CutPrefix(entry.Key, prefix)
		if !ok {
			continue
		}
		if i := slices.IndexFunc(workerSettings, func(s wit.ConfigKey) bool { return s.Name == name }); i >= 0 {
			return checkLiteral(entry, &workerSettings[i], providers)
		}
	}
	if providers.HasUnknownProvider(entry) && IsPassword(entry.Key) && hasPrefix(entry.Key,
		[]string{"key.converter.", "value.converter."}) {
		return Problems{providers.UnknownProvider(entry, true)}
	}
	return nil
}

func (ch Checker) checkValue(entry Entry, spec *wit.ConfigKey, pluginSettings *Declarations) Problems {
	if entry.unresolved() {
		return nil
	}
	secret := isSecret(entry.Key, pluginSettings, ch.Secrets)
	if name := spec.Role(); secret && name != "" {
		if r, ok := role.Find(name); ok && r.Kind != role.Secret && r.Kind != role.StringOrSecret {
			return Problems{entry.problem(
				"is a secret, but the plugin declares it as %s, whose values are shown: it is not used", name)}
		}
	}
	named := *spec
	named.Name = entry.Key // which may be an alias
	if message := CheckValue(&named, entry.Value.Reveal(), !entry.Value.IsSecret() && !secret); message != "" {
		return invalidValue(entry, message, ch.providers())
	}
	return checkLiteral(entry, spec, ch.providers())
}

// ValidationProblems converts the result of a plugin's validate, each problem at the line of its setting. Settings with
// an error in reported are omitted; a plugin cannot judge a password, which it does not see.
func ValidationProblems(connector *Connector, prefix string, validated []wit.ConfigValue, reported Problems) Problems {
	var problems Problems
	for _, value := range validated {
		// Most values have none, and the search below is slow.
		if len(value.Errors) == 0 {
			continue
		}
		name := prefix + value.Key.Name
		if slices.ContainsFunc(reported, func(p Problem) bool { return p.Setting == name && !p.Warning }) {
			continue
		}
		entry, ok := connector.Entry(name)
		if ok && value.Key.Kind == wit.KindPassword {
			continue
		}
		if !ok {
			entry = connector.ExpectedEntry(name)
		}
		for _, message := range value.Errors {
			problems = append(problems, entry.problem("%s", message))
		}
	}
	return problems
}

// ExpectedEntry returns an empty entry where a missing setting belongs: at its transform or group, else at the top.
func (c *Connector) ExpectedEntry(name string) Entry {
	expected := Entry{Key: name, File: c.File, Line: 1}
	if prefix := stagePrefix(name); prefix != "" {
		if typed, ok := c.Entry(prefix + "type"); ok {
			expected.File = typed.File
			expected.Line = typed.Line
		}
		return expected
	}
	group := name[:strings.LastIndexByte(name, '.')+1]
	for _, entry := range c.Entries {
		if strings.ContainsAny(group, "0123456789") && strings.HasPrefix(entry.Key, group) {
			expected.Line = entry.Line
			break
		}
	}
	return expected
}
