package connect

import (
	"maps"
	"slices"
	"strings"

	"github.com/culvert-project/culvert/host/config"
	"github.com/culvert-project/culvert/sdk/go/setting"
	"github.com/culvert-project/culvert/wit"
)

// Info is what a connector was asked to be, as REST shows it.
type Info struct {
	Name string `json:"name"`
	// Config is the configuration as it was written: references to config providers are not resolved.
	Config map[string]string `json:"config"`
	Tasks  []TaskID          `json:"tasks"`
	// Type is source, sink, or unknown where the class is.
	Type string `json:"type"`
}

// TaskID names a task by its connector and its number there, from 0, in the form of Kafka Connect's REST API.
type TaskID struct {
	Connector string `json:"connector"`
	Task      int    `json:"task"`
}

// Status is what a connector is doing, as REST shows it.
type Status struct {
	Name      string          `json:"name"`
	Connector ConnectorStatus `json:"connector"`
	Tasks     []TaskStatus    `json:"tasks"`
	Type      string          `json:"type"`
}

// ConnectorStatus is the state of the connector itself, apart from its tasks.
type ConnectorStatus struct {
	State    State  `json:"state"`
	WorkerID string `json:"worker_id"`
	Trace    string `json:"trace,omitempty"`
	Version  string `json:"version,omitempty"`
	// Restarts is when one that could not be started is started again by itself, in RFC 3339.
	Restarts string `json:"restarts,omitempty"`
	// Plugin is the file of the plugin that new tasks get: a path, or `embedded:` and a name.
	Plugin string `json:"plugin,omitempty"`
	// File is where its configuration stands.
	File string `json:"file,omitempty"`
	// ConfigError says why a newer configuration is not taken, with file and line; what ran before it goes on.
	ConfigError string `json:"config_error,omitempty"`
}

// TaskStatus is the state of a task.
type TaskStatus struct {
	ID       int    `json:"id"`
	State    State  `json:"state"`
	WorkerID string `json:"worker_id"`
	Trace    string `json:"trace,omitempty"`
	Version  string `json:"version,omitempty"`
	// Restarts is when a task that has failed goes on by itself, in RFC 3339.
	Restarts string `json:"restarts,omitempty"`
	// Plugin is the file that runs: a path, or `embedded:` and a name, and its hash.
	Plugin string `json:"plugin,omitempty"`
	// Plugins says what keeps newer versions of the task's plugins from running: one was rolled back, does not fit,
	// waits for the end of a page or for the user's word.
	Plugins []string `json:"plugins,omitempty"`
}

// TaskInfo is what a task was asked to do.
type TaskInfo struct {
	ID     TaskID            `json:"id"`
	Config map[string]string `json:"config"`
}

// Plugin is something that a connector can name by its class.
type Plugin struct {
	Class string `json:"class"`
	// Type is source, sink, transformation, predicate, converter or header_converter.
	Type    string `json:"type"`
	Version string `json:"version,omitempty"`
}

// taskClassKey is the setting of a task that names its class.
const taskClassKey = "task.class"

// taskClass is the class of a connector's tasks, as classes of Kafka Connect are called: that of OData2SourceConnector
// is OData2SourceTask.
func taskClass(connector string) string { return strings.TrimSuffix(connector, "Connector") + "Task" }

// asWritten returns the settings of a task as Kafka Connect shows them, with its class. Values that the plugin received
// unchanged, or may not see, are shown as the user wrote them, references included; values that the plugin set are
// shown as it returned them.
func (c *connector) asWritten(given *config.Connector, planned []wit.Setting) map[string]string {
	settings := map[string]string{}
	for _, s := range planned {
		settings[s.Name] = s.Value
	}
	for _, e := range given.Entries {
		name := e.Key
		if spec, declared := c.class.declared.Find(e.Key); declared {
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
			settings[s.Name] = c.o.Worker.Redact(settings[s.Name])
		}
	}
	settings[taskClassKey] = taskClass(c.class.component.Name)
	return settings
}

// asPlanned finds again what the plugin planned for a task from its settings as they were written, see asWritten: what
// stands there as in the connector's configuration is what the plugin sees of it now, shown, and all else is the
// plugin's own. So a reference stands for what it leads to on this worker at this time. What cannot be found again is a
// value that the plugin made of what a reference led to: under the reference's own name the plugin gets what that leads
// to, as in Kafka Connect (AbstractHerder.reverseTransform); under another name the secret was struck out. Settings are
// in the order of their names.
func asPlanned(d *config.Declarations, given *config.Connector, shown []wit.Setting,
	written map[string]string) (planned []wit.Setting) {
	sees := make(map[string]string, len(shown))
	for _, s := range shown {
		sees[s.Name] = s.Value
	}
	settings := maps.Clone(written)
	delete(settings, taskClassKey)
	for _, e := range given.Entries {
		name := e.Key
		if spec, declared := d.Find(e.Key); declared {
			name = spec.Name
		}
		if value, there := written[name]; there && value == e.Raw {
			settings[name] = setting.Trim(e.Value.Reveal())
			if value, seen := sees[name]; seen {
				settings[name] = value
			}
		}
	}
	for _, name := range slices.Sorted(maps.Keys(settings)) {
		planned = append(planned, wit.Setting{Name: name, Value: settings[name]})
	}
	return planned
}
