package connect

import (
	"strings"

	"github.com/culvert-project/culvert/host/config"
	"github.com/culvert-project/culvert/sdk/go/setting"
	"github.com/culvert-project/culvert/wit"
)

// taskClass is the class of a connector's tasks, as classes of Kafka Connect are called: that of OData2SourceConnector
// is OData2SourceTask.
func taskClass(connector string) string { return strings.TrimSuffix(connector, "Connector") + "Task" }

// asWritten are the settings of a task as Kafka Connect shows them: what the plugin was given, and what it may not see,
// stands there as the user wrote it, references and all; what the plugin made of it as the plugin said.
func (c *connector) asWritten(given *config.Connector, planned []wit.Setting) map[string]string {
	settings := map[string]string{}
	for _, s := range planned {
		settings[s.Name] = s.Value
	}
	d := config.DeclareComponent(c.class.component)
	for _, e := range given.Entries {
		name := e.Key
		if spec, declared := d.Find(e.Key); declared {
			name = spec.Name
		}
		value, there := settings[name]
		if there && (value == setting.Trim(e.Value.Reveal()) || value == config.Mask ||
			e.Value.Secret() && value != "") {
			settings[name] = e.Raw
		}
	}
	for _, s := range planned { // what the plugin made of others
		if e, written := given.Entry(s.Name); !written || settings[s.Name] != e.Raw {
			settings[s.Name] = c.o.Worker.Strike(settings[s.Name])
		}
	}
	return settings
}
