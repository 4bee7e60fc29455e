package connect

import (
	"context"
	"errors"
	"maps"
	"slices"
	"sync"

	"github.com/culvert-project/culvert/internal/plugin"
	"github.com/culvert-project/culvert/internal/record"
	"github.com/culvert-project/culvert/internal/resolved"
	core "github.com/culvert-project/culvert/internal/run/task"
	"github.com/culvert-project/culvert/internal/run/transform"
	"github.com/culvert-project/culvert/wit"
)

// chainFactory creates the transform chains of a task and closes them at its end.
type chainFactory struct {
	run    *connectorRun
	stages []transform.Stage

	mu     sync.Mutex
	chains []*transform.Chain
}

func newChainFactory(run *connectorRun) (*chainFactory, error) {
	stages, err := Stages(run.config, run.warnWithheld)
	if err != nil {
		return nil, err
	}
	return &chainFactory{run: run, stages: stages}, nil
}

// Stages returns the transforms of a connector. onView, if not nil, is called when a plugin's settings are read.
func Stages(connector *resolved.Connector, onView func(plugin.Info, *resolved.View)) ([]transform.Stage, error) {
	if err := connector.Stages.Problems.Err(); err != nil {
		return nil, err
	}
	settingsOf := func(stage *resolved.Stage) func(plugin.Info) []wit.Setting {
		return func(info plugin.Info) []wit.Setting {
			view := connector.StageView(stage, info)
			if onView != nil {
				onView(info, &view)
			}
			return view.Settings()
		}
	}
	var stages []transform.Stage
	for _, s := range connector.Stages.Transforms {
		if err := s.Class.RunError(); err != nil {
			return nil, err
		}
		stage := transform.Stage{Alias: s.Alias, Class: s.Class.Component.Name, Version: s.Class.Version,
			Settings: settingsOf(s), Negate: s.Negate}
		if p := s.Predicate; p != nil {
			if err := p.Class.RunError(); err != nil {
				return nil, err
			}
			stage.Predicate = &transform.Predicate{Alias: p.Alias, Class: p.Class.Component.Name,
				Version: p.Class.Version, Settings: settingsOf(p)}
		}
		stages = append(stages, stage)
	}
	return stages, nil
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
	for _, chain := range f.chains {
		status := chain.Status()
		for _, alias := range slices.Sorted(maps.Keys(status)) {
			add(status[alias])
		}
	}
	return notes
}

// chainFunc returns a function that creates a chain of the factory, nil if the connector has no transforms.
func chainFunc[C any](f *chainFactory, wrap func(namedChain) C) func(context.Context) (C, error) {
	if len(f.stages) == 0 {
		return nil
	}
	return func(ctx context.Context) (result C, err error) {
		chain, err := transform.New(ctx, transform.Options{Manager: f.run.options.Plugins,
			Connector: f.run.config.Name, Stages: f.stages, Logger: f.run.log})
		if err != nil {
			return result, err
		}
		f.mu.Lock()
		defer f.mu.Unlock()
		f.chains = append(f.chains, chain)
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
	rowErrors, err := n.Chain.Apply(ctx, b)
	for i := range rowErrors {
		if e := &rowErrors[i]; int(e.Stage) < len(n.stages) {
			e.Error.Message = n.stages[e.Stage].Alias + ": " + e.Error.Message
		}
	}
	return rowErrors, err
}

// withPlugin adds the plugin of the transform to an error of a row.
func (f *chainFactory) withPlugin(err error) error {
	rowError, ok := errors.AsType[core.RowError](err)
	f.mu.Lock()
	defer f.mu.Unlock()
	if !ok || len(f.chains) == 0 {
		return err
	}
	return f.chains[0].Named(rowError.Row.Stage, err) // all chains have the same stages
}

func (f *chainFactory) close() {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, c := range f.chains {
		c.Close()
	}
	f.chains = nil
}
