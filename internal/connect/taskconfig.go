package connect

import (
	"maps"
	"slices"
	"strings"

	"github.com/culvert-project/culvert/internal/config"
	"github.com/culvert-project/culvert/internal/plugin"
	"github.com/culvert-project/culvert/internal/resolved"
	"github.com/culvert-project/culvert/sdk/go/setting"
	"github.com/culvert-project/culvert/wit"
)

// pluginSettings returns the settings that the current version of the plugin may see. A source also sees whether its
// records are written in transactions, because it may have to choose between failing and repeating rows.
func (run *connectorRun) pluginSettings(info plugin.Info) []wit.Setting {
	pluginView := run.config.View(info)
	run.warnWithheld(info, &pluginView)
	settings := pluginView.Settings()
	if run.isExactlyOnce() {
		settings = append(settings, wit.Setting{Name: config.ExactlyOnceSetting, Value: "enabled"})
	}
	return settings
}

// visibleSettings returns the settings of the task that the current version of the plugin may see.
func (t *task) visibleSettings(info plugin.Info) []wit.Setting {
	run := t.run
	pluginView := run.config.View(info)
	run.warnWithheld(info, &pluginView)
	return pluginView.PlannedSettings(t.settings)
}

// warnWithheld logs once for each version of the plugin which settings it does not see, because they come from files.
func (run *connectorRun) warnWithheld(info plugin.Info, pluginView *resolved.View) {
	names := pluginView.RedactedFromFiles()
	if len(names) == 0 {
		return
	}
	run.controller.mu.Lock()
	defer run.controller.mu.Unlock()
	key := info.Hash + strings.Join(names, ",")
	if run.warnedSettings[key] {
		return
	}
	if run.warnedSettings == nil {
		run.warnedSettings = map[string]bool{}
	}
	run.warnedSettings[key] = true
	run.log.Warn("the plugin does not see values that come from files, because it was loaded from a folder: "+
		"if they are not secrets, set plugin.NAME.reveal in the worker's file",
		"plugin", info.Name, "version", info.Version, "file", info.Path, "settings", names,
		"reveal", "plugin."+info.Name+".reveal")
}

const taskClassKey = "task.class"

// unresolvedTaskConfig returns a task config as Kafka Connect shows it. Values that the plugin did not change, or may
// not see, are shown as written, with references; values that the plugin set are shown as it returned them.
func (run *connectorRun) unresolvedTaskConfig(connector *resolved.Connector, planned []wit.Setting) map[string]string {
	settings := map[string]string{}
	for _, s := range planned {
		settings[s.Name] = s.Value
	}
	for e, declared := range connector.All() {
		name := e.Key
		if declared != nil {
			name = declared.Name
		}
		value, ok := settings[name]
		isHidden := value == config.Mask || (e.Value.IsSecret() && value != "")
		if ok && (isHidden || value == setting.Trim(e.Value.Reveal())) {
			settings[name] = e.Raw
		}
	}
	for _, s := range planned {
		if e, ok := connector.Entry(s.Name); !ok || settings[s.Name] != e.Raw { // the plugin has set it
			settings[s.Name] = run.options.Worker.Redact(settings[s.Name])
		}
	}
	// For example OData2SourceTask for OData2SourceConnector.
	settings[taskClassKey] = strings.TrimSuffix(run.component().Name, "Connector") + "Task"
	return settings
}

// resolveTaskConfig reverses unresolvedTaskConfig: values as written in the connector's config are replaced by the
// values that the plugin sees now, and other values are the plugin's own. A value that the plugin derived from a
// reference cannot be restored: under the same name the plugin gets the resolved reference, as in Kafka Connect
// (AbstractHerder.reverseTransform); under another name the secret was redacted. The result is sorted by name.
func resolveTaskConfig(connector *resolved.Connector, visible []wit.Setting,
	unresolved map[string]string) (planned []wit.Setting) {
	visibleValues := make(map[string]string, len(visible))
	for _, s := range visible {
		visibleValues[s.Name] = s.Value
	}
	settings := maps.Clone(unresolved)
	delete(settings, taskClassKey)
	for e, declared := range connector.All() {
		name := e.Key
		if declared != nil {
			name = declared.Name
		}
		if value, ok := unresolved[name]; ok && value == e.Raw {
			settings[name] = setting.Trim(e.Value.Reveal())
			if value, ok := visibleValues[name]; ok {
				settings[name] = value
			}
		}
	}
	for _, name := range slices.Sorted(maps.Keys(settings)) {
		planned = append(planned, wit.Setting{Name: name, Value: settings[name]})
	}
	return planned
}
