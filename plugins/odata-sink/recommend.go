package main

import (
	"github.com/culvert-project/culvert/plugins/odata/advice"
	"github.com/culvert-project/culvert/plugins/odata/config"
	"github.com/culvert-project/culvert/wit"
)

// validateOnline checks settings together with what the service says, and recommends values.
func validateOnline(given []wit.Setting, answers []wit.Response) (wit.Inquiry, error) {
	a := advice.New(settings, given, examine(given), answers)
	a.Grow(given)
	a.Services()
	how := mannerOf(a.Values)
	for _, e := range entries(a.Values) {
		m := a.EntitySet(e.number, e.service, e.set, e.query, false)
		if m == nil {
			continue
		}
		if _, err := newEntitySet(e, m, &how); err != nil {
			a.Refused(err, config.InGroup(e.number, nameEntitySet))
			continue
		}
		a.Recommend(config.InGroup(e.number, nameTopic), advice.TopicsFor(e.set))
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
