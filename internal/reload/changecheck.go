package reload

import (
	"context"
	"maps"
	"slices"
	"strings"

	"github.com/culvert-project/culvert/internal/check"
	"github.com/culvert-project/culvert/internal/components"
	"github.com/culvert-project/culvert/internal/config"
	"github.com/culvert-project/culvert/internal/connect"
	"github.com/culvert-project/culvert/internal/plugin"
	"github.com/culvert-project/culvert/wit"
)

// ChangeChecker checks new configurations of existing connectors.
type ChangeChecker struct {
	Worker  *config.Worker
	Plugins *plugin.Manager
	Herder  *connect.Herder
	Status  func(name string) (connect.Status, error) // returns the status of a connector in the whole group
}

// Change returns a configuration as a change of the stored one. received has the settings that the sender wrote.
func (c ChangeChecker) Change(checker *check.Checker, connector *config.Connector,
	received map[string]string) config.ConfigChange {
	change := config.ConfigChange{New: connector, Declarations: config.Declare(),
		IsPassword: components.Passwords(checker.Plugins), Worker: c.Worker}
	running, _ := c.Herder.RunningConfig(connector.Name)
	change.Stored = running.Config
	change.FromStored = func(key string) bool {
		value, ok := received[key]
		e, _ := connector.Entry(key)
		return !ok || strings.TrimSpace(value) == config.Mask ||
			(e.Value.IsSecret() && !change.Worker.Providers.AllowedForREST(e))
	}
	class := connector.Text("connector.class")
	_, component, err := components.Find(checker.Plugins, class, "", wit.ComponentSource, wit.ComponentSink)
	if err == nil {
		change.Declarations = component.Table()
	}
	return change
}

// Interrupts reports whether the configuration would change a connector of which a task runs.
func (c ChangeChecker) Interrupts(connector *config.Connector, change config.ConfigChange) bool {
	if change.Stored == nil || maps.Equal(change.Stored.Raw(), connector.Raw()) {
		return false
	}
	status, err := c.Status(connector.Name)
	isRunning := func(task connect.TaskStatus) bool { return task.State == connect.Running }
	return err == nil && slices.ContainsFunc(status.Tasks, isRunning)
}

// CheckWithService finds errors with the service, such as a misspelled entity set, before they would end a run.
func (c ChangeChecker) CheckWithService(ctx context.Context, checker check.Checker, connector *config.Connector,
	change config.ConfigChange) config.Problems {
	checker.Logon = checker.Logon || change.HasCompleteCredentials()
	checker.Wait = check.OnlineTimeout
	return checker.CheckOnline(ctx, connector)
}

// OriginProblems returns the problems that prevent a running connector from continuing at another origin.
func (c ChangeChecker) OriginProblems(ctx context.Context, connector *config.Connector) config.Problems {
	running, runningErr := c.Herder.RunningConfig(connector.Name)
	_, component, err := components.Find(c.Plugins, connector.Text("connector.class"),
		connector.Text("connector.plugin.version"), wit.ComponentSource)
	if runningErr != nil || err != nil || running.Config.Text("connector.class") != connector.Text("connector.class") {
		return nil
	}
	problems, err := check.OriginChanged(running.Config, connector, component, func() ([]string, error) {
		return c.Herder.Fingerprints(ctx, connector.Name)
	})
	if err != nil {
		problems = config.Problems{{File: connector.File, Text: err.Error()}}
	}
	return problems
}
