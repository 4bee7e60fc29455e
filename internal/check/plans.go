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

	"github.com/culvert-project/culvert/internal/config"
	"github.com/culvert-project/culvert/internal/plugin"
	"github.com/culvert-project/culvert/internal/resolved"
	"github.com/culvert-project/culvert/sdk/go/role"
	"github.com/culvert-project/culvert/sdk/go/setting"
	"github.com/culvert-project/culvert/wit"
)

// claimConflicts compares the connector's plan with the plans of the connectors before it. A claim is a resource that
// only one connector of an installation may use, at an origin, SAP client and user: a second claim is an error, and the
// only problem of the result. The same data in the same topic is a warning, because each row is written twice. A plan
// that fails is reported when the connector starts.
func (ch *Checker) claimConflicts(ctx context.Context, connector *resolved.Connector) (warnings config.Problems) {
	if !slices.ContainsFunc(ch.Connectors, func(o *resolved.Connector) bool { return o.Name != connector.Name }) {
		return nil
	}
	plan := ch.cachedPlan(ctx, connector)
	reads := maps.Clone(plan.reads)
	if connector.Effect().ChangesTopic {
		reads = nil
	}
	for _, other := range ch.Connectors {
		if other.Name == connector.Name || len(plan.claims)+len(reads) == 0 {
			return warnings // conflicts with later connectors are reported when those are checked
		}
		if ctx.Err() != nil {
			return config.Problems{problem(entryFor(connector, "connector.class"),
				fmt.Errorf("the check was canceled: %w", context.Cause(ctx)))}
		}
		otherPlan := ch.cachedPlan(ctx, other)
		for _, claim := range otherPlan.claims {
			if _, ok := slices.BinarySearch(plan.claims, claim); ok { // [resolved.Connector.QualifyClaims] sorts them
				return config.Problems{problem(entryFor(connector, "connector.class"),
					resolved.ClaimConflict(claim, other.Name, connector.Name))}
			}
		}
		for source, entry := range reads {
			if _, ok := otherPlan.reads[source]; ok && !other.Effect().ChangesTopic {
				warnings = append(warnings, warning(entry,
					fmt.Sprintf("connector %s reads the same data into topic %s: each row is written there twice, "+
						"unless the two connectors select different rows", other.Name,
						resolved.TopicOf(entry))))
				delete(reads, source) // one warning is enough: a thousand connectors would each list all others
			}
		}
	}
	return warnings
}

// topicReads returns the topic settings of a source. The key of each identifies the data and the topic: the system, the
// topic and the required settings of the group, which name an entity set.
func topicReads(connector *resolved.Connector) map[string]config.Entry {
	component := connector.Class.Component
	topics := map[string]config.Entry{}
	required := map[string][]string{} // "NAME=VALUE", by group
	for _, entry := range connector.Entries {
		for _, spec := range component.Table().Matching(entry.Key) {
			_, last, isGrouped := strings.Cut(spec.Name, "}.")
			switch group, ok := strings.CutSuffix(entry.Key, last); {
			case !isGrouped || !ok: // it belongs to no group, and does not identify data
			case spec.Role() == role.SourceTopic:
				topics[group] = entry
			case setting.IsRequired(&spec):
				required[group] = append(required[group], last+"="+strings.Trim(resolved.TopicOf(entry), "/"))
			}
		}
	}
	reads := map[string]config.Entry{}
	system := fmt.Sprint(component.Name, " ", connector.System())
	for group, entry := range topics {
		slices.Sort(required[group])
		reads[strings.Join(append([]string{system, resolved.TopicOf(entry)}, required[group]...), "\x00")] = entry
	}
	return reads
}

// MovedTopics returns the topics into which a changed source reads data that it did not read into them before.
func MovedTopics(previous, changed *resolved.Connector) (topics []string) {
	previousReads := topicReads(previous)
	for source, entry := range topicReads(changed) {
		if _, ok := previousReads[source]; !ok {
			topics = append(topics, resolved.TopicOf(entry))
		}
	}
	return topics
}

type connectorPlan struct {
	claims []string
	// noExactlyOnce is why exactly-once is unsupported. Nil means that it is supported, or that the plan failed.
	noExactlyOnce *string
	reads         map[string]config.Entry // see topicReads
}

// Plans caches the plans of connectors by name, each until the connector's settings or its plugin change. Without it, a
// change of one connector would call the plugins of all connectors. The zero value is ready to use. It is safe for
// concurrent use.
type Plans struct {
	mu      sync.Mutex
	entries map[string]cachedPlan
}

type cachedPlan struct {
	entries []config.Entry // the connector's settings
	module  string         // the hash of the plugin
	plan    connectorPlan
}

func (p *Plans) find(connector *resolved.Connector, module string) (connectorPlan, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	cached, ok := p.entries[connector.Name]
	return cached.plan, ok && cached.module == module && slices.EqualFunc(cached.entries, connector.Entries,
		func(a, b config.Entry) bool { return a.Key == b.Key && a.Value.Equal(b.Value) })
}

// store caches a plan. If the cache has become large, store removes the plans of connectors that do not exist.
func (p *Plans) store(connector *resolved.Connector, module string, plan connectorPlan,
	existing []*resolved.Connector) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.entries == nil {
		p.entries = map[string]cachedPlan{}
	}
	p.entries[connector.Name] = cachedPlan{entries: connector.Entries, module: module, plan: plan}
	if len(p.entries) > 2*len(existing)+100 {
		exists := map[string]bool{connector.Name: true}
		for _, o := range existing {
			exists[o.Name] = true
		}
		maps.DeleteFunc(p.entries, func(name string, _ cachedPlan) bool { return !exists[name] })
	}
}

// cachedPlan returns the plan of a source from the cache, or calls the plugin. The plan is empty for a sink and for
// invalid settings, and has no claims if the plugin fails.
func (ch *Checker) cachedPlan(ctx context.Context, connector *resolved.Connector) connectorPlan {
	class := &connector.Class
	if connector.Problems.Err() != nil || class.RunError() != nil || !class.Is(wit.ComponentSource) {
		return connectorPlan{}
	}
	if ch.Plans == nil {
		ch.Plans = &Plans{}
	}
	if plan, ok := ch.Plans.find(connector, class.Module.Hash); ok {
		return plan
	}
	plan, err := ch.plan(ctx, connector)
	plan.reads = topicReads(connector)
	// Other errors, such as a timeout, may not occur again.
	if witError := new(wit.Error); ctx.Err() == nil && (err == nil || errors.As(err, &witError)) {
		ch.Plans.store(connector, class.Module.Hash, plan, ch.Connectors)
	}
	return plan
}

// checkExactlyOnce rejects exactly.once.support=required if the plugin cannot guarantee it: duplicates would appear
// although the user has excluded them (RATIONALE.md P28).
func (ch *Checker) checkExactlyOnce(ctx context.Context, connector *resolved.Connector) config.Problems {
	entry, ok := connector.Entry("exactly.once.support")
	if !ok || !strings.EqualFold(setting.Trim(entry.Value.Reveal()), "required") {
		return nil
	}
	reason := ch.cachedPlan(ctx, connector).noExactlyOnce
	if reason == nil {
		return nil
	}
	return config.Problems{problem(entry, errors.New("expected requested, found required: "+*reason))}
}

// checkBoundary returns a warning for transactions of several pages, which sources do not support.
func (ch *Checker) checkBoundary(connector *resolved.Connector) config.Problems {
	if !ch.Worker.ExactlyOnce() || !strings.EqualFold(connector.Setting("transaction.boundary"), "interval") {
		return nil
	}
	return config.Problems{warning(entryFor(connector, "transaction.boundary"),
		"interval is treated as poll: each page is a separate transaction, and transaction.boundary.interval.ms has "+
			"no effect")}
}

func (ch *Checker) plan(ctx context.Context, connector *resolved.Connector) (connectorPlan, error) {
	maxTasks, err := strconv.ParseUint(connector.Text("tasks.max"), 10, 32)
	if err != nil {
		return connectorPlan{}, err
	}
	bound, err := bind(connector, nil)
	if err != nil {
		return connectorPlan{}, err
	}
	defer bound.Close()
	var plan wit.PlanResult
	err = bound.do(ctx, func(i *plugin.Instance) error {
		plan, err = i.Plan(ctx, bound.component, bound.settings, uint32(maxTasks))
		return err
	})
	if err != nil {
		return connectorPlan{}, err
	}
	return connectorPlan{claims: connector.QualifyClaims(plan.Claims), noExactlyOnce: plan.ExactlyOnce.Unsupported}, nil
}
