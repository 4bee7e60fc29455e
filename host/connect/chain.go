package connect

import (
	"context"
	"maps"
	"slices"
	"sync"

	"github.com/culvert-project/culvert/host/check"
	"github.com/culvert-project/culvert/host/config"
	core "github.com/culvert-project/culvert/host/internal/run/task"
	"github.com/culvert-project/culvert/host/internal/run/transform"
	"github.com/culvert-project/culvert/host/plugin"
	"github.com/culvert-project/culvert/host/record"
	"github.com/culvert-project/culvert/wit"
)

// chains makes the chains of transforms that a task needs, and closes them with it.
type chains struct {
	connector *connector
	stages    []transform.Stage

	mu   sync.Mutex
	made []*transform.Chain
}

func newChains(c *connector) (*chains, error) {
	stages, err := Stages(c.o.Plugins, c.config, c.warnWithheld)
	if err != nil {
		return nil, err
	}
	return &chains{connector: c, stages: stages}, nil
}

// teller is called with what a plugin's version may not see of the settings of a transform.
type teller func(plugin.Info, *config.PluginView, *config.Connector)

// Stages are the transforms of a connector as a chain takes them; tell may be nil.
func Stages(m *plugin.Manager, c *config.Connector, tell teller) ([]transform.Stage, error) {
	given, problems := c.Stages()
	if err := problems.Err(); err != nil {
		return nil, err
	}
	var stages []transform.Stage
	for _, s := range given {
		class, settings, err := component(m, c, tell, s.Class, s.Version, s.Prefix, wit.ComponentTransformation)
		if err != nil {
			return nil, err
		}
		stage := transform.Stage{Alias: s.Alias, Class: class, Version: s.Version, Settings: settings,
			Negate: s.Negate}
		if p := s.Predicate; p != nil {
			if class, settings, err = component(m, c, tell, p.Class, p.Version, p.Prefix,
				wit.ComponentPredicate); err != nil {
				return nil, err
			}
			stage.Predicate = &transform.Predicate{Alias: p.Alias, Class: class, Version: p.Version,
				Settings: settings}
		}
		stages = append(stages, stage)
	}
	return stages, nil
}

// component is the declared name of a class and the settings that a version of its plugin may see.
func component(m *plugin.Manager, c *config.Connector, tell teller, class, version, prefix string,
	kind wit.ComponentKind) (string, func(plugin.Info) []wit.Setting, error) {
	_, component, err := check.Find(m, class, version, kind)
	if err != nil {
		return "", nil, err
	}
	part := c.StageConfig(prefix)
	return component.Name, func(info plugin.Info) []wit.Setting {
		g := check.Guest(m, info, component)
		g.Prefix = prefix
		if tell != nil {
			tell(info, &g, part)
		}
		return g.Settings(part)
	}, nil
}

// tap is where rows of the connector's tasks are looked at.
func (c *connector) tap() *core.Observer {
	if c.o.Observer == nil {
		return nil
	}
	return c.o.Observer(c.config.Name)
}

// notes are what there is to say of versions that do not run, of the task's own plugin and of those of the transforms.
func (k *chains) notes(own *plugin.Binding) (notes []string) {
	add := func(s plugin.Status) {
		said := slices.Clone(s.Others)
		switch {
		case s.Rejected != "":
			said = append(said, s.Rejected)
		case s.FileError != "":
			said = append(said, s.FileError)
		case s.Candidate != "":
			said = append(said, "version "+s.Candidate+" takes over at the next boundary")
		}
		for _, note := range said {
			if note = s.Plugin + " " + s.Version + " runs: " + note; !slices.Contains(notes, note) {
				notes = append(notes, note)
			}
		}
	}
	add(own.Status())
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, chain := range k.made {
		status := chain.Status()
		for _, alias := range slices.Sorted(maps.Keys(status)) {
			add(status[alias])
		}
	}
	return notes
}

// each makes chains for the feeds of a source, or for a sink's task, in their forms of one; nil where there are no
// transforms.
func each[C any](k *chains, as func(namedChain) C) func(context.Context) (C, error) {
	if len(k.stages) == 0 {
		return nil
	}
	return func(ctx context.Context) (made C, err error) {
		chain, err := transform.New(ctx, transform.Options{Manager: k.connector.o.Plugins,
			Connector: k.connector.config.Name, Stages: k.stages, Logger: k.connector.log})
		if err != nil {
			return made, err
		}
		k.mu.Lock()
		defer k.mu.Unlock()
		k.made = append(k.made, chain)
		return as(namedChain{chain, k.stages}), nil
	}
}

// namedChain is a chain whose faults say which transform it was.
type namedChain struct {
	*transform.Chain
	stages []transform.Stage
}

func (n namedChain) Apply(ctx context.Context, b *record.Batch) ([]wit.RowError, error) {
	faults, err := n.Chain.Apply(ctx, b)
	for i := range faults {
		if f := &faults[i]; int(f.Stage) < len(n.stages) {
			f.Error.Message = n.stages[f.Stage].Alias + ": " + f.Error.Message
		}
	}
	return faults, err
}

func (k *chains) close() {
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, c := range k.made {
		c.Close()
	}
	k.made = nil
}
