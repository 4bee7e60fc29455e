package connect

import (
	"context"
	"slices"
	"sync"

	"github.com/twmb/franz-go/pkg/kgo"
)

// keyLocks are the record keys that a replay is sending. The sink's tasks in this process do not write a record with
// such a key, so that a dead letter never overwrites a newer record (P20). The zero value has none.
//
// Invariant: a replay locks keys before it reads the topics' end offsets. So a newer record is before the end, and the
// replay skips the letter, or after it, and the record waits.
type keyLocks struct {
	mu       sync.Mutex
	keys     map[recordID]bool
	released chan struct{}
}

// topicKey locks all records of a topic, for a dead letter without a key: any of them may be of the same entity.
func topicKey(topic string) recordID { return newKeyID(topic, -1, nil) }

func (h *keyLocks) lock(deadLetters []*DeadLetter) (free func()) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.keys, h.released = map[recordID]bool{}, make(chan struct{})
	for _, l := range deadLetters {
		key := topicKey(l.Topic)
		if l.Record.Key != nil {
			key = newKeyID(l.Topic, l.Partition, l.Record.Key)
		}
		h.keys[key] = true
	}
	return func() {
		h.mu.Lock()
		defer h.mu.Unlock()
		close(h.released)
		h.keys, h.released = nil, nil
	}
}

func (h *keyLocks) wait(ctx context.Context, records []*kgo.Record) error {
	for {
		h.mu.Lock()
		freed := h.released
		held := freed != nil && slices.ContainsFunc(records, func(r *kgo.Record) bool {
			return h.keys[newKeyID(r.Topic, r.Partition, r.Key)] || h.keys[topicKey(r.Topic)]
		})
		h.mu.Unlock()
		if !held {
			return nil
		}
		select {
		case <-freed:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}
