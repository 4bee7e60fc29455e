package configcheck

import (
	"context"
	"net"
	"net/url"

	"github.com/culvert-project/culvert/internal/config"
	"github.com/culvert-project/culvert/internal/rest"
	"github.com/culvert-project/culvert/internal/setup"
)

// Compare returns what a reload of the files of c would change in a worker, without connectors that would not change.
// It sends nothing itself: running returns the worker's connectors, and receives the URL of REST in the files as a
// default. The error is that of running, or of a file that cannot be read.
func Compare(ctx context.Context, c setup.Config, running func(url string) ([]config.RunningConnector,
	error)) ([]rest.Comparison,
	error) {
	in, problems, err := setup.Open(ctx, c)
	if err != nil {
		return nil, err
	}
	defer in.Close()
	in.ExamineOffline(ctx, false)
	for _, p := range problems {
		in.Log.Warn("a reload does not apply the worker's own settings", "problem", p.String())
	}
	runningConnectors, err := running(restURL(in.Worker))
	if err != nil {
		return nil, err
	}
	written := map[string]map[string]string{}
	for _, n := range runningConnectors {
		unhide(n, in.Connectors)
		written[n.Name] = n.Raw
	}
	all := []rest.Comparison{}
	noProblems := func(*config.Connector) config.Problems { return nil }
	for _, step := range config.Diff(runningConnectors, in.Connectors, noProblems, in.Checker.Declared) {
		if step.Action == config.NoChange {
			continue
		}
		found := rest.Comparison{Change: changeOf(step), Differences: []rest.Difference{}}
		if len(step.Settings) > 0 {
			declared := in.Checker.Declared(step.Connector)
			found.Differences = rest.Differences(written[step.Name], step.Connector.Raw(),
				func(key string) bool { return config.IsPassword(key, declared) })
		}
		all = append(all, found)
	}
	return all, nil
}

// unhide takes what a worker hides for equal to what the files say: nobody can tell.
func unhide(running config.RunningConnector, connectors []*config.Connector) {
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

// restURL is where REST of a worker with such settings listens, seen from the same machine; "" where it does not.
func restURL(w *config.Worker) string {
	for _, l := range w.List("listeners") {
		u, err := url.Parse(l)
		if err != nil || u.Port() == "" {
			continue
		}
		if u.Hostname() == "" {
			u.Host = net.JoinHostPort("localhost", u.Port())
		}
		return "http://" + setup.LocalAddress(u.Host)
	}
	return ""
}

// changeOf returns a step of a plan as REST shows it.
func changeOf(step config.Change) rest.Change {
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
