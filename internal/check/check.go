package check

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"time"

	"github.com/culvert-project/culvert/internal/config"
	"github.com/culvert-project/culvert/internal/kafka"
	"github.com/culvert-project/culvert/internal/plugin"
	"github.com/culvert-project/culvert/internal/record"
	"github.com/culvert-project/culvert/internal/resolved"
	"github.com/culvert-project/culvert/internal/service"
	"github.com/culvert-project/culvert/internal/transport"
	"github.com/culvert-project/culvert/internal/transport/lockouts"
	"github.com/culvert-project/culvert/sdk/go/role"
	"github.com/culvert-project/culvert/sdk/go/setting"
	"github.com/culvert-project/culvert/wit"
)

// Checker finds the problems of connectors, for `culvert validate`, REST and reloads. Without Wait it sends no request
// to the service.
type Checker struct {
	Worker     *config.Worker
	Plugins    *plugin.Manager
	Kafka      kafka.Config // of the worker's clients
	Embedded   bool         // the worker uses the built-in broker
	Registry   *record.Registry
	Connectors []*resolved.Connector // all connectors of the installation; the checked one may be missing
	Running    []*resolved.Connector // the configurations that run before a reload, empty before the first one

	// Lockouts, Wait, LimitWait, Logon and Destinations are for checks with the service only.

	// Lockouts stores rejected logons. Nil means for this process only.
	Lockouts *lockouts.Store
	// Wait is how long a validation waits for a service. Zero means that it sends no request.
	Wait time.Duration
	// LimitWait is how long a validation waits for the limits of the origin in addition. Zero means Wait.
	LimitWait time.Duration
	// Logon permits a logon with a secret that the service has not accepted yet: a user may still be typing it.
	Logon bool
	// Destinations shares the limits of an origin with other clients. Nil means all clients of the process.
	Destinations *transport.OriginRegistry

	// Logger logs why a plugin cannot check with its service. Nil means no log.
	Logger *slog.Logger

	Version string // the version that converters report

	// Plans caches the plans of plugins. Nil means for this Checker only.
	Plans *Plans
}

// WithConnectors returns the checker of an installation with these connectors.
func (ch *Checker) WithConnectors(connectors []*resolved.Connector) Checker {
	checker := *ch
	checker.Connectors = connectors
	return checker
}

// Resolver returns the resolver of the worker and its plugins.
func (ch *Checker) Resolver() resolved.Resolver {
	return resolved.Resolver{Worker: ch.Worker, Plugins: ch.Plugins}
}

// Check returns the problems of a connector: class, settings, transforms, converters, topics, clients, destination.
// With [Checker.Wait] the plugin may send requests to the service if nothing is wrong without them; what could not be
// checked with the service is a warning of [setting.CodeNotChecked].
func (ch *Checker) Check(ctx context.Context, connector *resolved.Connector) config.Problems {
	return ch.check(ctx, connector, func(ctx context.Context, found config.Problems) config.Problems {
		problems := ch.validateOffline(ctx, connector, nil, found)
		if ch.Wait == 0 || found.Err() != nil || problems.Err() != nil {
			return problems
		}
		_, _, problems = ch.validateOnline(ctx, connector, found) // offline problems are found again
		return problems
	})
}

// check calls validate for the problems that the plugin of the connector finds in addition to the found ones.
func (ch *Checker) check(ctx context.Context, connector *resolved.Connector,
	validate func(ctx context.Context, found config.Problems) config.Problems) config.Problems {
	class, ok := connector.Entry(resolved.ClassSetting)
	if !ok {
		return config.Problems{missingClass(ch.Plugins, connector)}
	}
	if err := connector.Class.Err; err != nil {
		return ch.redact(connector, config.Problems{problem(class, err)})
	}
	component := connector.Class.Component
	binding, err := ch.Plugins.BindVersion(connector.Name, component.Kind, component.Name,
		connector.Class.Module.Version)
	if err == nil {
		defer binding.Close() // one instance serves all calls, which take less time than its creation
	}
	var problems config.Problems
	if err := connector.Class.VersionErr; err != nil {
		problems = append(problems, problem(entryFor(connector, resolved.VersionSetting), err))
	}
	rules := ch.newSettingsCheck(connector)
	problems = append(problems, rules.problems(ctx)...)
	problems = append(problems, checkTopicNames(connector)...)
	problems = append(problems, ch.checkTargets(connector)...)
	problems = append(problems, ch.unreachableTopics(connector)...)
	problems = append(problems, ch.checkStages(ctx, rules)...)
	problems = append(problems, ch.checkConverters(connector)...)
	problems = append(problems, ch.ineffectiveSettings(connector)...)
	problems = append(problems, ch.checkClients(ctx, connector)...)
	problems = append(problems, ch.checkBoundary(connector)...)
	if component.Kind == wit.ComponentSink {
		problems = append(problems, ch.checkGroup(connector)...)
		problems = append(problems, ch.checkSharedGroup(connector)...)
		problems = append(problems, ch.checkInstance(connector)...)
	}
	problems = append(problems, unknownRoles(connector, problems)...)
	problems = append(problems, validate(ctx, problems)...)
	if problems.Err() == nil {
		problems = append(problems, ch.claimConflicts(ctx, connector)...)
		problems = append(problems, ch.checkExactlyOnce(ctx, connector)...)
		problems = append(problems, ch.checkDestination(ctx, connector)...)
	}
	problems.Sort()
	return ch.redact(connector, problems)
}

// redact removes values of config providers from the problems in place, also in names: aliases may be such values.
func (ch *Checker) redact(connector *resolved.Connector, problems config.Problems) config.Problems {
	for i := range problems {
		p := &problems[i]
		p.Text = ch.Worker.Redact(p.Text)
		if _, isSet := connector.Entry(p.Setting); !isSet {
			p.Setting = ch.Worker.Redact(p.Setting)
		}
	}
	return problems
}

func missingClass(plugins *plugin.Manager, connector *resolved.Connector) config.Problem {
	p := connector.MissingClass()
	if classes := resolved.Offered(plugins, wit.ComponentSource, wit.ComponentSink); len(classes) > 0 {
		p.Text = strings.TrimSuffix(p.Text, ".") + ": expected " + strings.Join(classes, " or ")
	}
	return p
}

// validateOffline calls the plugin of a connector, or of a stage if that is not nil, without documents.
func (ch *Checker) validateOffline(ctx context.Context, connector *resolved.Connector, stage *resolved.Stage,
	found config.Problems) config.Problems {
	bound, err := bind(connector, stage)
	if err != nil {
		return config.Problems{{File: connector.File, Line: 1, Text: err.Error()}}
	}
	defer bound.Close()
	prefix := ""
	classSetting := resolved.ClassSetting
	if stage != nil {
		prefix = stage.Prefix
		classSetting = prefix + "type"
	}
	var result wit.ValidateResult
	const mayFetch = false
	err = bound.do(ctx, func(i *plugin.Instance) (err error) {
		result, err = i.Validate(ctx, bound.component, bound.settings, mayFetch, nil, nil)
		return err
	})
	var witError *wit.Error
	switch {
	case errors.As(err, &witError) && witError.Setting != nil:
		entry := entryFor(connector, prefix+*witError.Setting)
		return config.Problems{problem(entry, errors.New(witError.Message))}
	case err != nil:
		return config.Problems{problem(entryFor(connector, classSetting), err)}
	case result.Done == nil:
		return config.Problems{problem(entryFor(connector, classSetting),
			fmt.Errorf("plugin %s requested documents in an offline check", bound.Current().Module().Name))}
	}
	return validationProblems(connector, prefix, *result.Done, found)
}

// CheckStages returns the problems of a connector's transforms and predicates.
func (ch *Checker) CheckStages(ctx context.Context, connector *resolved.Connector) config.Problems {
	problems := ch.checkStages(ctx, ch.newSettingsCheck(connector))
	problems.Sort()
	return ch.redact(connector, problems)
}

func (ch *Checker) checkStages(ctx context.Context, rules *settingsCheck) config.Problems {
	connector := rules.Connector
	problems := slices.Clone(connector.Stages.Problems)
	for _, stage := range connector.Stages.All() {
		class := &stage.Class
		typeEntry := entryFor(connector, stage.Prefix+"type")
		switch {
		case class.Class == "":
			continue // the problems of the list report it
		case class.Err != nil:
			problems = append(problems, problem(typeEntry, class.Err))
			continue
		case class.VersionErr != nil:
			problems = append(problems, problem(entryFor(connector, stage.Prefix+"plugin.version"), class.VersionErr))
		}
		if class.Class != class.Component.Name && strings.Contains(class.Class, "$") {
			problems = append(problems, warning(typeEntry,
				"Kafka Connect accepts a nested class only with its package: "+class.Component.Name))
		}
		stageProblems := rules.checkStage(ctx, stage)
		problems = append(problems, stageProblems...)
		if ctx.Err() != nil { // the problems already contain the end of the context
			break
		}
		problems = append(problems, ch.validateOffline(ctx, connector, stage, stageProblems)...)
	}
	return problems
}

// checkClients checks the connector's overrides of Kafka client settings.
func (ch *Checker) checkClients(ctx context.Context, connector *resolved.Connector) config.Problems {
	var problems config.Problems
	_, warnings, err := ch.Kafka.Override(ctx, connector.ResolvedSettings())
	for _, w := range warnings {
		problems = append(problems, connector.Locate(w))
	}
	if err != nil {
		problems = append(problems, connector.Locate(err))
	}
	problems = append(problems, ch.checkOverrides(connector)...)
	policy, err := kafka.OverridePolicy(ch.Worker.Text(kafka.OverridePolicySetting),
		ch.Worker.Text(kafka.OverrideAllowlistSetting))
	if err != nil {
		return problems // the worker's own problem
	}
	for _, entry := range connector.Entries {
		if err := policy.Check(entry.Key); err != nil {
			problems = append(problems, problem(entry, err))
		}
	}
	return problems
}

// checkOverrides finds clients with different brokers, and a consumer group that belongs to the workers.
func (ch *Checker) checkOverrides(connector *resolved.Connector) config.Problems {
	var problems config.Problems
	if entry, ok := connector.Entry("producer.override.bootstrap.servers"); ok {
		if _, ok := connector.Entry("admin.override.bootstrap.servers"); !ok {
			problems = append(problems, warning(entry,
				"records are written to these brokers, but their topics are created on the worker's brokers, as in "+
					"Kafka Connect: set admin.override.bootstrap.servers to create them where the records are written"))
		}
	}
	if entry, ok := connector.Entry(groupOverride); ok {
		group := setting.Trim(entry.Value.Reveal())
		if group != "" && group == ch.Worker.Text("group.id") {
			redacted := setting.Trim(entry.Value.String())
			problems = append(problems, problem(entry, fmt.Errorf("Consumer group %s conflicts with Connect worker "+
				"group %s", redacted, redacted))) // Kafka Connect's words
		}
	}
	return problems
}

// checkDestination returns the problems of the service's address or SAP destination, without a request to the service.
func (ch *Checker) checkDestination(ctx context.Context, connector *resolved.Connector) config.Problems {
	roles := connector.Roles()
	if !roles.Has(role.Address) && !roles.Has(role.Destination) {
		return nil
	}
	s, err := service.New(connector, nil, nil)
	if err == nil {
		err = s.Check(ctx)
	}
	if err != nil {
		var witError *wit.Error
		if errors.As(err, &witError) && witError.Setting != nil {
			return config.Problems{problem(entryFor(connector, *witError.Setting), errors.New(witError.Message))}
		}
		return config.Problems{problem(entryFor(connector, roles.Setting(role.Address)), err)}
	}
	return nil
}

// entryFor returns the entry of a key, or an empty one at the line where the setting belongs.
func entryFor(connector *resolved.Connector, key string) config.Entry {
	if entry, ok := connector.Entry(key); ok {
		return entry
	}
	return expectedEntry(connector, key)
}

func problem(entry config.Entry, err error) config.Problem {
	var ambiguous *plugin.AmbiguousPluginError
	return config.Problem{File: entry.File, Line: entry.Line, Setting: entry.Key, Text: err.Error(),
		ConnectorOnly: errors.As(err, &ambiguous)}
}

func warning(entry config.Entry, text string) config.Problem {
	return config.Problem{File: entry.File, Line: entry.Line, Setting: entry.Key, Text: text, Warning: true}
}

var _ transport.Roles = resolved.Roles{}

// unknownRoles returns problems of settings whose role the host does not know: ignoring them could lose data or send
// secrets in clear text. It omits settings with their default, and those that already have an error in found.
func unknownRoles(connector *resolved.Connector, found config.Problems) config.Problems {
	var problems config.Problems
	for entry, spec := range connector.Declared() {
		if _, ok := role.Find(spec.Role()); ok || spec.Role() == "" || setting.Trim(entry.Value.Reveal()) == "" {
			continue
		}
		if spec.DefaultValue != nil && strings.EqualFold(setting.Trim(entry.Value.Reveal()), *spec.DefaultValue) {
			continue
		}
		if slices.ContainsFunc(found, func(p config.Problem) bool { return p.Setting == entry.Key && !p.Warning }) {
			continue
		}
		problems = append(problems, problem(entry,
			fmt.Errorf("it has the role %s, which this version does not know and would ignore", spec.Role())))
	}
	return problems
}
