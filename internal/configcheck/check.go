package configcheck

import (
	"cmp"
	"context"
	"time"

	"github.com/culvert-project/culvert/internal/config"
	"github.com/culvert-project/culvert/internal/resolved"
	"github.com/culvert-project/culvert/internal/setup"
	"github.com/culvert-project/culvert/sdk/go/setting"
)

// Check returns all problems of a configuration without sending anything. It fails if files cannot be read.
func Check(ctx context.Context, c setup.Config) (Report, error) {
	return checkBy(ctx, c, func(in *setup.Installation, worker config.Problems) config.Problems {
		in.ExamineOffline(ctx, setup.ToCheck)
		return worker
	})
}

// checkBy reports the problems of an installation. examine adds problems to its connectors; it receives the worker's
// problems and returns those to report.
func checkBy(ctx context.Context, c setup.Config,
	examine func(*setup.Installation, config.Problems) config.Problems) (report Report, err error) {
	in, problems, err := setup.Open(ctx, c)
	if err != nil {
		return report, err
	}
	defer in.Close()
	if in.Worker.InGroup() {
		for _, connector := range in.Connectors {
			connector.Problems = append(connector.Problems,
				in.Worker.SharedProblems(connector, resolved.Passwords(in.Plugins))...)
		}
	}
	problems = examine(in, problems)
	report.Problems = append(problems, in.Problems()...)
	for _, connector := range in.Connectors {
		if connector.Problems.Err() == nil {
			report.Valid = append(report.Valid, connector)
		}
	}
	return report, nil
}

// WithoutSecrets is [Check] on a machine without the secrets: it omits problems of settings whose references cannot be
// resolved, and problems that only these may have caused.
func WithoutSecrets(ctx context.Context, c setup.Config) (Report, error) {
	return checkBy(ctx, c, func(in *setup.Installation, worker config.Problems) config.Problems {
		in.ExamineOffline(ctx, setup.ToCheck)
		unresolved := in.Worker.UnresolvedKeys()
		for _, connector := range in.Connectors {
			connector.Problems = config.WithoutUnresolved(connector.Problems, connector.UnresolvedKeys(unresolved...))
		}
		return config.WithoutUnresolved(worker, unresolved)
	})
}

// Online is [Check] that also sends requests to services, and waits up to wait for each. A connector with known
// problems sends none: a reference that is no secret would be sent as the password. The data folder is not locked:
// rejected logons are read and recorded while a worker runs.
func Online(ctx context.Context, c setup.Config, wait time.Duration) (Report, error) {
	c.Complete()
	lockouts, err := setup.OpenLockouts(c.Data)
	if err != nil {
		return Report{}, err
	}
	report, err := checkBy(ctx, c, func(in *setup.Installation, worker config.Problems) config.Problems {
		checker := *in.Checker
		checker.Lockouts = lockouts
		checker.Wait = wait
		checker.Logon = true
		in.Examine(setup.ToCheck, func(connector *resolved.Connector) config.Problems {
			if connector.Problems.Err() != nil {
				return in.Checker.Check(ctx, connector)
			}
			problems := checker.Check(ctx, connector)
			if problems.Err() != nil {
				return problems
			}
			problems = append(problems, checker.CheckRegistries(ctx, connector)...)
			for i := range problems { // a check succeeds only if each service has answered
				problems[i].Warning = problems[i].Warning && problems[i].Code != setting.CodeNotChecked
			}
			return problems
		})
		return worker
	})
	return report, cmp.Or(err, ctx.Err())
}

// Report is the result of a check.
type Report struct {
	config.Problems
	Valid []*config.Connector // connectors without errors
}
