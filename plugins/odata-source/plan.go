package main

import (
	"slices"
	"strings"

	"github.com/culvert-project/culvert/plugins/odata/config"
	"github.com/culvert-project/culvert/plugins/odata/entry"
	"github.com/culvert-project/culvert/sdk/go/setting"
	"github.com/culvert-project/culvert/wit"
)

// plan shares the entity sets out among tasks: one set belongs to one task, whose offsets and order it keeps.
func plan(component string, given []wit.Setting, maxTasks uint32) (wit.PlanResult, error) {
	if err := config.Known(component, entry.Component, entry.Alias); err != nil {
		return wit.PlanResult{}, err
	}
	if f := setting.FirstError(entry.Examine(given)); f != nil {
		return wit.PlanResult{}, f
	}
	v := entry.Table.Values(given)
	all := entry.Entries(v)
	tasks := make([][]wit.Setting, min(len(all), max(int(maxTasks), 1)))
	for i := range tasks {
		for _, s := range given {
			if !strings.HasPrefix(s.Name, "sap.odata#") {
				tasks[i] = append(tasks[i], s)
			}
		}
	}
	for i, e := range all {
		task := &tasks[i%len(tasks)]
		for _, s := range given {
			if strings.HasPrefix(s.Name, config.InGroup(e.Number, "")) {
				*task = append(*task, s)
			}
		}
	}
	return wit.PlanResult{Tasks: tasks, ExactlyOnce: exactlyOnce(all), Claims: claims(all)}, nil
}

// exactlyOnce answers the preflight (P28): full mode repeats exactly only where it reads a set once. Whether a set can
// be read in a repeatable order is in its metadata, which the plan doesn't see: open says so by `repeats-exactly` of
// each page.
func exactlyOnce(all []entry.Entry) wit.Support {
	for _, e := range all {
		how := ""
		switch {
		case e.Tracking.On:
			continue
		case e.Cron != "":
			how = "at the times of " + e.CronSource
		case e.Period >= 0:
			how = "every " + config.InGroup(e.Number, entry.NameExecPeriod) + " seconds"
		default:
			continue
		}
		return wit.Support{Unsupported: wit.Ptr("entity set " + e.Set + " of " + e.Service + " is read whole " + how +
			"; exactly once needs delta mode or exec-period = -1")}
	}
	return wit.Support{Supported: wit.Set}
}

// queued are how the names of sets of an ODP service begin, as its generator in SAP Gateway makes them. Which others
// are such shows in the metadata, and a second reader of one of those fails when it finds that somebody has subscribed.
var queued = []string{"FactsOf", "AttrOf", "TimeDepAOf", "TextsOf", "EntityOf"}

// claims are the changes that are followed (P14). Of a queue, which an ODP service keeps for each user, there is one
// reader; those who follow delta links of other services disturb each other only where the same rows go into one topic.
func claims(all []entry.Entry) []string {
	var list []string
	for _, e := range all {
		claim := "changes of " + e.Set + " of " + e.Service
		begins := func(prefix string) bool { return strings.HasPrefix(e.Set, prefix) }
		switch {
		case !e.Tracking.On:
		case slices.ContainsFunc(queued, begins):
			list = append(list, claim)
		default:
			claim += " into " + e.Topic
			for _, c := range e.Reads.Conditions {
				claim += ", " + strings.Join([]string{c.Property, c.Option, c.Low, c.High}, " ")
			}
			list = append(list, strings.TrimRight(claim+" "+e.Reads.Raw+" "+string(e.Query), " "))
		}
	}
	return list
}
