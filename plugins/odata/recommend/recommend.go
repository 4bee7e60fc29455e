package recommend

import (
	"slices"
	"strings"

	"github.com/culvert-project/culvert/plugins/odata/config"
	"github.com/culvert-project/culvert/plugins/odata/edm"
	"github.com/culvert-project/culvert/plugins/odata/entry"
	"github.com/culvert-project/culvert/plugins/odata/fault"
	"github.com/culvert-project/culvert/plugins/odata/feed"
	"github.com/culvert-project/culvert/plugins/odata/probe"
	"github.com/culvert-project/culvert/plugins/odata/query"
	"github.com/culvert-project/culvert/plugins/odata/service"
	"github.com/culvert-project/culvert/sdk/go/setting"
	"github.com/culvert-project/culvert/wit"
)

// groups is how the names of an entity set's settings begin, in front of its number.
const groups = "sap.odata#"

// maxErrors is how many errors one entity set may have.
const maxErrors = 50

// ValidateOnline checks settings together with what the service says, and recommends values.
func ValidateOnline(given []wit.Setting, state []byte, answers []wit.Response) (wit.ValidateResult, error) {
	p, err := probe.Open(state, answers)
	if err != nil {
		return wit.ValidateResult{}, err
	}
	a := &adviser{p.Advise(entry.Table, given, entry.Examine(given))}
	a.Grow(given, a.conditions()...)
	a.Services()
	for _, e := range entry.Entries(a.Values) {
		a.set(&e)
	}
	a.Choices()
	a.hide()
	return a.Inquiry(), nil
}

// adviser is a validation online in the making.
type adviser struct{ *probe.Adviser }

// conditions are the settings of a further condition for each entity set, when that before is complete.
func (a *adviser) conditions() (more []string) {
	for _, g := range config.Groups(a.Values) {
		conditions := a.Values.Groups(config.InGroup(g.Digits, entry.FilterGroup), "")
		next := a.Next(conditions, query.Property, query.Option, query.Low)
		if next == "" || g.Text(entry.NameService) == "" || g.Text(entry.NameEntitySet) == "" {
			continue
		}
		for _, name := range []string{query.Property, query.Option, query.Low, query.High} {
			more = append(more, config.InGroup(g.Digits, "filter#"+next+"."+name))
		}
	}
	return more
}

// set recommends what belongs to one entity set, and checks it against the metadata.
func (a *adviser) set(e *entry.Entry) {
	m := a.EntitySet(e.Number, e.Service, e.Set, e.Query, true)
	if m == nil {
		return
	}
	found, s, err := entry.FindSet(e, m)
	if err != nil {
		a.Refused(err, config.InGroup(e.Number, entry.NameEntitySet))
		return
	}
	a.Recommend(config.InGroup(e.Number, entry.NameTopic), probe.TopicsFor(found.Name))
	a.properties(e, m, s)
	a.delta(e, m, found)
	a.probe(*e, m)
}

// properties recommends what rows may be chosen by and consist of.
func (a *adviser) properties(e *entry.Entry, m *edm.Model, s *edm.StructuredType) {
	of := func(name string) string { return config.InGroup(e.Number, name) }
	var chosen, expands, filters []string
	var walk func(s *edm.StructuredType, prefix string, depth int, many bool)
	walk = func(s *edm.StructuredType, prefix string, depth int, many bool) {
		if depth > 10 || len(chosen) > probe.MaxRecommended {
			return
		}
		for i := range s.Properties {
			p := &s.Properties[i]
			chosen = append(chosen, prefix+p.Name)
			if p.Type.Primitive != edm.NotPrimitive && (p.Filterable || many) {
				filters = append(filters, prefix+p.Name)
			}
			inner := m.Structure(p.Type.Name)
			if p.Type.Primitive != edm.NotPrimitive || inner == nil || p.Type.Collection {
				continue
			}
			for j := range inner.Properties {
				if q := &inner.Properties[j]; q.Type.Primitive != edm.NotPrimitive && (q.Filterable || many) {
					filters = append(filters, prefix+p.Name+"/"+q.Name)
				}
			}
		}
		for _, n := range s.Navigations {
			target := m.Structure(n.Target)
			if target == nil {
				continue
			}
			path := prefix + n.Name
			expands = append(expands, path)
			expanded := slices.ContainsFunc(e.Reads.Expand, func(x string) bool {
				return x == path || strings.HasPrefix(x, path+"/")
			})
			if expanded {
				walk(target, path+"/", depth+1, many || n.Many)
			}
		}
	}
	walk(s, "", 0, false)
	a.Recommend(of(query.Select), chosen)
	a.Recommend(of(query.Expand), expands)
	a.Recommend(of(entry.NameCursor), feed.Growing(s))
	for i := range a.Examined {
		name := a.Examined[i].Key.Name
		if rest, ok := strings.CutPrefix(name, of("filter#")); ok && strings.HasSuffix(rest, "."+query.Property) {
			a.Recommend(name, filters)
		}
	}
}

// delta reports delta mode for a set without change tracking: an error where $metadata announces it for other sets,
// else a hint, because many services leave the annotation out.
func (a *adviser) delta(e *entry.Entry, m *edm.Model, set *edm.Set) {
	f := &feed.Feed{Entry: *e}
	if !e.Tracking.On || set.ChangeTracking || f.Track(m, set) != nil || f.ODP != nil {
		return
	}
	var names []string
	for _, s := range m.Sets {
		if s.ChangeTracking {
			names = append(names, service.Address(s))
		}
	}
	name := config.InGroup(e.Number, entry.NameTrackChanges)
	if len(names) == 0 {
		a.Hint(name, "$metadata of "+e.Service+" announces no change tracking; the end of the first load shows "+
			"whether there is a delta link")
		return
	}
	a.Complain(name, setting.Invalid(name, a.Values.Text(name),
		"the metadata of "+e.Service+" announce change tracking "+
			"(sap:change-tracking) for other entity sets and not for "+e.Set+fault.Among("", names, "")))
}

// probe makes the feed as the start of the connector does, and goes on without what is refused, so that every mistake
// is reported at once.
func (a *adviser) probe(e entry.Entry, m *edm.Model) {
	e.Reads.Select, e.Reads.Conditions = slices.Clone(e.Reads.Select), slices.Clone(e.Reads.Conditions)
	for range maxErrors {
		_, err := feed.New(e, m)
		if err == nil {
			return
		}
		name := a.Refused(err, config.InGroup(e.Number, entry.NameEntitySet))
		rest := strings.TrimPrefix(name, config.InGroup(e.Number, ""))
		at := slices.IndexFunc(e.Reads.Conditions, func(c query.Condition) bool {
			return strings.HasPrefix(name, c.Prefix)
		})
		switch {
		case at >= 0:
			e.Reads.Conditions = slices.Delete(e.Reads.Conditions, at, at+1)
		case rest == query.Select && len(e.Reads.Select) > 0:
			e.Reads.Select = nil
		case rest == entry.NameCursor && e.Cursor != "":
			e.Cursor, e.Reads.Cursor, e.Lookback = "", "", 0
		default:
			return
		}
	}
}

// hide takes settings away that have no effect as long as others aren't given.
func (a *adviser) hide() {
	subscribed := false
	for _, g := range config.Groups(a.Values) {
		subscribed = subscribed || entry.On(g, entry.NameSubscription)
	}
	a.Hide(func(name string) bool { return a.applies(name, subscribed) })
}

// applies reports whether a setting has an effect with those that are given.
func (a *adviser) applies(name string, subscribed bool) bool {
	number, own := "", ""
	if rest, ok := strings.CutPrefix(name, groups); ok {
		number, own, _ = strings.Cut(rest, ".")
	}
	switch {
	case strings.HasPrefix(name, "sap.odata.subscription."):
		return subscribed
	case !a.Applies(name):
		return false
	case name == entry.DeltaTakeover || name == entry.InitialRead:
		return slices.ContainsFunc(entry.Entries(a.Values), func(e entry.Entry) bool { return e.Tracking.On })
	case number == "" || own == entry.NameService || own == entry.NameEntitySet || own == entry.NameTopic:
		return true
	}
	text := func(name string) string { return a.Values.Text(config.InGroup(number, name)) }
	tracked, _ := setting.Flag(text(entry.NameTrackChanges))
	if text(entry.NameService) == "" || text(entry.NameEntitySet) == "" {
		return false
	}
	if condition, ok := strings.CutSuffix(own, "."+query.High); ok && strings.HasPrefix(own, "filter#") {
		option := strings.ToLower(text(condition + "." + query.Option))
		return option == "bt" || option == "nb"
	}
	switch own {
	case entry.NameDeletes, entry.NameLost, entry.NameRecovery, entry.NameRegex, entry.NameReplacement,
		entry.NameNullMessages, entry.NameBefore, entry.NameDeltaKind:
		return tracked
	case entry.NameCursor:
		return !tracked
	case entry.NameLookback:
		return text(entry.NameCursor) != ""
	}
	if strings.HasPrefix(own, "subscription.") && own != entry.NameSubscription {
		enabled, _ := setting.Flag(text(entry.NameSubscription))
		return enabled
	}
	return true
}
