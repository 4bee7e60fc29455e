package sink

import (
	"sync"

	"github.com/twmb/franz-go/pkg/kgo"
)

// Uncertain holds the records of a connector of which nobody knows whether they were written, because a request that must not be
// sent twice got no answer. The tasks of a connector share one: the group gives a failed task's partitions to another task, which
// would send the request again (P19). It is forgotten when an operator starts the
// connector anew. The zero value is empty and ready.
type Uncertain struct {
	mu      sync.Mutex
	records map[spot]error
}

type spot struct {
	topic     string
	partition int32
	offset    int64
}

func (u *Uncertain) add(r *kgo.Record, why error) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.records == nil {
		u.records = map[spot]error{}
	}
	u.records[spot{r.Topic, r.Partition, r.Offset}] = why
}

// why is what was known when the record was given up; nil: it is not uncertain.
func (u *Uncertain) why(r *kgo.Record) error {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.records[spot{r.Topic, r.Partition, r.Offset}]
}
