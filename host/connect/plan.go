package connect

import (
	"context"
	"fmt"
	"slices"

	"github.com/culvert-project/culvert/host/check"
	"github.com/culvert-project/culvert/host/config"
	"github.com/culvert-project/culvert/host/plugin"
	"github.com/culvert-project/culvert/sdk/go/setting"
	"github.com/culvert-project/culvert/wit"
)

// planTasks are the settings of all of the connector's tasks. Where no worker has planned them since the configuration
// changed, it plans them: alone, what they claim is theirs from now on, and in a group Group.Planned gets them.
func (c *connectorRun) planTasks(ctx context.Context) ([][]wit.Setting, error) {
	assignment := c.assignment()
	if assignment.TaskConfigs != nil {
		return c.resolveTaskConfigs(assignment.TaskConfigs), nil
	}
	p, err := c.plan(ctx, true)
	switch {
	case err != nil:
		return nil, err
	case assignment.Standalone:
		return p.Tasks, c.options.claims.acquire(c.config.Name, p.Claims)
	}
	plan := config.TaskPlan{Config: c.accepted.Raw(), Requirements: config.Requirements{Claims: p.Claims}}
	for _, settings := range p.Tasks {
		plan.Tasks = append(plan.Tasks, c.unresolvedTaskConfig(c.accepted, settings))
	}
	plan.Origin, plan.Requests, plan.PerSecond = c.clients.client.Demand()
	return nil, c.options.Group.PutTaskConfigs(ctx, c.config.Name, plan)
}

// resolveTaskConfigs are the settings of tasks that were planned, which what the connector's configuration refers to may have
// changed since.
func (c *connectorRun) resolveTaskConfigs(set *config.TaskConfigs) [][]wit.Setting {
	visible := c.pluginSettings(c.class.plugin)
	configs := make([][]wit.Setting, len(set.Settings))
	for number, unresolved := range set.Settings {
		configs[number] = resolveTaskConfig(c.class.declarations, c.config, visible, unresolved)
	}
	return configs
}

// plan has the plugin share the work out among tasks; toRun: they are to run, so that all that they claim is among it.
// A sink has as many tasks as it may have: its group shares the partitions out.
func (c *connectorRun) plan(ctx context.Context, toRun bool) (p wit.PlanResult, err error) {
	limit, err := c.maxTasks()
	if err != nil {
		return p, err
	}
	binding, err := c.bind()
	if err != nil {
		return p, err
	}
	defer func() {
		if toRun && err == nil {
			c.releasePlan()
			c.class.planBinding.Store(binding)
		} else {
			binding.Close()
		}
	}()
	if c.isSink() {
		if limit > config.MaxSinkTasks { // files that were not checked come here, too
			return p, &wit.Error{Kind: wit.ErrorConfig,
				Message: fmt.Sprintf("tasks.max: expected at most %d tasks of a sink, found %d",
					config.MaxSinkTasks, limit)}
		}
		return wit.PlanResult{Tasks: slices.Repeat([][]wit.Setting{c.pluginSettings(binding.Current().Module())}, limit)}, nil
	}
	p, err = c.callPlan(ctx, binding, limit)
	if err == nil && toRun {
		err = c.checkExactlyOnce(p.ExactlyOnce)
		p.Claims = append(check.Claimed(c.config, c.class.component, p.Claims), c.transactionalClaims(p)...)
	}
	return p, err
}

// most is how many tasks the connector may have.
func (c *connectorRun) maxTasks() (int, error) {
	number, ok := setting.Integer(wit.KindInt, c.config.Text("tasks.max"))
	if !ok {
		return 0, fmt.Errorf("tasks.max: expected a number, found %q", c.config.Text("tasks.max"))
	}
	return int(number), nil
}

// pluginSettings are the settings that the version of the plugin may see which runs. A source also sees that its records are
// written in transactions, if they are: it may have to choose between failing and reading rows again.
func (c *connectorRun) pluginSettings(info plugin.Info) []wit.Setting {
	guest := check.Guest(c.options.Plugins, info, c.class.component)
	c.warnWithheld(info, &guest, c.config)
	settings := guest.Settings(c.config)
	if c.isExactlyOnce() {
		settings = append(settings, wit.Setting{Name: config.ExactlyOnceSetting, Value: "enabled"})
	}
	return settings
}

// callPlan is how the plugin shares a source's work out among tasks.
func (c *connectorRun) callPlan(ctx context.Context, binding *plugin.Binding, limit int) (layout wit.PlanResult, err error) {
	settings := c.pluginSettings(binding.Current().Module())
	err = binding.Current().Do(ctx, func(i *plugin.Instance) error {
		layout, err = i.Plan(ctx, c.class.component.Name, settings, uint32(limit))
		return err
	})
	if err != nil {
		return layout, fmt.Errorf("plan: %w", err)
	}
	if enforced, _ := config.Boolean(c.config.Text("tasks.max.enforce")); len(layout.Tasks) > limit && enforced {
		return layout, fmt.Errorf("plan: expected at most %d tasks (tasks.max), the plugin wants %d", limit,
			len(layout.Tasks))
	} else if len(layout.Tasks) > limit {
		c.log.Warn("the plugin has more tasks than tasks.max, which tasks.max.enforce=false lets it have",
			"tasks.max", limit, "tasks", len(layout.Tasks))
	}
	return layout, nil
}

// releasePlan lets go of the instance that has planned: a task has it, or none will.
func (c *connectorRun) releasePlan() {
	if binding := c.class.planBinding.Swap(nil); binding != nil {
		binding.Close()
	}
}

func (c *connectorRun) bind() (*plugin.Binding, error) {
	return c.options.Plugins.Bind(c.config.Name, c.class.component.Kind, c.class.component.Name,
		c.config.Text("connector.plugin.version"))
}
