package sink

import (
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync"

	"github.com/culvert-project/culvert/internal/record"
)

// UnmatchedTopics detects a wrong topic in a setting: it compares the topics that records have after the transforms
// with those that the plugin accepts, and logs mismatches. The tasks of a connector share it.
type UnmatchedTopics struct {
	Settings map[string]string // the setting that names a topic, by topic
	// InputTopics are the subscribed topics if they alone determine the topics after the transforms, otherwise none.
	InputTopics []string

	mu sync.Mutex
	// seenInputs are the topics whose records have arrived, seenOutputs those that they had after the transforms.
	seenInputs  map[string]bool
	seenOutputs map[string]bool
	complete    bool // all InputTopics have arrived
}

const maxTopics = 1000 // bounds seenInputs and seenOutputs; further topics are not checked

// observe checks the topics of transformed rows, one for each item. accepted are the plugin's topics.
func (u *UnmatchedTopics) observe(log *slog.Logger, items []*item, rows *record.Batch, accepted []string) {
	if u == nil || len(accepted) == 0 {
		return
	}
	var from string
	to := -1
	for n, item := range items {
		row := &rows.Rows[n]
		if int(row.Topic) == to && item.record.Topic == from {
			continue // as the row before
		}
		from = item.record.Topic
		to = int(row.Topic)
		if to < len(rows.Topics) {
			u.observeTopic(log, item, rows.Topics[to], accepted)
		}
	}
}

func (u *UnmatchedTopics) observeTopic(log *slog.Logger, item *item, topic string, accepted []string) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.seenInputs == nil {
		u.seenInputs = map[string]bool{}
		u.seenOutputs = map[string]bool{}
	}
	if len(u.seenInputs) >= maxTopics || len(u.seenOutputs) >= maxTopics ||
		(u.seenInputs[item.record.Topic] && u.seenOutputs[topic]) {
		return
	}
	if !u.seenOutputs[topic] && !slices.Contains(accepted, topic) {
		log.Error("no setting names the topic that records have after the transforms: name it in a setting, "+
			"or change the transforms",
			"topic", topic, "read_from", item.record.Topic, "taken", u.describe(accepted), "record", item.String())
	}
	u.seenInputs[item.record.Topic] = true
	u.seenOutputs[topic] = true
	if u.complete || len(u.InputTopics) == 0 || slices.ContainsFunc(u.InputTopics,
		func(t string) bool { return !u.seenInputs[t] }) {
		return
	}
	u.complete = true
	for _, t := range accepted {
		if !u.seenOutputs[t] {
			log.Error(
				"no record can reach the topic that a setting names: they have others after the transforms; "+
					"change the setting, topics or the transforms",
				"setting", u.describe([]string{t}),
				"arrived_in", strings.Join(slices.Sorted(maps.Keys(u.seenOutputs)), ", "))
		}
	}
}

func (u *UnmatchedTopics) describe(topics []string) string {
	names := make([]string, len(topics))
	for n, t := range topics {
		names[n] = t
		if setting := u.Settings[t]; setting != "" {
			names[n] = setting + "=" + t
		}
	}
	return strings.Join(names, ", ")
}
