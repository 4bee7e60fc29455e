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

// ChangeChecker checks configurations that would replace the configuration of a connector.
type ChangeChecker struct {
	Worker  *config.Worker
	Plugins *plugin.Manager
	Herder  *connect.Herder
	// Status returns the status of a connector in the whole group.
	Status func(name string) (connect.Status, error)
}

// Change returns a configuration as a change of the stored one. given are the settings that the sender wrote. A
// reference to something that REST must not read does not prove that its sender knows it.
func (k ChangeChecker) Change(checker *check.Checker, c *config.Connector,
	given map[string]string) config.ConfigChange {
	s := config.ConfigChange{New: c, Declarations: config.Declare(), IsPassword: components.Passwords(checker.Plugins),
		Worker: k.Worker}
	now, _ := k.Herder.RunningConfig(c.Name)
	s.Stored = now.Config
	s.FromStored = func(key string) bool {
		value, sent := given[key]
		e, _ := c.Entry(key)
		return !sent || strings.TrimSpace(value) == config.Mask || e.Value.IsSecret() &&
			!s.Worker.Providers.AllowedForREST(e)
	}
	if _, component, err := components.Find(checker.Plugins, c.Text("connector.class"), "", wit.ComponentSource,
		wit.ComponentSink); err == nil {
		s.Declarations = config.DeclareComponent(component)
	}
	return s
}

// Interrupts reports whether a changed configuration would replace one of which a task runs.
func (k ChangeChecker) Interrupts(c *config.Connector, sent config.ConfigChange) bool {
	if sent.Stored == nil || maps.Equal(sent.Stored.Raw(), c.Raw()) {
		return false
	}
	s, err := k.Status(c.Name)
	return err == nil && slices.ContainsFunc(s.Tasks, func(t connect.TaskStatus) bool {
		return t.State == connect.Running
	})
}

// AskService asks the service about a configuration without known problems that would interrupt a run: an error that
// only the service can find, such as a misspelt entity set, would otherwise end the run.
func (k ChangeChecker) AskService(ctx context.Context, checker check.Checker, c *config.Connector,
	sent config.ConfigChange) config.Problems {
	checker.Wait, checker.Logon = check.OnlineTime, checker.Logon || sent.HasCompleteCredentials()
	return checker.CheckOnline(ctx, c)
}

// OriginProblems returns the problems that keep a connector that runs from continuing at another origin.
func (k ChangeChecker) OriginProblems(ctx context.Context, c *config.Connector) config.Problems {
	now, unknown := k.Herder.RunningConfig(c.Name)
	_, component, err := components.Find(k.Plugins, c.Text("connector.class"), c.Text("connector.plugin.version"),
		wit.ComponentSource)
	if unknown != nil || err != nil || now.Config.Text("connector.class") != c.Text("connector.class") {
		return nil
	}
	problems, err := check.OriginChanged(now.Config, c, component, func() ([]string, error) {
		return k.Herder.Fingerprints(ctx, c.Name)
	})
	if err != nil {
		problems = config.Problems{{File: c.File, Text: err.Error()}}
	}
	return problems
}
