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

// tasksOf are the settings of all of the connector's tasks. Where no worker has planned them since the configuration
// changed, it plans them: alone, what they claim is theirs from now on, and in a group Group.Planned gets them.
func (c *connector) tasksOf(ctx context.Context) ([][]wit.Setting, error) {
	share := c.shared()
	if share.TaskConfigs != nil {
		return c.settingsOf(share.TaskConfigs), nil
	}
	p, err := c.plan(ctx, true)
	switch {
	case err != nil:
		return nil, err
	case share.Standalone:
		return p.Tasks, c.o.claims.take(c.config.Name, p.Claims)
	}
	plan := config.TaskPlan{Config: c.given.Raw(), Requirements: config.Requirements{Claims: p.Claims}}
	for _, settings := range p.Tasks {
		plan.Tasks = append(plan.Tasks, c.asWritten(c.given, settings))
	}
	plan.Origin, plan.Requests, plan.PerSecond = c.run.client.Demand()
	return nil, c.o.Group.PutTaskConfigs(ctx, c.config.Name, plan)
}

// settingsOf are the settings of tasks that were planned, which what the connector's configuration refers to may have
// changed since.
func (c *connector) settingsOf(set *config.TaskConfigs) [][]wit.Setting {
	shown := c.shownTo(c.class.plugin)
	layout := make([][]wit.Setting, len(set.Settings))
	for number, written := range set.Settings {
		layout[number] = asPlanned(c.class.declared, c.config, shown, written)
	}
	return layout
}

// plan has the plugin share the work out among tasks; toRun: they are to run, so that all that they claim is among it.
// A sink has as many tasks as it may have: its group shares the partitions out.
func (c *connector) plan(ctx context.Context, toRun bool) (p wit.PlanResult, err error) {
	most, err := c.most()
	if err != nil {
		return p, err
	}
	binding, err := c.bind()
	if err != nil {
		return p, err
	}
	defer func() {
		if toRun && err == nil {
			c.unplan()
			c.class.planned.Store(binding)
		} else {
			binding.Close()
		}
	}()
	if c.isSink() {
		if most > config.MaxSinkTasks { // files that were not checked come here, too
			return p, &wit.Error{Kind: wit.ErrorConfig,
				Message: fmt.Sprintf("tasks.max: expected at most %d tasks of a sink, found %d",
					config.MaxSinkTasks, most)}
		}
		return wit.PlanResult{Tasks: slices.Repeat([][]wit.Setting{c.shownTo(binding.Current().Module())}, most)}, nil
	}
	p, err = c.layout(ctx, binding, most)
	if err == nil && toRun {
		err = c.supported(p.ExactlyOnce)
		p.Claims = append(check.Claimed(c.config, c.class.component, p.Claims), c.claimed(p)...)
	}
	return p, err
}

// most is how many tasks the connector may have.
func (c *connector) most() (int, error) {
	number, ok := setting.ParseInt(wit.KindInt, c.config.Text("tasks.max"))
	if !ok {
		return 0, fmt.Errorf("tasks.max: expected a number, found %q", c.config.Text("tasks.max"))
	}
	return int(number), nil
}

// shownTo are the settings that the version of the plugin may see which runs. A source also sees that its records are
// written in transactions, if they are: it may have to choose between failing and reading rows again.
func (c *connector) shownTo(info plugin.Info) []wit.Setting {
	guest := check.Guest(c.o.Plugins, info, c.class.component)
	c.warnWithheld(info, &guest, c.config)
	settings := guest.Settings(c.config)
	if c.exactly() {
		settings = append(settings, wit.Setting{Name: config.ExactlyOnceSetting, Value: "enabled"})
	}
	return settings
}

// layout is how the plugin shares a source's work out among tasks.
func (c *connector) layout(ctx context.Context, binding *plugin.Binding, most int) (layout wit.PlanResult, err error) {
	settings := c.shownTo(binding.Current().Module())
	err = binding.Current().Do(ctx, func(i *plugin.Instance) error {
		layout, err = i.Plan(ctx, c.class.component.Name, settings, uint32(most))
		return err
	})
	if err != nil {
		return layout, fmt.Errorf("plan: %w", err)
	}
	if enforced, _ := config.Boolean(c.config.Text("tasks.max.enforce")); len(layout.Tasks) > most && enforced {
		return layout, fmt.Errorf("plan: expected at most %d tasks (tasks.max), the plugin wants %d", most,
			len(layout.Tasks))
	} else if len(layout.Tasks) > most {
		c.log.Warn("the plugin has more tasks than tasks.max, which tasks.max.enforce=false lets it have",
			"tasks.max", most, "tasks", len(layout.Tasks))
	}
	return layout, nil
}

// unplan lets go of the instance that has planned: a task has it, or none will.
func (c *connector) unplan() {
	if binding := c.class.planned.Swap(nil); binding != nil {
		binding.Close()
	}
}

func (c *connector) bind() (*plugin.Binding, error) {
	return c.o.Plugins.Bind(c.config.Name, c.class.component.Kind, c.class.component.Name,
		c.config.Text("connector.plugin.version"))
}
