package connect

import (
	"context"
	"fmt"
	"slices"

	"github.com/culvert-project/culvert/internal/components"
	"github.com/culvert-project/culvert/internal/config"
	"github.com/culvert-project/culvert/internal/plugin"
	"github.com/culvert-project/culvert/sdk/go/setting"
	"github.com/culvert-project/culvert/wit"
)

// planTasks returns the configs of all tasks. If they are not planned yet, it plans them; in a group it stores the plan
// and returns nil.
func (c *connectorRun) planTasks(ctx context.Context) ([][]wit.Setting, error) {
	assignment := c.assignment()
	if assignment.TaskConfigs != nil {
		return c.resolveTaskConfigs(assignment.TaskConfigs), nil
	}
	planned, err := c.plan(ctx, true)
	switch {
	case err != nil:
		return nil, err
	case assignment.Standalone:
		return planned.Tasks, c.options.claims.acquire(c.config.Name, planned.Claims)
	}
	plan := config.TaskPlan{Config: c.accepted.Raw(), Requirements: config.Requirements{Claims: planned.Claims}}
	for _, settings := range planned.Tasks {
		plan.Tasks = append(plan.Tasks, c.unresolvedTaskConfig(c.accepted, settings))
	}
	plan.Origin, plan.Requests, plan.PerSecond = c.clients.client.Limits()
	return nil, c.options.Group.PutTaskConfigs(ctx, c.config.Name, plan)
}

func (c *connectorRun) resolveTaskConfigs(set *config.TaskConfigs) [][]wit.Setting {
	visible := c.pluginSettings(c.class.plugin)
	configs := make([][]wit.Setting, len(set.Settings))
	for number, unresolved := range set.Settings {
		configs[number] = resolveTaskConfig(c.class.declarations, c.config, visible, unresolved)
	}
	return configs
}

// plan calls the plugin's plan. With toRun it adds all claims of tasks that will run. A sink always has tasks.max
// tasks: its consumer group divides the partitions.
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
		if limit > config.MaxSinkTasks { // the check may have been skipped
			return p, &wit.Error{Kind: wit.ErrorConfig,
				Message: fmt.Sprintf("tasks.max: expected at most %d tasks of a sink, found %d",
					config.MaxSinkTasks, limit)}
		}
		return wit.PlanResult{Tasks: slices.Repeat([][]wit.Setting{c.pluginSettings(binding.Current().Module())},
			limit)}, nil
	}
	p, err = c.callPlan(ctx, binding, limit)
	if err == nil && toRun {
		err = c.checkExactlyOnce(p.ExactlyOnce)
		p.Claims = append(components.Claimed(c.config, c.class.component, p.Claims), c.transactionalClaims(p)...)
	}
	return p, err
}

func (c *connectorRun) maxTasks() (int, error) {
	number, ok := setting.ParseInt(wit.KindInt, c.config.Text("tasks.max"))
	if !ok {
		return 0, fmt.Errorf("tasks.max: expected a number, found %q", c.config.Text("tasks.max"))
	}
	return int(number), nil
}

func (c *connectorRun) callPlan(ctx context.Context, binding *plugin.Binding, limit int) (layout wit.PlanResult,
	err error) {
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
		c.log.Warn("the plugin planned more tasks than tasks.max, as tasks.max.enforce=false allows",
			"tasks.max", limit, "tasks", len(layout.Tasks))
	}
	return layout, nil
}

func (c *connectorRun) releasePlan() {
	if binding := c.class.planBinding.Swap(nil); binding != nil {
		binding.Close()
	}
}

func (c *connectorRun) bind() (*plugin.Binding, error) {
	return c.options.Plugins.Bind(c.config.Name, c.class.component.Kind, c.class.component.Name,
		c.config.Text("connector.plugin.version"))
}
