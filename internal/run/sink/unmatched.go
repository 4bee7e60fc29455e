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
// with those that the plugin accepts, and logs mismatches. The tasks of a connector share it, because each reads some
// topics.
type UnmatchedTopics struct {
	// Settings has the setting that names a topic, by topic.
	Settings map[string]string
	// InputTopics are the subscribed topics if they alone determine the topics after the transforms, otherwise none.
	InputTopics []string

	mu sync.Mutex
	// seenInputs are the topics whose records have arrived, seenOutputs those that they had after the transforms.
	seenInputs, seenOutputs map[string]bool
	complete                bool // all InputTopics have arrived
}

const maxTopics = 1000

// observe checks the topics of transformed rows, one for each item. accepted are the plugin's topics.
func (r *UnmatchedTopics) observe(log *slog.Logger, items []*item, rows *record.Batch, accepted []string) {
	if r == nil || len(accepted) == 0 {
		return
	}
	var from string
	to := -1
	for n, item := range items {
		row := &rows.Rows[n]
		if int(row.Topic) == to && item.record.Topic == from {
			continue
		}
		from, to = item.record.Topic, int(row.Topic)
		if to < len(rows.Topics) {
			r.observeTopic(log, item, rows.Topics[to], accepted)
		}
	}
}

func (r *UnmatchedTopics) observeTopic(log *slog.Logger, item *item, topic string, accepted []string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.seenInputs == nil {
		r.seenInputs, r.seenOutputs = map[string]bool{}, map[string]bool{}
	}
	if len(r.seenInputs) >= maxTopics || len(r.seenOutputs) >= maxTopics ||
		r.seenInputs[item.record.Topic] && r.seenOutputs[topic] {
		return
	}
	if !r.seenOutputs[topic] && !slices.Contains(accepted, topic) {
		log.Error("no setting names the topic that records have after the transforms: name it in a setting, "+
			"or change the transforms",
			"topic", topic, "read_from", item.record.Topic, "taken", r.describe(accepted), "record", item.String())
	}
	r.seenInputs[item.record.Topic], r.seenOutputs[topic] = true, true
	if r.complete || len(r.InputTopics) == 0 || slices.ContainsFunc(r.InputTopics,
		func(t string) bool { return !r.seenInputs[t] }) {
		return
	}
	r.complete = true
	for _, t := range accepted {
		if !r.seenOutputs[t] {
			log.Error("no record can reach the topic that a setting names: they have others after the transforms; "+
				"change the setting, topics or the transforms",
				"setting", r.describe([]string{t}), "arrived_in",
				strings.Join(slices.Sorted(maps.Keys(r.seenOutputs)), ", "))
		}
	}
}

func (r *UnmatchedTopics) describe(topics []string) string {
	names := make([]string, len(topics))
	for n, t := range topics {
		names[n] = t
		if setting := r.Settings[t]; setting != "" {
			names[n] = setting + "=" + t
		}
	}
	return strings.Join(names, ", ")
}
