package reload

import (
	"context"
	"maps"
	"slices"
	"strings"

	"github.com/culvert-project/culvert/internal/check"
	"github.com/culvert-project/culvert/internal/config"
	"github.com/culvert-project/culvert/internal/connect"
	"github.com/culvert-project/culvert/internal/plugin"
	"github.com/culvert-project/culvert/internal/resolved"
	"github.com/culvert-project/culvert/wit"
)

// ChangeChecker checks new configurations of existing connectors.
type ChangeChecker struct {
	Plugins *plugin.Manager
	Herder  *connect.Herder
	Status  func(name string) (connect.Status, error) // returns the status of a connector in the whole group
}

// Change returns a configuration as a change of the stored one. received has the settings that the sender wrote.
func (c ChangeChecker) Change(connector *resolved.Connector, received map[string]string) check.ConfigChange {
	change := check.ConfigChange{New: connector, IsPassword: resolved.Passwords(connector.Plugins)}
	if running, err := c.Herder.RunningConfig(connector.Name); err == nil {
		change.Stored = running.Config.Current() // with the plugins of now, as the new one
	}
	change.FromStored = func(key string) bool {
		value, ok := received[key]
		e, _ := connector.Entry(key)
		return !ok || strings.TrimSpace(value) == config.Mask ||
			(e.Value.IsSecret() && !connector.Worker.Providers.AllowedForREST(e))
	}
	return change
}

// Interrupts reports whether the configuration would change a connector of which a task runs.
func (c ChangeChecker) Interrupts(connector *resolved.Connector, change check.ConfigChange) bool {
	if change.Stored == nil || maps.Equal(change.Stored.Raw(), connector.Raw()) {
		return false
	}
	status, err := c.Status(connector.Name)
	isRunning := func(task connect.TaskStatus) bool { return task.State == connect.Running }
	return err == nil && slices.ContainsFunc(status.Tasks, isRunning)
}

// Online returns the checker that finds errors with the service, such as a misspelled entity set, before they would end
// a run.
func (c ChangeChecker) Online(checker check.Checker, change check.ConfigChange) check.Checker {
	checker.Logon = checker.Logon || change.HasCompleteCredentials()
	checker.Wait = check.OnlineTimeout
	return checker
}

// OriginProblems returns the problems that prevent a running connector from continuing at another origin.
func (c ChangeChecker) OriginProblems(ctx context.Context, connector *resolved.Connector) config.Problems {
	running, err := c.Herder.RunningConfig(connector.Name)
	isSource := connector.Class.RunError() == nil && connector.Class.Is(wit.ComponentSource)
	if err != nil || !isSource || running.Config.Class.Class != connector.Class.Class {
		return nil
	}
	problems, err := check.OriginChanged(running.Config.Current(), connector, func() ([]string, error) {
		return c.Herder.Fingerprints(ctx, connector.Name)
	})
	if err != nil {
		problems = config.Problems{{File: connector.File, Text: err.Error()}}
	}
	return problems
}
