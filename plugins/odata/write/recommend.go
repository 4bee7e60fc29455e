package write

import (
	"github.com/culvert-project/culvert/plugins/odata/config"
	"github.com/culvert-project/culvert/plugins/odata/probe"
	"github.com/culvert-project/culvert/wit"
)

// validateOnline checks settings together with what the service says, and recommends values.
func validateOnline(given []wit.Setting, state []byte, answers []wit.Response) (wit.Inquiry, error) {
	p, err := probe.Open(state, answers)
	if err != nil {
		return wit.Inquiry{}, err
	}
	a := p.Advise(settings, given, examine(given))
	a.Grow(given)
	a.Services()
	how := mannerOf(a.Values)
	var misnamed []*wit.Fault
	all := configuredSets(a.Values)
	for _, e := range all {
		m := a.EntitySet(e.number, e.service, e.set, e.query, false)
		if m == nil {
			continue
		}
		t, err := newEntitySet(e, m, &how)
		if err != nil {
			a.Refused(err, config.InGroup(e.number, nameEntitySet))
			continue
		}
		if f := t.uncheckable(&how); f != nil {
			a.Refused(f, insertUncertain)
		}
		if f := t.misnamed(&how); f != nil {
			misnamed = append(misnamed, f)
		}
		a.Recommend(config.InGroup(e.number, nameTopic), probe.TopicsFor(e.set))
	}
	if len(misnamed) > 0 && len(misnamed) == len(all) {
		a.Refused(misnamed[0], checkFilter)
	}
	a.Choices()
	a.Hide(func(name string) bool {
		switch {
		case name == modeProperty:
			return how.mode == modeDynamic
		case name == upsertFirst || name == upsertMethod:
			return how.mode == modeUpsert
		case name == etagConflict:
			return how.tags
		case name == checkFilter:
			return how.uncertain == "check" || how.uncertain == "repeatable"
		}
		return a.Applies(name)
	})
	return a.Inquiry(), nil
}
