package connect

import (
	"context"
	"errors"
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

// chainFactory creates the transform chains of a task and closes them at its end.
type chainFactory struct {
	run    *connectorRun
	stages []transform.Stage

	mu     sync.Mutex
	opened []*transform.Chain
}

func newChainFactory(run *connectorRun) (*chainFactory, error) {
	stages, err := Stages(run.options.Plugins, run.config, run.warnWithheld)
	if err != nil {
		return nil, err
	}
	return &chainFactory{run: run, stages: stages}, nil
}

type withheldFunc func(plugin.Info, *config.PluginView, *config.Connector)

// Stages returns the transforms of a connector. withheld, if not nil, is called with each plugin that does not see all
// of its settings.
func Stages(plugins *plugin.Manager, connector *config.Connector, withheld withheldFunc) ([]transform.Stage, error) {
	stageConfigs, problems := connector.Stages()
	if err := problems.Err(); err != nil {
		return nil, err
	}
	var stages []transform.Stage
	for _, s := range stageConfigs {
		class, settings, err := component(plugins, connector, withheld, s.Class, s.Version, s.Prefix,
			wit.ComponentTransformation)
		if err != nil {
			return nil, err
		}
		stage := transform.Stage{Alias: s.Alias, Class: class, Version: s.Version, Settings: settings, Negate: s.Negate}
		if p := s.Predicate; p != nil {
			if class, settings, err = component(plugins, connector, withheld, p.Class, p.Version, p.Prefix,
				wit.ComponentPredicate); err != nil {
				return nil, err
			}
			stage.Predicate = &transform.Predicate{Alias: p.Alias, Class: class, Version: p.Version, Settings: settings}
		}
		stages = append(stages, stage)
	}
	return stages, nil
}

func component(plugins *plugin.Manager, connector *config.Connector, withheld withheldFunc, class, version,
	prefix string,
	kind wit.ComponentKind) (string, func(plugin.Info) []wit.Setting, error) {
	_, component, err := components.Find(plugins, class, version, kind)
	if err != nil {
		return "", nil, err
	}
	config := connector.StageConfig(prefix)
	return component.Name, func(info plugin.Info) []wit.Setting {
		pluginView := components.PluginView(plugins, info, component)
		pluginView.Prefix = prefix
		if withheld != nil {
			withheld(info, &pluginView, config)
		}
		return pluginView.Settings(config)
	}, nil
}

func (run *connectorRun) observer() *core.Observer {
	if run.options.Observer == nil {
		return nil
	}
	return run.options.Observer(run.config.Name)
}

func (f *chainFactory) versionNotes(binding *plugin.Binding) (notes []string) {
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
		for _, reason := range reasons {
			if reason = s.Plugin + " " + s.Version + " runs: " + reason; !slices.Contains(notes, reason) {
				notes = append(notes, reason)
			}
		}
	}
	add(binding.Status())
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, chain := range f.opened {
		status := chain.Status()
		for _, alias := range slices.Sorted(maps.Keys(status)) {
			add(status[alias])
		}
	}
	return notes
}

func chainFunc[C any](f *chainFactory, wrap func(namedChain) C) func(context.Context) (C, error) {
	if len(f.stages) == 0 {
		return nil
	}
	return func(ctx context.Context) (wrapped C, err error) {
		chain, err := transform.New(ctx, transform.Options{Manager: f.run.options.Plugins,
			Connector: f.run.config.Name, Stages: f.stages, Logger: f.run.log})
		if err != nil {
			return wrapped, err
		}
		f.mu.Lock()
		defer f.mu.Unlock()
		f.opened = append(f.opened, chain)
		return wrap(namedChain{chain, f.stages}), nil
	}
}

// namedChain adds the alias of the failed transform to errors.
type namedChain struct {
	*transform.Chain
	stages []transform.Stage
}

// Apply implements [source.Chain] and [sink.Chain].
func (n namedChain) Apply(ctx context.Context, b *record.Batch) ([]wit.RowError, error) {
	faults, err := n.Chain.Apply(ctx, b)
	for i := range faults {
		if f := &faults[i]; int(f.Stage) < len(n.stages) {
			f.Error.Message = n.stages[f.Stage].Alias + ": " + f.Error.Message
		}
	}
	return faults, err
}

// withPlugin adds the plugin of the transform to an error of a row.
func (f *chainFactory) withPlugin(err error) error {
	rowError, ok := errors.AsType[core.RowError](err)
	f.mu.Lock()
	defer f.mu.Unlock()
	if !ok || len(f.opened) == 0 {
		return err
	}
	return f.opened[0].Named(rowError.Row.Stage, err)
}

func (f *chainFactory) close() {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, c := range f.opened {
		c.Close()
	}
	f.opened = nil
}
