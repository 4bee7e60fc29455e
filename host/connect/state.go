package connect

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
