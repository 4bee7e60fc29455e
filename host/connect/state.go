package connect

import (
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
