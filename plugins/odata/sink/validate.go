package sink

import (
	"github.com/culvert-project/culvert/plugins/odata/config"
	"github.com/culvert-project/culvert/plugins/odata/entityset"
	"github.com/culvert-project/culvert/plugins/odata/probe"
	"github.com/culvert-project/culvert/plugins/odata/sinkconfig"
	"github.com/culvert-project/culvert/wit"
)

// Validate checks settings, with the service if online is true.
func (p *Plugin) Validate(component string, settings []wit.Setting, online bool, state []byte,
	answers []wit.Response) (wit.ValidateResult, error) {
	if err := config.CheckComponent(component, sinkconfig.Component, sinkconfig.Alias); err != nil {
		return wit.ValidateResult{}, err
	}
	if online {
		return validateOnline(settings, state, answers)
	}
	examined := sinkconfig.Validate(settings)
	return wit.ValidateResult{Done: &examined}, nil
}

// validateOnline checks settings against the service and recommends values.
func validateOnline(settings []wit.Setting, state []byte, answers []wit.Response) (wit.ValidateResult, error) {
	p, err := probe.Restore(state, answers)
	if err != nil {
		return wit.ValidateResult{}, err
	}
	a := p.Advise(sinkconfig.Table, settings, sinkconfig.Validate(settings))
	a.AddSuggested(settings)
	a.Services()
	c := sinkconfig.Parse(a.Values)
	var filterErrors []*wit.Error
	all := sinkconfig.EntitySets(a.Values)
	for _, e := range all {
		m := a.EntitySet(e.Number, e.Service, e.Name, e.Query, false)
		if m == nil {
			continue
		}
		t, err := entityset.New(e, m, &c)
		if err != nil {
			a.AddError(err, config.InGroup(e.Number, sinkconfig.NameEntitySet))
			continue
		}
		if f := t.UncheckableError(&c); f != nil {
			a.AddError(f, sinkconfig.NameInsertUncertain)
		}
		if f := t.FilterError(&c); f != nil {
			filterErrors = append(filterErrors, f)
		}
		a.Recommend(config.InGroup(e.Number, sinkconfig.NameTopic), probe.TopicsFor(e.Name))
	}
	if len(filterErrors) > 0 && len(filterErrors) == len(all) {
		a.AddError(filterErrors[0], sinkconfig.NameCheckFilter)
	}
	a.Choices()
	a.Hide(func(name string) bool {
		switch {
		case name == sinkconfig.NameModeProperty:
			return c.Mode == sinkconfig.ModeDynamic
		case name == sinkconfig.NameUpsertFirst || name == sinkconfig.NameUpsertMethod:
			return c.Mode == sinkconfig.ModeUpsert
		case name == sinkconfig.NameETagConflict:
			return c.UseETags
		case name == sinkconfig.NameCheckFilter:
			return c.InsertUncertain == "check" || c.InsertUncertain == "repeatable"
		}
		return a.Applies(name)
	})
	return a.Result(), nil
}
