package connect

import (
	"context"
	"maps"
	"slices"
	"sync"

	"github.com/culvert-project/culvert/internal/components"
	"github.com/culvert-project/culvert/internal/config"
	"github.com/culvert-project/culvert/internal/plugin"
	"github.com/culvert-project/culvert/internal/record"
	core "github.com/culvert-project/culvert/internal/run/task"
	"github.com/culvert-project/culvert/internal/run/transform"
	"github.com/culvert-project/culvert/wit"
)

type chainFactory struct {
	run    *connectorRun
	stages []transform.Stage

	mu     sync.Mutex
	opened []*transform.Chain
}

func newChainFactory(c *connectorRun) (*chainFactory, error) {
	stages, err := Stages(c.options.Plugins, c.config, c.warnWithheld)
	if err != nil {
		return nil, err
	}
	return &chainFactory{run: c, stages: stages}, nil
}

type withheldFunc func(plugin.Info, *config.PluginView, *config.Connector)

// Stages returns the transforms of a connector. tell may be nil.
func Stages(m *plugin.Manager, c *config.Connector, withheld withheldFunc) ([]transform.Stage, error) {
	stageConfigs, problems := c.Stages()
	if err := problems.Err(); err != nil {
		return nil, err
	}
	var stages []transform.Stage
	for _, s := range stageConfigs {
		class, settings, err := component(m, c, withheld, s.Class, s.Version, s.Prefix, wit.ComponentTransformation)
		if err != nil {
			return nil, err
		}
		stage := transform.Stage{Alias: s.Alias, Class: class, Version: s.Version, Settings: settings,
			Negate: s.Negate}
		if p := s.Predicate; p != nil {
			if class, settings, err = component(m, c, withheld, p.Class, p.Version, p.Prefix,
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

func component(m *plugin.Manager, c *config.Connector, withheld withheldFunc, class, version, prefix string,
	kind wit.ComponentKind) (string, func(plugin.Info) []wit.Setting, error) {
	_, component, err := components.Find(m, class, version, kind)
	if err != nil {
		return "", nil, err
	}
	config := c.StageConfig(prefix)
	return component.Name, func(info plugin.Info) []wit.Setting {
		g := components.Guest(m, info, component)
		g.Prefix = prefix
		if withheld != nil {
			withheld(info, &g, config)
		}
		return g.Settings(config)
	}, nil
}

func (c *connectorRun) observer() *core.Observer {
	if c.options.Observer == nil {
		return nil
	}
	return c.options.Observer(c.config.Name)
}

func (k *chainFactory) versionNotes(own *plugin.Binding) (notes []string) {
	add := func(s plugin.Status) {
		reasons := slices.Clone(s.Others)
		switch {
		case s.Rejected != "":
			reasons = append(reasons, s.Rejected)
		case s.FileError != "":
			reasons = append(reasons, s.FileError)
		case s.Candidate != "":
			reasons = append(reasons, "version "+s.Candidate+" takes over at the next boundary")
		}
		for _, note := range reasons {
			if note = s.Plugin + " " + s.Version + " runs: " + note; !slices.Contains(notes, note) {
				notes = append(notes, note)
			}
		}
	}
	add(own.Status())
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, chain := range k.opened {
		status := chain.Status()
		for _, alias := range slices.Sorted(maps.Keys(status)) {
			add(status[alias])
		}
	}
	return notes
}

func chainFunc[C any](k *chainFactory, wrap func(namedChain) C) func(context.Context) (C, error) {
	if len(k.stages) == 0 {
		return nil
	}
	return func(ctx context.Context) (wrapped C, err error) {
		chain, err := transform.New(ctx, transform.Options{Manager: k.run.options.Plugins,
			Connector: k.run.config.Name, Stages: k.stages, Logger: k.run.log})
		if err != nil {
			return wrapped, err
		}
		k.mu.Lock()
		defer k.mu.Unlock()
		k.opened = append(k.opened, chain)
		return wrap(namedChain{chain, k.stages}), nil
	}
}

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

func (k *chainFactory) close() {
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, c := range k.opened {
		c.Close()
	}
	k.opened = nil
}
