package connect

import (
	"context"
	"fmt"
	"slices"

	"github.com/culvert-project/culvert/internal/config"
	"github.com/culvert-project/culvert/internal/plugin"
	"github.com/culvert-project/culvert/sdk/go/setting"
	"github.com/culvert-project/culvert/wit"
)

// planPurpose is what a plan is for. A plan to run also checks exactly-once and adds the claims of transactional IDs.
type planPurpose uint8

const (
	planToShow planPurpose = iota
	planToRun
)

// planTasks returns the configs of all tasks. If they are not planned yet, it plans them; without a group it also
// acquires the claims, in a group it stores the plan and returns nil.
func (run *connectorRun) planTasks(ctx context.Context) ([][]wit.Setting, error) {
	assignment := run.assignment()
	if assignment.TaskConfigs != nil {
		return run.resolveTaskConfigs(assignment.TaskConfigs), nil
	}
	result, err := run.plan(ctx, planToRun)
	switch {
	case err != nil:
		return nil, err
	case run.taskSet.isFixed:
		return result.Tasks, run.options.claims.acquire(run.config.Name, result.Claims)
	}
	plan := config.TaskPlan{Config: run.accepted.Raw(), Requirements: config.Requirements{Claims: result.Claims}}
	for _, settings := range result.Tasks {
		plan.Tasks = append(plan.Tasks, run.unresolvedTaskConfig(run.accepted, settings))
	}
	plan.Origin, plan.Requests, plan.PerSecond = run.clients.client.Limits()
	return nil, run.options.Group.PutTaskConfigs(ctx, run.config.Name, plan)
}

func (run *connectorRun) resolveTaskConfigs(stored *config.TaskConfigs) [][]wit.Setting {
	visible := run.pluginSettings(run.config.Class.Module)
	configs := make([][]wit.Setting, len(stored.Settings))
	for number, unresolved := range stored.Settings {
		configs[number] = resolveTaskConfig(run.config, visible, unresolved)
	}
	return configs
}

// plan asks the plugin how to divide the connector's work. A sink always has tasks.max tasks, because its consumer
// group divides the partitions. A plan to run keeps the plugin's instances open until releasePlan.
func (run *connectorRun) plan(ctx context.Context, purpose planPurpose) (plan wit.PlanResult, err error) {
	limit, err := run.maxTasks()
	if err != nil {
		return plan, err
	}
	binding, err := run.bind()
	if err != nil {
		return plan, err
	}
	defer func() {
		if purpose == planToRun && err == nil {
			run.releasePlan()
			run.planBinding.Store(binding)
		} else {
			binding.Close()
		}
	}()
	if run.isSink() {
		if limit > config.MaxSinkTasks { // the check may have been skipped
			return plan, &wit.Error{Kind: wit.ErrorConfig, Message: fmt.Sprintf(
				"tasks.max: expected at most %d tasks of a sink, found %d", config.MaxSinkTasks, limit)}
		}
		settings := run.pluginSettings(binding.Current().Module())
		return wit.PlanResult{Tasks: slices.Repeat([][]wit.Setting{settings}, limit)}, nil
	}
	plan, err = run.callPlan(ctx, binding, limit)
	if err == nil && purpose == planToRun {
		if reason := plan.ExactlyOnce.Unsupported; reason != nil && run.requiresExactlyOnce() {
			err = &wit.Error{Kind: wit.ErrorConfig, Message: "exactly.once.support=required: " + *reason}
		}
		plan.Claims = append(run.config.QualifyClaims(plan.Claims), run.transactionalClaims(plan)...)
	}
	return plan, err
}

func (run *connectorRun) maxTasks() (int, error) {
	number, ok := setting.ParseInt(wit.KindInt, run.config.Text("tasks.max"))
	if !ok {
		return 0, fmt.Errorf("tasks.max: expected a number, found %q", run.config.Text("tasks.max"))
	}
	return int(number), nil
}

// callPlan returns an error if the plugin plans more than limit tasks, unless the connector's settings permit it.
func (run *connectorRun) callPlan(ctx context.Context, binding *plugin.Binding,
	limit int) (plan wit.PlanResult, err error) {
	settings := run.pluginSettings(binding.Current().Module())
	err = binding.Current().Do(ctx, func(i *plugin.Instance) error {
		plan, err = i.Plan(ctx, run.component().Name, settings, uint32(limit))
		return err
	})
	if err != nil {
		return plan, fmt.Errorf("plan: %w", err)
	}
	if len(plan.Tasks) <= limit {
		return plan, nil
	}
	if isEnforced, _ := config.Boolean(run.config.Text("tasks.max.enforce")); isEnforced {
		return plan, fmt.Errorf("plan: expected at most %d tasks (tasks.max), the plugin wants %d", limit,
			len(plan.Tasks))
	}
	run.log.Warn("the plugin planned more tasks than tasks.max, as tasks.max.enforce=false allows",
		"tasks.max", limit, "tasks", len(plan.Tasks))
	return plan, nil
}

func (run *connectorRun) releasePlan() {
	if binding := run.planBinding.Swap(nil); binding != nil {
		binding.Close()
	}
}

func (run *connectorRun) bind() (*plugin.Binding, error) {
	return run.options.Plugins.Bind(run.config.Name, run.component().Kind, run.component().Name,
		run.config.Text("connector.plugin.version"))
}
