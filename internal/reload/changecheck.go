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

// ChangeChecker checks configurations that would replace the one of a connector.
type ChangeChecker struct {
	Worker  *config.Worker
	Plugins *plugin.Manager
	Herder  *connect.Herder
	// Status returns the status of a connector in the whole group.
	Status func(name string) (connect.Status, error)
}

// Change returns a configuration as a change of the stored one. received are the settings that the sender wrote.
func (c ChangeChecker) Change(checker *check.Checker, connector *config.Connector,
	received map[string]string) config.ConfigChange {
	change := config.ConfigChange{New: connector, Declarations: config.Declare(),
		IsPassword: components.Passwords(checker.Plugins), Worker: c.Worker}
	running, _ := c.Herder.RunningConfig(connector.Name)
	change.Stored = running.Config
	change.FromStored = func(key string) bool {
		value, ok := received[key]
		e, _ := connector.Entry(key)
		return !ok || strings.TrimSpace(value) == config.Mask || (e.Value.IsSecret() &&
			!change.Worker.Providers.AllowedForREST(e))
	}
	if _, component, err := components.Find(checker.Plugins, connector.Text("connector.class"), "", wit.ComponentSource,
		wit.ComponentSink); err == nil {
		change.Declarations = config.DeclareComponent(component)
	}
	return change
}

// Interrupts reports whether the configuration would replace one of which a task runs.
func (c ChangeChecker) Interrupts(connector *config.Connector, sent config.ConfigChange) bool {
	if sent.Stored == nil || maps.Equal(sent.Stored.Raw(), connector.Raw()) {
		return false
	}
	s, err := c.Status(connector.Name)
	return err == nil && slices.ContainsFunc(s.Tasks, func(t connect.TaskStatus) bool {
		return t.State == connect.Running
	})
}

// CheckWithService finds errors with the service, such as a misspelled entity set, before they would end a run.
func (c ChangeChecker) CheckWithService(ctx context.Context, checker check.Checker, connector *config.Connector,
	sent config.ConfigChange) config.Problems {
	checker.Logon = checker.Logon || sent.HasCompleteCredentials()
	checker.Wait = check.OnlineTimeout
	return checker.CheckOnline(ctx, connector)
}

// OriginProblems returns the problems that keep a connector that runs from continuing at another origin.
func (c ChangeChecker) OriginProblems(ctx context.Context, connector *config.Connector) config.Problems {
	running, unknown := c.Herder.RunningConfig(connector.Name)
	_, component, err := components.Find(c.Plugins, connector.Text("connector.class"),
		connector.Text("connector.plugin.version"), wit.ComponentSource)
	if unknown != nil || err != nil || running.Config.Text("connector.class") != connector.Text("connector.class") {
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
