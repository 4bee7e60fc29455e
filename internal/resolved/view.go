package resolved

import (
	"slices"
	"strings"

	"github.com/culvert-project/culvert/internal/config"
	"github.com/culvert-project/culvert/internal/plugin"
	"github.com/culvert-project/culvert/sdk/go/setting"
	"github.com/culvert-project/culvert/wit"
)

// View is what a version of a plugin sees of a connector's settings, or of the settings of a transform or predicate:
// all but those that a plugin declares as passwords. For a built-in plugin only declarations of built-in plugins count,
// so that no plugin file can hide a setting from it.
type View struct {
	config    *config.Connector
	component *setting.Table // of the version
	secrets   *setting.Table // the names of secrets of all plugins that count
	// isBuiltIn is true for plugins of the program itself. Others do not see values of `${file:…}` and `${dir:…}`,
	// except for settings in exposed (`plugin.NAME.reveal`), named as the user writes or the plugin declares them.
	isBuiltIn bool
	exposed   []string
	prefix    string // precedes the keys of a transform or predicate in exposed
}

// View returns what a version of the connector's plugin sees.
func (c *Connector) View(module plugin.Info) View { return c.viewOf(&c.Class, module) }

// StageView returns what a version of the plugin of a transform or predicate sees.
func (c *Connector) StageView(stage *Stage, module plugin.Info) View {
	view := c.viewOf(&stage.Class, module)
	view.config = c.StageConfig(stage)
	view.prefix = stage.Prefix
	return view
}

func (c *Connector) viewOf(class *Class, module plugin.Info) View {
	view := View{config: c.Connector, component: class.Component.Table(), isBuiltIn: module.BuiltIn}
	if version := component(&module, class.Component.Kind, class.Component.Name); version != nil {
		view.component = version.Table()
	}
	if c.Plugins != nil {
		view.secrets = c.Plugins.SecretNames(module.BuiltIn)
		view.exposed = c.Plugins.Revealed(module.Name)
	}
	return view
}

// Settings returns the declared settings under their declared names, and name, class, topics and tasks.max, with
// [config.Mask] for redacted values. It omits the host's settings, and undeclared ones: one may be a misspelled
// password.
func (v *View) Settings() []wit.Setting {
	var settings []wit.Setting
	for _, entry := range v.config.Entries {
		spec, ok := v.component.Find(entry.Key)
		switch {
		case isHostSetting(entry.Key): // hidden
		case ok:
			settings = append(settings, wit.Setting{Name: spec.Name, Value: v.visible(entry)})
		case sharedSettings[entry.Key]:
			settings = append(settings, wit.Setting{Name: entry.Key, Value: v.visible(entry)})
		}
	}
	return settings
}

// PlannedSettings masks settings that a version of the plugin has planned for another version.
func (v *View) PlannedSettings(planned []wit.Setting) []wit.Setting {
	settings := slices.Clone(planned)
	for i := range settings {
		s := &settings[i]
		entry, isSet := v.config.Entry(s.Name)
		if !isSet {
			index := slices.IndexFunc(v.config.Entries, func(entry config.Entry) bool {
				spec, ok := v.component.Find(entry.Key)
				return ok && spec.Name == s.Name
			})
			if index < 0 {
				continue
			}
			entry = v.config.Entries[index]
		}
		if v.redacts(entry) {
			s.Value = config.Mask
		}
	}
	return settings
}

func (v *View) visible(entry config.Entry) string {
	value := setting.Trim(entry.Value.Reveal())
	if value != "" && v.redacts(entry) {
		return config.Mask
	}
	return value
}

func (v *View) redacts(entry config.Entry) bool {
	return config.IsSecret(entry.Key, v.component, v.secrets) || v.redactsFile(entry)
}

func (v *View) redactsFile(entry config.Entry) bool {
	if v.isBuiltIn || !entry.Value.FromFile() {
		return false
	}
	spec, ok := v.component.Find(entry.Key)
	names := []string{v.prefix + entry.Key}
	if ok {
		names = append(names, v.prefix+spec.Name)
	}
	for _, declared := range v.component.Matching(entry.Key) {
		names = append(names, v.prefix+declared.Name)
	}
	return !slices.ContainsFunc(v.exposed, func(name string) bool { return slices.Contains(names, name) })
}

// RedactedFromFiles returns the keys that the plugin does not see only because their values come from a file.
func (v *View) RedactedFromFiles() []string {
	var keys []string
	for _, entry := range v.config.Entries {
		_, declared := v.component.Find(entry.Key)
		if declared && !isHostSetting(entry.Key) && v.redactsFile(entry) &&
			!config.IsSecret(entry.Key, v.component, v.secrets) {
			keys = append(keys, v.prefix+entry.Key)
		}
	}
	return keys
}

var sharedSettings = map[string]bool{"name": true, "connector.class": true, "tasks.max": true, "topics": true,
	"topics.regex": true}

func isHostSetting(key string) bool {
	return config.HasPrefix(key, []string{"key.converter.", "value.converter.", "header.converter.", "producer.", "consumer.",
		"admin.", "transforms.", "predicates.", "errors.", "config.providers"})
}

// Passwords returns a function that reports whether any component declares a setting as a password. plugins may be nil.
func Passwords(plugins *plugin.Manager) func(key string) bool {
	var secrets *setting.Table
	if plugins != nil {
		const builtInOnly = false
		secrets = plugins.SecretNames(builtInOnly)
	}
	return func(key string) bool {
		return config.IsPassword(strings.TrimPrefix(key, StagePrefix(key)), secrets)
	}
}
