package check

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"time"

	"github.com/culvert-project/culvert/internal/components"
	"github.com/culvert-project/culvert/internal/config"
	"github.com/culvert-project/culvert/internal/kafka"
	"github.com/culvert-project/culvert/internal/plugin"
	"github.com/culvert-project/culvert/internal/record"
	"github.com/culvert-project/culvert/internal/service"
	"github.com/culvert-project/culvert/internal/transport"
	"github.com/culvert-project/culvert/internal/transport/lockouts"
	"github.com/culvert-project/culvert/sdk/go/role"
	"github.com/culvert-project/culvert/sdk/go/setting"
	"github.com/culvert-project/culvert/wit"
)

// Checker finds what is wrong with connectors, without sending anything anywhere unless it is asked to.
type Checker struct {
	Worker  *config.Worker
	Plugins *plugin.Manager
	// Kafka is the worker's configuration of clients.
	Kafka kafka.Config
	// Embedded means that the built-in broker is used.
	Embedded bool
	Registry *record.Registry
	// Connectors are all connectors of the installation, with or without the one that is checked.
	Connectors []*config.Connector

	// Lockouts remembers refused logons, nil: for this process alone. Wait is how long a validation waits for a
	// service, [OnlineTime] by REST; zero means that it asks none. Logon: it may log on with a secret that the service
	// has not accepted yet, since that is the stored connector's, or a reference, or whoever sends it says that it is
	// right: others may still be typing. Destinations is where its clients meet others of the same origin, nil: one
	// place for the process. All are for [Checker.Validate] and [Checker.CheckOnline] alone.
	Lockouts     *lockouts.Store
	Wait         time.Duration
	Logon        bool
	Destinations *transport.OriginRegistry

	// Logger gets what keeps a plugin from checking with its service. Nil means nothing is logged.
	Logger *slog.Logger

	// Version is the version that converters report.
	Version string

	// Plans holds what plugins have planned for connectors, nil: for this Checker alone.
	Plans *Plans
}

// WithConnectors is the checker of an installation with these connectors.
func (k *Checker) WithConnectors(connectors []*config.Connector) Checker {
	among := *k
	among.Connectors = connectors
	return among
}

// Check goes over a connector: its class, every setting by its declaration and with the plugin itself, its transforms,
// its converters, its destination.
func (k *Checker) Check(ctx context.Context, c *config.Connector) config.Problems {
	return k.check(ctx, c, k.ask)
}

// CheckOnline is Check where the connector's plugin may ask its service. What the service did not say is a warning, of
// [setting.CodeUnasked].
func (k *Checker) CheckOnline(ctx context.Context, c *config.Connector) config.Problems {
	return k.check(ctx, c, func(ctx context.Context, c *config.Connector, _ string, info plugin.Info,
		component wit.Component, found config.Problems) config.Problems {
		_, _, problems := k.askOnline(ctx, c, info, component, found)
		return problems
	})
}

type asker func(ctx context.Context, c *config.Connector, prefix string, info plugin.Info, component wit.Component,
	found config.Problems) config.Problems

func (k *Checker) check(ctx context.Context, c *config.Connector, ask asker) config.Problems {
	class, ok := c.Entry("connector.class")
	if !ok {
		return config.Problems{withoutClass(k.Plugins, c)}
	}
	var problems config.Problems
	info, component, err := components.Find(k.Plugins, c.Text("connector.class"), c.Text("connector.plugin.version"),
		wit.ComponentSource, wit.ComponentSink)
	if version, ok := c.Entry("connector.plugin.version"); ok && err != nil {
		// Another version tells well enough what else is wrong.
		wanted := err
		if info, component, err = components.Find(k.Plugins, c.Text("connector.class"), "", wit.ComponentSource,
			wit.ComponentSink); err == nil {
			problems = append(problems, problem(version, wanted))
		}
	}
	if err != nil {
		return k.redact(c, config.Problems{problem(class, err)})
	}
	if binding, err := k.Plugins.Bind(c.Name, component.Kind, component.Name, info.Version); err == nil {
		defer binding.Close() // one instance answers all questions: to make it takes longer than they do
	}
	rules := config.Checker{Worker: k.Worker, Embedded: k.Embedded,
		OtherComponents: components.Declarations(k.Plugins, info)}
	problems = append(problems, rules.CheckComponent(ctx, c, component)...)
	problems = append(problems, checkTopicNames(c, component)...)
	problems = append(problems, k.checkTargets(c, component)...)
	problems = append(problems, k.unreachableTopics(c, component)...)
	problems = append(problems, ask(ctx, c, "", info, component, problems)...)
	problems = append(problems, k.stages(ctx, c, rules)...)
	problems = append(problems, k.converters(c, component)...)
	problems = append(problems, k.ineffectiveSettings(c)...)
	problems = append(problems, k.clients(ctx, c)...)
	if component.Kind == wit.ComponentSink {
		problems = append(problems, k.checkGroup(c)...)
	}
	problems = append(problems, unsupported(c, config.DeclareComponent(component), problems)...)
	if problems.Err() == nil {
		problems = append(problems, k.claimConflicts(ctx, c)...)
		problems = append(problems, k.checkExactlyOnce(ctx, c)...)
		problems = append(problems, k.destination(ctx, c, component)...)
	}
	problems.Sort()
	return k.redact(c, problems)
}

// redact are problems without what config providers gave: an alias of the connector is in names of settings, too.
func (k *Checker) redact(c *config.Connector, problems config.Problems) config.Problems {
	for i := range problems {
		p := &problems[i]
		p.Text = k.Worker.Redact(p.Text)
		if _, given := c.Entry(p.Setting); !given {
			p.Setting = k.Worker.Redact(p.Setting)
		}
	}
	return problems
}

func withoutClass(m *plugin.Manager, c *config.Connector) config.Problem {
	p := c.MissingClass()
	if known := components.Offered(m, wit.ComponentSource, wit.ComponentSink); len(known) > 0 {
		p.Text = strings.TrimSuffix(p.Text, ".") + ": expected " + strings.Join(known, " or ")
	}
	return p
}

// ask has the plugin check the settings together. prefix is that of a transform or predicate, c the connector it
// belongs to.
func (k *Checker) ask(ctx context.Context, c *config.Connector, prefix string, info plugin.Info,
	component wit.Component, found config.Problems) config.Problems {
	a, err := bind(k.Plugins, c, prefix, info, component)
	if err != nil {
		return config.Problems{{File: c.File, Line: 1, Text: err.Error()}}
	}
	defer a.Close()
	var inquiry wit.ValidateResult
	err = a.do(ctx, func(i *plugin.Instance) error {
		inquiry, err = i.Validate(ctx, a.component, a.settings, false, nil, nil)
		return err
	})
	var fault *wit.Error
	switch {
	case errors.As(err, &fault) && fault.Setting != nil:
		e := entryFor(c, prefix+*fault.Setting)
		return config.Problems{problem(e, errors.New(fault.Message))}
	case fault != nil && prefix != "":
		return config.Problems{problem(entryFor(c, prefix+"type"), fault)}
	case err != nil:
		return config.Problems{problem(entryFor(c, "connector.class"), err)}
	case inquiry.Done == nil:
		return config.Problems{problem(entryFor(c, "connector.class"),
			fmt.Errorf("plugin %s asked for documents although it was to check offline", info.Name))}
	}
	return config.ValidationProblems(c, prefix, *inquiry.Done, found)
}

// Stages goes over the transforms and predicates of a connector alone.
func (k *Checker) Stages(ctx context.Context, c *config.Connector) config.Problems {
	problems := k.stages(ctx, c, config.Checker{Worker: k.Worker, Embedded: k.Embedded})
	problems.Sort()
	return k.redact(c, problems)
}

func (k *Checker) stages(ctx context.Context, c *config.Connector, rules config.Checker) config.Problems {
	stages, problems := c.Stages()
	check := func(prefix, class, version string, kind wit.ComponentKind) {
		if class == "" {
			return
		}
		info, component, err := components.Find(k.Plugins, class, version, kind)
		if err != nil {
			problems = append(problems, problem(entryFor(c, prefix+"type"), err))
			return
		}
		if class != component.Name && strings.Contains(class, "$") {
			problems = append(problems, warning(entryFor(c, prefix+"type"), "Kafka Connect takes a nested class with its "+
				"package alone: "+component.Name))
		}
		found := rules.CheckStage(ctx, c, prefix, component)
		problems = append(problems, found...)
		problems = append(problems, k.ask(ctx, c, prefix, info, component, found)...)
	}
	for _, s := range stages {
		check(s.Prefix, s.Class, s.Version, wit.ComponentTransformation)
	}
	for _, p := range c.Predicates() {
		check(p.Prefix, p.Class, p.Version, wit.ComponentPredicate)
	}
	return problems
}

// clients checks what the connector changes about its Kafka clients.
func (k *Checker) clients(ctx context.Context, c *config.Connector) config.Problems {
	var problems config.Problems
	_, warnings, err := k.Kafka.Override(ctx, c.ResolvedSettings())
	for _, w := range warnings {
		problems = append(problems, c.Locate(w))
	}
	if err != nil {
		problems = append(problems, c.Locate(err))
	}
	problems = append(problems, k.checkBoundary(c)...)
	policy, err := kafka.OverridePolicy(k.Worker.Text(kafka.OverridePolicySetting),
		k.Worker.Text(kafka.OverrideAllowlistSetting))
	if err != nil {
		return problems // the worker's own problem
	}
	for _, e := range c.Entries {
		if err := policy.Check(e.Key); err != nil {
			problems = append(problems, problem(e, err))
		}
	}
	return append(problems, k.checkOverrides(c)...)
}

// checkOverrides finds clients of one connector that use different brokers, and consumer groups that belong to another
// connector or to the workers.
func (k *Checker) checkOverrides(c *config.Connector) config.Problems {
	var problems config.Problems
	if e, ok := c.Entry("producer.override.bootstrap.servers"); ok {
		if _, also := c.Entry("admin.override.bootstrap.servers"); !also {
			problems = append(problems, warning(e, "records go to these brokers, but their topics are made on the "+
				"worker's, as in Kafka Connect: admin.override.bootstrap.servers makes them where the records go"))
		}
	}
	if e, ok := c.Entry("consumer.override.group.id"); ok {
		group := setting.Trim(e.Value.Reveal())
		if group != "" && group == k.Worker.Text("group.id") {
			shown := setting.Trim(e.Value.String())
			problems = append(problems, problem(e, fmt.Errorf("Consumer group %s conflicts with Connect "+
				"worker group %s",
				shown, shown))) // Kafka Connect's words
		}
		for _, other := range k.Connectors {
			if other.Name != c.Name && group == config.ConsumerGroup(other.Name) {
				problems = append(problems, problem(e,
					fmt.Errorf("expected a group of the connector's own, found that of connector %s: "+
						"each would take the other's records for read", other.Name)))
			}
		}
	}
	return problems
}

// checkGroup finds a sink's group that is the workers' because of the sink's name.
func (k *Checker) checkGroup(c *config.Connector) config.Problems {
	group := k.Worker.Text("group.id")
	if _, named := c.Entry("consumer.override.group.id"); named || config.ConsumerGroup(c.Name) != group {
		return nil
	}
	return config.Problems{problem(entryFor(c, "name"), fmt.Errorf("Consumer group for sink connector named %s conflicts "+
		"with Connect worker group %s", c.Name, group))} // Kafka Connect's words
}

// destination checks what transport makes of the settings that have roles, where the component declares any.
func (k *Checker) destination(ctx context.Context, c *config.Connector, component wit.Component) config.Problems {
	roles := c.Roles(component)
	if !roles.Has(role.Address) && !roles.Has(role.Destination) {
		return nil
	}
	s, err := service.New(component, c, k.Worker.Providers, nil, nil)
	if err == nil {
		err = s.Check(ctx)
	}
	if err != nil {
		var fault *wit.Error
		if errors.As(err, &fault) && fault.Setting != nil {
			return config.Problems{problem(entryFor(c, *fault.Setting), errors.New(fault.Message))}
		}
		return config.Problems{problem(entryFor(c, roles.Setting(role.Address)), err)}
	}
	return nil
}

// entryFor returns the entry of a key, or an empty one at the line where the setting belongs.
func entryFor(c *config.Connector, key string) config.Entry {
	if e, ok := c.Entry(key); ok {
		return e
	}
	return c.ExpectedEntry(key)
}

func problem(e config.Entry, err error) config.Problem {
	var unsettled *plugin.AmbiguousPlugin
	return config.Problem{File: e.File, Line: e.Line, Setting: e.Key, Text: err.Error(), ConnectorOnly: errors.As(err,
		&unsettled)}
}

func warning(e config.Entry, text string) config.Problem {
	return config.Problem{File: e.File, Line: e.Line, Setting: e.Key, Text: text, Warning: true}
}

var _ transport.Roles = config.Roles{}

// Declared are the declarations of the plugin that a connector names; none where there is no such plugin.
func (k *Checker) Declared(c *config.Connector) *config.Declarations {
	_, component, err := components.Find(k.Plugins, c.Text("connector.class"), c.Text("connector.plugin.version"),
		wit.ComponentSource, wit.ComponentSink)
	if err != nil {
		return config.Declare()
	}
	return config.DeclareComponent(component)
}

// unsupported returns problems of settings whose role the host does not support yet: ignoring them could lose data or
// send secrets in clear text.
func unsupported(c *config.Connector, d *config.Declarations, found config.Problems) config.Problems {
	var problems config.Problems
	for _, e := range c.Entries {
		spec, ok := d.Find(e.Key)
		if !ok || spec.Role() == "" || setting.Trim(e.Value.Reveal()) == "" || isSupported(spec.Role()) {
			continue
		}
		if spec.DefaultValue != nil && strings.EqualFold(setting.Trim(e.Value.Reveal()), *spec.DefaultValue) {
			continue
		}
		if slices.ContainsFunc(found, func(p config.Problem) bool { return p.Setting == e.Key && !p.Warning }) {
			continue // the plugin has said so, or something worse
		}
		problems = append(problems, problem(e, fmt.Errorf("not built yet (the host does nothing about %s)",
			spec.Role())))
	}
	return problems
}

func isSupported(name string) bool {
	r, known := role.Find(name)
	return known && !r.Unsupported
}
