package connect

import (
	"context"
	"slices"
	"sync"

	"github.com/twmb/franz-go/pkg/kgo"
)

// keyLocks are the record keys that a replay is sending. The sink's tasks in this process do not write a record with
// such a key, so that a dead letter never overwrites a newer record (RATIONALE.md P20).
type keyLocks struct {
	mu       sync.Mutex
	keys     map[recordID]bool // the locked keys
	released chan struct{}     // closed when the keys are released; nil while no key is locked
}

// topicKey locks all records of a topic, for a dead letter without a key: any of them may be of the same entity.
func topicKey(topic string) recordID { return newKeyID(topic, -1, nil) }

// lock locks the keys of dead letters until unlock is called. Only one caller may have locked keys at a time.
func (locks *keyLocks) lock(deadLetters []*DeadLetter) (unlock func()) {
	locks.mu.Lock()
	defer locks.mu.Unlock()
	locks.keys = map[recordID]bool{}
	locks.released = make(chan struct{})
	for _, deadLetter := range deadLetters {
		key := topicKey(deadLetter.Topic)
		if deadLetter.Record.Key != nil {
			key = newKeyID(deadLetter.Topic, deadLetter.Partition, deadLetter.Record.Key)
		}
		locks.keys[key] = true
	}
	return func() {
		locks.mu.Lock()
		defer locks.mu.Unlock()
		close(locks.released)
		locks.keys = nil
		locks.released = nil
	}
}

// wait waits until none of the records has a locked key, or ctx ends.
func (locks *keyLocks) wait(ctx context.Context, records []*kgo.Record) error {
	for {
		locks.mu.Lock()
		released := locks.released
		isLocked := released != nil && slices.ContainsFunc(records, func(r *kgo.Record) bool {
			return locks.keys[newKeyID(r.Topic, r.Partition, r.Key)] || locks.keys[topicKey(r.Topic)]
		})
		locks.mu.Unlock()
		if !isLocked {
			return nil
		}
		select {
		case <-released:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}
