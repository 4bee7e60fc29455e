package sink

import (
	"slices"
	"sync"

	"github.com/twmb/franz-go/pkg/kgo"
)

// Uncertain holds the records of a connector of which nobody knows whether they were written, because a request that must not be
// sent twice got no answer. The tasks of a connector share one: the group gives a failed task's partitions to another task, which
// would send the request again (P19). A start of the connector finds them in the notes beside the group's offsets. The zero value is
// empty and ready.
type Uncertain struct {
	mu      sync.Mutex
	records map[spot]error
}

type spot struct {
	topic     string
	partition int32
	offset    int64
}

func spotOf(r *kgo.Record) spot { return spot{r.Topic, r.Partition, r.Offset} }

func (u *Uncertain) add(r *kgo.Record, why error) { u.put(spotOf(r), why) }

// put adds a record, unless it is known.
func (u *Uncertain) put(at spot, why error) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.records == nil {
		u.records = map[spot]error{}
	}
	if u.records[at] == nil {
		u.records[at] = why
	}
}

// of is the offsets of a partition's uncertain records from `next` on, in order.
func (u *Uncertain) of(topic string, partition int32, next int64) []span {
	u.mu.Lock()
	defer u.mu.Unlock()
	var all []span
	for at := range u.records {
		if at.topic == topic && at.partition == partition && at.offset >= next {
			all = append(all, span{at.offset, at.offset})
		}
	}
	slices.SortFunc(all, func(a, b span) int { return int(a.first - b.first) })
	return all
}

// why is what was known when the record was given up; nil: it is not uncertain.
func (u *Uncertain) why(r *kgo.Record) error {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.records[spotOf(r)]
}
