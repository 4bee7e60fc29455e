package config

import (
	"context"
	"slices"
	"strings"

	"github.com/culvert-project/culvert/sdk/go/setting"
	"github.com/culvert-project/culvert/wit"
)

// CheckStage checks a transformation or predicate. Unknown keys are warnings. Keys with a prefix of the plugin, and
// names that Kafka 4.0 removed, if fields that they exclude would pass, are errors unless unknown.settings=warn.
func (ch Checker) CheckStage(ctx context.Context, connector *Connector, prefix, class string,
	pluginSettings *Declarations) Problems {
	stageConfig := connector.StageConfig(prefix)
	accepted := Declare(pluginSettings.Keys()...)
	accepted.Prefixes = pluginSettings.Prefixes
	for name := range stageSettings {
		accepted.Declare(wit.ConfigKey{Name: name})
	}
	suggester := setting.Suggester{Table: accepted, Budget: maxGuesses}
	var problems Problems
	for _, entry := range stageConfig.Entries {
		if ctx.Err() != nil {
			break
		}
		if spec, ok := pluginSettings.Find(entry.Key); ok {
			// Kafka allows empty values of required settings here, for example ExtractField's field.
			spec.Rules = slices.DeleteFunc(slices.Clone(spec.Rules), func(r wit.Rule) bool { return r.Required != nil })
			valueProblems := ch.checkValue(entry, &spec, pluginSettings)
			if spec.Kind != wit.KindPassword && valueProblems.Err() == nil {
				valueProblems = nil // a value that a transform inserts may look like a reference
			}
			problems = append(problems, valueProblems...)
			continue
		}
		if newName := renamedSetting(class, entry.Key); newName != "" {
			problems = append(problems, ch.renamedProblem(connector, stageConfig, entry, newName))
			continue
		}
		problem := entry.codedProblem(setting.CodeUnknown, setting.Unknown(suggester.Nearest(entry.Key)))
		problem.Warning = true
		if pluginSettings.Prefix(entry.Key) != "" {
			problem = ch.applyUnknownSettings(connector, problem)
		}
		problems = append(problems, problem)
	}
	typeEntry, _ := connector.Entry(prefix + "type")
	for _, problem := range missingSettings(ctx, stageConfig, pluginSettings) {
		problem.File = typeEntry.File
		problem.Line = typeEntry.Line
		problems = append(problems, problem)
	}
	for i := range problems {
		problems[i].Setting = prefix + problems[i].Setting
	}
	if ctx.Err() != nil {
		problems = append(problems, connector.checkCanceled(ctx))
	}
	return problems
}

// renamedSetting returns the new name of a setting that Kafka ignores since 4.0, so that excluded fields would pass.
func renamedSetting(class, name string) string {
	if !strings.HasPrefix(class, "org.apache.kafka.connect.transforms.ReplaceField$") {
		return ""
	}
	return map[string]string{"blacklist": "exclude", "whitelist": "include"}[name]
}

// renamedProblem returns the problem of an entry whose setting has a new name, see [renamedSetting].
func (ch Checker) renamedProblem(connector, stageConfig *Connector, entry Entry, newName string) Problem {
	problem := entry.codedProblem(setting.CodeUnknown, "unknown setting; Kafka 4.0 removed this name")
	problem.Warning = true
	switch _, hasBoth := stageConfig.Entry(newName); {
	case hasBoth:
		problem.Text += "; " + newName + ", which is also set, is used"
	case len(List(entry.Value.Reveal())) == 0:
		problem.Text += "; it names no field"
	default:
		problem.Text += ", it is " + newName + " since 2.6, and without it all fields remain"
		problem = ch.applyUnknownSettings(connector, problem)
	}
	return problem
}

func stagePrefix(name string) string {
	for _, list := range []string{"transforms.", "predicates."} {
		if suffix, ok := strings.CutPrefix(name, list); ok {
			if alias, _, ok := strings.Cut(suffix, "."); ok {
				return list + alias + "."
			}
		}
	}
	return ""
}
