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

// rivals finds what a connector before this one has, by what plugins plan offline: claims are errors, and what both
// read into one topic is a warning, since each row comes twice there. A plan that fails is reported at the start.
func (k *Checker) rivals(ctx context.Context, c *config.Connector) (warnings config.Problems) {
	if !slices.ContainsFunc(k.Connectors, func(o *config.Connector) bool { return o.Name != c.Name }) {
		return nil
	}
	sources := map[[2]string]source{}
	mine := k.layout(ctx, c, sources)
	reads := maps.Clone(mine.reads)
	if effectOf(k.Plugins, c).moves {
		reads = nil
	}
	k.Plans.forget(k.Connectors)
	for _, other := range k.Connectors {
		if other.Name == c.Name || len(mine.claims)+len(reads) == 0 {
			return warnings // those after it are the second
		}
		if ctx.Err() != nil {
			return config.Problems{problem(entry(c, "connector.class"),
				fmt.Errorf("the check was ended: %w", context.Cause(ctx)))}
		}
		theirs := k.layout(ctx, other, sources)
		for _, claim := range theirs.claims {
			if _, both := slices.BinarySearch(mine.claims, claim); both { // [Claimed] has sorted them
				return config.Problems{problem(entry(c, "connector.class"), ClaimedTwice(claim, other.Name, c.Name))}
			}
		}
		for what, e := range reads {
			if _, both := theirs.reads[what]; both && !effectOf(k.Plugins, other).moves {
				warnings = append(warnings, warning(e, fmt.Sprintf("connector %s reads the same into topic %s: each "+
					"row comes twice there, unless the two choose different rows", other.Name, topicOf(e))))
				delete(reads, what) // the first is enough: a thousand of them would each name all before it
			}
		}
	}
	return warnings
}

// reads are the settings that name topics of a source, by the topic and what is read into it: the system, and what the
// group of settings must have.
func reads(c *config.Connector, component wit.Component) map[string]config.Entry {
	d, topics, needs := config.DeclareComponent(component), map[string]config.Entry{}, map[string][]string{}
	for _, e := range c.Entries {
		for _, spec := range d.Matching(e.Key) {
			_, last, grouped := strings.Cut(spec.Name, "}.")
			switch group, in := strings.CutSuffix(e.Key, last); {
			case !grouped || !in:
			case spec.Role() == role.SourceTopic:
				topics[group] = e
			case setting.IsRequired(&spec):
				needs[group] = append(needs[group], last+"="+strings.Trim(topicOf(e), "/"))
			}
		}
	}
	all, at := map[string]config.Entry{}, fmt.Sprint(component.Name, " ", systemOf(c, component))
	for group, e := range topics {
		slices.Sort(needs[group])
		all[strings.Join(append([]string{at, topicOf(e)}, needs[group]...), "\x00")] = e
	}
	return all
}

// planned is what a check needs of the plan of a connector.
type planned struct {
	claims []string
	// why it cannot have exactly-once; nil: it can, or the plan failed.
	why *string
	// reads is what it reads into which topic, see [reads].
	reads map[string]config.Entry
}

// source is what [Find] has found for a class and a version.
type source struct {
	info      plugin.Info
	component wit.Component
	err       error
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

// layout is what the plugin of a connector plans, once for each. One that the plugin cannot plan has none. sources are
// those that were found, and takes up others.
func (k *Checker) layout(ctx context.Context, c *config.Connector, sources map[[2]string]source) planned {
	if k.Plans == nil {
		k.Plans = &Plans{}
	}
	if c.Problems.Err() != nil {
		return planned{}
	}
	class, version := c.Text("connector.class"), c.Text("connector.plugin.version")
	s, some := sources[[2]string{class, version}]
	if !some {
		s.info, s.component, s.err = Find(k.Plugins, class, version, wit.ComponentSource)
		sources[[2]string{class, version}] = s
	}
	if s.err != nil {
		return planned{}
	}
	if all, some := k.Plans.find(c, s.info.Hash); some {
		return all
	}
	all, err := k.plan(ctx, c, s.info, s.component)
	all.reads = reads(c, s.component)
	// What may do better, such as a plugin that took too long, is asked again.
	if fault := new(wit.Fault); err == nil || errors.As(err, &fault) && ctx.Err() == nil {
		k.Plans.keep(c, s.info.Hash, all)
	}
	return all
}

// exactly is the preflight of a connector that must have exactly-once (P28).
func (k *Checker) exactly(ctx context.Context, c *config.Connector) config.Problems {
	e, ok := c.Entry("exactly.once.support")
	if !ok || !strings.EqualFold(setting.Trim(e.Value.Reveal()), "required") {
		return nil
	}
	why := k.layout(ctx, c, map[[2]string]source{}).why
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
	err = binding.Current().Do(ctx, func(i *plugin.Instance) error {
		layout, err = i.Plan(ctx, component.Name, guest.Settings(c), uint32(most))
		return err
	})
	if err != nil {
		return none, err
	}
	return planned{claims: Claimed(c, component, layout.Claims), why: layout.ExactlyOnce.Unsupported}, nil
}
