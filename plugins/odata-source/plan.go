package main

import (
	"slices"
	"strings"

	"github.com/culvert-project/culvert/plugins/odata/config"
	"github.com/culvert-project/culvert/plugins/odata/sourceconfig"
	"github.com/culvert-project/culvert/wit"
)

// plan distributes the entity sets: each belongs to one task, which keeps its offsets and order.
func plan(component string, settings []wit.Setting, maxTasks uint32) (wit.PlanResult, error) {
	class, err := sourceconfig.FindComponent(component)
	if err != nil {
		return wit.PlanResult{}, err
	}
	if f := class.FirstError(settings); f != nil {
		return wit.PlanResult{}, f
	}
	entitySets := class.EntitySets(class.Values(settings))
	tasks := make([][]wit.Setting, min(len(entitySets), max(int(maxTasks), 1)))
	for i := range tasks {
		for _, s := range settings {
			if !strings.HasPrefix(s.Name, "sap.odata#") {
				tasks[i] = append(tasks[i], s)
			}
		}
	}
	for i, cfg := range entitySets {
		task := &tasks[i%len(tasks)]
		for _, s := range settings {
			if strings.HasPrefix(s.Name, config.InGroup(cfg.Number, "")) {
				*task = append(*task, s)
			}
		}
	}
	return wit.PlanResult{Tasks: tasks, ExactlyOnce: exactlyOnce(entitySets), Claims: claims(entitySets)}, nil
}

// exactlyOnce reports whether exactly-once is possible: a full load must be the only one, since a second one would
// write rows again (RATIONALE.md P28). Whether the order is repeatable is reported by each page (`repeats-exactly`).
func exactlyOnce(entitySets []sourceconfig.EntitySetConfig) wit.Support {
	for _, cfg := range entitySets {
		schedule := ""
		switch {
		case cfg.Tracking.On:
			continue
		case cfg.Cron != "":
			schedule = "at the times of " + cfg.CronSource
		case cfg.Period >= 0:
			schedule = "every " + config.InGroup(cfg.Number, sourceconfig.NameExecPeriod) + " seconds"
		default:
			continue
		}
		return wit.Support{Unsupported: wit.Ptr("entity set " + cfg.Set + " of " + cfg.Service + " is read whole " +
			schedule + "; exactly once needs delta mode or exec-period = -1")}
	}
	return wit.Support{Supported: wit.Set}
}

// odpPrefixes start the names of ODP sets. For other names, a second reader fails when it finds a subscription.
var odpPrefixes = []string{"FactsOf", "AttrOf", "TimeDepAOf", "TextsOf", "EntityOf"}

// claims returns the exclusive resources: an ODP service has one queue per user, so two readers would each get a part
// of the changes (RATIONALE.md P14). Delta links of other services conflict only if the same rows go to one topic.
func claims(entitySets []sourceconfig.EntitySetConfig) []string {
	var list []string
	for _, cfg := range entitySets {
		claim := "changes of " + cfg.Set + " of " + cfg.Service
		hasPrefix := func(prefix string) bool { return strings.HasPrefix(cfg.Set, prefix) }
		switch {
		case !cfg.Tracking.On:
			// any number of readers may read a whole set
		case slices.ContainsFunc(odpPrefixes, hasPrefix):
			list = append(list, claim)
		default:
			claim += " into " + cfg.Topic
			for _, c := range cfg.QueryOptions.Conditions {
				claim += ", " + strings.Join([]string{c.Property, c.Option, c.Low, c.High}, " ")
			}
			list = append(list, strings.TrimRight(claim+" "+cfg.QueryOptions.Raw+" "+string(cfg.Query), " "))
		}
	}
	return list
}
