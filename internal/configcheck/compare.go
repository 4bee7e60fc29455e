package configcheck

import (
	"context"
	"slices"
	"strings"

	"github.com/culvert-project/culvert/internal/config"
	"github.com/culvert-project/culvert/internal/resolved"
	"github.com/culvert-project/culvert/internal/rest"
	"github.com/culvert-project/culvert/internal/setup"
)

// Compare returns the connectors that a reload of the files would change, and how. running returns the worker's
// connectors; it receives the URL of REST from the files as a default. Nothing else sends requests.
func Compare(ctx context.Context, c setup.Config,
	running func(url string) ([]resolved.RunningConnector, error)) ([]rest.Comparison, error) {
	in, problems, err := setup.Open(ctx, c)
	if err != nil {
		return nil, err
	}
	defer in.Close()
	in.ExamineOffline(ctx, setup.ToCheck)
	for _, p := range problems {
		in.Log.Warn("a reload does not apply the worker's own settings", "problem", p.String())
	}
	runningConnectors, err := running(setup.RESTURL(in.Worker))
	if err != nil {
		return nil, err
	}
	runningSettings := map[string]map[string]string{}
	for _, connector := range runningConnectors {
		unhide(connector, in.Connectors)
		runningSettings[connector.Name] = connector.Raw
	}
	comparisons := []rest.Comparison{}
	noProblems := func(*resolved.Connector) config.Problems { return nil }
	steps := resolved.Diff(runningConnectors, in.Checker.Connectors, noProblems)
	byName := func(a, b resolved.Change) int { return strings.Compare(a.Name, b.Name) }
	for _, step := range slices.SortedFunc(steps, byName) {
		if step.Action == resolved.NoChange {
			continue
		}
		comparison := rest.Comparison{Change: changeOf(step), Differences: []rest.Difference{}}
		if len(step.Settings) > 0 {
			declarations := step.Connector.Class.Component.Table()
			comparison.Differences = rest.Differences(runningSettings[step.Name], step.Connector.Raw(),
				func(key string) bool { return config.IsPassword(key, declarations) })
		}
		comparisons = append(comparisons, comparison)
	}
	return comparisons, nil
}

// unhide replaces masked values of a running connector by the values in the files: they may be equal.
func unhide(running resolved.RunningConnector, connectors []*config.Connector) {
	for _, connector := range connectors {
		if connector.Name != running.Name {
			continue
		}
		for key, value := range connector.Raw() {
			if running.Raw[key] == config.Mask {
				running.Raw[key] = value
			}
		}
	}
}

func changeOf(step resolved.Change) rest.Change {
	change := rest.Change{Connector: step.Name, Effect: step.Action, Settings: step.Settings,
		KeepsRunning: step.KeepsRunning}
	if step.Connector != nil {
		change.File = step.Connector.File
	}
	for _, p := range step.Problems {
		if !p.Warning {
			change.Problems = append(change.Problems, p.String())
		}
	}
	return change
}
