package connect

import (
	"strings"

	"github.com/culvert-project/culvert/host/check"
	"github.com/culvert-project/culvert/host/config"
	"github.com/culvert-project/culvert/wit"
)

// shown is what REST shows of the connector's settings: as they are written, references and all, or with passwords
// masked where the worker says so. Tools that compare configurations, such as Terraform's provider, want them as they
// are.
func (c *connector) shown(settings map[string]string) map[string]string {
	if masked, _ := config.Boolean(c.o.Worker.Text("rest.config.masked")); !masked {
		return settings
	}
	return config.Masked(settings, check.Passwords(c.o.Plugins))
}

// asWritten are the settings of a task as Kafka Connect shows them: what the plugin was given, and what it may not see,
// stands there as the user wrote it, references and all; what the plugin made of it as the plugin said.
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
