package sink

import (
	"github.com/culvert-project/culvert/plugins/odata/config"
	"github.com/culvert-project/culvert/plugins/odata/entityset"
	"github.com/culvert-project/culvert/plugins/odata/probe"
	"github.com/culvert-project/culvert/plugins/odata/sinkconfig"
	"github.com/culvert-project/culvert/wit"
)

// validateOnline checks settings against the service and recommends values.
func validateOnline(given []wit.Setting, state []byte, answers []wit.Response) (wit.Inquiry, error) {
	p, err := probe.Open(state, answers)
	if err != nil {
		return wit.Inquiry{}, err
	}
	a := p.Advise(sinkconfig.Table, given, sinkconfig.Validate(given))
	a.Grow(given)
	a.Services()
	how := sinkconfig.Parse(a.Values)
	var misnamed []*wit.Fault
	all := sinkconfig.EntitySets(a.Values)
	for _, e := range all {
		m := a.EntitySet(e.Number, e.Service, e.Name, e.Query, false)
		if m == nil {
			continue
		}
		t, err := entityset.New(e, m, &how)
		if err != nil {
			a.Refused(err, config.InGroup(e.Number, sinkconfig.NameEntitySet))
			continue
		}
		if f := t.UncheckableError(&how); f != nil {
			a.Refused(f, sinkconfig.NameInsertUncertain)
		}
		if f := t.FilterError(&how); f != nil {
			misnamed = append(misnamed, f)
		}
		a.Recommend(config.InGroup(e.Number, sinkconfig.NameTopic), probe.TopicsFor(e.Name))
	}
	if len(misnamed) > 0 && len(misnamed) == len(all) {
		a.Refused(misnamed[0], sinkconfig.NameCheckFilter)
	}
	a.Choices()
	a.Hide(func(name string) bool {
		switch {
		case name == sinkconfig.NameModeProperty:
			return how.Mode == sinkconfig.ModeDynamic
		case name == sinkconfig.NameUpsertFirst || name == sinkconfig.NameUpsertMethod:
			return how.Mode == sinkconfig.ModeUpsert
		case name == sinkconfig.NameETagConflict:
			return how.UseETags
		case name == sinkconfig.NameCheckFilter:
			return how.InsertUncertain == "check" || how.InsertUncertain == "repeatable"
		}
		return a.Applies(name)
	})
	return a.Inquiry(), nil
}
