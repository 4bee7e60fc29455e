package config

import (
	"slices"
	"strings"

	"github.com/culvert-project/culvert/sdk/go/role"
	"github.com/culvert-project/culvert/sdk/go/setting"
	"github.com/culvert-project/culvert/wit"
)

// PluginView decides which of a connector's settings a plugin sees. Passwords are always redacted.
type PluginView struct {
	Component *Declarations
	Secrets   *Declarations // the names of secrets of other plugins
	// BuiltIn is true for plugins of the program itself. Others do not see values of `${file:…}` and `${dir:…}`, except
	// for settings in Exposed (`plugin.NAME.reveal`), named as the user writes or the plugin declares them.
	BuiltIn bool
	Exposed []string
	Prefix  string // Prefix precedes the keys of a transformation or predicate in Exposed.
}

// Settings returns the declared settings under their declared names, and name, class, topics and tasks.max, with [Mask]
// for redacted values. It omits the host's settings, and undeclared ones: one may be a misspelled password.
func (p *PluginView) Settings(connector *Connector) []wit.Setting {
	var settings []wit.Setting
	for _, entry := range connector.Entries {
		spec, ok := p.Component.Find(entry.Key)
		switch {
		case isHostSetting(entry.Key): // hidden
		case ok:
			settings = append(settings, wit.Setting{Name: spec.Name, Value: p.visible(entry)})
		case sharedSettings[entry.Key]:
			settings = append(settings, wit.Setting{Name: entry.Key, Value: p.visible(entry)})
		}
	}
	return settings
}

// PlannedSettings masks settings that a version of the plugin has planned for another version.
func (p *PluginView) PlannedSettings(connector *Connector, planned []wit.Setting) []wit.Setting {
	settings := slices.Clone(planned)
	for i := range settings {
		s := &settings[i]
		entry, isSet := connector.Entry(s.Name)
		if !isSet {
			index := slices.IndexFunc(connector.Entries, func(entry Entry) bool {
				spec, ok := p.Component.Find(entry.Key)
				return ok && spec.Name == s.Name
			})
			if index < 0 {
				continue
			}
			entry = connector.Entries[index]
		}
		if p.redacts(entry) {
			s.Value = Mask
		}
	}
	return settings
}

func (p *PluginView) visible(entry Entry) string {
	value := setting.Trim(entry.Value.Reveal())
	if value != "" && p.redacts(entry) {
		return Mask
	}
	return value
}

func (p *PluginView) redacts(entry Entry) bool {
	return isSecret(entry.Key, p.Component, p.Secrets) || p.redactsFile(entry)
}

func (p *PluginView) redactsFile(entry Entry) bool {
	if p.BuiltIn || !entry.Value.FromFile() {
		return false
	}
	spec, ok := p.Component.Find(entry.Key)
	names := []string{p.Prefix + entry.Key}
	if ok {
		names = append(names, p.Prefix+spec.Name)
	}
	for _, declared := range p.Component.Matching(entry.Key) {
		names = append(names, p.Prefix+declared.Name)
	}
	return !slices.ContainsFunc(p.Exposed, func(name string) bool { return slices.Contains(names, name) })
}

// RedactedFromFiles returns the keys that the plugin does not see only because their values come from a file.
func (p *PluginView) RedactedFromFiles(connector *Connector) []string {
	var keys []string
	for _, entry := range connector.Entries {
		_, declared := p.Component.Find(entry.Key)
		if declared && !isHostSetting(entry.Key) && p.redactsFile(entry) &&
			!isSecret(entry.Key, p.Component, p.Secrets) {
			keys = append(keys, p.Prefix+entry.Key)
		}
	}
	return keys
}

// isSecret decides by kind or role, or, if only a template for any name matches, by the end of the key.
func isSecret(key string, declared ...*Declarations) bool {
	isDeclared := false
	for _, declarations := range declared {
		if declarations == nil {
			continue
		}
		for _, spec := range declarations.Matching(key) {
			isDeclared = isDeclared || !strings.HasSuffix(spec.Name, "{name}") // a template for any other name
			if spec.Kind == wit.KindPassword || slices.ContainsFunc(spec.Rules,
				func(r wit.Rule) bool { return r.Role != nil && role.IsSecret(*r.Role) }) {
				return true
			}
		}
	}
	return !isDeclared && slices.Contains(secretNames, strings.ToLower(key[strings.LastIndexByte(key, '.')+1:]))
}

var secretNames = []string{"password", "pwd", "secret"}

var sharedSettings = map[string]bool{"name": true, "connector.class": true, "tasks.max": true, "topics": true,
	"topics.regex": true}

func isHostSetting(key string) bool {
	return hasPrefix(key, []string{"key.converter.", "value.converter.", "header.converter.", "producer.", "consumer.",
		"admin.", "transforms.", "predicates.", "errors.", "config.providers"})
}
