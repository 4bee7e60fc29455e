package check

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/culvert-project/culvert/host/config"
	"github.com/culvert-project/culvert/host/plugin"
	"github.com/culvert-project/culvert/sdk/go/role"
	"github.com/culvert-project/culvert/sdk/go/setting"
	"github.com/culvert-project/culvert/wit"
)

// Claims are what only one connector of an installation may have, as plugins name them when they plan: each holds at an
// origin, for an SAP client and a user. Checks find two that have one; package connect keeps account of what those have
// that run.

// holder is where claims of a connector hold, as its settings say.
func holder(c *config.Connector, component wit.Component) string {
	roles := config.NewRoles(config.DeclareComponent(component), c)
	return fmt.Sprintf("%v, user %s", systemOf(c, component), cmp.Or(strings.ToUpper(roles.Text(role.User)), "none"))
}

// Claimed are a connector's claims with what the host puts before them.
func Claimed(c *config.Connector, component wit.Component, claims []string) []string {
	var all []string
	at := holder(c, component)
	for _, claim := range claims {
		all = append(all, fmt.Sprintf("%q at %s", claim, at))
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// ClaimedTwice is the fault of a connector that claims what another one has.
func ClaimedTwice(claim, first, second string) error {
	return &wit.Fault{Kind: wit.FaultConfig,
		Message: fmt.Sprintf("connectors %s and %s both claim %s, which only one connector of an "+
			"installation may have: %s does not start", first, second, claim, second)}
}

// rivals finds claims that a connector before this one has, by what plugins plan offline. A plan that fails is reported
// at the start.
func (k *Checker) rivals(ctx context.Context, c *config.Connector) config.Problems {
	if !slices.ContainsFunc(k.Connectors, func(o *config.Connector) bool { return o.Name != c.Name }) {
		return nil
	}
	mine := k.claims(ctx, c)
	if len(mine) == 0 {
		return nil
	}
	k.Plans.forget(k.Connectors)
	for _, other := range k.Connectors {
		if other.Name == c.Name {
			return nil // those after it are the second
		}
		for _, claim := range k.claims(ctx, other) {
			if _, both := slices.BinarySearch(mine, claim); both { // [Claimed] has sorted them
				return config.Problems{problem(entry(c, "connector.class"), ClaimedTwice(claim, other.Name, c.Name))}
			}
		}
	}
	return nil
}

// readTwice warns of what a connector before this one reads into the same topic: each row comes twice there.
func (k *Checker) readTwice(c *config.Connector, component wit.Component) (warnings config.Problems) {
	if component.Kind != wit.ComponentSource || effectOf(k.Plugins, c).moves {
		return nil
	}
	mine, topics := reads(c, component, nil), map[string]bool{}
	for _, e := range mine {
		topics[topicOf(e)] = true
	}
	for _, other := range k.Connectors {
		if other.Name == c.Name || len(mine) == 0 {
			return warnings // those after it are the second
		}
		_, of, err := Find(k.Plugins, other.Text("connector.class"), "", wit.ComponentSource)
		if err != nil || of.Name != component.Name {
			continue
		}
		for what, e := range reads(other, of, topics) {
			if mine[what].Key != "" && !effectOf(k.Plugins, other).moves {
				warnings = append(warnings, warning(mine[what], fmt.Sprintf("connector %s reads the same into topic "+
					"%s: each row comes twice there, unless the two choose different rows", other.Name, topicOf(e))))
			}
		}
	}
	return warnings
}

// reads are the settings that name topics of a source, by the topic and what is read into it: the system, and what the
// group of settings must have. Only topics that are among those of another connector count, unless that is nil.
func reads(c *config.Connector, component wit.Component, among map[string]bool) map[string]config.Entry {
	d, all := config.DeclareComponent(component), map[string]config.Entry{}
	for _, e := range c.Entries {
		if among != nil && !among[topicOf(e)] {
			continue
		}
		specs := slices.DeleteFunc(d.Matching(e.Key), func(s wit.SettingSpec) bool {
			return s.Role() != role.SourceTopic
		})
		if len(specs) == 0 || !setting.IsTemplate(specs[0].Name) {
			continue
		}
		_, last, _ := strings.Cut(specs[0].Name, "}.")
		group := strings.TrimSuffix(e.Key, last)
		what := []string{fmt.Sprint(systemOf(c, component))}
		for _, other := range c.Entries {
			name, in := strings.CutPrefix(other.Key, group)
			if spec, _ := d.Find(other.Key); in && setting.IsRequired(&spec) {
				what = append(what, name+"="+strings.Trim(topicOf(other), "/"))
			}
		}
		slices.Sort(what)
		all[strings.Join(what, "\x00")] = e
	}
	return all
}

// claims are those that the plugin of a connector plans, once for each.
func (k *Checker) claims(ctx context.Context, c *config.Connector) []string {
	return k.layout(ctx, c).claims
}

// planned is what a check needs of the plan of a connector.
type planned struct {
	claims []string
	// why it cannot have exactly-once; nil: it can, or the plan failed.
	why *string
}

// Plans are what plugins have planned for connectors, by their names, each until its settings or its plugin are others:
// a check of one connector asks what all others claim, and the plugin of each of them each time would take as long as
// there are others. The zero value is ready; it may be used at any time.
type Plans struct {
	mu    sync.Mutex
	known map[string]known
}

// known is a plan with what it was made of.
type known struct {
	entries []config.Entry
	module  string
	planned planned
}

// find is the plan of a connector by a version of its plugin.
func (p *Plans) find(c *config.Connector, module string) (planned, bool) {
	p.mu.Lock()
	k, some := p.known[c.Name]
	p.mu.Unlock()
	same := some && k.module == module && len(k.entries) == len(c.Entries) &&
		(len(k.entries) == 0 || &k.entries[0] == &c.Entries[0] || slices.EqualFunc(k.entries, c.Entries,
			func(a, b config.Entry) bool { return a.Key == b.Key && a.Value.Equal(b.Value) }))
	return k.planned, same
}

func (p *Plans) keep(c *config.Connector, module string, all planned) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.known == nil {
		p.known = map[string]known{}
	}
	p.known[c.Name] = known{c.Entries, module, all}
}

// forget lets go of plans of connectors that are gone, when there are many of them.
func (p *Plans) forget(all []*config.Connector) {
	if p == nil {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.known) <= 2*len(all)+100 {
		return
	}
	there := make(map[string]bool, len(all))
	for _, c := range all {
		there[c.Name] = true
	}
	maps.DeleteFunc(p.known, func(name string, _ known) bool { return !there[name] })
}

// layout is what the plugin of a connector plans, once for each. One that the plugin cannot plan has none.
func (k *Checker) layout(ctx context.Context, c *config.Connector) planned {
	if k.Plans == nil {
		k.Plans = &Plans{}
	}
	if c.Problems.Err() != nil {
		return planned{}
	}
	info, component, err := Find(k.Plugins, c.Text("connector.class"), c.Text("connector.plugin.version"),
		wit.ComponentSource)
	if err != nil {
		return planned{}
	}
	if all, some := k.Plans.find(c, info.Hash); some {
		return all
	}
	all, err := k.plan(ctx, c, info, component)
	// What may do better, such as a plugin that took too long, is asked again.
	if fault := new(wit.Fault); err == nil || errors.As(err, &fault) && ctx.Err() == nil {
		k.Plans.keep(c, info.Hash, all)
	}
	return all
}

// exactly is the preflight of a connector that must have exactly-once (P28).
func (k *Checker) exactly(ctx context.Context, c *config.Connector) config.Problems {
	e, ok := c.Entry("exactly.once.support")
	if !ok || !strings.EqualFold(setting.Trim(e.Value.Reveal()), "required") {
		return nil
	}
	why := k.layout(ctx, c).why
	if why == nil {
		return nil
	}
	return config.Problems{problem(e, errors.New("expected requested, found required: "+*why))}
}

// Boundary is after how long the transactions of a source end whose producers have this transaction.timeout.ms; 0: with
// each page. Errors are a [wit.Fault] at the setting.
func Boundary(c *config.Connector, w *config.Worker, limit time.Duration) (time.Duration, error) {
	if !strings.EqualFold(c.Setting("transaction.boundary", w), "interval") {
		return 0, nil
	}
	name := "transaction.boundary.interval.ms"
	given := c.Text(name)
	if given == "" {
		return min(w.Duration("offset.flush.interval.ms"), limit/2), nil
	}
	every, ok := setting.Integer(wit.KindLong, given)
	if !ok || every >= limit.Milliseconds() {
		return 0, &wit.Fault{Kind: wit.FaultConfig, Setting: &name, Message: fmt.Sprintf("expected less than "+
			"transaction.timeout.ms (%d), or brokers abort the transaction, found %s: set less, or a larger "+
			"producer.override.transaction.timeout.ms", limit.Milliseconds(), given)}
	}
	return time.Duration(every) * time.Millisecond, nil
}

// boundary checks where the transactions of a source end; limit is 0 where the worker's settings of Kafka are wrong.
func (k *Checker) boundary(c *config.Connector, limit time.Duration) config.Problems {
	if limit == 0 || !k.Worker.ExactlyOnce() {
		return nil
	}
	_, err := Boundary(c, k.Worker, limit)
	var fault *wit.Fault
	if !errors.As(err, &fault) {
		return nil
	}
	return config.Problems{problem(entry(c, *fault.Setting), errors.New(fault.Message))}
}

func (k *Checker) plan(ctx context.Context, c *config.Connector, info plugin.Info,
	component wit.Component) (none planned, err error) {
	most, err := strconv.ParseUint(c.Text("tasks.max"), 10, 32)
	if err != nil {
		return none, err
	}
	binding, err := k.Plugins.Bind(c.Name, component.Kind, component.Name, info.Version)
	if err != nil {
		return none, err
	}
	defer binding.Close()
	guest := Guest(k.Plugins, binding.Current().Module(), component)
	var layout wit.Layout
	err = binding.Current().DoOnce(ctx, func(i *plugin.Instance) error {
		layout, err = i.Plan(ctx, component.Name, guest.Settings(c), uint32(most))
		return err
	})
	if err != nil {
		return none, err
	}
	return planned{Claimed(c, component, layout.Claims), layout.ExactlyOnce.Unsupported}, nil
}
