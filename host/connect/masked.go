package connect

import (
	"strings"

	"github.com/culvert-project/culvert/host/config"
	"github.com/culvert-project/culvert/host/plugin"
	"github.com/culvert-project/culvert/wit"
)

// shown is what REST shows of the connector's settings: as they are written, references and all, or with passwords masked where the
// worker says so. Tools that compare configurations, such as Terraform's provider, want them as they are.
func (c *connector) shown(settings map[string]string) map[string]string {
	if masked, _ := config.Boolean(c.o.Worker.Text("rest.config.masked")); !masked {
		return settings
	}
	return config.Masked(settings, passwords(c.o.Plugins))
}

// passwords tells which settings are passwords, by whatever is loaded: the connector's class may be unknown.
func passwords(m *plugin.Manager) func(key string) bool {
	var declared []*config.Declarations
	if m != nil {
		declared = declarations(m, plugin.Info{})
	}
	return func(key string) bool {
		for _, prefix := range []string{"transforms.", "predicates."} {
			if rest, ok := strings.CutPrefix(key, prefix); ok {
				if _, setting, ok := strings.Cut(rest, "."); ok {
					key = setting
				}
			}
		}
		return config.IsPassword(key, declared...)
	}
}

// asWritten are the settings of a task as Kafka Connect shows them: what the plugin was given, and what it may not see, stands there as
// the user wrote it, references and all; what the plugin made of it as the plugin said.
func (c *connector) asWritten(given *config.Connector, planned []wit.Setting) map[string]string {
	settings := map[string]string{}
	for _, s := range planned {
		settings[s.Name] = s.Value
	}
	d := config.DeclareComponent(c.component)
	for _, e := range given.Entries {
		name := e.Key
		if spec, declared := d.Find(e.Key); declared {
			name = spec.Name
		}
		value, there := settings[name]
		if there && (value == strings.TrimSpace(e.Value) || value == config.Mask || e.Secret && value != "") {
			settings[name] = e.Raw
		}
	}
	return settings
}
