// Package recommend validates the settings of a source online and recommends values.
package recommend

import (
	"slices"
	"strings"

	"github.com/culvert-project/culvert/plugins/odata/config"
	"github.com/culvert-project/culvert/plugins/odata/edm"
	"github.com/culvert-project/culvert/plugins/odata/feedreader"
	"github.com/culvert-project/culvert/plugins/odata/odataerror"
	"github.com/culvert-project/culvert/plugins/odata/probe"
	"github.com/culvert-project/culvert/plugins/odata/query"
	"github.com/culvert-project/culvert/plugins/odata/service"
	"github.com/culvert-project/culvert/plugins/odata/sourceconfig"
	"github.com/culvert-project/culvert/sdk/go/setting"
	"github.com/culvert-project/culvert/wit"
)

const groups = "sap.odata#"

// maxErrors bounds the errors of one entity set.
const maxErrors = 50

// ValidateOnline validates settings with the service's metadata and recommends values.
func ValidateOnline(settings []wit.Setting, state []byte, answers []wit.Response) (wit.ValidateResult, error) {
	p, err := probe.Restore(state, answers)
	if err != nil {
		return wit.ValidateResult{}, err
	}
	a := &adviser{p.Advise(sourceconfig.Table, settings, sourceconfig.Examine(settings))}
	a.AddSuggested(settings, a.conditions()...)
	a.Services()
	for _, e := range sourceconfig.EntitySets(a.Values) {
		a.entitySet(&e)
	}
	a.Choices()
	a.hide()
	return a.Result(), nil
}

type adviser struct{ *probe.Adviser }

func (a *adviser) conditions() (more []string) {
	for _, g := range config.Groups(a.Values) {
		conditions := a.Values.Groups(config.InGroup(g.Digits, sourceconfig.FilterGroup), "")
		next := a.NextGroup(conditions, query.Property, query.Option, query.Low)
		if next == "" || g.String(sourceconfig.NameService) == "" || g.String(sourceconfig.NameEntitySet) == "" {
			continue
		}
		for _, name := range []string{query.Property, query.Option, query.Low, query.High} {
			more = append(more, config.InGroup(g.Digits, "filter#"+next+"."+name))
		}
	}
	return more
}

func (a *adviser) entitySet(e *sourceconfig.EntitySetConfig) {
	m := a.EntitySet(e.Number, e.Service, e.Set, e.Query, true)
	if m == nil {
		return
	}
	found, s, err := sourceconfig.FindSet(e, m)
	if err != nil {
		a.AddError(err, config.InGroup(e.Number, sourceconfig.NameEntitySet))
		return
	}
	a.Recommend(config.InGroup(e.Number, sourceconfig.NameTopic), probe.TopicsFor(found.Name))
	a.properties(e, m, s)
	a.checkDelta(e, m, found)
	a.compile(*e, m)
}

func (a *adviser) properties(e *sourceconfig.EntitySetConfig, m *edm.Model, s *edm.StructuredType) {
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
			expanded := slices.ContainsFunc(e.QueryOptions.Expand, func(x string) bool {
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
	a.Recommend(of(sourceconfig.NameCursor), feedreader.CursorProperties(s))
	for i := range a.Examined {
		name := a.Examined[i].Key.Name
		if rest, ok := strings.CutPrefix(name, of("filter#")); ok && strings.HasSuffix(rest, "."+query.Property) {
			a.Recommend(name, filters)
		}
	}
}

// checkDelta reports delta mode of a set without change tracking: an error if $metadata announce it for other sets,
// else a hint, because many services leave the annotation out.
func (a *adviser) checkDelta(e *sourceconfig.EntitySetConfig, m *edm.Model, set *edm.Set) {
	f := &feedreader.Feed{EntitySetConfig: *e}
	if !e.Tracking.On || set.ChangeTracking || f.DetectTracking(m, set) != nil || f.ODP != nil {
		return
	}
	var names []string
	for _, s := range m.Sets {
		if s.ChangeTracking {
			names = append(names, service.Address(s))
		}
	}
	name := config.InGroup(e.Number, sourceconfig.NameTrackChanges)
	if len(names) == 0 {
		a.Hint(name, "$metadata of "+e.Service+" announces no change tracking; the end of the first load shows "+
			"whether there is a delta link")
		return
	}
	a.AddProblem(name, setting.Invalid(name, a.Values.String(name),
		"the metadata of "+e.Service+" announce change tracking "+
			"(sap:change-tracking) for other entity sets and not for "+e.Set+odataerror.Suggest("", names, "")))
}

// compile compiles the feed as a start does, and again without each part that was rejected, to report all mistakes at
// once.
func (a *adviser) compile(e sourceconfig.EntitySetConfig, m *edm.Model) {
	e.QueryOptions.Select, e.QueryOptions.Conditions = slices.Clone(e.QueryOptions.Select),
		slices.Clone(e.QueryOptions.Conditions)
	for range maxErrors {
		_, err := feedreader.New(e, m)
		if err == nil {
			return
		}
		name := a.AddError(err, config.InGroup(e.Number, sourceconfig.NameEntitySet))
		rest := strings.TrimPrefix(name, config.InGroup(e.Number, ""))
		at := slices.IndexFunc(e.QueryOptions.Conditions, func(c query.Condition) bool {
			return strings.HasPrefix(name, c.Prefix)
		})
		switch {
		case at >= 0:
			e.QueryOptions.Conditions = slices.Delete(e.QueryOptions.Conditions, at, at+1)
		case rest == query.Select && len(e.QueryOptions.Select) > 0:
			e.QueryOptions.Select = nil
		case rest == sourceconfig.NameCursor && e.Cursor != "":
			e.Cursor, e.QueryOptions.Cursor, e.Lookback = "", "", 0
		default:
			return
		}
	}
}

func (a *adviser) hide() {
	subscribed := false
	for _, g := range config.Groups(a.Values) {
		subscribed = subscribed || sourceconfig.Flag(g, sourceconfig.NameSubscription)
	}
	a.Hide(func(name string) bool { return a.applies(name, subscribed) })
}

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
	case name == sourceconfig.DeltaTakeover || name == sourceconfig.InitialRead:
		return slices.ContainsFunc(sourceconfig.EntitySets(a.Values),
			func(e sourceconfig.EntitySetConfig) bool { return e.Tracking.On })
	case number == "" || own == sourceconfig.NameService || own == sourceconfig.NameEntitySet ||
		own == sourceconfig.NameTopic:
		return true
	}
	text := func(name string) string { return a.Values.String(config.InGroup(number, name)) }
	tracked, _ := setting.ParseBool(text(sourceconfig.NameTrackChanges))
	if text(sourceconfig.NameService) == "" || text(sourceconfig.NameEntitySet) == "" {
		return false
	}
	if condition, ok := strings.CutSuffix(own, "."+query.High); ok && strings.HasPrefix(own, "filter#") {
		option := strings.ToLower(text(condition + "." + query.Option))
		return option == "bt" || option == "nb"
	}
	switch own {
	case sourceconfig.NameDeletes, sourceconfig.NameLost, sourceconfig.NameRecovery, sourceconfig.NameRegex,
		sourceconfig.NameReplacement,
		sourceconfig.NameNullMessages, sourceconfig.NameBefore, sourceconfig.NameDeltaKind:
		return tracked
	case sourceconfig.NameCursor:
		return !tracked
	case sourceconfig.NameLookback:
		return text(sourceconfig.NameCursor) != ""
	}
	if strings.HasPrefix(own, "subscription.") && own != sourceconfig.NameSubscription {
		enabled, _ := setting.ParseBool(text(sourceconfig.NameSubscription))
		return enabled
	}
	return true
}
