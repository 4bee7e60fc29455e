package sink

import (
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync"

	"github.com/culvert-project/culvert/host/record"
)

// UnmatchedTopics finds out which of the topics that the plugin takes records arrive in, after the transforms, and says
// what does not fit. The tasks of a connector share one, since each of them reads some of the topics.
type UnmatchedTopics struct {
	// Settings are the settings that name topics, by the topic.
	Settings map[string]string
	// InputTopics are the topics that are read, where the topic of a record alone decides which one it has after the
	// transforms. Where others may come, or more decides, none.
	InputTopics []string

	mu sync.Mutex
	// from are the topics of which records have arrived, to those in which they did.
	from, to map[string]bool
	complete bool // what Read can tell is known
}

// maxTopics is how many topics are looked at.
const maxTopics = 1000

// arrived takes records, and the topics that rows, one for each of them, have after the transforms; taken are those
// that the plugin takes.
func (r *UnmatchedTopics) arrived(log *slog.Logger, items []*item, rows *record.Batch, taken []string) {
	if r == nil || len(taken) == 0 {
		return
	}
	var from string
	to := -1
	for n, i := range items {
		row := &rows.Rows[n]
		if int(row.Topic) == to && i.record.Topic == from {
			continue // as the one before
		}
		from, to = i.record.Topic, int(row.Topic)
		if to < len(rows.Topics) {
			r.one(log, i, rows.Topics[to], taken)
		}
	}
}

func (r *UnmatchedTopics) one(log *slog.Logger, i *item, topic string, taken []string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.from == nil {
		r.from, r.to = map[string]bool{}, map[string]bool{}
	}
	if len(r.from) >= maxTopics || len(r.to) >= maxTopics || r.from[i.record.Topic] && r.to[topic] {
		return
	}
	if !r.to[topic] && !slices.Contains(taken, topic) {
		log.Error("nothing takes records of the topic that they have after the transforms: have a setting name it, "+
			"or change the transforms",
			"topic", topic, "read_from", i.record.Topic, "taken", r.named(taken), "record", i.String())
	}
	r.from[i.record.Topic], r.to[topic] = true, true
	if r.complete || len(r.InputTopics) == 0 || slices.ContainsFunc(r.InputTopics,
		func(t string) bool { return !r.from[t] }) {
		return
	}
	r.complete = true
	for _, t := range taken {
		if !r.to[t] {
			log.Error("no record can reach the topic that a setting names: after the transforms they have others; "+
				"change the setting, topics or the transforms",
				"setting", r.named([]string{t}), "arrived_in", strings.Join(slices.Sorted(maps.Keys(r.to)), ", "))
		}
	}
}

// named is topics with the settings that name them.
func (r *UnmatchedTopics) named(topics []string) string {
	names := make([]string, len(topics))
	for n, t := range topics {
		names[n] = t
		if setting := r.Settings[t]; setting != "" {
			names[n] = setting + "=" + t
		}
	}
	return strings.Join(names, ", ")
}
