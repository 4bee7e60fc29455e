package connect

import (
	"slices"
	"strings"

	"github.com/culvert-project/culvert/internal/convert"
	"github.com/culvert-project/culvert/internal/plugin"
	"github.com/culvert-project/culvert/internal/resolved"
	"github.com/culvert-project/culvert/wit"
)

// Info is a connector's configuration, as REST shows it.
type Info struct {
	Name string `json:"name"`
	// Config has the values as written; references to config providers are not resolved.
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
	State       State  `json:"state"`
	WorkerID    string `json:"worker_id"`
	Trace       string `json:"trace,omitempty" quotes:"records"`
	Version     string `json:"version,omitempty"`
	Restarts    string `json:"restarts,omitempty"` // when a failed start is retried, in RFC 3339
	Plugin      string `json:"plugin,omitempty"`   // the plugin file of new tasks: a path, or embedded: and a name
	File        string `json:"file,omitempty"`
	ConfigError string `json:"config_error,omitempty"` // the problems of a rejected newer configuration
}

// TaskStatus is the state of a task.
type TaskStatus struct {
	ID       int    `json:"id"`
	State    State  `json:"state"`
	WorkerID string `json:"worker_id"`
	Trace    string `json:"trace,omitempty" quotes:"records"`
	Version  string `json:"version,omitempty"`
	Restarts string `json:"restarts,omitempty"` // when a failed task restarts by itself, in RFC 3339
	Plugin   string `json:"plugin,omitempty"`   // the plugin file in use: a path, or embedded: and a name, and its hash
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
	Class   string `json:"class"`
	Type    string `json:"type"` // source, sink, transformation, predicate, converter or header_converter
	Version string `json:"version,omitempty"`
}

// Plugins lists the classes that connectors can name, in Kafka Connect's order: sinks, sources and, unless
// connectorsOnly is set, transformations, predicates and converters.
func (h *Herder) Plugins(connectorsOnly bool) []Plugin {
	var plugins []Plugin
	kinds := []wit.ComponentKind{wit.ComponentSink, wit.ComponentSource}
	if !connectorsOnly {
		kinds = append(kinds, wit.ComponentTransformation, wit.ComponentPredicate)
	}
	for _, kind := range kinds {
		var ofKind []Plugin
		for _, info := range h.shared.Plugins.Modules() {
			for _, c := range info.Components {
				if c.Kind == kind {
					ofKind = append(ofKind, Plugin{Class: c.Name, Type: kind.String(), Version: info.Version})
				}
			}
		}
		slices.SortStableFunc(ofKind, func(a, b Plugin) int { return strings.Compare(a.Class, b.Class) })
		plugins = append(plugins, ofKind...)
	}
	if !connectorsOnly {
		for _, d := range convert.Declarations() {
			plugins = append(plugins, Plugin{Class: d.Class, Type: "converter", Version: h.shared.Version})
		}
		for _, class := range convert.HeaderClasses() {
			plugins = append(plugins, Plugin{Class: class, Type: "header_converter", Version: h.shared.Version})
		}
	}
	return plugins
}

// PluginUsers returns the connectors that use each plugin file, by its hash, for their class, transformations or
// predicates: those whose new tasks get it, and those with tasks on this worker that run it.
func (h *Herder) PluginUsers() map[string][]string {
	users := h.shared.Plugins.Users()
	for _, ctl := range h.allControllers() {
		connector := ctl.observe().config.Current()
		classes := []resolved.Class{connector.Class}
		for _, stage := range connector.Stages.All() {
			classes = append(classes, stage.Class)
		}
		for i := range classes {
			if classes[i].RunError() == nil {
				hash := classes[i].Module.Hash
				users[hash] = append(users[hash], ctl.name)
			}
		}
	}
	for hash, names := range users {
		slices.Sort(names)
		users[hash] = slices.Compact(names)
	}
	return users
}

func pluginFile(info plugin.Info) string {
	if info.Path == "" {
		return ""
	}
	return info.Path + " sha256:" + info.Hash
}
