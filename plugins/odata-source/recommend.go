package main

import (
	"slices"
	"strings"

	"github.com/culvert-project/culvert/plugins/odata/config"
	"github.com/culvert-project/culvert/plugins/odata/document"
	"github.com/culvert-project/culvert/plugins/odata/edm"
	"github.com/culvert-project/culvert/plugins/odata/feedreader"
	"github.com/culvert-project/culvert/plugins/odata/odataerror"
	"github.com/culvert-project/culvert/plugins/odata/probe"
	"github.com/culvert-project/culvert/plugins/odata/query"
	"github.com/culvert-project/culvert/plugins/odata/sourceconfig"
	"github.com/culvert-project/culvert/sdk/go/setting"
	"github.com/culvert-project/culvert/wit"
)

const groupPrefix = "sap.odata#"

// maxErrors bounds the errors of one entity set.
const maxErrors = 50

// validateWithService validates settings with the service's metadata and recommends values.
func validateWithService(class *sourceconfig.Component, settings []wit.Setting, state []byte,
	answers []wit.Response) (wit.ValidateResult, error) {
	p, err := probe.Restore(class.Dialect, state, answers)
	if err != nil {
		return wit.ValidateResult{}, err
	}
	a := &adviser{p.Advise(class.Table, settings, class.Examine(settings)), class}
	var names []string // the settings of a further condition for each entity set whose conditions are complete
	for _, g := range config.Groups(a.Values) {
		conditions := a.Values.Groups(config.InGroup(g.Digits, sourceconfig.FilterGroup), "")
		next := a.NextGroup(conditions, query.Property, query.Option, query.Low)
		if next == "" || g.String(sourceconfig.NameService) == "" || g.String(sourceconfig.NameEntitySet) == "" {
			continue
		}
		for _, name := range []string{query.Property, query.Option, query.Low, query.High} {
			names = append(names, config.InGroup(g.Digits, "filter#"+next+"."+name))
		}
	}
	a.AddSuggested(settings, names...)
	a.RecommendServices()
	for _, cfg := range class.EntitySets(a.Values) {
		a.checkEntitySet(&cfg)
	}
	a.RecommendAllowedValues()
	// Hide the settings that have no effect with the other settings.
	subscribed := false
	for _, g := range config.Groups(a.Values) {
		subscribed = subscribed || sourceconfig.Flag(g, sourceconfig.NameSubscription)
	}
	a.Hide(func(name string) bool { return a.applies(name, subscribed) })
	return a.Result(), nil
}

// adviser adds the settings of sources to [probe.Adviser].
type adviser struct {
	*probe.Adviser
	class *sourceconfig.Component
}

// checkEntitySet recommends values for the settings of an entity set, and reports their errors.
func (a *adviser) checkEntitySet(cfg *sourceconfig.EntitySetConfig) {
	model := a.RecommendEntitySets(cfg.Number, cfg.Service, cfg.Set, cfg.Query, true)
	if model == nil {
		return
	}
	set, entityType, err := sourceconfig.FindSet(cfg, model)
	if err != nil {
		a.AddError(err, config.InGroup(cfg.Number, sourceconfig.NameEntitySet))
		return
	}
	a.Recommend(config.InGroup(cfg.Number, sourceconfig.NameTopic), probe.TopicsFor(set.Name))
	a.recommendProperties(cfg, model, entityType)
	a.checkDelta(cfg, model, set)
	a.compile(*cfg, model)
}

// recommendProperties recommends properties and navigation properties, including properties of expanded entities.
func (a *adviser) recommendProperties(cfg *sourceconfig.EntitySetConfig, model *edm.Model,
	entityType *edm.StructuredType) {
	fullName := func(name string) string { return config.InGroup(cfg.Number, name) }
	var chosen, expands, filters []string
	var addProperties func(s *edm.StructuredType, prefix string, depth int, many bool)
	addProperties = func(entityType *edm.StructuredType, prefix string, depth int, many bool) {
		if depth > 10 || len(chosen) > probe.MaxRecommended { // enough to choose from
			return
		}
		for i := range entityType.Properties {
			property := &entityType.Properties[i]
			chosen = append(chosen, prefix+property.Name)
			if isFilter(property, many) {
				filters = append(filters, prefix+property.Name)
			}
			inner := model.Structure(property.Type.Name)
			if property.Type.Primitive != edm.NotPrimitive || inner == nil || property.Type.Collection {
				continue
			}
			for j := range inner.Properties {
				if q := &inner.Properties[j]; isFilter(q, many) {
					filters = append(filters, prefix+property.Name+"/"+q.Name)
				}
			}
		}
		for _, n := range entityType.Navigations {
			target := model.Structure(n.Target)
			if target == nil {
				continue
			}
			path := prefix + n.Name
			expands = append(expands, path)
			expanded := slices.ContainsFunc(cfg.QueryOptions.Expand, func(x string) bool {
				return x == path || strings.HasPrefix(x, path+"/")
			})
			if expanded {
				addProperties(target, path+"/", depth+1, many || n.Many)
			}
		}
	}
	addProperties(entityType, "", 0, false)
	a.Recommend(fullName(query.Select), chosen)
	a.Recommend(fullName(query.Expand), expands)
	a.Recommend(fullName(sourceconfig.NameCursor), feedreader.CursorProperties(entityType))
	for i := range a.Examined {
		name := a.Examined[i].Key.Name
		if strings.HasPrefix(name, fullName("filter#")) && strings.HasSuffix(name, "."+query.Property) {
			a.Recommend(name, filters)
		}
	}
}

// isFilter reports whether conditions can compare a property. Conditions on several expanded rows are not sent, so that
// many means that the service need not filter by the property.
func isFilter(property *edm.Property, many bool) bool {
	return property.Type.Primitive != edm.NotPrimitive && !property.Type.Collection && (property.Filterable || many)
}

// checkDelta reports delta mode of a set without change tracking: an error if $metadata announce it for other sets,
// else a hint, because many services leave the annotation out.
func (a *adviser) checkDelta(cfg *sourceconfig.EntitySetConfig, model *edm.Model, set *edm.Set) {
	f := &feedreader.Feed{EntitySetConfig: *cfg}
	if !cfg.Tracking.On || set.ChangeTracking || f.DetectTracking(model, set) != nil || f.ODP != nil {
		return
	}
	var names []string
	for _, s := range model.Sets {
		if s.ChangeTracking {
			names = append(names, document.SetAddress(s))
		}
	}
	name := config.InGroup(cfg.Number, sourceconfig.NameTrackChanges)
	if len(names) == 0 {
		a.AddHint(name, "$metadata of "+cfg.Service+" announces no change tracking; the end of the first load shows "+
			"whether there is a delta link")
		return
	}
	a.AddProblem(name, setting.Invalid(name, a.Values.String(name),
		"the metadata of "+cfg.Service+" announce change tracking "+
			"("+cfg.Dialect.TrackingTerm+") for other entity sets and not for "+cfg.Set+odataerror.Suggest("", names, "")))
}

// compile compiles the feed as a start does, and again without each part that was rejected, to report all mistakes at
// once.
func (a *adviser) compile(cfg sourceconfig.EntitySetConfig, m *edm.Model) {
	cfg.QueryOptions.Select = slices.Clone(cfg.QueryOptions.Select)
	cfg.QueryOptions.Conditions = slices.Clone(cfg.QueryOptions.Conditions)
	for range maxErrors {
		_, err := feedreader.New(cfg, m)
		if err == nil {
			return
		}
		name := a.AddError(err, config.InGroup(cfg.Number, sourceconfig.NameEntitySet))
		shortName := strings.TrimPrefix(name, config.InGroup(cfg.Number, ""))
		index := slices.IndexFunc(cfg.QueryOptions.Conditions, func(c query.Condition) bool {
			return strings.HasPrefix(name, c.Prefix)
		})
		switch {
		case index >= 0:
			cfg.QueryOptions.Conditions = slices.Delete(cfg.QueryOptions.Conditions, index, index+1)
		case shortName == query.Select && len(cfg.QueryOptions.Select) > 0:
			cfg.QueryOptions.Select = nil
		case shortName == sourceconfig.NameCursor && cfg.Cursor != "":
			cfg.Cursor = ""
			cfg.QueryOptions.Cursor = ""
			cfg.Lookback = 0
		default:
			return
		}
	}
}

// applies reports whether a setting has an effect. subscribed means that an entity set has subscriptions.
func (a *adviser) applies(name string, subscribed bool) bool {
	var number, shortName string
	if suffix, ok := strings.CutPrefix(name, groupPrefix); ok {
		number, shortName, _ = strings.Cut(suffix, ".")
	}
	switch {
	case strings.HasPrefix(name, "sap.odata.subscription."):
		return subscribed
	case !a.Applies(name):
		return false
	case name == sourceconfig.DeltaTakeover || name == sourceconfig.InitialRead:
		return slices.ContainsFunc(a.class.EntitySets(a.Values),
			func(cfg sourceconfig.EntitySetConfig) bool { return cfg.Tracking.On })
	case number == "" || shortName == sourceconfig.NameService || shortName == sourceconfig.NameEntitySet ||
		shortName == sourceconfig.NameTopic:
		return true
	}
	valueOf := func(name string) string { return a.Values.String(config.InGroup(number, name)) }
	tracked, _ := setting.ParseBool(valueOf(sourceconfig.NameTrackChanges))
	if valueOf(sourceconfig.NameService) == "" || valueOf(sourceconfig.NameEntitySet) == "" {
		return false
	}
	if condition, ok := strings.CutSuffix(shortName, "."+query.High); ok && strings.HasPrefix(shortName, "filter#") {
		option := strings.ToLower(valueOf(condition + "." + query.Option))
		return option == "bt" || option == "nb"
	}
	switch shortName {
	case sourceconfig.NameDeletes, sourceconfig.NameLost, sourceconfig.NameRecovery, sourceconfig.NameRegex,
		sourceconfig.NameReplacement,
		sourceconfig.NameNullMessages, sourceconfig.NameBefore, sourceconfig.NameDeltaKind:
		return tracked
	case sourceconfig.NameCursor:
		return !tracked
	case sourceconfig.NameLookback:
		return valueOf(sourceconfig.NameCursor) != ""
	}
	if strings.HasPrefix(shortName, "subscription.") && shortName != sourceconfig.NameSubscription {
		enabled, _ := setting.ParseBool(valueOf(sourceconfig.NameSubscription))
		return enabled
	}
	return true
}
