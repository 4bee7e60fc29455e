package connect

import (
	"maps"
	"slices"
	"strings"

	"github.com/culvert-project/culvert/internal/components"
	"github.com/culvert-project/culvert/internal/config"
	"github.com/culvert-project/culvert/internal/plugin"
	"github.com/culvert-project/culvert/sdk/go/setting"
	"github.com/culvert-project/culvert/wit"
)

// pluginSettings returns the settings that the current version of the plugin may see. A source also sees whether its
// records are written in transactions, because it may have to choose between failing and repeating rows.
func (c *connectorRun) pluginSettings(info plugin.Info) []wit.Setting {
	guest := components.Guest(c.options.Plugins, info, c.class.component)
	c.warnWithheld(info, &guest, c.config)
	settings := guest.Settings(c.config)
	if c.isExactlyOnce() {
		settings = append(settings, wit.Setting{Name: config.ExactlyOnceSetting, Value: "enabled"})
	}
	return settings
}

func (t *task) visibleSettings(info plugin.Info) []wit.Setting {
	c := t.run
	g := components.Guest(c.options.Plugins, info, c.class.component)
	c.warnWithheld(info, &g, c.config)
	return g.PlannedSettings(c.config, t.settings)
}

func (c *connectorRun) warnWithheld(info plugin.Info, g *config.PluginView, settings *config.Connector) {
	withheld := g.RedactedFromFiles(settings)
	if len(withheld) == 0 {
		return
	}
	c.controller.mu.Lock()
	defer c.controller.mu.Unlock()
	key := info.Hash + strings.Join(withheld, ",")
	if c.warnedSettings[key] {
		return
	}
	if c.warnedSettings == nil {
		c.warnedSettings = map[string]bool{}
	}
	c.warnedSettings[key] = true
	c.log.Warn("values from files are not shown to a plugin of a folder: where they are no secrets, the setting "+
		"reveal in the worker's settings lets it see them",
		"plugin", info.Name, "version", info.Version, "file", info.Path, "settings", withheld, "reveal",
		"plugin."+info.Name+".reveal")
}

const taskClassKey = "task.class"

// taskClass returns, for example, OData2SourceTask for OData2SourceConnector.
func taskClass(connector string) string { return strings.TrimSuffix(connector, "Connector") + "Task" }

// unresolvedTaskConfig returns a task config as Kafka Connect shows it. Values that the plugin did not change, or may
// not see, are shown as written, with references; values that the plugin set are shown as it returned them.
func (c *connectorRun) unresolvedTaskConfig(given *config.Connector, planned []wit.Setting) map[string]string {
	settings := map[string]string{}
	for _, s := range planned {
		settings[s.Name] = s.Value
	}
	for _, e := range given.Entries {
		name := e.Key
		if spec, declared := c.class.declarations.Find(e.Key); declared {
			name = spec.Name
		}
		value, exists := settings[name]
		if exists && (value == setting.Trim(e.Value.Reveal()) || value == config.Mask ||
			e.Value.IsSecret() && value != "") {
			settings[name] = e.Raw
		}
	}
	for _, s := range planned { // values set by the plugin
		if e, written := given.Entry(s.Name); !written || settings[s.Name] != e.Raw {
			settings[s.Name] = c.options.Worker.Redact(settings[s.Name])
		}
	}
	settings[taskClassKey] = taskClass(c.class.component.Name)
	return settings
}

// resolveTaskConfig reverses unresolvedTaskConfig: values as written in the connector's config become what the plugin
// sees now, and other values are the plugin's own. A value that the plugin derived from a reference cannot be restored:
// under the same name the plugin gets the resolved reference, as in Kafka Connect (AbstractHerder.reverseTransform);
// under another name the secret was redacted. The result is sorted by name.
func resolveTaskConfig(d *config.Declarations, given *config.Connector, visible []wit.Setting,
	unresolved map[string]string) (planned []wit.Setting) {
	visibleValues := make(map[string]string, len(visible))
	for _, s := range visible {
		visibleValues[s.Name] = s.Value
	}
	settings := maps.Clone(unresolved)
	delete(settings, taskClassKey)
	for _, e := range given.Entries {
		name := e.Key
		if spec, declared := d.Find(e.Key); declared {
			name = spec.Name
		}
		if value, exists := unresolved[name]; exists && value == e.Raw {
			settings[name] = setting.Trim(e.Value.Reveal())
			if value, seen := visibleValues[name]; seen {
				settings[name] = value
			}
		}
	}
	for _, name := range slices.Sorted(maps.Keys(settings)) {
		planned = append(planned, wit.Setting{Name: name, Value: settings[name]})
	}
	return planned
}
