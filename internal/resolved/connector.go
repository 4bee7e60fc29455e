package resolved

import (
	"cmp"
	"iter"
	"slices"
	"sync"

	"github.com/culvert-project/culvert/internal/config"
	"github.com/culvert-project/culvert/internal/plugin"
	"github.com/culvert-project/culvert/sdk/go/setting"
	"github.com/culvert-project/culvert/wit"
)

// Settings of a connector that select its plugin.
const (
	ClassSetting   = "connector.class"
	VersionSetting = "connector.plugin.version"
)

// Resolver resolves configurations with a worker's defaults and its plugins. Both may be nil: then no class is known.
type Resolver struct {
	Worker  *config.Worker
	Plugins *plugin.Manager
}

// Connector is a connector's configuration with what its text means: the classes that it names, the declaration of each
// setting, its transforms and predicates, and its roles. It is immutable and safe for concurrent use, and keeps the
// configuration reachable, because logs redact a secret only that long.
type Connector struct {
	*config.Connector
	*shape
	roles func() Roles
}

// shape is what a configuration means whatever the values of its secrets are. Configurations share it while only such
// values change.
type shape struct {
	Resolver
	Class  Class
	Stages Stages

	changes uint64           // of the set of plugins, see [plugin.Manager.Changes]
	specs   []*wit.ConfigKey // the plugin's declarations of the entries, nil for others
}

// Class is a class that a connector names, and the component that it selects.
type Class struct {
	PluginClass
	Module    plugin.Info       // the zero Info means that the class was not found
	Component *plugin.Component // never nil. It declares nothing if the class was not found.
	// Err is why the class was not found. Nil means that it was found.
	Err error
	// VersionErr is why no module has the class in the requested version. Module and Component are of the newest one.
	VersionErr error
}

// RunError returns why the class cannot run, nil if it can.
func (c *Class) RunError() error { return cmp.Or(c.Err, c.VersionErr) }

// Is reports whether the class was found and is of a kind.
func (c *Class) Is(kind wit.ComponentKind) bool { return c.Err == nil && c.Component.Kind == kind }

// Resolve resolves a configuration.
func (r Resolver) Resolve(c *config.Connector) *Connector {
	s := &shape{Resolver: r}
	if r.Plugins != nil {
		s.changes = r.Plugins.Changes()
	}
	s.Class = r.class(PluginClass{c.Text(ClassSetting), c.Text(VersionSetting)}, wit.ComponentSource, wit.ComponentSink)
	s.Stages = readStages(c)
	type named struct {
		PluginClass
		kind wit.ComponentKind
	}
	classes := map[named]Class{} // so that each class is looked up once
	for _, stage := range s.Stages.All() {
		name := named{stage.Class.PluginClass, stage.Kind}
		if _, ok := classes[name]; !ok {
			classes[name] = r.class(name.PluginClass, name.kind)
		}
		stage.Class = classes[name]
	}
	return newConnector(c, s)
}

// ResolveAll resolves configurations in their order.
func (r Resolver) ResolveAll(list []*config.Connector) []*Connector {
	resolved := make([]*Connector, len(list))
	for i, c := range list {
		resolved[i] = r.Resolve(c)
	}
	return resolved
}

// ResolveAs resolves a configuration whose class is a component of its own, whatever the configuration names.
func (r Resolver) ResolveAs(c *config.Connector, component *plugin.Component) *Connector {
	s := &shape{Resolver: r, Class: Class{PluginClass: PluginClass{Class: component.Name}, Component: component}}
	s.Stages = readStages(c)
	return newConnector(c, s)
}

func newConnector(c *config.Connector, s *shape) *Connector {
	table := s.Class.Component.Table()
	if s.specs == nil {
		s.specs = make([]*wit.ConfigKey, len(c.Entries))
		for i := range c.Entries {
			if spec, ok := table.Find(c.Entries[i].Key); ok {
				s.specs[i] = &spec
			}
		}
	}
	return &Connector{Connector: c, shape: s, roles: sync.OnceValue(func() Roles { return NewRoles(table, c) })}
}

// class looks a class up, without a version if no module has it in the requested one.
func (r Resolver) class(named PluginClass, kinds ...wit.ComponentKind) Class {
	class := Class{PluginClass: named, Component: noComponent}
	if r.Plugins == nil {
		class.Err = errNoPlugins
		return class
	}
	class.Module, class.Component, class.Err = Find(r.Plugins, named.Class, named.Version, kinds...)
	if class.Err == nil || named.Version == "" {
		return class
	}
	module, component, err := Find(r.Plugins, named.Class, "", kinds...)
	if err != nil {
		class.Err = err
		return class
	}
	return Class{PluginClass: named, Module: module, Component: component, VersionErr: class.Err}
}

// Current returns the configuration, resolved again if the set of plugins has changed since.
func (c *Connector) Current() *Connector {
	if c.Plugins == nil || c.Plugins.Changes() == c.changes {
		return c
	}
	return c.Resolver.Resolve(c.Connector)
}

// Reread resolves the configuration as it was read again, perhaps with other values of its secrets. It shares what the
// change does not concern, and returns c if nothing has changed: others compare the pointers.
func (c *Connector) Reread(written *config.Connector) *Connector {
	isSameKey := func(a, b config.Entry) bool { return a.Key == b.Key }
	isSameEntry := func(a, b config.Entry) bool {
		return a.Raw == b.Raw && a.File == b.File && a.Line == b.Line && a.FromREST == b.FromREST &&
			a.Value.Equal(b.Value)
	}
	isUnmoved := c.isCopyOf(written)
	if !isUnmoved {
		// The problems of stages have files and lines.
		if !slices.EqualFunc(c.Entries, written.Entries, isSameKey) || len(c.Stages.Problems) > 0 {
			return c.Resolver.Resolve(written)
		}
		isUnmoved = slices.EqualFunc(c.Entries, written.Entries, isSameEntry)
	}
	if isUnmoved && c.File == written.File && c.Version == written.Version &&
		c.InitialTarget() == written.InitialTarget() && slices.Equal(c.Problems, written.Problems) {
		return c
	}
	switch changed := c.ChangedSince(written); {
	case len(changed) == 0:
		return &Connector{Connector: written, shape: c.shape, roles: c.roles}
	case slices.ContainsFunc(changed, selectsPlugin):
		return c.Resolver.Resolve(written)
	}
	return newConnector(written, c.shape) // only the roles have other values
}

// WithProblems returns the configuration with other problems.
func (c *Connector) WithProblems(problems config.Problems) *Connector {
	written := *c.Connector
	written.Problems = problems
	return &Connector{Connector: &written, shape: c.shape, roles: c.roles}
}

// selectsPlugin reports whether a setting may decide which classes a connector has.
func selectsPlugin(key string) bool {
	return slices.Contains([]string{ClassSetting, VersionSetting, transformsSetting, predicatesSetting}, key) ||
		StagePrefix(key) != ""
}

// Roles returns the settings by their roles.
func (c *Connector) Roles() Roles { return c.roles() }

// All returns all entries with the plugin's declaration of each, nil for an undeclared one.
func (c *Connector) All() iter.Seq2[config.Entry, *wit.ConfigKey] {
	return func(yield func(config.Entry, *wit.ConfigKey) bool) {
		for i, spec := range c.specs {
			if !yield(c.Entries[i], spec) {
				return
			}
		}
	}
}

// Declared returns the entries of [Connector.All] that the plugin declares.
func (c *Connector) Declared() iter.Seq2[config.Entry, *wit.ConfigKey] {
	return func(yield func(config.Entry, *wit.ConfigKey) bool) {
		for entry, spec := range c.All() {
			if spec != nil && !yield(entry, spec) {
				return
			}
		}
	}
}

// Setting returns a setting of the connector, or else of the worker (errors.…).
func (c *Connector) Setting(key string) string {
	if v, ok := c.Get(key); ok {
		return setting.Trim(v)
	}
	return c.Worker.Text(key)
}

// Converter returns class and settings of a converter: the connector's, if it names a class, else the worker's. The
// caller may change settings.
func (c *Connector) Converter(name string) (class string, settings map[string]string) {
	if ownClass := c.Text(name); ownClass != "" {
		return ownClass, c.Prefixed(name + ".")
	}
	return c.Worker.Text(name), c.Worker.Prefixed(name + ".")
}
