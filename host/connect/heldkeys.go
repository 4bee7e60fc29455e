package connect

import (
	"context"
	"slices"
	"sync"

	"github.com/twmb/franz-go/pkg/kgo"
)

// keyLocks holds the keys of the letters that a replay is sending. The sink's tasks in this process wait before they
// write a record with such a key, so that a letter never overwrites a later record of its key (P20). The zero value
// holds no key.
//
// Invariant: a replay holds keys first and reads the end offsets of the topics then. A later record of a held key is
// before the end offset, and the replay leaves the letter, or after it, and the record waits.
type keyLocks struct {
	mu sync.Mutex
	// keys are results of keyOf. A letter without a key holds topicKey.
	keys map[recordID]bool
	// released is closed when the keys are released. Nil means that no key is held.
	released chan struct{}
}

// topicKey stands for all records of a topic: any of them may be of the same entity as a letter without a key.
func topicKey(topic string) recordID { return newKeyID(topic, -1, nil) }

// lock holds the keys of letters until free is called. A connector has one replay at a time.
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

// wait blocks while the key of one of the records is held. The error is the cause of the context's end.
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
