package main

import (
	"github.com/culvert-project/culvert/plugins/odata/config"
	"github.com/culvert-project/culvert/plugins/odata/entityset"
	"github.com/culvert-project/culvert/plugins/odata/probe"
	"github.com/culvert-project/culvert/plugins/odata/sinkconfig"
	"github.com/culvert-project/culvert/wit"
)

// Validate checks settings, with the service if online is true.
func (p *plugin) Validate(component string, settings []wit.Setting, online bool, state []byte,
	answers []wit.Response) (wit.ValidateResult, error) {
	class, err := sinkconfig.FindComponent(component)
	if err != nil {
		return wit.ValidateResult{}, err
	}
	if online {
		return validateOnline(class, settings, state, answers)
	}
	configs := class.Validate(settings)
	return wit.ValidateResult{Done: &configs}, nil
}

// validateOnline checks settings against the service and recommends values.
func validateOnline(class *sinkconfig.Component, settings []wit.Setting, state []byte,
	answers []wit.Response) (wit.ValidateResult, error) {
	session, err := probe.Restore(class.Dialect, state, answers)
	if err != nil {
		return wit.ValidateResult{}, err
	}
	adviser := session.Advise(class.Table, settings, class.Validate(settings))
	adviser.AddSuggested(settings)
	adviser.RecommendServices()
	sinkConfig := class.Parse(adviser.Values)
	var filterErrors []*wit.Error
	entitySets := sinkconfig.EntitySets(adviser.Values)
	for _, configured := range entitySets {
		model := adviser.RecommendEntitySets(configured.Number, configured.Service, configured.Name, configured.Query,
			false)
		if model == nil {
			continue
		}
		set, err := entityset.New(configured, model, &sinkConfig)
		if err != nil {
			adviser.AddError(err, config.InGroup(configured.Number, sinkconfig.NameEntitySet))
			continue
		}
		if failure := set.UncheckableError(&sinkConfig); failure != nil {
			adviser.AddError(failure, sinkconfig.NameInsertUncertain)
		}
		if failure := set.FilterError(&sinkConfig); failure != nil {
			filterErrors = append(filterErrors, failure)
		}
		adviser.Recommend(config.InGroup(configured.Number, sinkconfig.NameTopic), probe.TopicsFor(configured.Name))
	}
	if len(filterErrors) > 0 && len(filterErrors) == len(entitySets) {
		adviser.AddError(filterErrors[0], sinkconfig.NameCheckFilter)
	}
	adviser.RecommendAllowedValues()
	adviser.Hide(func(name string) bool {
		switch {
		case name == sinkconfig.NameModeProperty:
			return sinkConfig.Mode == sinkconfig.ModeDynamic
		case name == sinkconfig.NameUpsertFirst || name == sinkconfig.NameUpsertMethod:
			return sinkConfig.Mode == sinkconfig.ModeUpsert
		case name == sinkconfig.NameETagConflict:
			return sinkConfig.UseETags
		case name == sinkconfig.NameCheckFilter:
			return sinkConfig.InsertUncertain == "check" || sinkConfig.InsertUncertain == "repeatable"
		}
		return adviser.Applies(name)
	})
	return adviser.Result(), nil
}
