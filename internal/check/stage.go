package check

import (
	"context"
	"slices"
	"strings"

	"github.com/culvert-project/culvert/internal/config"
	"github.com/culvert-project/culvert/internal/resolved"
	"github.com/culvert-project/culvert/sdk/go/setting"
	"github.com/culvert-project/culvert/wit"
)

// checkStage checks a transform or predicate. An unknown key is a warning. It is an error, unless
// unknown.settings=warn, if it has a prefix of the plugin, or if all fields pass without it, see [renamedSetting].
func (c *settingsCheck) checkStage(ctx context.Context, stage *resolved.Stage) config.Problems {
	stageConfig := c.StageConfig(stage)
	pluginSettings := stage.Class.Component.Table()
	accepted := config.Declare(pluginSettings.Keys()...)
	accepted.Prefixes = pluginSettings.Prefixes
	for _, name := range resolved.StageSettings {
		accepted.Declare(wit.ConfigKey{Name: name})
	}
	suggester := setting.Suggester{Table: accepted, Budget: maxGuesses}
	var problems config.Problems
	for _, entry := range stageConfig.Entries {
		if ctx.Err() != nil {
			break
		}
		if spec, ok := pluginSettings.Find(entry.Key); ok {
			// Kafka allows empty values of required settings here, for example ExtractField's field.
			spec.Rules = slices.DeleteFunc(slices.Clone(spec.Rules), func(r wit.Rule) bool { return r.Required != nil })
			valueProblems := c.checkValue(entry, &spec, pluginSettings)
			if spec.Kind != wit.KindPassword && valueProblems.Err() == nil {
				valueProblems = nil // they are about references, which text that a transform inserts may resemble
			}
			problems = append(problems, valueProblems...)
			continue
		}
		if newName := renamedSetting(stage.Class.Component.Name, entry.Key); newName != "" {
			problems = append(problems, c.renamedProblem(stageConfig, entry, newName))
			continue
		}
		p := entry.CodedProblem(setting.CodeUnknown, setting.Unknown(suggester.Nearest(entry.Key)))
		p.Warning = true
		if pluginSettings.Prefix(entry.Key) != "" {
			p = c.applyUnknownSettings(p)
		}
		problems = append(problems, p)
	}
	typeEntry, _ := c.Entry(stage.Prefix + "type")
	for _, p := range missingSettings(ctx, stageConfig, pluginSettings) {
		p.File = typeEntry.File
		p.Line = typeEntry.Line
		problems = append(problems, p)
	}
	for i := range problems {
		problems[i].Setting = stage.Prefix + problems[i].Setting
	}
	if ctx.Err() != nil {
		problems = append(problems, c.canceled(ctx))
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
func (c *settingsCheck) renamedProblem(stageConfig *config.Connector, entry config.Entry,
	newName string) config.Problem {
	p := entry.CodedProblem(setting.CodeUnknown, "unknown setting; Kafka 4.0 removed this name")
	p.Warning = true
	switch _, hasBoth := stageConfig.Entry(newName); {
	case hasBoth:
		p.Text += "; " + newName + ", which is also set, is used"
	case len(config.List(entry.Value.Reveal())) == 0:
		p.Text += "; it names no field"
	default:
		p.Text += ", it is " + newName + " since 2.6, and without it all fields remain"
		p = c.applyUnknownSettings(p)
	}
	return p
}
