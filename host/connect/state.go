package connect

import (
	"maps"
	"slices"
	"strings"

	"github.com/culvert-project/culvert/host/config"
	"github.com/culvert-project/culvert/sdk/go/setting"
	"github.com/culvert-project/culvert/wit"
)

// Info is a connector's configuration, as REST shows it.
type Info struct {
	Name string `json:"name"`
	// Config is as written; references to config providers are not resolved.
	Config map[string]string `json:"config"`
	Tasks  []TaskID          `json:"tasks"`
	Type   string            `json:"type"`
}

// TaskID identifies a task, in the form of Kafka Connect's REST API.
type TaskID struct {
	Connector string `json:"connector"`
	Task      int    `json:"task"`
}

// Status is the state of a connector and its tasks, as REST shows it.
type Status struct {
	Name      string          `json:"name"`
	Connector ConnectorStatus `json:"connector"`
	Tasks     []TaskStatus    `json:"tasks"`
	Type      string          `json:"type"`
}

// ConnectorStatus is the state of the connector itself.
type ConnectorStatus struct {
	State    State  `json:"state"`
	WorkerID string `json:"worker_id"`
	Trace    string `json:"trace,omitempty"`
	Version  string `json:"version,omitempty"`
	// Restarts is when a failed start is retried, in RFC 3339.
	Restarts string `json:"restarts,omitempty"`
	// Plugin is the plugin file of new tasks: a path, or embedded: and a name.
	Plugin string `json:"plugin,omitempty"`
	File   string `json:"file,omitempty"`
	// ConfigError are the problems of a rejected newer configuration.
	ConfigError string `json:"config_error,omitempty"`
}

// TaskStatus is the state of a task.
type TaskStatus struct {
	ID       int    `json:"id"`
	State    State  `json:"state"`
	WorkerID string `json:"worker_id"`
	Trace    string `json:"trace,omitempty"`
	Version  string `json:"version,omitempty"`
	// Restarts is when a failed task restarts by itself, in RFC 3339.
	Restarts string `json:"restarts,omitempty"`
	// Plugin is the plugin file in use: a path, or embedded: and a name, and its hash.
	Plugin string `json:"plugin,omitempty"`
	// Plugins explains why newer plugin versions are not in use.
	Plugins []string `json:"plugins,omitempty"`
}

// TaskInfo is the config of a task.
type TaskInfo struct {
	ID     TaskID            `json:"id"`
	Config map[string]string `json:"config"`
}

// Plugin is a class that connectors can name.
type Plugin struct {
	Class string `json:"class"`
	// Type is source, sink, transformation, predicate, converter or header_converter.
	Type    string `json:"type"`
	Version string `json:"version,omitempty"`
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
			e.Value.Secret() && value != "") {
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
