package config

import (
	"slices"
	"strings"

	"github.com/culvert-project/culvert/sdk/go/role"
	"github.com/culvert-project/culvert/sdk/go/setting"
	"github.com/culvert-project/culvert/wit"
)

// PluginView decides what a plugin may see of a connector's settings.
type PluginView struct {
	// Component are the declarations of its component, Others those of other components that are loaded.
	Component       *Declarations
	OtherComponents []*Declarations
	// BuiltIn: it comes with the program. Plugins of a folder don't get what `${file:…}` and `${dir:…}` lead to,
	// but for the settings that Reveal names (`plugin.NAME.reveal`), as the user writes them or as the plugin declares
	// them.
	BuiltIn bool
	Exposed []string
	// Prefix is in front of the settings of a transform or a predicate where the user writes them.
	Prefix string
}

// Settings are what the plugin is given: the settings that it declares, under their declared names and as the user
// wrote them, and the connector's name, class, topics and number of tasks. A value that it may not see is [Mask].
// Everything undeclared is left out (a misspelt password must not get in by its wrong name), and so is what the host
// alone uses, whatever the plugin declares.
func (g *PluginView) Settings(c *Connector) []wit.Setting {
	var settings []wit.Setting
	for _, e := range c.Entries {
		spec, ok := g.Component.Find(e.Key)
		switch {
		case hostAlone(e.Key):
		case ok:
			settings = append(settings, wit.Setting{Name: spec.Name, Value: g.shown(e)})
		case guestsKnow[e.Key]:
			settings = append(settings, wit.Setting{Name: e.Key, Value: g.shown(e)})
		}
	}
	return settings
}

// PlannedSettings are settings that a version of the plugin made of those of the connector, as another version may see
// them.
func (g *PluginView) PlannedSettings(c *Connector, planned []wit.Setting) []wit.Setting {
	settings := slices.Clone(planned)
	for i := range settings {
		s := &settings[i]
		e, given := c.Entry(s.Name)
		if !given {
			// An alias of the user's, or the plugin's own word.
			at := slices.IndexFunc(c.Entries, func(e Entry) bool {
				spec, ok := g.Component.Find(e.Key)
				return ok && spec.Name == s.Name
			})
			if at < 0 {
				continue
			}
			e = c.Entries[at]
		}
		if g.hides(e) {
			s.Value = Mask
		}
	}
	return settings
}

// shown is what the plugin sees of a value.
func (g *PluginView) shown(e Entry) string {
	value := setting.Trim(e.Value.Reveal())
	if value != "" && g.hides(e) {
		return Mask
	}
	return value
}

func (g *PluginView) hides(e Entry) bool {
	return isSecret(e.Key, append([]*Declarations{g.Component}, g.OtherComponents...)...) || g.withholds(e)
}

// withholds tells whether a value that is no secret by its name may be one by where it comes from.
func (g *PluginView) withholds(e Entry) bool {
	if g.BuiltIn || !e.Value.FromFile() {
		return false
	}
	spec, ok := g.Component.Find(e.Key)
	names := []string{g.Prefix + e.Key}
	if ok {
		names = append(names, g.Prefix+spec.Name)
	}
	for _, declared := range g.Component.Matching(e.Key) {
		names = append(names, g.Prefix+declared.Name)
	}
	return !slices.ContainsFunc(g.Exposed, func(name string) bool { return slices.Contains(names, name) })
}

// RedactedFromFiles are the keys whose values the plugin does not see for no other reason than that they come from a
// file.
func (g *PluginView) RedactedFromFiles(c *Connector) []string {
	var keys []string
	for _, e := range c.Entries {
		_, declared := g.Component.Find(e.Key)
		if declared && !hostAlone(e.Key) && g.withholds(e) && !isSecret(e.Key, append([]*Declarations{g.Component},
			g.OtherComponents...)...) {
			keys = append(keys, g.Prefix+e.Key)
		}
	}
	return keys
}

// isSecret tells whether a setting's value is a secret: one of the declarations says password, or gives it a role whose
// values are secrets; or none of them has it, unless by a template for any name, and it ends as names of secrets do.
func isSecret(key string, declared ...*Declarations) bool {
	found := false
	for _, d := range declared {
		for _, spec := range d.Matching(key) {
			found = found || !strings.HasSuffix(spec.Name, "{name}") // which stands for what nobody has thought of
			if spec.Kind == wit.KindPassword || slices.ContainsFunc(spec.Rules,
				func(r wit.Rule) bool { return r.Role != nil && role.IsSecret(*r.Role) }) {
				return true
			}
		}
	}
	return !found && slices.Contains(secretNames, strings.ToLower(key[strings.LastIndexByte(key, '.')+1:]))
}

// secretNames are what names of secrets end with.
var secretNames = []string{"password", "pwd", "secret"}

var guestsKnow = map[string]bool{"name": true, "connector.class": true, "tasks.max": true, "topics": true,
	"topics.regex": true}

// hostAlone tells whether only the host has any business with the key: settings of converters, Kafka clients and other
// stages.
func hostAlone(key string) bool {
	return hasPrefix(key, []string{"key.converter.", "value.converter.", "header.converter.", "producer.", "consumer.",
		"admin.", "transforms.", "predicates.", "errors.", "config.providers"})
}
