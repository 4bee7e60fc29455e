package check

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/culvert-project/culvert/internal/components"
	"github.com/culvert-project/culvert/internal/config"
	"github.com/culvert-project/culvert/internal/plugin"
	"github.com/culvert-project/culvert/sdk/go/role"
	"github.com/culvert-project/culvert/sdk/go/setting"
	"github.com/culvert-project/culvert/wit"
)

// Claims are what only one connector of an installation may have, as plugins name them when they plan: each holds at an
// origin, for an SAP client and a user. Checks find two that have one; package connect keeps account of what those have
// that run.

// claimConflicts finds what a connector before this one has, by what plugins plan offline: claims are errors, and what
// both read into one topic is a warning, since each row comes twice there. A plan that fails is reported at the start.
func (k *Checker) claimConflicts(ctx context.Context, c *config.Connector) (warnings config.Problems) {
	if !slices.ContainsFunc(k.Connectors, func(o *config.Connector) bool { return o.Name != c.Name }) {
		return nil
	}
	found := foundSources{}
	mine := k.cachedPlan(ctx, c, found)
	reads := maps.Clone(mine.reads)
	if components.EffectOf(k.Plugins, c).Moves {
		reads = nil
	}
	for _, other := range k.Connectors {
		if other.Name == c.Name || len(mine.claims)+len(reads) == 0 {
			return warnings // those after it are the second
		}
		if ctx.Err() != nil {
			return config.Problems{problem(entryFor(c, "connector.class"),
				fmt.Errorf("the check was ended: %w", context.Cause(ctx)))}
		}
		theirs := k.cachedPlan(ctx, other, found)
		for _, claim := range theirs.claims {
			if _, both := slices.BinarySearch(mine.claims, claim); both { // [Claimed] has sorted them
				return config.Problems{problem(entryFor(c, "connector.class"),
					components.ClaimedTwice(claim, other.Name, c.Name))}
			}
		}
		for what, e := range reads {
			if _, both := theirs.reads[what]; both && !components.EffectOf(k.Plugins, other).Moves {
				warnings = append(warnings, warning(e, fmt.Sprintf("connector %s reads the same into topic %s: each "+
					"row comes twice there, unless the two choose different rows", other.Name, components.TopicOf(e))))
				delete(reads, what) // the first is enough: a thousand of them would each name all before it
			}
		}
	}
	return warnings
}

// reads returns the topic settings of a source, by topic and what is read into it: the system and the required settings
// of the group.
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
				needs[group] = append(needs[group], last+"="+strings.Trim(components.TopicOf(e), "/"))
			}
		}
	}
	all, at := map[string]config.Entry{}, fmt.Sprint(component.Name, " ", components.SystemOf(c, component))
	for group, e := range topics {
		slices.Sort(needs[group])
		all[strings.Join(append([]string{at, components.TopicOf(e)}, needs[group]...), "\x00")] = e
	}
	return all
}

type connectorPlan struct {
	claims []string
	// noExactlyOnce it cannot have exactly-once; nil: it can, or the plan failed.
	noExactlyOnce *string
	// reads is what it reads into which topic, see [reads].
	reads map[string]config.Entry
}

// Plans are what plugins have planned for connectors, by name, each until its settings or its plugin change: a check
// compares a connector with the claims of all others, and asking the plugin of each of them again would make a change
// of one connector cost as much as there are connectors. The zero value is empty; it may be used at any time.
type Plans struct {
	mu    sync.Mutex
	known map[string]knownPlan
}

type knownPlan struct {
	entries []config.Entry
	module  string
	planned connectorPlan
}

func (p *Plans) find(c *config.Connector, module string) (connectorPlan, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	k, some := p.known[c.Name]
	return k.planned, some && k.module == module && slices.EqualFunc(k.entries, c.Entries,
		func(a, b config.Entry) bool { return a.Key == b.Key && a.Value.Equal(b.Value) })
}

func (p *Plans) store(c *config.Connector, module string, plan connectorPlan, all []*config.Connector) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.known == nil {
		p.known = map[string]knownPlan{}
	}
	p.known[c.Name] = knownPlan{c.Entries, module, plan}
	if len(p.known) > 2*len(all)+100 {
		exists := map[string]bool{c.Name: true}
		for _, o := range all {
			exists[o.Name] = true
		}
		maps.DeleteFunc(p.known, func(name string, _ knownPlan) bool { return !exists[name] })
	}
}

// foundSources are what [Find] has found for classes and versions in one check: most connectors have the same.
type foundSources map[[2]string]foundSource

type foundSource struct {
	info      plugin.Info
	component wit.Component
	err       error
}

func (k *Checker) cachedPlan(ctx context.Context, c *config.Connector, found foundSources) connectorPlan {
	if c.Problems.Err() != nil {
		return connectorPlan{}
	}
	if k.Plans == nil {
		k.Plans = &Plans{}
	}
	class, version := c.Text("connector.class"), c.Text("connector.plugin.version")
	s, some := found[[2]string{class, version}]
	if !some {
		s.info, s.component, s.err = components.Find(k.Plugins, class, version, wit.ComponentSource)
		found[[2]string{class, version}] = s
	}
	if s.err != nil {
		return connectorPlan{}
	}
	if known, some := k.Plans.find(c, s.info.Hash); some {
		return known
	}
	all, err := k.plan(ctx, c, s.info, s.component)
	all.reads = reads(c, s.component)
	// A plugin that could not be asked, because it took too long, say, is asked again by the next check.
	if fault := new(wit.Error); ctx.Err() == nil && (err == nil || errors.As(err, &fault)) {
		k.Plans.store(c, s.info.Hash, all, k.Connectors)
	}
	return all
}

// checkExactlyOnce is the preflight of a connector that must have exactly-once (P28).
func (k *Checker) checkExactlyOnce(ctx context.Context, c *config.Connector) config.Problems {
	e, ok := c.Entry("exactly.once.support")
	if !ok || !strings.EqualFold(setting.Trim(e.Value.Reveal()), "required") {
		return nil
	}
	why := k.cachedPlan(ctx, c, foundSources{}).noExactlyOnce
	if why == nil {
		return nil
	}
	return config.Problems{problem(e, errors.New("expected requested, found required: "+*why))}
}

// checkBoundary warns of a setting for transactions of several pages, which sources do not have.
func (k *Checker) checkBoundary(c *config.Connector) config.Problems {
	if !k.Worker.ExactlyOnce() || !strings.EqualFold(c.Setting("transaction.boundary", k.Worker), "interval") {
		return nil
	}
	return config.Problems{warning(entryFor(c, "transaction.boundary"), "interval is taken as poll: each page is a "+
		"transaction of its own, and transaction.boundary.interval.ms has no effect")}
}

func (k *Checker) plan(ctx context.Context, c *config.Connector, info plugin.Info,
	component wit.Component) (none connectorPlan, err error) {
	most, err := strconv.ParseUint(c.Text("tasks.max"), 10, 32)
	if err != nil {
		return none, err
	}
	a, err := bind(k.Plugins, c, "", info, component)
	if err != nil {
		return none, err
	}
	defer a.Close()
	var layout wit.PlanResult
	err = a.do(ctx, func(i *plugin.Instance) error {
		layout, err = i.Plan(ctx, a.component, a.settings, uint32(most))
		return err
	})
	if err != nil {
		return none, err
	}
	return connectorPlan{claims: components.Claimed(c, component, layout.Claims),
		noExactlyOnce: layout.ExactlyOnce.Unsupported}, nil
}
